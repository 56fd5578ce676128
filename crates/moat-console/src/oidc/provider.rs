//! The provider as it describes itself, and what is asked of it: where to sign in, and whom a code stands for.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreIdToken,
    CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRequestTokenError,
};
use openidconnect::{
    AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, DiscoveryError,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, JwsSigningAlgorithm as _, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError,
    TokenResponse as _,
};
use reqwest::Url;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::flow::Flow;
use super::http::{Http, HttpError, is_secure};
use super::{Failure, Refused};

/// How long what a provider says about itself is believed.
const LIFETIME: Duration = Duration::from_hours(1);
/// How long one that does not answer is left alone.
const REST: Duration = Duration::from_secs(5);
/// By how much the provider's clock may differ from ours.
const SKEW: Duration = Duration::from_mins(1);

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Asks providers, and remembers what the last one said about itself.
#[derive(Debug)]
pub struct Providers {
    http: Http,
    /// Locked while it is asked, so that a crowd asks once.
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    issuer: String,
    until: Instant,
    answer: Result<Arc<CoreProviderMetadata>, Refused>,
}

/// The console as the provider knows it.
#[derive(Clone)]
pub struct Registration {
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<String>,
    pub redirect_uri: String,
    /// Besides `openid`.
    pub scopes: Vec<String>,
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Providers {
    pub fn new(deadline: Duration) -> Providers {
        Providers { http: Http::new(deadline), known: Mutex::new(None) }
    }

    /// Where the browser goes to sign in.
    pub async fn entrance(&self, console: &Registration, flow: &Flow) -> Result<Url, Refused> {
        let metadata = self.metadata(&console.issuer).await?;
        let client = client(console, &metadata)?;
        let Flow { state, nonce, verifier, .. } = flow.clone();
        let (url, _, _) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .add_scopes(console.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(
                verifier,
            )))
            .url();
        Ok(url)
    }

    /// The claims of the ID token that the provider gives for a code, once all about it is verified.
    pub async fn redeem(
        &self,
        console: &Registration,
        flow: &Flow,
        code: String,
    ) -> Result<Map<String, Value>, Refused> {
        let metadata = self.metadata(&console.issuer).await?;
        let client = client(console, &metadata)?;
        let tokens = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| Refused::new(Failure::Answer, "the provider names no token endpoint"))?
            .set_pkce_verifier(PkceCodeVerifier::new(flow.verifier.clone()))
            .request_async(&self.http.to(&console.issuer))
            .await
            .map_err(|error| exchange_failed(&error))?;
        let token = tokens.id_token().ok_or_else(|| {
            Refused::new(Failure::Answer, "the provider answers without an ID token: is it OpenID Connect?")
        })?;
        let nonce = Nonce::new(flow.nonce.clone());
        let mut verified = verify(&client, &metadata, token, &nonce);
        if let Err(ClaimsVerificationError::SignatureVerification(_)) = verified {
            // It may have changed its keys since it was last asked for them.
            let metadata = self.renewed(&console.issuer, Some(&metadata)).await?;
            verified = verify(&self::client(console, &metadata)?, &metadata, token, &nonce);
        }
        verified.map_err(|error| verification_failed(&error))?;
        claims(token).ok_or_else(|| Refused::new(Failure::Answer, "the ID token has no claims"))
    }

    /// What the provider says about itself now.
    pub async fn ask(&self, issuer: &str) -> Result<Arc<CoreProviderMetadata>, Refused> {
        let metadata = self.known.lock().await.as_ref().and_then(|known| known.answer.clone().ok());
        self.renewed(issuer, metadata.as_ref()).await
    }

    async fn metadata(&self, issuer: &str) -> Result<Arc<CoreProviderMetadata>, Refused> {
        self.known_unless(issuer, |known| known.until <= Instant::now()).await
    }

    /// Another answer than `old`: that of whoever asked meanwhile will do.
    async fn renewed(
        &self,
        issuer: &str,
        old: Option<&Arc<CoreProviderMetadata>>,
    ) -> Result<Arc<CoreProviderMetadata>, Refused> {
        self.known_unless(issuer, |known| match (&known.answer, old) {
            (Ok(found), Some(old)) => Arc::ptr_eq(found, old),
            (Ok(_), None) | (Err(_), _) => true,
        })
        .await
    }

    async fn known_unless(
        &self,
        issuer: &str,
        outdated: impl Fn(&Known) -> bool,
    ) -> Result<Arc<CoreProviderMetadata>, Refused> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.issuer == issuer && !outdated(known)) {
            return known.answer.clone();
        }
        let answer = self.discover(issuer).await.map(Arc::new);
        let lifetime = if answer.is_ok() { LIFETIME } else { REST };
        *known = Some(Known {
            issuer: issuer.to_owned(),
            until: Instant::now() + lifetime,
            answer: answer.clone(),
        });
        answer
    }

    async fn discover(&self, issuer: &str) -> Result<CoreProviderMetadata, Refused> {
        let url = IssuerUrl::new(issuer.to_owned())
            .map_err(|error| Refused::new(Failure::Answer, format!("the issuer is no URL: {error}")))?;
        let metadata = CoreProviderMetadata::discover_async(url, &self.http.to(issuer))
            .await
            .map_err(|error| discovery_failed(&error))?;
        let entrance = metadata.authorization_endpoint().url();
        if !is_secure(entrance, issuer) {
            return Err((&HttpError::Insecure(entrance.to_string())).into());
        }
        Ok(metadata)
    }
}

