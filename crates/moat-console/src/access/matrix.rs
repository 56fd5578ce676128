//! Resource × action × role. The whole of it stands, as the routes apply it, in `access/matrix.golden`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a user or an API token is to the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// Everything.
    Admin,
    /// Reads everything but users, tokens and settings; writes policies, notifiers, enrolment tokens, enforcers.
    Operator,
    /// Reads what an operator reads; changes nothing.
    Auditor,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Admin, Role::Operator, Role::Auditor];
}

/// What is acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    Overview,
    Policies,
    Enforcers,
    EnrolmentTokens,
    Workloads,
    Events,
    Notifiers,
    Audit,
    Users,
    Tokens,
    Settings,
}

impl Resource {
    pub const ALL: [Resource; 11] = [
        Resource::Overview,
        Resource::Policies,
        Resource::Enforcers,
        Resource::EnrolmentTokens,
        Resource::Workloads,
        Resource::Events,
        Resource::Notifiers,
        Resource::Audit,
        Resource::Users,
        Resource::Tokens,
        Resource::Settings,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Resource::Overview => "overview",
            Resource::Policies => "policies",
            Resource::Enforcers => "enforcers",
            Resource::EnrolmentTokens => "enrolment-tokens",
            Resource::Workloads => "workloads",
            Resource::Events => "events",
            Resource::Notifiers => "notifiers",
            Resource::Audit => "audit",
            Resource::Users => "users",
            Resource::Tokens => "tokens",
            Resource::Settings => "settings",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Changes nothing, whatever the method: validation and what-if are reads.
    Read,
    Write,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Write => "write",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody: how one signs in.
    Public,
    /// Whoever is signed in, about themselves.
    SignedIn,
    To(Resource, Action),
}

/// The matrix.
pub fn allows(role: Role, resource: Resource, action: Action) -> bool {
    match (role, action) {
        (Role::Admin, _) => true,
        (Role::Operator | Role::Auditor, Action::Read) => {
            !matches!(resource, Resource::Users | Resource::Tokens | Resource::Settings)
        }
        (Role::Operator, Action::Write) => matches!(
            resource,
            Resource::Policies | Resource::Enforcers | Resource::EnrolmentTokens | Resource::Notifiers
        ),
        (Role::Auditor, Action::Write) => false,
    }
}

/// What an API token is narrowed to: `policies:write`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    pub resource: Resource,
    pub action: Action,
}

/// All that a role may.
pub fn scopes(role: Role) -> impl Iterator<Item = Scope> {
    Resource::ALL
        .into_iter()
        .flat_map(|resource| [Action::Read, Action::Write].map(|action| Scope { resource, action }))
        .filter(move |scope| allows(role, scope.resource, scope.action))
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource, self.action)
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Scope, String> {
        let (resource, action) =
            text.split_once(':').ok_or("a scope is a resource and an action, `policies:read`")?;
        let resource =
            Resource::ALL.into_iter().find(|candidate| candidate.name() == resource).ok_or_else(|| {
                format!("the resource is one of {}", Resource::ALL.map(Resource::name).join(", "))
            })?;
        let action = [Action::Read, Action::Write]
            .into_iter()
            .find(|candidate| candidate.name() == action)
            .ok_or("the action is `read` or `write`")?;
        Ok(Scope { resource, action })
    }
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Admin => "Admin",
            Role::Operator => "Operator",
            Role::Auditor => "Auditor",
        }
    }
}

impl From<moat_store::Role> for Role {
    fn from(role: moat_store::Role) -> Role {
        match role {
            moat_store::Role::Admin => Role::Admin,
            moat_store::Role::Operator => Role::Operator,
            moat_store::Role::Auditor => Role::Auditor,
        }
    }
}

impl From<Role> for moat_store::Role {
    fn from(role: Role) -> moat_store::Role {
        match role {
            Role::Admin => moat_store::Role::Admin,
            Role::Operator => moat_store::Role::Operator,
            Role::Auditor => moat_store::Role::Auditor,
        }
    }
}
