//! Answers on the control socket.

use std::path::PathBuf;
use std::sync::Arc;

use moat_event::Event;
use moat_kernel::Capabilities;
use moat_policy::{Evaluator, Verdict};
use moat_wire::control::{
    ClientGone, DecidingRule, EventQuery, Explain, Explanation, NewContainer, Request, Responder, Response,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::agent::Probe;
use crate::containers::{Explanations, Query, filters, holding};
use crate::events::Journal;
use crate::runtime::{RuntimeId, Source};

/// What requests are answered with.
#[derive(Debug, Clone)]
pub struct Control {
    pub manager: mpsc::Sender<Query>,
    pub journal: Arc<Journal>,
    pub sources: Vec<Arc<dyn Source>>,
    /// Ends the agent.
    pub shutdown: CancellationToken,
    /// The node's `/proc`.
    pub proc: PathBuf,
    pub capabilities: Arc<Probed>,
}

/// What the kernel can hold, found out when it is first asked for: enforcement does not wait for it.
pub struct Probed {
    probe: Arc<Probe>,
    found: OnceCell<Arc<Capabilities>>,
}

impl std::fmt::Debug for Probed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probed").field("found", &self.found).finish_non_exhaustive()
    }
}

impl Probed {
    pub fn new(probe: Probe) -> Probed {
        Probed { probe: Arc::new(probe), found: OnceCell::new() }
    }

    /// `None` if probing failed.
    pub async fn get(&self) -> Option<Arc<Capabilities>> {
        let found = self.found.get_or_try_init(|| async {
            let probe = Arc::clone(&self.probe);
            spawn_blocking(move || probe()).await.map(Arc::new)
        });
        found.await.ok().cloned()
    }
}

impl Control {
    /// Answers one request.
    pub async fn answer(self, request: Request, responder: Responder) {
        let answered = match request {
            Request::Status => {
                responder.send(self.ask(Query::Status).await.map_or_else(ending, Response::Status)).await
            }
            Request::Containers => {
                responder
                    .send(self.ask(Query::Containers).await.map_or_else(ending, Response::Containers))
                    .await
            }
            Request::Policies => responder.send(self.policies().await).await,
            Request::Explain(explain) => responder.send(self.explain(explain).await).await,
            Request::Filter(container) => responder.send(self.filter(container).await).await,
            Request::Events(query) => self.events(&query, &responder).await,
            Request::Shutdown => {
                let answered = responder.send(Response::Done).await;
                self.shutdown.cancel();
                answered
            }
        };
        if let Err(ClientGone) = answered {
            tracing::debug!("a control client went away before it was answered");
        }
    }

    /// `None` when the agent is ending.
    async fn ask<T>(&self, query: impl FnOnce(oneshot::Sender<T>) -> Query) -> Option<T> {
        let (to, answer) = oneshot::channel();
        self.manager.send(query(to)).await.ok()?;
        answer.await.ok()
    }

    async fn policies(&self) -> Response {
        let Some(capabilities) = self.capabilities.get().await else { return error(UNPROBED) };
        let policies = self.ask(|to| Query::Policies(capabilities, to)).await;
        policies.map_or_else(ending, Response::Policies)
    }

    async fn events(&self, query: &EventQuery, responder: &Responder) -> Result<(), ClientGone> {
        let (kept, mut live) = self.journal.subscribe();
        let mut kept: Vec<_> = kept.into_iter().filter(|entry| fits(query, &entry.event)).collect();
        if let Some(last) = query.last {
            kept.drain(..kept.len().saturating_sub(last));
        }
        for entry in kept {
            responder.send(Response::Event(Box::new(entry.event.clone()))).await?;
        }
        if !query.follow {
            return responder.send(Response::Done).await;
        }
        loop {
            match live.recv().await {
                Ok(entry) if fits(query, &entry.event) => {
                    responder.send(Response::Event(Box::new(entry.event.clone()))).await?;
                }
                Ok(_) => {}
                Err(RecvError::Lagged(events)) => {
                    self.journal.subscriber_lost(events);
                    responder.lost(events);
                }
                Err(RecvError::Closed) => return responder.send(Response::Done).await,
            }
        }
    }

