//! Policies.

mod coverage;
mod document;
mod history;
mod simulate;
mod templates;
mod types;

use axum::Json;
use axum::extract::State;
use moat_store::{Policy as StoredPolicy, Store, StoreError};

use super::extract::{Body, Created, Done, IfMatch, Query, Segments, Versioned};
use super::page::Page;
use super::problem::Problem;
use super::route::{Route, delete, get, post, put};
use crate::Console;
use crate::access::{Access, Action, Caller, Resource};
use coverage::Coverages;
pub use document::{Parsed, active, definition, parse};
pub use types::*;

const READ: Access = Access::To(Resource::Policies, Action::Read);
const WRITE: Access = Access::To(Resource::Policies, Action::Write);

pub fn routes() -> Vec<Route> {
    vec![
        get("/policies", READ, "listPolicies", "All policies, with how far each has come", list),
        post("/policies", WRITE, "createPolicy", "Make a policy", create),
        post("/policies/validate", READ, "validatePolicy", "Say what is wrong with a policy", validate),
        post(
            "/policies/simulate",
            READ,
            "simulateNewPolicy",
            "Say what a new policy would have denied of what was recorded",
            simulate::new,
        ),
        get("/policies/schema", READ, "getPolicySchema", "JSON Schema of the documents", schema),
        get("/policies/templates", READ, "listTemplates", "Policies to start from", templates::list),
        get("/policies/{name}", READ, "getPolicy", "One policy", show),
        put("/policies/{name}", WRITE, "updatePolicy", "Change a policy", update),
        delete("/policies/{name}", WRITE, "deletePolicy", "Delete a policy; its history stays", remove),
        get(
            "/policies/{name}/revisions",
            READ,
            "listRevisions",
            "The history of a policy, newest first",
            history::list,
        ),
        get(
            "/policies/{name}/revisions/{revision}",
            READ,
            "getRevision",
            "One revision with its document",
            history::show,
        ),
        get(
            "/policies/{name}/diff",
            READ,
            "diffRevisions",
            "What changed between two revisions",
            history::diff,
        ),
        post(
            "/policies/{name}/rollback",
            WRITE,
            "rollBackPolicy",
            "Make an old revision the newest",
            history::roll_back,
        ),
        post(
            "/policies/{name}/simulate",
            READ,
            "simulatePolicy",
            "Say what a changed policy would have denied and allowed of what was recorded",
            simulate::changed,
        ),
        get("/policies/{name}/status", READ, "getPolicyStatus", "How each enforcer holds a policy", status),
    ]
}

fn summary(policy: &StoredPolicy, coverage: Coverage) -> PolicySummary {
    // What is in the store was valid when it was written; a stricter version may not understand it.
    let parsed = document::parse(&policy.document).ok();
    PolicySummary {
        name: policy.name.clone(),
        kind: policy.kind.clone(),
        mode: parsed.as_ref().and_then(Parsed::mode),
        enforce_after: parsed.as_ref().and_then(Parsed::enforce_after),
        rules: usize::try_from(policy.rules).unwrap_or_default(),
        actions: parsed.map(|parsed| parsed.actions()).unwrap_or_default(),
        revision: policy.revision,
        created_at: policy.created_at,
        updated_at: policy.updated_at,
        updated_by: policy.updated_by.clone(),
        coverage,
    }
}

/// One policy as the API answers it.
async fn answer(console: &Console, policy: StoredPolicy) -> Result<(i64, Policy), Problem> {
    let coverages = Coverages::read(console.store(), Some(&policy.name)).await?;
    let summary = summary(&policy, coverages.of(&policy));
    Ok((policy.revision, Policy { summary, document: policy.document }))
}

/// All policies, with how far each has come.
pub async fn summaries(store: &Store) -> Result<Vec<PolicySummary>, StoreError> {
    let policies = store.policies().await?;
    let coverages = Coverages::read(store, None).await?;
    Ok(policies.iter().map(|policy| summary(policy, coverages.of(policy))).collect())
}

async fn list(State(console): State<Console>) -> Result<Json<Page<PolicySummary>>, Problem> {
    Ok(Json(Page::whole(summaries(console.store()).await?)))
}

async fn show(
    State(console): State<Console>,
    Segments(name): Segments<String>,
) -> Result<Versioned<Json<Policy>>, Problem> {
    let (revision, policy) = answer(&console, console.store().policy(&name).await?).await?;
    Ok(Versioned { revision, answer: Json(policy) })
}

async fn create(
    State(console): State<Console>,
    caller: Caller,
    Query(options): Query<ChangeOptions>,
    Body(change): Body<PolicyChange>,
) -> Result<Versioned<Created<Policy>>, Problem> {
    let new = document::parse(&change.document).map_err(Problem::invalid_policy)?.into_new(change.document);
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let policy = transaction.create_policy(new, &change.note).await?;
    if options.dry_run {
        drop(transaction);
    } else {
        transaction.commit().await?;
    }
    let (revision, policy) = answer(&console, policy).await?;
    Ok(Versioned { revision, answer: Created(policy) })
}

async fn update(
    State(console): State<Console>,
    caller: Caller,
    Segments(name): Segments<String>,
    IfMatch(revision): IfMatch,
    Query(options): Query<ChangeOptions>,
    Body(change): Body<PolicyChange>,
) -> Result<Versioned<Json<Policy>>, Problem> {
    let parsed = document::parse(&change.document).map_err(Problem::invalid_policy)?;
    if parsed.name() != name {
        return Err(Problem::bad_request(format!(
            "the document is named `{}`, the policy `{name}`: a policy keeps its name; make a new one and delete this one",
            parsed.name()
        )));
    }
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let policy = transaction.update_policy(parsed.into_new(change.document), revision, &change.note).await?;
    if options.dry_run {
        drop(transaction);
    } else {
        transaction.commit().await?;
    }
    let (revision, policy) = answer(&console, policy).await?;
    Ok(Versioned { revision, answer: Json(policy) })
}

async fn remove(
    State(console): State<Console>,
    caller: Caller,
    Segments(name): Segments<String>,
    IfMatch(revision): IfMatch,
) -> Result<Done, Problem> {
    let mut transaction = console.store().begin(&caller.actor()).await?;
    transaction.delete_policy(&name, revision, "").await?;
    transaction.commit().await?;
    Ok(Done)
}

async fn validate(Body(text): Body<PolicyText>) -> Result<Json<Validation>, Problem> {
    Ok(Json(match document::parse(&text.document) {
        Ok(parsed) => Validation { valid: true, diagnostics: Vec::new(), document: Some(parsed.view()) },
        Err(diagnostics) => Validation { valid: false, diagnostics, document: None },
    }))
}

async fn schema() -> Result<Json<serde_json::Value>, Problem> {
    Ok(Json(document::schema()))
}

async fn status(
    State(console): State<Console>,
    Segments(name): Segments<String>,
) -> Result<Json<Page<NodePolicyStatus>>, Problem> {
    let policy = console.store().policy(&name).await?;
    let coverages = Coverages::read(console.store(), Some(&name)).await?;
    Ok(Json(Page::whole(coverages.nodes(&policy))))
}
