//! How the node proves itself to the console: its key and certificate in the state folder, and how it gets them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use moat_wire::gateway::proto::enrolment_client::EnrolmentClient;
use moat_wire::gateway::proto::{EnrolRequest, EnrolResponse};
use moat_wire::gateway::{
    ChannelError, Identity, IdentityError, MAX_MESSAGE, NewKey, Trust, connect, from_pem, to_pem,
};
use moat_wire::token::{EnrolmentToken, TokenError};
use rustls_pki_types::CertificateDer;

const IDENTITY: &str = "identity.pem";
const AUTHORITY: &str = "authority.pem";
/// The id of the token that the node has enrolled with: it is not used again when the console turns the node
/// away, or a revoked node would come back by itself as long as its token has uses left.
const ENROLLED_WITH: &str = "enrolled-with";
const TOKEN: &str = "MOAT_ENROLMENT_TOKEN";

#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: {source}; remove it and enrol the node with a new token", path.display())]
    Identity { path: PathBuf, source: IdentityError },
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error(
        "this node has not enrolled and has no token: print one with `moat console token create` and hand it over by --enrolment-token-file"
    )]
    NoToken,
    #[error(
        "{0}; to let this node in again, give it a new token from `moat console token create` by --enrolment-token-file"
    )]
    TurnedAway(String),
    #[error("the console at {url}: {source}")]
    Channel { url: String, source: ChannelError },
    #[error("the console does not enrol this node: {}", .0.message())]
    Refused(tonic::Status),
    #[error("the console's answer cannot be used: {0}")]
    Answer(IdentityError),
}

/// What the node has of its enrolment.
#[derive(Debug)]
pub struct Enrolled {
    pub identity: Identity,
    pub authority: CertificateDer<'static>,
}

/// The folder with key and certificate.
#[derive(Debug)]
pub struct Enrolment {
    folder: PathBuf,
    token_file: Option<PathBuf>,
}

/// What the node says of itself when it enrols.
#[derive(Debug, Clone)]
pub struct Node {
    pub name: String,
    pub machine: String,
}

impl Enrolment {
    pub fn new(folder: PathBuf, token_file: Option<PathBuf>) -> Enrolment {
        Enrolment { folder, token_file }
    }

    /// Key and certificate of before; `None` if the node has not enrolled.
    pub fn load(&self) -> Result<Option<Enrolled>, EnrolError> {
        let path = self.folder.join(IDENTITY);
        let Some(text) = self.read(&path)? else { return Ok(None) };
        let identity = Identity::from_pem(&text)
            .map_err(|source| EnrolError::Identity { path: path.clone(), source })?;
        let path = self.folder.join(AUTHORITY);
        let Some(text) = self.read(&path)? else { return Ok(None) };
        let authority = from_pem(&text).map_err(|source| EnrolError::Identity { path, source })?;
        Ok(Some(Enrolled { identity, authority }))
    }

    /// Makes a key, and asks the console for a certificate for it.
    pub async fn enrol(
        &self,
        url: &str,
        node: &Node,
        turned_away: Option<String>,
    ) -> Result<Enrolled, EnrolError> {
        let token = self.token(turned_away)?;
        let key = NewKey::generate().map_err(EnrolError::Answer)?;
        let request = EnrolRequest {
            token: token.reveal(),
            node: node.name.clone(),
            machine: node.machine.clone(),
            csr_der: key.request().map_err(EnrolError::Answer)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let channel = connect(url, &Trust::Pinned(token.authority))
            .await
            .map_err(|source| EnrolError::Channel { url: url.to_owned(), source })?;
        let mut client = EnrolmentClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let mut request = tonic::Request::new(request);
        request.set_timeout(super::ANSWER);
        let EnrolResponse { certificate_chain_der, authority_der, enforcer_id } =
            client.enrol(request).await.map_err(EnrolError::Refused)?.into_inner();
        let identity = key.certified(&certificate_chain_der).map_err(EnrolError::Answer)?;
        let authority = CertificateDer::from(authority_der);
        if moat_wire::authority::fingerprint(&authority) != token.authority {
            return Err(EnrolError::Answer(IdentityError::NoCertificate));
        }
        // The identity last: it is what says that the node has enrolled.
        self.write(AUTHORITY, &to_pem(&authority))?;
        self.write(ENROLLED_WITH, &token.id.to_string())?;
        self.write(IDENTITY, &identity.to_pem())?;
        tracing::info!(enforcer = enforcer_id, node = node.name, "this node has enrolled");
        Ok(Enrolled { identity, authority })
    }

    /// The token, if it has not been used by this node before.
    fn token(&self, turned_away: Option<String>) -> Result<EnrolmentToken, EnrolError> {
        let text = match &self.token_file {
            Some(path) => self.read(path)?,
            None => std::env::var(TOKEN).ok(),
        };
        let token = text.map(|text| text.parse::<EnrolmentToken>()).transpose()?;
        let used = self.read(&self.folder.join(ENROLLED_WITH))?;
        let is_new = |token: &EnrolmentToken| used.as_deref() != Some(token.id.to_string().as_str());
        match (token, turned_away) {
            (Some(token), None) => Ok(token),
            (Some(token), Some(_)) if is_new(&token) => Ok(token),
            (_, Some(why)) => Err(EnrolError::TurnedAway(why)),
            (None, None) => Err(EnrolError::NoToken),
        }
    }

    /// Keeps the renewed certificate.
    pub fn renewed(&self, identity: &Identity) -> Result<(), EnrolError> {
        self.write(IDENTITY, &identity.to_pem())
    }

    fn read(&self, path: &Path) -> Result<Option<String>, EnrolError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.starts_with(&self.folder) => {
                Ok(None)
            }
            Err(source) => Err(EnrolError::File { path: path.to_owned(), source }),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), EnrolError> {
        let path = self.folder.join(name);
        super::files::replace(&path, text.as_bytes()).map_err(|source| EnrolError::File { path, source })
    }
}

/// Why the certificate does not count by this node's clock, if it does not.
pub fn not_counting(identity: &Identity, now: Timestamp) -> Option<String> {
    let certificate = &identity.certificate;
    (now >= certificate.not_after)
        .then(|| format!("this node's certificate has expired ({})", certificate.not_after))
}
