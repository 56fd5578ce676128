//! Network programs on the container's own cgroup, only where its rules are about connections.

use std::fs::File;
use std::io;

use super::object::Loaded;
use super::pins::{Attachment, Pins};
use super::profiles::Profile;
use crate::{ApplyError, ContainerScope};

const EGRESS: [&str; 5] =
    ["moat_connect4", "moat_connect6", "moat_sendmsg4", "moat_sendmsg6", "moat_packet_out"];
/// The last two remember whom an unconnected socket has sent to, so that answers are told from arrivals.
const INGRESS: [&str; 3] = ["moat_packet_in", "moat_sendmsg4", "moat_sendmsg6"];

/// Attachments to one cgroup.
#[derive(Debug, Default)]
pub(super) struct Links {
    attached: Vec<Attachment>,
}

impl Links {
    pub fn attach(
        loaded: &mut Loaded,
        mut pins: Option<&mut Pins>,
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
        let mut links = Links::default();
        for name in programs {
            let attached =
                loaded.attach_cgroup(name, &directory).map_err(io::Error::other).and_then(|link| match pins
                    .as_deref_mut()
                {
                    Some(pins) => pins.pin(link, name, Some(scope.cgroup)),
                    None => Ok(link.into()),
                });
            match attached {
                Ok(attached) => links.attached.push(attached),
                Err(error) => {
                    links.remove();
                    return Err(ApplyError::Kernel(error));
                }
            }
        }
        Ok(links)
    }

    pub fn remove(self) {
        self.attached.into_iter().for_each(Attachment::remove);
    }
}
