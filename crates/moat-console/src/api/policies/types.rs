//! What the API says about policies.

use jiff::Timestamp;
use moat_policy::model::{Mode, RuleAction};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A policy in a list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicySummary {
    pub name: String,
    pub kind: String,
    /// Of a `RuntimePolicy`.
    pub mode: Option<Mode>,
    pub enforce_after: Option<String>,
    pub rules: usize,
    /// The actions of its rules, most severe last.
    pub actions: Vec<RuleAction>,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub updated_by: String,
    pub coverage: Coverage,
}

/// How far a policy has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Running containers that it selects.
    pub containers: i64,
    /// Enforcers that are not revoked or replaced.
    pub nodes: i64,
    /// On so many of them this revision is in force as written.
    pub enforced: i64,
    pub degraded: i64,
    pub refused: i64,
    /// On so many of them this revision has not arrived, or has not been reported on.
    pub pending: i64,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    #[serde(flatten)]
    pub summary: PolicySummary,
    /// YAML, as it was written.
    pub document: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyChange {
    /// One YAML document.
    pub document: String,
    /// Why; kept in the history.
    #[serde(default)]
    pub note: String,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ChangeOptions {
    /// Only say what would be.
    pub dry_run: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyText {
    /// YAML.
    pub document: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    pub valid: bool,
    pub diagnostics: Vec<Diagnostic>,
    /// What it says, where there is no mistake.
    pub document: Option<ValidDocument>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidDocument {
    pub name: String,
    pub kind: String,
    pub rules: usize,
    /// The policy as the parser understood it, for the form editor.
    pub policy: serde_json::Value,
}

/// One mistake, and where. Lines and columns count from 1, columns in characters; the end is exclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    pub severity: DiagnosticSeverity,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    pub line: usize,
    pub column: usize,
    pub end_line: usize,
    pub end_column: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum DiagnosticSeverity {
    Error,
    Warning,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRevision {
    pub revision: i64,
    pub action: RevisionAction,
    pub note: String,
    pub by: String,
    pub at: Timestamp,
    /// Only of a single revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum RevisionAction {
    Created,
    Updated,
    RolledBack,
    Deleted,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiffQuery {
    pub from: i64,
    /// The current one where absent.
    #[serde(default)]
    pub to: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    pub from: i64,
    pub to: i64,
    /// As `diff -u` writes it; empty where both are the same.
    pub unified: String,
    pub added: usize,
    pub removed: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// The revision whose document becomes the newest.
    pub revision: i64,
    #[serde(default)]
    pub note: String,
}

/// How one enforcer holds a policy.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePolicyStatus {
    pub enforcer_id: String,
    pub node: String,
    /// The revision that the enforcer reported on; 0 before its first report.
    pub revision: i64,
    pub state: PolicyState,
    pub reasons: Vec<String>,
    pub containers: i64,
}

impl From<moat_store::PolicyState> for PolicyState {
    fn from(state: moat_store::PolicyState) -> PolicyState {
        match state {
            moat_store::PolicyState::Pending => PolicyState::Pending,
            moat_store::PolicyState::Accepted => PolicyState::Accepted,
            moat_store::PolicyState::Enforced => PolicyState::Enforced,
            moat_store::PolicyState::Degraded => PolicyState::Degraded,
            moat_store::PolicyState::Refused => PolicyState::Refused,
        }
    }
}

/// Whose policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub enum PolicySource {
    /// Written here.
    Console,
    /// In the folder of the node itself; it comes before one of the console that has the same name.
    Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum PolicyState {
    /// Not there yet.
    Pending,
    /// There, not yet in force.
    Accepted,
    Enforced,
    /// In force, weaker than written.
    Degraded,
    Refused,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    pub name: String,
    pub title: String,
    pub description: String,
    pub document: String,
}
