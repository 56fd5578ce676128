//! Whom the provider names, and what they are here.

use std::fmt::Write as _;
use std::net::IpAddr;

use moat_store::{Actor, NewUser, Oidc, Store, StoreError, User, UserChange};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use super::{Failure, Refused};
use crate::access::Role;
use crate::api::settings::OidcSettings;
use crate::api::users;

/// OpenID Connect Core 1.0 §2.
const MAX_SUBJECT: usize = 255;
/// How often somebody else may change the user at the same moment.
const ATTEMPTS: usize = 3;

/// A person as the provider's ID token describes them.
#[derive(Debug)]
pub struct Identity {
    oidc: Oidc,
    /// What they would be called here.
    name: String,
    role: Option<Role>,
}

impl Identity {
    /// From the verified claims of an ID token.
    pub fn new(settings: &OidcSettings, claims: &Map<String, Value>) -> Result<Identity, Refused> {
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        let subject = text("sub").filter(|subject| (1..=MAX_SUBJECT).contains(&subject.len()));
        let subject = subject.ok_or_else(|| Refused::new(Failure::Answer, "the ID token names nobody"))?;
        let name = [text("preferred_username"), text("email"), Some(subject)]
            .into_iter()
            .flatten()
            .find_map(|name| users::name(name).ok());
        Ok(Identity {
            name: name.unwrap_or("user").to_owned(),
            oidc: Oidc { issuer: settings.issuer.clone(), subject: subject.to_owned() },
            role: role(settings, claims),
        })
    }

    /// The user this is, made or given the provider's role first. Users are found by issuer and subject alone: names
    /// and addresses are what people choose at the provider.
    pub async fn admit(&self, store: &Store, address: IpAddr) -> Result<User, Refused> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.admitted(store, address).await? {
                Ok(user) => return Ok(user),
                Err(meanwhile) => last = Some(meanwhile),
            }
        }
        Err(last.map_or_else(|| Refused::new(Failure::Console, "the user keeps changing"), Refused::from))
    }

    /// The inner error says that somebody else came first, and that another look helps.
    async fn admitted(&self, store: &Store, address: IpAddr) -> Result<Result<User, StoreError>, Refused> {
        let known = match store.user_by_oidc(&self.oidc).await {
            Ok(user) => Some(user),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let subject = || moat_event::printable(&self.oidc.subject).into_owned();
        if known.as_ref().is_some_and(|user| user.disabled) {
            return Err(Refused::new(Failure::Disabled, format!("the user {} is locked", subject())));
        }
        let role = self.role.ok_or_else(|| {
            Refused::new(Failure::NoRole, format!("no claim of {} has a role here", subject()))
        })?;
        let role = moat_store::Role::from(role);
        if let Some(user) = &known
            && user.role == role
        {
            return Ok(Ok(user.clone()));
        }
        let name = self.free_name(store).await?;
        let actor = Actor {
            name: "single sign-on".to_owned(),
            role: crate::console_actor().role,
            source_address: address.to_string(),
        };
        let mut transaction = store.begin(&actor).await?;
        let changed = if let Some(user) = known {
            let change = UserChange { role: Some(role), ..UserChange::default() };
            transaction.update_user(&user.id, change, user.revision).await
        } else {
            let oidc = Some(self.oidc.clone());
            transaction.create_user(NewUser { name, role, password_hash: None, oidc }).await
        };
        match changed {
            Ok(user) => {
                transaction.commit().await?;
                Ok(Ok(user))
            }
            Err(
                error @ (StoreError::Conflict { .. }
                | StoreError::Exists { .. }
                | StoreError::NotFound { .. }),
            ) => Ok(Err(error)),
            Err(StoreError::Invalid(why)) => Err(Refused::new(Failure::LastAdmin, why)),
            Err(error) => Err(error.into()),
        }
    }

    /// Nobody gets a name that reads like another user's.
    async fn free_name(&self, store: &Store) -> Result<String, StoreError> {
        let taken = store.users().await?.iter().any(|user| user.name.eq_ignore_ascii_case(&self.name));
        if !taken {
            return Ok(self.name.clone());
        }
        let Oidc { issuer, subject } = &self.oidc;
        let hash = digest(&SHA256, format!("{issuer}\n{subject}").as_bytes());
        let mut name: String = self.name.chars().take(55).collect();
        name.push('-');
        for byte in hash.as_ref().iter().take(4) {
            let _ = write!(name, "{byte:02x}");
        }
        Ok(name)
    }
}