    /// What the filter of a new container has to refuse; noted before it is told.
    async fn filter(&self, container: NewContainer) -> Response {
        let id = RuntimeId { namespace: container.namespace, id: container.id };
        let mut found = None;
        for source in &self.sources {
            match source.unborn(&id).await {
                Ok(None) => {}
                Ok(Some(container)) => found = Some(container),
                Err(why) => return error(&why.to_string()),
            }
        }
        let Some(container) = found else { return error("no container runtime knows the container yet") };
        let Some(capabilities) = self.capabilities.get().await else { return error(UNPROBED) };
        let Some(policies) = self.ask(Query::InForce).await else { return ending() };
        let calls = spawn_blocking(move || filters::calls(&policies, &container, &capabilities));
        let calls = match calls.await {
            Ok(Ok(calls)) => calls,
            Ok(Err(message)) => return error(&message),
            Err(_) => return error("the filter could not be made; the agent's log says why"),
        };
        let told = calls.iter().cloned().collect();
        match self.ask(|to| Query::Filtered(id, calls, to)).await {
            Some(Ok(())) => Response::Filter(told),
            Some(Err(why)) => error(&format!("the filter cannot be noted: {why}")),
            None => ending(),
        }
    }

    async fn explain(&self, explain: Explain) -> Response {
        let asked = Box::new(explain.clone());
        let Some(mut fitting) = self.ask(|to| Query::Explain(asked, to)).await else { return ending() };
        let Some(chosen) = fitting.pop() else {
            return error("no running container fits; `moat containers` lists those that are known");
        };
        if !fitting.is_empty() {
            let names: Vec<_> = fitting
                .iter()
                .chain([&chosen])
                .map(|fits| format!("{}/{}", fits.workload.pod, fits.workload.container))
                .collect();
            return error(&format!(
                "several containers fit ({}); name one with --pod and --container",
                names.join(", ")
            ));
        }
        let Some(capabilities) = self.capabilities.get().await else { return error(UNPROBED) };
        let proc = self.proc.clone();
        // Compiling thousands of rules takes its time.
        let explained = spawn_blocking(move || {
            let users = moat_kernel::users::read(&proc, chosen.init_pid)
                .map_err(|error| format!("the container's users cannot be read: {error}"))?;
            explained(chosen, &capabilities, &explain, &users)
        });
        match explained.await {
            Ok(Ok(explanation)) => Response::Explanation(explanation),
            Ok(Err(message)) => error(&message),
            Err(_) => error("the decision could not be explained; the agent's log says why"),
        }
    }
}

/// Decides as the drivers do, by the reference evaluator.
fn explained(
    container: Explanations,
    capabilities: &Capabilities,
    explain: &Explain,
    users: &moat_policy::Users,
) -> Result<Explanation, String> {
    let evaluator = Evaluator::new(Arc::clone(&container.rules), users).map_err(|error| error.to_string())?;
    let (enforced, audited) = explain.activity.judged(|activity| {
        let decision = evaluator.decide(activity);
        let deciding = |verdict: Verdict<'_>| match verdict {
            Verdict::Match { index, rule } => Some(DecidingRule {
                policy: rule.policy.to_string(),
                rule: rule.rule.to_string(),
                action: format!("{:?}", rule.action),
                severity: rule.severity,
                reason: evaluator.reason(index, activity),
                holding: holding(&capabilities.holding_with(rule, &container.filtered)),
            }),
            Verdict::NoMatch | Verdict::NeedsArguments => None,
        };
        (deciding(decision.enforced), deciding(decision.audited))
    });
    Ok(Explanation {
        verdict: enforced.as_ref().map_or_else(|| String::from("Allowed"), |rule| rule.action.clone()),
        audited,
        enforced,
        generation: container.rules.generation,
        workload: container.workload,
        selected: container.selected,
        not_selected: container.not_selected,
    })
}

fn fits(query: &EventQuery, event: &Event) -> bool {
    query.policy.as_ref().is_none_or(|policy| event.policy_name.as_ref() == Some(policy))
        && query.severity.is_none_or(|severity| event.severity >= severity)
}

const UNPROBED: &str = "what the kernel can hold could not be found out; the agent's log says why";

fn ending() -> Response {
    error("the agent is ending")
}

fn error(message: &str) -> Response {
    Response::Error { message: message.to_owned() }
}

#[cfg(test)]
mod tests;
