//! Why a rule matches, clause by clause.

use moat_event::{Direction, Protocol};

use super::{
    Applet, Entry, FileMatcher, Matcher, NetworkMatcher, Outcome, ProcessMatcher, Program, base_name,
};
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
            (Matcher::Capabilities(_), Activity::Capability(name)) => {
                vec![format!("capability `{}` is in capabilities", escape(name.as_bytes()))]
            }
            _ => Vec::new(),
        };
        clauses.join("; ")
    }
}

fn process_clauses(process: &ProcessMatcher, exec: &Exec<'_>) -> Vec<String> {
    let selector = selector_clause(process, &Program::of(exec));
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

fn selector_clause(process: &ProcessMatcher, program: &Program<'_>) -> String {
    let (path, name) = (escape(program.path), base_name(program.path));
    let applet = match program.applet {
        Applet::Known(applet) => Some((applet, format!("applet `{}` of `{path}`", escape(applet)))),
        Applet::None | Applet::Unknown => None,
    };
    if process.allow_only.is_some() {
        let program = applet.map_or_else(|| format!("executable `{path}`"), |(_, described)| described);
        return format!("{program} is not in allowOnly");
    }
    match process.executables.find(program.path) {
        Some(Entry::Name(name)) => return format!("executable name `{}` is in names", quote(name)),
        Some(Entry::Path(_)) => return format!("executable `{path}` is in paths"),
        Some(Entry::Glob(glob)) => return format!("executable `{path}` matches `{}`", quote(glob)),
        None => {}
    }
    let regex = process.name_regex.as_ref();
    match (applet, regex) {
        (Some((applet, described)), _) if process.executables.has_name(applet) => {
            format!("{described} is in names")
        }
        (_, Some(regex)) if regex.is_match(name) => {
            format!("executable name `{}` matches `{}`", escape(name), quote(regex.text()))
        }
        (Some((_, described)), Some(regex)) => format!("{described} matches `{}`", quote(regex.text())),
        _ if process.selects_every_executable() => "every executable is meant".to_owned(),
        _ => format!("which applet of `{path}` it is decides, and the arguments are not known"),
    }
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
    let protocol = network.lists_protocols().then(|| format!("protocol is {}", connect.protocol.name()));
    if connect.protocol == Protocol::Raw {
        return protocol.into_iter().collect();
    }
    let peer = connect.peer.to_canonical();
    let role = if connect.direction == Direction::Listen { "address" } else { "peer" };
    let peer = match (network.network(connect), network.takes_in(connect)) {
        (Some(listed), _) => format!("{role} {peer} is in {listed}"),
        (None, Some(listed)) => format!("{role} {peer} stands for all, also those in {listed}"),
        (None, None) => format!("{role} {peer}: every {role} is meant"),
    };
    let ports = network.port_range(connect).map(|range| match (range.start(), range.end()) {
        (first, last) if first == last => format!("port {first} is in ports"),
        (first, last) => format!("port {} is in {first}-{last}", connect.port),
    });
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
