//! The posture at a glance.

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use moat_event::{EventAction, Severity};
use moat_policy::model::Mode;
use schemars::JsonSchema;
use serde::Serialize;

use super::enforcers::{Enforcer, EnforcerState};
use super::events::{Statistics, TopBy, TopEntry, default_range, read_statistics, read_top};
use super::node_policies::{self, NodePolicySummary};
use super::policies::{Coverage, summaries};
use super::problem::Problem;
use super::route::{Route, get};
use super::workloads::{Protection, WorkloadSummary, running};
use crate::Console;
use crate::access::{Access, Action, Resource};

const TOP: usize = 5;
const MAX_CONCERNS: usize = 20;
/// A certificate that is not renewed by then will not be.
const RENEWAL_LATE: SignedDuration = SignedDuration::from_hours(7 * 24);

pub fn routes() -> Vec<Route> {
    let access = Access::To(Resource::Overview, Action::Read);
    vec![get("/overview", access, "getOverview", "The posture at a glance", show)]
}

/// Everything that the first page shows, of the last 24 hours where it is about events.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    pub version: String,
    pub policy_set: i64,
    pub workloads: ProtectionCounts,
    pub containers: ProtectionCounts,
    pub enforcers: EnforcerCounts,
    pub policies: PolicyCounts,
    pub events: Statistics,
    /// Refused, killed or cut off.
    pub blocked: i64,
    pub top_policies: Vec<TopEntry>,
    pub top_workloads: Vec<TopEntry>,
    pub top_executables: Vec<TopEntry>,
    /// What wants a look, worst first.
    pub problems: Vec<Concern>,
}

#[derive(Debug, Default, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProtectionCounts {
    pub protected: usize,
    pub audit: usize,
    pub unprotected: usize,
}

#[derive(Debug, Default, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnforcerCounts {
    pub connected: usize,
    pub away: usize,
    /// Connected, and not yet enforcing the current policies.
    pub behind: usize,
    /// Lost events since their start.
    pub losing: usize,
}

#[derive(Debug, Default, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyCounts {
    pub enforce: usize,
    pub audit: usize,
    /// Held weaker than written on some node.
    pub degraded: usize,
    /// Refused by some node.
    pub refused: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Concern {
    pub severity: Severity,
    pub message: String,
    /// Where in the dashboard to look: `/enforcers/ID`.
    pub link: String,
}

impl Concern {
    fn new(severity: Severity, message: String, link: String) -> Concern {
        Concern { severity, message, link }
    }
}

async fn show(State(console): State<Console>) -> Result<Json<Overview>, Problem> {
    let store = console.store();
    let policy_set = store.policy_set().await?;
    let enforcers: Vec<_> =
        store.enforcers().await?.into_iter().map(|enforcer| Enforcer::new(enforcer, policy_set)).collect();
    let policies = summaries(store).await?;
    let own = node_policies::summaries(store).await?;
    let workloads = running(store, None).await?;
    let (from, to) = default_range()?;
    let events = read_statistics(store, from, to, None).await?;
    let top = async |by| read_top(store, by, from, to, TOP).await;
    let mut problems: Vec<_> = enforcers
        .iter()
        .flat_map(of_enforcer)
        .chain(policies.iter().filter_map(|policy| {
            of_policy(&policy.name, policy.coverage, format!("/policies/{}", policy.name))
        }))
        .chain(own.iter().filter_map(|policy| {
            let NodePolicySummary { kind, name, coverage, .. } = policy;
            of_policy(name, *coverage, format!("/policies/nodes/{kind}/{name}"))
        }))
        .chain(workloads.iter().filter_map(of_workload))
        .collect();
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    problems.truncate(MAX_CONCERNS);
    Ok(Json(Overview {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy_set,
        workloads: count(workloads.iter().map(|workload| (workload.protection, 1))),
        containers: count(workloads.iter().flat_map(|workload| {
            [
                (Protection::Protected, workload.protected),
                (Protection::Audit, workload.audit),
                (Protection::Unprotected, workload.unprotected),
            ]
        })),
        enforcers: count_enforcers(&enforcers),
        policies: count_policies(
            policies
                .iter()
                .map(|policy| (policy.mode, policy.coverage))
                .chain(own.iter().map(|policy| (policy.mode, policy.coverage))),
        ),
        blocked: events
            .by_action
            .iter()
            .filter(|(action, _)| stopped(**action))
            .map(|(_, count)| count)
            .sum(),
        events,
        top_policies: top(TopBy::Policy).await?,
        top_workloads: top(TopBy::Workload).await?,
        top_executables: top(TopBy::Executable).await?,
        problems,
    }))
}

