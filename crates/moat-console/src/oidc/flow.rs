//! What a browser keeps between leaving for the provider and coming back: sealed in a cookie, so that any replica can go
//! on and nobody can read or make one.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::access::{NoRandom, Secret};
use crate::key::{ConsoleKey, KeyError};

/// Name of the cookie.
pub const COOKIE: &str = "moat_oidc";
/// To sign in at the provider.
pub const LIFETIME: Duration = Duration::from_mins(10);

/// What it is sealed for.
const PURPOSE: &str = "oidc flow";
/// Longest path that is kept: a cookie has 4 KiB.
const MAX_BACK: usize = 1024;

/// A sign-in that has begun.
#[derive(Clone, Serialize, Deserialize)]
pub struct Flow {
    /// Of the provider's settings: a code goes to the provider that gave it, and to no other.
    pub revision: i64,
    /// Comes back with the code: the browser that returns is the one that left.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Of PKCE: who stole the code cannot use it.
    pub verifier: String,
    /// The page to go to afterwards.
    pub back: String,
    expires_at: Timestamp,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").field("back", &self.back).finish_non_exhaustive()
    }
}

impl Flow {
    pub fn new(revision: i64, back: String, now: Timestamp) -> Result<Flow, NoRandom> {
        let secret = || Secret::new("").map(|secret| secret.reveal().to_owned());
        Ok(Flow {
            revision,
            state: secret()?,
            nonce: secret()?,
            verifier: secret()?,
            back,
            expires_at: now.checked_add(LIFETIME).unwrap_or(Timestamp::MAX),
        })
    }

    pub fn seal(&self, key: &ConsoleKey) -> Result<String, KeyError> {
        key.seal(PURPOSE, &serde_json::to_vec(self).unwrap_or_default())
    }

    /// `None` for what this console did not seal, or has expired.
    pub fn open(key: &ConsoleKey, sealed: &str, now: Timestamp) -> Option<Flow> {
        let bytes = key.open(PURPOSE, sealed).ok()?;
        serde_json::from_slice(&bytes).ok().filter(|flow: &Flow| now < flow.expires_at)
    }
}

/// Where in the dashboard `text` leads, as a path; `/` where it leads elsewhere. Read as browsers read it, which is not
/// as it looks: `/\host` and `/.//host` are addresses of other hosts.
pub fn path_back(text: &str) -> String {
    let home = || "/".to_owned();
    let Ok(base) = Url::parse("http://console.invalid/") else { return home() };
    let Ok(url) = base.join(text) else { return home() };
    let path = url.path();
    if !text.starts_with('/')
        || url.origin() != base.origin()
        || path.starts_with("//")
        || path.starts_with("/api/")
    {
        return home();
    }
    let back = url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    if back.len() > MAX_BACK { home() } else { back }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_opened_by_its_own_key_and_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name| ConsoleKey::open_or_create(&folder.path().join(name)).unwrap();
        let (key, other) = (open("one.key"), open("other.key"));
        let now = Timestamp::now();
        let flow = Flow::new(3, "/events".to_owned(), now).unwrap();
        assert!(flow.state != flow.nonce && flow.nonce != flow.verifier && flow.verifier != flow.state);
        let sealed = flow.seal(&key).unwrap();
        assert!(sealed.len() < 3000);
        let last = now + LIFETIME - Duration::from_secs(1);
        let opened = Flow::open(&key, &sealed, last).unwrap();
        assert_eq!((opened.revision, opened.state, opened.back), (3, flow.state, flow.back));
        assert!(Flow::open(&key, &sealed, now + LIFETIME).is_none(), "it has expired");
        assert!(Flow::open(&other, &sealed, now).is_none(), "another console's");
        let stolen = key.seal("oidc", b"{}").unwrap();
        assert!(Flow::open(&key, &stolen, now).is_none(), "sealed for something else");
    }

    #[test]
    fn the_way_back_stays_in_the_dashboard() {
        for (text, path) in [
            ("/events?text=a%20b&types=Drift", "/events?text=a%20b&types=Drift"),
            ("/policies/é", "/policies/%C3%A9"),
            ("/events#x", "/events"),
            ("/", "/"),
        ] {
            assert_eq!(path_back(text), path, "{text}");
        }
        let long = format!("/{}", "x".repeat(MAX_BACK));
        for elsewhere in [
            "",
            "events",
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example/",
            "\\\\evil.example/",
            "/\t/evil.example/",
            "/.//evil.example/",
            "/x/..//evil.example/",
            "javascript:alert(1)",
            "/api/v1/session/oidc",
            "/x/../api/v1/session/oidc",
            &long,
        ] {
            assert_eq!(path_back(elsewhere), "/", "{elsewhere}");
        }
    }
}