/// The strongest role that the claim names, or the default one.
fn role(settings: &OidcSettings, claims: &Map<String, Value>) -> Option<Role> {
    let named = match claim(claims, &settings.role_claim) {
        _ if settings.role_claim.is_empty() => None,
        Some(Value::String(value)) => settings.roles.get(value).copied(),
        Some(Value::Array(values)) => {
            values.iter().filter_map(|value| settings.roles.get(value.as_str()?).copied()).min()
        }
        _ => None,
    };
    named.or(settings.default_role)
}

/// `groups`, or a claim within a claim: Keycloak has `realm_access.roles`. Dots also stand in names.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut segments = name.split('.');
        let first = claims.get(segments.next()?)?;
        segments.try_fold(first, |value, segment| value.get(segment))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(claim: &str, default_role: Option<Role>) -> OidcSettings {
        let roles = [("moat-admins", Role::Admin), ("ops", Role::Operator), ("all", Role::Auditor)];
        OidcSettings {
            role_claim: claim.to_owned(),
            roles: roles.into_iter().map(|(value, role)| (value.to_owned(), role)).collect(),
            default_role,
            ..OidcSettings::default()
        }
    }

    #[test]
    fn the_strongest_role_that_the_claim_names_counts() {
        for (claim, default, claims, expected) in [
            ("groups", None, json!({ "groups": ["all", "moat-admins", "ops"] }), Some(Role::Admin)),
            ("groups", None, json!({ "groups": ["all", "ops", 7, null] }), Some(Role::Operator)),
            ("groups", None, json!({ "groups": "ops" }), Some(Role::Operator)),
            ("groups", None, json!({ "groups": "ops all" }), None),
            ("groups", None, json!({ "groups": ["Ops"] }), None),
            ("groups", None, json!({}), None),
            ("groups", Some(Role::Auditor), json!({ "groups": ["others"] }), Some(Role::Auditor)),
            // The claim says less than the default: the claim is about this person.
            ("groups", Some(Role::Operator), json!({ "groups": ["all"] }), Some(Role::Auditor)),
            (
                "realm_access.roles",
                None,
                json!({ "realm_access": { "roles": ["ops"] } }),
                Some(Role::Operator),
            ),
            (
                "https://x.example/roles",
                None,
                json!({ "https://x.example/roles": ["all"] }),
                Some(Role::Auditor),
            ),
            ("", Some(Role::Auditor), json!({ "": "moat-admins" }), Some(Role::Auditor)),
        ] {
            let Value::Object(claims) = claims else { panic!("claims are an object") };
            assert_eq!(role(&settings(claim, default), &claims), expected, "{claim} of {claims:?}");
        }
    }

    #[test]
    fn a_name_is_one_that_can_stand_in_lists() {
        for (claims, expected) in [
            (json!({ "sub": "7", "preferred_username": "ann", "email": "ann@example.org" }), "ann"),
            (
                json!({ "sub": "7", "preferred_username": "Ann Lee", "email": "ann@example.org" }),
                "ann@example.org",
            ),
            (json!({ "sub": "7", "preferred_username": "an\u{202e}n", "email": 1 }), "7"),
            (json!({ "sub": "a b" }), "user"),
        ] {
            let Value::Object(claims) = claims else { panic!("claims are an object") };
            assert_eq!(Identity::new(&settings("", None), &claims).unwrap().name, expected, "{claims:?}");
        }
        for nobody in
            [json!({}), json!({ "sub": "" }), json!({ "sub": "x".repeat(256) }), json!({ "sub": 7 })]
        {
            let Value::Object(claims) = nobody else { panic!("claims are an object") };
            assert!(Identity::new(&settings("", None), &claims).is_err(), "{claims:?}");
        }
    }
}