fn stopped(action: EventAction) -> bool {
    matches!(
        action,
        EventAction::Blocked | EventAction::Killed | EventAction::PodKilled | EventAction::Quarantined
    )
}

fn count(protections: impl Iterator<Item = (Protection, usize)>) -> ProtectionCounts {
    let mut counts = ProtectionCounts::default();
    for (protection, number) in protections {
        match protection {
            Protection::Protected => counts.protected += number,
            Protection::Audit => counts.audit += number,
            Protection::Unprotected => counts.unprotected += number,
        }
    }
    counts
}

fn lost(enforcer: &Enforcer) -> u64 {
    enforcer.status.losses.iter().map(|loss| loss.events).sum()
}

fn is_behind(enforcer: &Enforcer) -> bool {
    enforcer.enforced_set < enforcer.current_set
}

fn count_enforcers(enforcers: &[Enforcer]) -> EnforcerCounts {
    let mut counts = EnforcerCounts::default();
    for enforcer in enforcers {
        match enforcer.state {
            EnforcerState::Connected => {
                counts.connected += 1;
                counts.behind += usize::from(is_behind(enforcer));
                counts.losing += usize::from(lost(enforcer) > 0);
            }
            EnforcerState::Away => counts.away += 1,
            EnforcerState::Revoked | EnforcerState::Replaced => {}
        }
    }
    counts
}

fn count_policies(policies: impl Iterator<Item = (Option<Mode>, Coverage)>) -> PolicyCounts {
    let mut counts = PolicyCounts::default();
    for (mode, coverage) in policies {
        match mode {
            Some(Mode::Enforce) => counts.enforce += 1,
            Some(Mode::Audit) => counts.audit += 1,
            None => {}
        }
        counts.degraded += usize::from(coverage.degraded > 0);
        counts.refused += usize::from(coverage.refused > 0);
    }
    counts
}

fn of_enforcer(enforcer: &Enforcer) -> Vec<Concern> {
    let link = format!("/enforcers/{}", enforcer.id);
    let node = &enforcer.node;
    let concern = |severity, message| Concern::new(severity, message, link.clone());
    let mut concerns = Vec::new();
    if matches!(enforcer.state, EnforcerState::Revoked | EnforcerState::Replaced) {
        return concerns;
    }
    if enforcer.state == EnforcerState::Away {
        concerns.push(concern(
            Severity::High,
            format!("{node} is away: it enforces what it has, and reports later"),
        ));
    }
    let lost = lost(enforcer);
    if lost > 0 {
        concerns.push(concern(Severity::Medium, format!("{node} has lost {lost} events")));
    }
    for problem in &enforcer.status.problems {
        concerns.push(concern(Severity::High, format!("{node}: {problem}")));
    }
    let expires = enforcer.certificate_expires_at;
    if expires.is_some_and(|expires| expires.duration_since(Timestamp::now()) < RENEWAL_LATE) {
        concerns.push(concern(
            Severity::High,
            format!("{node}'s certificate is about to expire and was not renewed"),
        ));
    }
    concerns
}

fn of_policy(name: &str, coverage: Coverage, link: String) -> Option<Concern> {
    let of = |number: i64| format!("{number} of {} nodes", coverage.nodes);
    if coverage.refused > 0 {
        let message = format!("policy {name} is refused by {}", of(coverage.refused));
        return Some(Concern::new(Severity::High, message, link));
    }
    (coverage.degraded > 0).then(|| {
        let message = format!("policy {name} is held weaker than written on {}", of(coverage.degraded));
        Concern::new(Severity::Medium, message, link)
    })
}

fn of_workload(workload: &WorkloadSummary) -> Option<Concern> {
    let problem = workload.problems.first()?;
    let WorkloadSummary { namespace, kind, name, .. } = workload;
    let message = format!("{kind} {name} in {namespace}: {problem}");
    Some(Concern::new(Severity::High, message, format!("/workloads/{namespace}/{kind}/{name}")))
}
