//! Tells the console of the policies of the node's own folder, so that whoever looks there sees all that is in force.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use moat_wire::control::PolicyStatus;
use moat_wire::gateway::proto::policy_state::State;
use moat_wire::gateway::proto::{NodePolicies, NodePolicy, PolicyKey, to_console};
use tokio::time::sleep;

use super::Agent;
use super::acknowledge::{LOOK_AGAIN, weaknesses};
use super::changes::changes;
use super::session::{Sender, SessionError, send as send_message};
use crate::containers::Query;
use crate::policies::{Loaded, Policies};

/// Largest document that is sent; of a larger one the console is told all but that.
const MAX_DOCUMENT: usize = 2 * 1024 * 1024;

/// By kind and name.
type Own = BTreeMap<(String, String), NodePolicy>;

/// Goes on until something fails. In `console` are the policies that the console has given.
pub async fn send(to: &Sender, console: &Path, agent: &Agent) -> SessionError {
    let Err(error) = try_send(to, console, agent).await;
    error
}

async fn try_send(to: &Sender, console: &Path, agent: &Agent) -> Result<Infallible, SessionError> {
    let (mut loaded, mut settled) = (agent.policies.clone(), agent.settled.clone());
    let mut told: Option<Own> = None;
    loop {
        let policies = Arc::clone(&loaded.borrow_and_update());
        let in_force = *settled.borrow_and_update() == policies.generation;
        let statuses = match agent.capabilities.get().await {
            Some(capabilities) if in_force => {
                agent.ask(|answer| Query::Policies(capabilities, answer)).await?
            }
            _ => Vec::new(),
        };
        let now = own(&policies, console, &statuses);
        let parts = changes(told.as_ref(), &now, |policy| (policy.clone(), policy.document.len() + 100));
        for part in parts {
            let removed = part.gone.into_iter().map(|(kind, name)| PolicyKey { kind, name }).collect();
            let message = NodePolicies { full: part.full, upserts: part.upserts, removed };
            send_message(to, to_console::Message::NodePolicies(message)).await?;
        }
        told = Some(now);
        tokio::select! {
            changed = loaded.changed() => changed.map_err(|_| SessionError::Ending)?,
            changed = settled.changed() => changed.map_err(|_| SessionError::Ending)?,
            () = sleep(LOOK_AGAIN) => {}
        }
    }
}

/// The policies that are not the console's. `statuses` are those of all policies, if they are in force.
fn own(policies: &Policies, console: &Path, statuses: &[PolicyStatus]) -> Own {
    let runtime = policies.runtime.iter().map(|Loaded { policy, file, first_seen }| {
        let document = || serde_saphyr::to_string(&**policy).unwrap_or_default();
        (file, &policy.kind, &policy.metadata.name, *first_seen, document())
    });
    let compliance = policies.compliance.iter().map(|Loaded { policy, file, first_seen }| {
        let document = || serde_saphyr::to_string(&**policy).unwrap_or_default();
        (file, &policy.kind, &policy.metadata.name, *first_seen, document())
    });
    let own = runtime.chain(compliance).filter(|(file, ..)| !file.starts_with(console));
    own.map(|(file, kind, name, first_seen, document)| {
        let status = statuses.iter().find(|status| status.kind == *kind && status.name == *name);
        let policy = told(file, kind, name, first_seen, document, status);
        ((kind.clone(), name.clone()), policy)
    })
    .collect()
}

fn told(
    file: &Path,
    kind: &str,
    name: &str,
    first_seen: Timestamp,
    mut document: String,
    status: Option<&PolicyStatus>,
) -> NodePolicy {
    let mut reasons = status.map(weaknesses).unwrap_or_default();
    if let Some(diagnostic) = status.and_then(|status| status.refused.as_ref()) {
        reasons.push(format!("the file is refused, what it said before stays in force: {diagnostic}"));
    }
    if document.len() > MAX_DOCUMENT {
        document.clear();
    }
    let state = match status {
        // No agent evaluates policies of another kind yet.
        Some(status) if !status.rules.is_empty() && reasons.is_empty() => State::Enforced,
        Some(_) if !reasons.is_empty() => State::Degraded,
        _ => State::Accepted,
    };
    NodePolicy {
        key: Some(PolicyKey { kind: kind.to_owned(), name: name.to_owned() }),
        file: file.display().to_string(),
        document,
        first_seen_us: first_seen.as_microsecond(),
        state: state.into(),
        reasons,
        containers: status.map_or(0, |status| u32::try_from(status.containers).unwrap_or(u32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use moat_policy::{Document, RuntimePolicy};
    use moat_wire::control::{RuleHolding, RuleStatus};

    use super::*;

    const POLICY: &str = "apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata: { name: no-shells }
spec:
  mode: Enforce
  rules: [{ name: shells, action: Block, process: { names: [sh] } }]
";

    fn loaded(file: &str) -> Loaded<RuntimePolicy> {
        let mut documents = moat_policy::parse("policy", POLICY.as_bytes()).unwrap();
        let Some(Document::Runtime(policy)) = documents.pop() else { panic!("no runtime policy") };
        Loaded { policy: Arc::new(policy), file: PathBuf::from(file), first_seen: Timestamp::UNIX_EPOCH }
    }

    fn status(held: &str, refused: Option<&str>) -> PolicyStatus {
        let holding = RuleHolding {
            state: held.to_owned(),
            driver: String::from("guard"),
            reason: String::from("seen late"),
        };
        PolicyStatus {
            name: String::from("no-shells"),
            kind: String::from("RuntimePolicy"),
            file: String::from("/etc/moat/a.yaml"),
            mode: String::from("Enforce"),
            labels: moat_event::Labels::new(),
            rules: vec![RuleStatus {
                name: String::from("shells"),
                action: String::from("Block"),
                severity: moat_event::Severity::High,
                holding,
            }],
            containers: 2,
            problems: Vec::new(),
            refused: refused.map(str::to_owned),
            document: String::new(),
        }
    }

    fn one(statuses: &[PolicyStatus]) -> NodePolicy {
        let policies = Policies { runtime: vec![loaded("/etc/moat/a.yaml")], ..Policies::default() };
        own(&policies, Path::new("/state/console/policies"), statuses).into_values().next().unwrap()
    }

    #[test]
    fn a_policy_of_the_folder_is_told_with_its_state_and_one_of_the_console_is_not() {
        let policies =
            Policies { runtime: vec![loaded("/state/console/policies/x.yaml")], ..Policies::default() };
        assert_eq!(own(&policies, Path::new("/state/console/policies"), &[]), Own::new());

        let waiting = one(&[]);
        assert_eq!((waiting.state(), waiting.containers), (State::Accepted, 0));
        assert!(moat_policy::parse("told", waiting.document.as_bytes()).is_ok(), "{}", waiting.document);
        let held = one(&[status("Held", None)]);
        assert_eq!((held.state(), held.containers, held.reasons.len()), (State::Enforced, 2, 0));
        let weaker = one(&[status("Degraded", None)]);
        assert_eq!(
            (weaker.state(), weaker.reasons),
            (State::Degraded, vec![String::from("rule shells: seen late")])
        );
        let refused = one(&[status("Held", Some("a.yaml:3: unknown field"))]);
        assert!(refused.state() == State::Degraded && refused.reasons[0].contains("unknown field"));
    }
}
