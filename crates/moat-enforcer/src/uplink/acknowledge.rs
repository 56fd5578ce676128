//! Says what became of the console's policies: kept, in force, held more weakly than asked, refused and why.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use moat_wire::control::PolicyStatus;
use moat_wire::gateway::proto::policy_state::State;
use moat_wire::gateway::proto::{PolicyAck, PolicyState, to_console};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Agent;
use super::kept::{Kept, KeptPolicy};
use super::session::{Sender, SessionError, send as send_message};
use crate::containers::Query;
use crate::policies::Refused;

/// How often statuses are looked at although nothing was heard of a change: containers come and go.
pub const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The console's policies that are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Policies {
    set: i64,
    folder: PathBuf,
    kept: BTreeMap<String, KeptPolicy>,
}

pub fn states(kept: &Kept) -> Policies {
    Policies { set: kept.set(), folder: kept.files(), kept: kept.policies().clone() }
}

/// Goes on until something fails.
pub async fn send(to: &Sender, kept: watch::Receiver<Policies>, agent: &Agent) -> SessionError {
    let Err(error) = try_send(to, kept, agent).await;
    error
}

async fn try_send(
    to: &Sender,
    mut kept: watch::Receiver<Policies>,
    agent: &Agent,
) -> Result<Infallible, SessionError> {
    let (mut loaded, mut settled) = (agent.policies.clone(), agent.settled.clone());
    let mut told = None;
    loop {
        let ours = kept.borrow_and_update().clone();
        let policies = loaded.borrow_and_update().clone();
        let is_loaded = policies.console_set == ours.set;
        let in_force = is_loaded && *settled.borrow_and_update() == policies.generation;
        let statuses = match agent.capabilities.get().await {
            Some(capabilities) if in_force => {
                agent.ask(|answer| Query::Policies(capabilities, answer)).await?
            }
            _ => Vec::new(),
        };
        let refused = if is_loaded { policies.refused.as_slice() } else { &[] };
        let acknowledgement = acknowledge(&ours, in_force, &statuses, refused);
        if told.as_ref() != Some(&acknowledgement) && ours.set > 0 {
            send_message(to, to_console::Message::PolicyAck(acknowledgement.clone())).await?;
            told = Some(acknowledgement);
        }
        tokio::select! {
            changed = kept.changed() => changed.map_err(|_| SessionError::Ending)?,
            changed = loaded.changed() => changed.map_err(|_| SessionError::Ending)?,
            changed = settled.changed() => changed.map_err(|_| SessionError::Ending)?,
            () = sleep(LOOK_AGAIN) => {}
        }
    }
}

/// `statuses` are those of all policies, if the set is in force.
fn acknowledge(ours: &Policies, in_force: bool, statuses: &[PolicyStatus], refused: &[Refused]) -> PolicyAck {
    let state = |(name, kept): (&String, &KeptPolicy)| {
        let file = ours.folder.join(format!("{name}.yaml"));
        let status =
            statuses.iter().find(|status| status.name == *name && file.as_os_str() == status.file.as_str());
        let mut refusals: Vec<_> = kept.refused.iter().cloned().collect();
        refusals.extend(
            refused.iter().filter(|refused| refused.file == file).map(|refused| refused.diagnostic.clone()),
        );
        let (state, reasons) = match status {
            _ if !refusals.is_empty() => (State::Refused, refusals),
            None => (State::Accepted, Vec::new()),
            Some(status) => {
                let weaker = weaknesses(status);
                (if weaker.is_empty() { State::Enforced } else { State::Degraded }, weaker)
            }
        };
        PolicyState {
            name: name.clone(),
            revision: kept.revision,
            state: state.into(),
            reasons,
            containers: status.map_or(0, |status| u32::try_from(status.containers).unwrap_or(u32::MAX)),
        }
    };
    PolicyAck { set: ours.set, in_force, policies: ours.kept.iter().map(state).collect() }
}

/// What is not as asked.
pub fn weaknesses(status: &PolicyStatus) -> Vec<String> {
    let rules = status.rules.iter().filter(|rule| rule.holding.state != "Held");
    let rules = rules.map(|rule| format!("rule {}: {}", rule.name, rule.holding.reason));
    rules.chain(status.problems.iter().cloned()).collect()
}