fn client(console: &Registration, metadata: &CoreProviderMetadata) -> Result<Client, Refused> {
    let redirect = RedirectUrl::new(console.redirect_uri.clone()).map_err(|error| {
        Refused::new(Failure::Console, format!("the redirect URI {}: {error}", console.redirect_uri))
    })?;
    let methods = metadata.token_endpoint_auth_methods_supported();
    let offers = |method| methods.is_some_and(|methods| methods.contains(&method));
    // Basic is what a provider takes that does not say (OpenID Connect Discovery 1.0 §3).
    let in_body =
        offers(CoreClientAuthMethod::ClientSecretPost) && !offers(CoreClientAuthMethod::ClientSecretBasic);
    let client = CoreClient::from_provider_metadata(
        metadata.clone(),
        ClientId::new(console.client_id.clone()),
        console.client_secret.clone().map(ClientSecret::new),
    )
    .set_redirect_uri(redirect)
    .set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth });
    Ok(client)
}

/// Signature, issuer, audience, nonce and times (OpenID Connect Core 1.0 §3.1.3.7).
fn verify(
    client: &Client,
    metadata: &CoreProviderMetadata,
    token: &CoreIdToken,
    nonce: &Nonce,
) -> Result<(), ClaimsVerificationError> {
    let mut algorithms = metadata.id_token_signing_alg_values_supported().clone();
    // Signed with the client's secret, a token proves only that somebody has the secret.
    algorithms.retain(|algorithm| !algorithm.uses_shared_secret());
    if algorithms.is_empty() {
        algorithms.push(CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256);
    }
    let verifier = client
        .id_token_verifier()
        .set_allowed_algs(algorithms)
        .set_time_fn(|| (SystemTime::now() - SKEW).into())
        .set_issue_time_verifier_fn(|at| {
            let at = SystemTime::from(at);
            let from_future = at > SystemTime::now() + SKEW;
            if from_future { Err("the ID token was issued in the future".to_owned()) } else { Ok(()) }
        });
    token.claims(&verifier, nonce).map(|_| ())
}

/// All that a verified token says: the library keeps what the standard names, and roles are said otherwise.
fn claims(token: &CoreIdToken) -> Option<Map<String, Value>> {
    let text = token.to_string();
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn discovery_failed(error: &DiscoveryError<HttpError>) -> Refused {
    match error {
        DiscoveryError::Request(error) => error.into(),
        DiscoveryError::Response(_, _, why) => Refused::new(Failure::Answer, why),
        DiscoveryError::Validation(why) => Refused::new(Failure::Issuer, why),
        DiscoveryError::Parse(error) => {
            Refused::new(Failure::Answer, format!("the discovery document or the keys: {error}"))
        }
        other => Refused::new(Failure::Answer, other.to_string()),
    }
}

fn exchange_failed(error: &CoreRequestTokenError<HttpError>) -> Refused {
    match error {
        RequestTokenError::Request(error) => error.into(),
        RequestTokenError::ServerResponse(answer) => {
            let failure = match answer.error() {
                CoreErrorResponseType::InvalidGrant => Failure::Code,
                CoreErrorResponseType::InvalidClient | CoreErrorResponseType::UnauthorizedClient => {
                    Failure::Client
                }
                _ => Failure::Provider,
            };
            Refused::new(failure, answer.to_string())
        }
        // The inner error quotes what it did not understand, and that may be a token.
        RequestTokenError::Parse(error, _) => {
            Refused::new(Failure::Answer, format!("the token answer is not understood at {}", error.path()))
        }
        RequestTokenError::Other(why) => Refused::new(Failure::Answer, why),
    }
}

fn verification_failed(error: &ClaimsVerificationError) -> Refused {
    let failure = match error {
        ClaimsVerificationError::Expired(_) => Failure::Expired,
        ClaimsVerificationError::InvalidAudience(_) => Failure::Audience,
        ClaimsVerificationError::InvalidIssuer(_) => Failure::Issuer,
        ClaimsVerificationError::InvalidNonce(_) => Failure::Nonce,
        ClaimsVerificationError::SignatureVerification(_) => Failure::Signature,
        _ => Failure::Answer,
    };
    let detail = match error {
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            "the ID token is signed with a key that the provider does not publish".to_owned()
        }
        ClaimsVerificationError::SignatureVerification(why) => why.to_string(),
        other => other.to_string(),
    };
    Refused::new(failure, format!("the ID token is not valid: {detail}"))
}
