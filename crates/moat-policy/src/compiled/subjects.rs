//! Sets of users.

use crate::users::Users;

/// The users a rule lists, as the container's ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subjects {
    listed: Vec<(String, Option<u32>)>,
}

impl Subjects {
    pub(crate) fn new(names: &[String], users: &Users) -> Subjects {
        Subjects { listed: names.iter().map(|name| (name.clone(), users.resolve(name))).collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The listed name that `uid` goes by.
    pub(crate) fn find(&self, uid: u32) -> Option<&str> {
        self.listed.iter().find(|(_, id)| *id == Some(uid)).map(|(name, _)| name.as_str())
    }

    pub(crate) fn unresolved(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().filter(|(_, id)| id.is_none()).map(|(name, _)| name.as_str())
    }
}
