//! Programs that are attached only while a container's rules need them: each costs every process that comes by, in a
//! container or not.

use std::collections::{BTreeMap, BTreeSet};

use libbpf_rs::Link;

use super::LoadError;
use super::object::Loaded;

/// Names of programs.
pub(super) type Names = BTreeSet<&'static str>;

/// Those that are attached, by name.
#[derive(Debug, Default)]
pub(super) struct OnDemand {
    links: BTreeMap<&'static str, Link>,
}

impl OnDemand {
    /// Attaches what is not yet.
    pub fn attach(&mut self, loaded: &mut Loaded, programs: &Names) -> Result<(), LoadError> {
        for name in programs {
            if !self.links.contains_key(name) {
                self.links.insert(name, loaded.attach(name)?);
            }
        }
        Ok(())
    }

    /// Detaches all but these.
    pub fn keep(&mut self, programs: &Names) {
        self.links.retain(|name, _| programs.contains(name));
    }
}
