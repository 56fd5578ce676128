//! The revisions of a policy: list, compare, go back.

use axum::Json;
use axum::extract::State;
use moat_store::PolicyAction;
use similar::{ChangeTag, TextDiff};

use super::document;
use super::types::{Diff, DiffQuery, Policy, PolicyRevision, RevisionAction, Rollback};
use crate::Console;
use crate::access::Caller;
use crate::api::extract::{Body, IfMatch, Query, Segments, Versioned};
use crate::api::page::Page;
use crate::api::problem::Problem;

impl PolicyRevision {
    fn new(revision: moat_store::PolicyRevision, with_document: bool) -> PolicyRevision {
        PolicyRevision {
            revision: revision.revision,
            action: match revision.action {
                PolicyAction::Created => RevisionAction::Created,
                PolicyAction::Updated => RevisionAction::Updated,
                PolicyAction::RolledBack => RevisionAction::RolledBack,
                PolicyAction::Deleted => RevisionAction::Deleted,
            },
            note: revision.note,
            by: revision.by,
            at: revision.at,
            document: with_document.then_some(revision.document),
        }
    }
}

pub async fn list(
    State(console): State<Console>,
    Segments(name): Segments<String>,
) -> Result<Json<Page<PolicyRevision>>, Problem> {
    let revisions = console.store().policy_revisions(&name).await?;
    Ok(Json(Page::whole(
        revisions.into_iter().map(|revision| PolicyRevision::new(revision, false)).collect(),
    )))
}

pub async fn show(
    State(console): State<Console>,
    Segments((name, revision)): Segments<(String, i64)>,
) -> Result<Json<PolicyRevision>, Problem> {
    Ok(Json(PolicyRevision::new(console.store().policy_revision(&name, revision).await?, true)))
}

pub async fn diff(
    State(console): State<Console>,
    Segments(name): Segments<String>,
    Query(query): Query<DiffQuery>,
) -> Result<Json<Diff>, Problem> {
    let store = console.store();
    let from = store.policy_revision(&name, query.from).await?;
    let to = match query.to {
        Some(to) => to,
        None => store.policy(&name).await?.revision,
    };
    let to = store.policy_revision(&name, to).await?;
    let diff = TextDiff::from_lines(&from.document, &to.document);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    let headers = [&from, &to].map(|revision| format!("{name} (revision {})", revision.revision));
    Ok(Json(Diff {
        from: from.revision,
        to: to.revision,
        unified: diff.unified_diff().header(&headers[0], &headers[1]).to_string(),
        added: count(ChangeTag::Insert),
        removed: count(ChangeTag::Delete),
    }))
}

pub async fn roll_back(
    State(console): State<Console>,
    caller: Caller,
    Segments(name): Segments<String>,
    IfMatch(current): IfMatch,
    Body(rollback): Body<Rollback>,
) -> Result<Versioned<Json<Policy>>, Problem> {
    let old = console.store().policy_revision(&name, rollback.revision).await?;
    // What was right when it was written may not be today.
    let new = document::parse(&old.document).map_err(Problem::invalid_policy)?.into_new(old.document);
    let note = match rollback.note.trim() {
        "" => format!("back to revision {}", rollback.revision),
        note => note.to_owned(),
    };
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let policy = transaction.roll_back_policy(new, current, &note).await?;
    transaction.commit().await?;
    let (revision, policy) = super::answer(&console, policy).await?;
    Ok(Versioned { revision, answer: Json(policy) })
}
