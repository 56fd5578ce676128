//! Who calls, and whether it may: every call is checked, not every connection.

use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use moat_store::{Actor, Store, StoreError};
use moat_wire::authority::{Authority, Issued};
use moat_wire::certificate::Certificate;
use moat_wire::gateway::proto::gateway_server::Gateway;
use moat_wire::gateway::proto::{RenewRequest, RenewResponse, ToConsole, ToEnforcer};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::enrolment::{failed, issue};
use super::fleet::Fleet;
use super::session::{QUEUE, Session};

#[derive(Debug)]
pub struct Service {
    pub store: Store,
    pub authority: Arc<Authority>,
    pub fleet: Fleet,
    pub cancel: CancellationToken,
}

#[tonic::async_trait]
impl Gateway for Service {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<ToEnforcer, Status>> + Send>>;

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let caller = self.caller(&request).await?;
        let from = request.remote_addr().map(|from| from.ip().to_string()).unwrap_or_default();
        let id = &caller.name;
        let Issued { chain, certificate } = issue(&self.authority, id, &request.get_ref().csr_der)?;
        let actor =
            Actor { name: format!("enforcer {id}"), role: String::from("enforcer"), source_address: from };
        let mut transaction = self.store.begin(&actor).await.map_err(failed)?;
        transaction.add_certificate(id, &certificate.serial, certificate.not_after).await.map_err(failed)?;
        transaction.audit("renew", "enforcers", id, &serde_json::json!({ "serial": certificate.serial }));
        transaction.commit().await.map_err(failed)?;
        let certificate_chain_der = chain.iter().map(|der| der.to_vec()).collect();
        Ok(Response::new(RenewResponse { certificate_chain_der }))
    }

    async fn session(
        &self,
        request: Request<Streaming<ToConsole>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let certificate = self.caller(&request).await?;
        let enforcer = self.store.enforcer(&certificate.name).await.map_err(failed)?;
        let (to, outgoing) = mpsc::channel(QUEUE);
        let session = Session {
            node: enforcer.node,
            progress: enforcer.progress,
            certificate,
            store: self.store.clone(),
            fleet: self.fleet.clone(),
            to,
        };
        tokio::spawn(session.run(request.into_inner(), self.cancel.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

impl Service {
    /// The certificate of whoever calls; its signature was checked with the connection, the rest is now.
    async fn caller<T>(&self, request: &Request<T>) -> Result<Certificate, Status> {
        let chain = request.peer_certs();
        let leaf = chain.as_ref().and_then(|chain| chain.first());
        let leaf = leaf.ok_or_else(|| Status::unauthenticated("a certificate is needed: enrol first"))?;
        let certificate =
            Certificate::of(leaf).map_err(|error| Status::unauthenticated(error.to_string()))?;
        if !certificate.counts(Timestamp::now()) {
            return Err(Status::unauthenticated("the certificate has expired"));
        }
        self.store.admit(&certificate.serial, &certificate.name).await.map_err(|error| match error {
            StoreError::Refused(why) => Status::unauthenticated(why),
            error => failed(error),
        })?;
        Ok(certificate)
    }
}
