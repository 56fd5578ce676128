//! The activity that somebody asks about, as the evaluator sees it.

use moat_policy::activity::{Actor, Connect, Exec, FileAccess, FileSource};
use moat_policy::{Activity, argv};
use moat_wire::control::ExplainActivity;

/// Holds the bytes that the activity refers to.
#[derive(Debug)]
pub struct Question<'a> {
    asked: &'a ExplainActivity,
    argv: Vec<u8>,
}

impl<'a> Question<'a> {
    pub fn new(asked: &'a ExplainActivity) -> Question<'a> {
        let argv = match asked {
            ExplainActivity::Exec { arguments, .. } => argv(arguments),
            _ => Vec::new(),
        };
        Question { asked, argv }
    }

    pub fn parents(&self) -> Vec<&[u8]> {
        match self.asked {
            ExplainActivity::Exec { parents, .. } => parents.iter().map(String::as_bytes).collect(),
            _ => Vec::new(),
        }
    }

    /// Nobody named is root, the user that most containers run as.
    pub fn activity<'b>(&'b self, parents: &'b [&'b [u8]]) -> Activity<'b> {
        match self.asked {
            ExplainActivity::Exec { path, user, origin, .. } => Activity::Exec(Exec {
                path: path.as_bytes(),
                arguments: Some(&self.argv),
                ancestors: parents,
                uid: user.unwrap_or(0),
                origin: *origin,
                source: FileSource::Image,
            }),
            ExplainActivity::File { path, operation, executable, user } => Activity::File(FileAccess {
                path: path.as_bytes(),
                operation: *operation,
                actor: Actor { executable: executable.as_bytes(), uid: user.unwrap_or(0) },
            }),
            ExplainActivity::Connect { direction, protocol, address, port } => Activity::Connect(Connect {
                direction: *direction,
                protocol: *protocol,
                peer: address.to_canonical(),
                port: *port,
            }),
            ExplainActivity::Syscall { name } => Activity::Syscall(name),
            ExplainActivity::Capability { name } => Activity::Capability(name),
        }
    }
}
