//! What was observed, as a policy can judge it later.

use moat_event::Origin;
use moat_kernel::{Act, Observation};
use moat_policy::{Attempt, arguments};

/// `None` of what is neither an execution nor a connection.
pub fn of(seen: &Observation) -> Option<Attempt> {
    let process = &seen.process;
    match &seen.act {
        Act::Exec { path, source } => {
            let known = !process.arguments_truncated && !process.arguments.is_empty();
            Some(Attempt::Exec {
                path: text(path),
                arguments: known.then(|| arguments(&process.arguments).map(text).collect()),
                user: Some(process.uid),
                parents: Some(text(&process.parent_executable))
                    .filter(|parent| !parent.is_empty())
                    .into_iter()
                    .collect(),
                origin: process.origin.unwrap_or(Origin::Entrypoint),
                source: *source,
            })
        }
        Act::Connect { direction, protocol, peer, port } => Some(Attempt::Connect {
            direction: *direction,
            protocol: *protocol,
            address: peer.to_canonical(),
            port: *port,
        }),
        Act::File { .. }
        | Act::Syscall { .. }
        | Act::Capability { .. }
        | Act::Tampering { .. }
        | Act::Repeated => None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
