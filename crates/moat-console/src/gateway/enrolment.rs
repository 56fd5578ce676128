//! Lets nodes in that have a token.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use moat_store::{Actor, NewEnforcer, Store, StoreError};
use moat_wire::authority::{Authority, AuthorityError, Issued};
use moat_wire::gateway::proto::enrolment_server::Enrolment;
use moat_wire::gateway::proto::{EnrolRequest, EnrolResponse};
use moat_wire::token::EnrolmentToken;
use tonic::{Request, Response, Status};

/// Longest name of a node, as host names are (RFC 1123 §2.1); the other texts are shorter.
const MAX_NAME: usize = 255;

#[derive(Debug)]
pub struct Enrol {
    pub store: Store,
    pub authority: Arc<Authority>,
}

#[tonic::async_trait]
impl Enrolment for Enrol {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        let from = request.remote_addr();
        let request = request.into_inner();
        check(&request)?;
        let enrolled = self.admit(&request, from).await;
        if let Err(status) = &enrolled {
            let from = from.map(|from| from.to_string()).unwrap_or_default();
            tracing::warn!(from, node = %moat_event::printable(&request.node), why = status.message(), "a node is not enrolled");
        }
        enrolled.map(Response::new)
    }
}

impl Enrol {
    async fn admit(&self, request: &EnrolRequest, from: Option<SocketAddr>) -> Result<EnrolResponse, Status> {
        let token: EnrolmentToken =
            request.token.parse().map_err(|error| Status::permission_denied(format!("{error}")))?;
        let actor = Actor {
            name: format!("node {}", request.node),
            role: String::from("enforcer"),
            source_address: from.map(|from| from.ip().to_string()).unwrap_or_default(),
        };
        // The token's use, the enforcer and its certificate together or not at all.
        let mut transaction = self.store.begin(&actor).await.map_err(failed)?;
        let new = NewEnforcer {
            node: request.node.clone(),
            machine: request.machine.clone(),
            version: request.version.clone(),
        };
        let enforcer =
            transaction.enrol(&token.id.to_string(), &token.secret.hash(), new).await.map_err(failed)?;
        let Issued { chain, certificate } = issue(&self.authority, &enforcer.id, &request.csr_der)?;
        transaction
            .add_certificate(&enforcer.id, &certificate.serial, certificate.not_after)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        tracing::info!(enforcer = enforcer.id, node = enforcer.node, "a node has enrolled");
        Ok(EnrolResponse {
            enforcer_id: enforcer.id,
            certificate_chain_der: chain.iter().map(|der| der.to_vec()).collect(),
            authority_der: self.authority.certificate().to_vec(),
        })
    }
}

fn check(request: &EnrolRequest) -> Result<(), Status> {
    let texts = [&request.node, &request.machine, &request.version];
    let plain = |text: &&String| text.len() <= MAX_NAME && !text.contains(moat_event::escape::is_unprintable);
    if request.node.is_empty() || !texts.iter().all(plain) {
        return Err(Status::invalid_argument("a node's name has 1 to 255 printable characters"));
    }
    Ok(())
}

pub fn issue(authority: &Authority, enforcer: &str, request: &[u8]) -> Result<Issued, Status> {
    authority.enforcer(enforcer, request, Timestamp::now()).map_err(|error| match error {
        AuthorityError::Request(_) => Status::invalid_argument(error.to_string()),
        error => {
            tracing::error!(%error, "a certificate cannot be issued");
            Status::internal("the console cannot issue a certificate; its log says why")
        }
    })
}

/// What the other side may know of it.
pub fn failed(error: StoreError) -> Status {
    match error {
        StoreError::Refused(why) => Status::permission_denied(why),
        StoreError::Full | StoreError::ReadOnly | StoreError::Unavailable(_) => {
            tracing::warn!(%error, "the store does not take what enforcers say");
            Status::unavailable("the console's store does not work now")
        }
        error => {
            tracing::error!(%error, "the store failed");
            Status::internal("the console's store failed; its log says why")
        }
    }
}
