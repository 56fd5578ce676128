//! Programs that are attached only while a container's rules need them: each costs every process that comes by, in a
//! container or not.

use std::collections::{BTreeMap, BTreeSet};

use super::LoadError;
use super::object::Loaded;
use super::pins::{Attachment, Pins};

/// Names of programs.
pub(super) type Names = BTreeSet<&'static str>;

/// Those that are attached, by name.
#[derive(Debug, Default)]
pub(super) struct OnDemand {
    links: BTreeMap<&'static str, Attachment>,
}

impl OnDemand {
    /// Attaches what is not yet.
    pub fn attach(
        &mut self,
        loaded: &mut Loaded,
        mut pins: Option<&mut Pins>,
        programs: &Names,
    ) -> Result<(), LoadError> {
        for name in programs {
            if !self.links.contains_key(name) {
                self.links.insert(name, loaded.attach(pins.as_deref_mut(), name)?);
            }
        }
        Ok(())
    }

    /// Detaches all but these.
    pub fn keep(&mut self, programs: &Names) {
        let unneeded = self.links.extract_if(.., |name, _| !programs.contains(name));
        unneeded.for_each(|(_, link)| link.remove());
    }
}
