//! Network programs on the container's own cgroup, only where its rules are about connections.

use std::fs::File;
use std::io;

use libbpf_rs::Link;

use super::object::Loaded;
use super::profiles::Profile;
use crate::{ApplyError, ContainerScope};

const EGRESS: [&str; 5] =
    ["moat_connect4", "moat_connect6", "moat_sendmsg4", "moat_sendmsg6", "moat_packet_out"];
/// The last two remember whom an unconnected socket has sent to, so that answers are told from arrivals.
const INGRESS: [&str; 3] = ["moat_packet_in", "moat_sendmsg4", "moat_sendmsg6"];

/// Attachments to one cgroup; dropping them detaches.
#[derive(Debug, Default)]
pub(super) struct Links {
    _attached: Vec<Link>,
}

impl Links {
    pub fn attach(
        loaded: &mut Loaded,
        scope: &ContainerScope,
        profile: &Profile,
    ) -> Result<Links, ApplyError> {
        let mut programs: Vec<&'static str> = Vec::new();
        if profile.egress() {
            programs.extend(EGRESS);
        }
        if profile.ingress() {
            programs.extend(INGRESS.iter().filter(|name| !profile.egress() || !EGRESS.contains(name)));
        }
        if programs.is_empty() {
            return Ok(Links::default());
        }
        let Some(directory) = &scope.cgroup_directory else {
            // Without cgroup v2 there is nothing to attach to; the rule's status says so.
            return Ok(Links::default());
        };
        // Never the root cgroup: that would be the whole node.
        if File::open(directory.join("cgroup.type")).is_err() {
            return Err(ApplyError::Kernel(io::Error::other(format!(
                "{} is not a container's cgroup",
                directory.display()
            ))));
        }
        let directory = File::open(directory).map_err(|_| ApplyError::Vanished)?;
        let links = programs
            .into_iter()
            .map(|name| loaded.attach_cgroup(name, &directory))
            .collect::<Result<Vec<Link>, _>>()
            .map_err(|error| ApplyError::Kernel(io::Error::other(error.to_string())))?;
        Ok(Links { _attached: links })
    }
}
