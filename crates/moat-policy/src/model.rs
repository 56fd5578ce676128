//! The policy model: one set of types for files, the API and the cluster's custom resources.
//!
//! Field names are the YAML's. Unknown fields are errors. No `flatten`, no untagged enums: both cost
//! people the line of their mistake.

use std::collections::BTreeMap;

use moat_event::{Direction, FileOperation, Labels, Protocol, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `apiVersion` of every document that Moat reads.
pub const API_VERSION: &str = "aqua.security/v1alpha1";

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    pub name: String,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
}

/// What workloads may do while they run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimePolicy {
    pub api_version: String,
    pub kind: String,
    pub metadata: Metadata,
    pub spec: RuntimePolicySpec,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimePolicySpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<WorkloadSelector>,
    #[serde(default)]
    pub mode: Mode,
    /// Audit until then: an RFC 3339 date or date-time, or a duration (`14d`, `12h`) counted from when the
    /// policy was first seen. Only with `mode: Enforce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce_after: Option<String>,
    pub rules: Vec<Rule>,
}

/// Whether matched rules act, or only report what they would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    #[default]
    Audit,
    Enforce,
}

/// Selects by the namespace; all conditions given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NamespaceSelector {
    /// Globs; any of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_names: Vec<String>,
    /// Globs; none of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_names: Vec<String>,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub match_labels: Labels,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelExpression>,
}

/// Selects by labels, with the semantics of Kubernetes' `LabelSelector`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabelSelector {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: Labels,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelExpression>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelExpression {
    pub key: String,
    pub operator: LabelOperator,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// Selects by what runs; each list is any-of with globs, all lists given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WorkloadSelector {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Names of the controlling object; of a container without a pod, the container's name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

/// One rule: a name, how bad, what to do, and exactly one matcher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    pub name: String,
    #[serde(default)]
    pub severity: Severity,
    pub action: RuleAction,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessMatcher>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileMatcher>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkMatcher>,
    /// Names of system calls, as in the kernel's table (`ptrace`, `syslog`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscalls: Option<Vec<String>>,
    /// Names of Linux capabilities, as in Kubernetes' `securityContext` (`NET_ADMIN`, `SYS_MODULE`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftMatcher>,
}

/// What a matched rule does, least severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RuleAction {
    /// Report; let it happen.
    Alert,
    /// Refuse the act.
    Block,
    /// Refuse the act and kill the process.
    KillProcess,
    /// Refuse the act and stop the pod.
    KillPod,
    /// Refuse the act and cut the container off from the network.
    Quarantine,
}

/// Which executions. The first five lists say which executable, any of them; `allowOnly` says which are
/// the only ones allowed; the others narrow, all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProcessMatcher {
    /// Base names of the executable or its [applet](crate::applet), exact.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Searched for in the base name of the executable and in its applet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_regex: Option<String>,
    /// Absolute paths in the container, exact, or globs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path_globs: Vec<String>,
    /// Searched for in the argument vector, `argv[0]` first, joined by one space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_regex: Option<String>,
    /// Base names or absolute paths of executables; one of them is an ancestor within the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
    /// User names of the container's `/etc/passwd`, or numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    #[serde(skip_serializing_if = "OriginMatcher::is_any")]
    pub origin: OriginMatcher,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_only: Option<ExecutableList>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<ExecutableList>,
}

/// A set of executables: any of the lists. Of a multi-call program started as an [applet](crate::applet), `names` are
/// those of applets alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExecutableList {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Exact, or globs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path_globs: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OriginMatcher {
    #[default]
    Any,
    Entrypoint,
    ExecSession,
}

impl OriginMatcher {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
    fn is_any(&self) -> bool {
        *self == OriginMatcher::Any
    }
}

/// Which accesses to files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FileMatcher {
    /// Absolute paths in the container, exact or globs. `/dir/**` is the directory and all below it.
    pub paths: Vec<String>,
    pub operations: Vec<FileOperation>,
    /// Base names or absolute paths of the executables this applies to; all where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<FileException>,
}

/// What a file rule leaves alone: any of the lists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FileException {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Base names or absolute paths of executables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
}

/// Which connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkMatcher {
    pub direction: Direction,
    /// Networks of the peer, of the local address for `Listen`, IPv4 or IPv6; any where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cidrs: Vec<String>,
    /// `"443"` or `"1-1024"`: of the peer for egress, of the workload otherwise; any where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// TCP and UDP where empty. `Raw` only for egress, and without any condition on addresses and ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<Protocol>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub except: Option<NetworkException>,
}

/// What a network rule leaves alone: a peer in one of `cidrs` (all where empty) on one of `ports` (all where
/// empty). One of the two must be given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NetworkException {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cidrs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
}

/// Executables that did not come with the image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DriftMatcher {
    /// Files written or changed since the container started, or from another file system than the image.
    pub execute: bool,
    /// Code without a file: `memfd_create`, `O_TMPFILE`, deleted files.
    pub fileless: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<ExecutableList>,
}

/// Checks of nodes and workloads against benchmarks, on a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompliancePolicy {
    pub api_version: String,
    pub kind: String,
    pub metadata: Metadata,
    pub spec: CompliancePolicySpec,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompliancePolicySpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<WorkloadSelector>,
    /// Five cron fields (POSIX crontab).
    pub schedule: String,
    /// Benchmarks by name, switched on or off.
    pub compliance_config: BTreeMap<String, bool>,
}
