//! Why a rule matches, clause by clause.

use super::{Entry, FileMatcher, Matcher, NetworkMatcher, Outcome, ProcessMatcher, base_name};
use crate::activity::{Activity, Connect, Exec, FileAccess, FileSource};
use crate::escape::escape;
use crate::model::OriginMatcher;

impl Matcher {
    /// One sentence without its full stop; empty where the rule does not match.
    pub(crate) fn reason(&self, activity: &Activity<'_>) -> String {
        if self.matches(activity) == Outcome::No {
            return String::new();
        }
        let clauses = match (self, activity) {
            (Matcher::Process(process), Activity::Exec(exec)) => process_clauses(process, exec),
            (Matcher::Drift(_), Activity::Exec(exec)) => vec![drift_clause(exec)],
            (Matcher::File(file), Activity::File(access)) => file_clauses(file, access),
            (Matcher::Network(network), Activity::Connect(connect)) => network_clauses(network, connect),
            (Matcher::Syscalls(_), Activity::Syscall(name)) => {
                vec![format!("system call `{}` is in syscalls", escape(name.as_bytes()))]
            }
            _ => Vec::new(),
        };
        clauses.join("; ")
    }
}

fn process_clauses(process: &ProcessMatcher, exec: &Exec<'_>) -> Vec<String> {
    let (path, name) = (escape(exec.path), escape(base_name(exec.path)));
    let selector = if process.allow_only.is_some() {
        format!("executable `{path}` is not in allowOnly")
    } else {
        match (process.executables.find(exec.path), &process.name_regex) {
            (Some(Entry::Name(_)), _) => format!("executable name `{name}` is in names"),
            (Some(Entry::Path(_)), _) => format!("executable `{path}` is in paths"),
            (Some(Entry::Glob(glob)), _) => format!("executable `{path}` matches `{}`", quote(glob)),
            (None, Some(regex)) => format!("executable name `{name}` matches `{}`", quote(regex.text())),
            (None, None) => "every executable is meant".to_owned(),
        }
    };
    let arguments =
        process.arguments.as_ref().map(|pattern| format!("arguments match `{}`", quote(pattern.text())));
    let parent = exec.ancestors.iter().enumerate().find_map(|(generation, path)| {
        let relation = if generation == 0 { "parent" } else { "ancestor" };
        process.parents.find(path).map(|entry| match entry {
            Entry::Name(listed) | Entry::Path(listed) | Entry::Glob(listed) => {
                format!("{relation} {}", quote(listed))
            }
        })
    });
    let origin = match process.origin {
        OriginMatcher::Any => None,
        OriginMatcher::Entrypoint => Some("started by the container itself".to_owned()),
        OriginMatcher::ExecSession => Some("started from outside by an exec session".to_owned()),
    };
    let user = process.users.find(exec.uid).map(|name| user_clause(name, exec.uid));
    [Some(selector), arguments, parent, user, origin].into_iter().flatten().collect()
}

fn drift_clause(exec: &Exec<'_>) -> String {
    let path = escape(exec.path);
    match exec.source {
        FileSource::Fileless => format!("executable `{path}` has no file"),
        FileSource::Added | FileSource::Image => {
            format!(
                "executable `{path}` was added or changed after the start or is not on the image's file system"
            )
        }
    }
}

fn file_clauses(file: &FileMatcher, access: &FileAccess<'_>) -> Vec<String> {
    let path = escape(access.path);
    let matched = file.find(access.path).map(|glob| {
        if glob.text().as_bytes() == access.path {
            format!("path `{path}` is in paths")
        } else {
            format!("path `{path}` matches `{}`", quote(glob.text()))
        }
    });
    let operation = format!("operation {} is in operations", access.operation.name());
    let process = file
        .processes
        .find(access.actor.executable)
        .map(|_| format!("process `{}` is in processes", escape(access.actor.executable)));
    let user = file.users.find(access.actor.uid).map(|name| user_clause(name, access.actor.uid));
    matched.into_iter().chain([operation]).chain(process).chain(user).collect()
}

fn network_clauses(network: &NetworkMatcher, connect: &Connect) -> Vec<String> {
    let peer = connect.peer.to_canonical();
    let peer = match network.network(connect) {
        Some(listed) => format!("peer {peer} is in {listed}"),
        None => format!("peer {peer}: every peer is meant"),
    };
    let ports = network.port_range(connect).map(|range| match (range.start(), range.end()) {
        (first, last) if first == last => format!("port {first} is in ports"),
        (first, last) => format!("port {} is in {first}-{last}", connect.port),
    });
    let protocol = network.lists_protocols().then(|| format!("protocol is {}", connect.protocol.name()));
    [Some(peer), ports, protocol].into_iter().flatten().collect()
}

fn user_clause(name: &str, uid: u32) -> String {
    if name == uid.to_string() { format!("user {uid}") } else { format!("user {} ({uid})", quote(name)) }
}

/// A policy's own text: backslashes stay as its author wrote them, what does not print is escaped.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\'' | '"' | '\\' => quoted.push(character),
            _ => quoted.extend(character.escape_debug()),
        }
    }
    quoted
}
