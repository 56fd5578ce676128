//! Symbolic links in the paths of rules. The kernel tells where a file is, not by which link it was reached:
//! where `/bin` is a link to `/usr/bin`, a rule on `/bin/bash` is about `/usr/bin/bash`. So each path of a rule
//! is followed inside the container, and the rule is given the place it leads to as well.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use moat_policy::glob::{Glob, Shape};
use moat_policy::model::{ExecutableList, FileMatcher, ProcessMatcher};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, open, openat2};

/// Followed rule sets kept; forgotten all at once above that.
const KEPT: usize = 256;

/// Rule sets with their links followed, by image: containers of one image have the same links.
#[derive(Debug, Default)]
pub(super) struct Symlinks {
    known: HashMap<(String, String), Arc<RuleSet>>,
}

impl Symlinks {
    /// `rules` with every path followed in the root of `init_pid`'s mount namespace. Rules keep their places.
    pub fn follow(&mut self, rules: &Arc<RuleSet>, init_pid: u32) -> Arc<RuleSet> {
        let image = image(init_pid);
        if let Some(image) = &image
            && let Some(followed) = self.known.get_mut(&(image.clone(), rules.hash.clone()))
        {
            // The same meaning, perhaps of a later generation.
            if followed.generation != rules.generation {
                *followed = Arc::new(RuleSet { generation: rules.generation, ..RuleSet::clone(followed) });
            }
            return Arc::clone(followed);
        }
        let Ok(root) = open(
            format!("/proc/{init_pid}/root"),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        ) else {
            return Arc::clone(rules);
        };
        let mut follower = Follower { root, added: String::new() };
        let followed: Vec<EffectiveRule> = rules.rules.iter().map(|rule| follower.rule(rule)).collect();
        if follower.added.is_empty() {
            return Arc::clone(rules);
        }
        let hash = format!("{}{}", rules.hash, follower.added);
        let followed = Arc::new(RuleSet { generation: rules.generation, hash, rules: followed });
        if let Some(image) = image {
            if self.known.len() >= KEPT {
                self.known.clear();
            }
            self.known.insert((image, rules.hash.clone()), Arc::clone(&followed));
        }
        followed
    }
}

/// What tells the image of a container: the lower layers of its root (`proc_pid_mountinfo(5)`). `None` where its
/// root is no overlay.
fn image(pid: u32) -> Option<String> {
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?;
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/"))?;
    let (_, options) = root.split_once(" - overlay ")?;
    options.split([' ', ',']).find_map(|option| option.strip_prefix("lowerdir=")).map(str::to_owned)
}

/// Whether a path still means itself when its last component is a link to another name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// One program can have many names, each doing something else (busybox): only the same name is followed.
    Kept,
    /// The object is meant, whatever it is called.
    Any,
}

/// How a list writes its paths.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// Every character is itself: `/usr/bin/[` is a program.
    Exactly,
    AsGlobs,
}

struct Follower {
    root: OwnedFd,
    /// What was added, for the hash.
    added: String,
}

impl Follower {
    fn rule(&mut self, rule: &EffectiveRule) -> EffectiveRule {
        let matcher = match &rule.matcher {
            Matcher::Process(matcher) => Matcher::Process(Arc::new(self.process(matcher))),
            Matcher::File(matcher) => Matcher::File(Arc::new(self.file(matcher))),
            Matcher::Drift(matcher) => {
                let mut followed = (**matcher).clone();
                self.executables(followed.except.as_mut());
                Matcher::Drift(Arc::new(followed))
            }
            Matcher::Network(_) | Matcher::Syscalls(_) | Matcher::Capabilities(_) => rule.matcher.clone(),
        };
        EffectiveRule { matcher, ..rule.clone() }
    }

    fn process(&mut self, matcher: &ProcessMatcher) -> ProcessMatcher {
        let mut followed = matcher.clone();
        self.paths(&mut followed.paths, Names::Kept, Written::Exactly);
        self.paths(&mut followed.path_globs, Names::Kept, Written::AsGlobs);
        self.paths(&mut followed.parents, Names::Kept, Written::Exactly);
        self.executables(followed.allow_only.as_mut());
        self.executables(followed.except.as_mut());
        followed
    }

    fn file(&mut self, matcher: &FileMatcher) -> FileMatcher {
        let mut followed = matcher.clone();
        self.paths(&mut followed.paths, Names::Any, Written::AsGlobs);
        self.paths(&mut followed.processes, Names::Kept, Written::Exactly);
        if let Some(except) = followed.except.as_mut() {
            self.paths(&mut except.paths, Names::Any, Written::AsGlobs);
            self.paths(&mut except.processes, Names::Any, Written::Exactly);
        }
        followed
    }

    /// What is allowed is allowed by every name that leads to it, or a link to it could not be run at all.
    fn executables(&mut self, list: Option<&mut ExecutableList>) {
        if let Some(list) = list {
            self.paths(&mut list.paths, Names::Any, Written::Exactly);
            self.paths(&mut list.path_globs, Names::Any, Written::AsGlobs);
        }
    }

    fn paths(&mut self, paths: &mut Vec<String>, names: Names, written: Written) {
        let follow = |path: &String| match written {
            Written::Exactly if path.starts_with('/') => {
                String::from_utf8(self.object(path.as_bytes(), names)?).ok()
            }
            Written::Exactly => None,
            Written::AsGlobs => self.glob(path, names),
        };
        let added: Vec<String> = paths.iter().filter_map(follow).collect();
        for path in added {
            if !paths.contains(&path) {
                self.added.push('\n');
                self.added.push_str(&path);
                paths.push(path);
            }
        }
    }

    /// Where a glob leads, if elsewhere.
    fn glob(&self, glob: &str, names: Names) -> Option<String> {
        match Glob::new(glob).ok()?.shape() {
            Shape::Exact(path) => escape(&self.object(path, names)?),
            Shape::Below(directory) if directory.starts_with(b"/") => {
                let place = self.place(directory)?;
                (place != *directory).then(|| escape(&place)).flatten().map(|place| format!("{place}/**"))
            }
            Shape::Below(_) | Shape::Pattern(_) => None,
        }
    }

    /// Where a path leads, if elsewhere.
    fn object(&self, path: &[u8], names: Names) -> Option<Vec<u8>> {
        let (directory, name) = path.split_at(path.iter().rposition(|byte| *byte == b'/')? + 1);
        let place = self.place(path).or_else(|| {
            // Not there yet: it will be where its directory is.
            let mut place = self.place(directory)?;
            if !place.ends_with(b"/") {
                place.push(b'/');
            }
            place.extend_from_slice(name);
            Some(place)
        })?;
        let same_name = place.rsplit(|byte| *byte == b'/').next() == Some(name);
        (place != path && (same_name || names == Names::Any)).then_some(place)
    }

    /// The path of an object without links, as the container sees it.
    fn place(&self, path: &[u8]) -> Option<Vec<u8>> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let object = openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
        let name = format!("/proc/self/fd/{}", object.as_raw_fd());
        let place = rustix::fs::readlinkat(CWD, name, Vec::new()).ok()?.into_bytes();
        place.starts_with(b"/").then_some(place)
    }
}

/// A path as a literal in a rule; `None` where it is no text, which no rule can name.
fn escape(path: &[u8]) -> Option<String> {
    let text = std::ffi::OsString::from_vec(path.to_vec()).into_string().ok()?;
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | ',') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    Some(escaped)
}
