//! A generic webhook: `{type, timestamp, data}` with the headers of the Standard Webhooks specification, so that
//! receivers can use its libraries.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use moat_event::Event;
use ring::{digest, hmac};
use serde_json::json;

pub fn encode(events: &[Event], at: Timestamp) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&json!({ "type": "moat.events", "timestamp": at, "data": { "events": events } }))
}

/// `webhook-id`: the same for the same events, so that a receiver can tell a repetition.
pub fn id(events: &[Event]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for event in events {
        hash.update(event.id.as_bytes());
        hash.update(&[0]);
    }
    let hash = hash.finish();
    hash.as_ref().iter().take(16).fold(String::from("msg_"), |id, byte| id + &format!("{byte:02x}"))
}

/// `whsec_` and the base64 of 24 to 64 bytes.
pub fn signing_key(text: &str) -> Option<hmac::Key> {
    let bytes = BASE64_STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
    (24..=64).contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// `webhook-signature`: over id, time and body, so that neither can be replaced or replayed later.
pub fn signature(key: &hmac::Key, id: &str, seconds: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{id}.{seconds}.").as_bytes());
    context.update(body);
    format!("v1,{}", BASE64_STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn body() {
        let at = "2026-11-21T10:30:01Z".parse().expect("a time");
        let body = encode(&[samples::read(), samples::hostile()], at).expect("encoded");
        insta::assert_snapshot!(String::from_utf8(body).expect("text"));
    }

    /// The example of the Standard Webhooks specification's libraries.
    #[test]
    fn the_signature_is_the_standards() {
        let key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a key");
        let signature =
            signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn the_id_follows_the_events() {
        let (one, other) = (samples::read(), samples::loss());
        assert_eq!(id(&[one.clone(), other.clone()]), id(&[one.clone(), other.clone()]));
        assert_ne!(id(&[one.clone(), other.clone()]), id(&[one]));
        assert_eq!(id(&[other]).len(), "msg_".len() + 32);
    }

    #[test]
    fn keys_that_are_too_short_or_no_base64_are_none() {
        for text in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!!"] {
            assert!(signing_key(text).is_none(), "{text}");
        }
    }
}
