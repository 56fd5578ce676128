//! Who gets in, and who does not.

use tonic::Code;

use super::*;

over_both!(
    a_token_lets_in_as_many_nodes_as_it_says_and_no_more,
    expired_revoked_and_forged_tokens_let_nobody_in,
    a_bad_request_costs_no_use_of_the_token,
    without_a_certificate_that_counts_there_is_no_session,
    a_revoked_enforcer_is_sent_away_at_once_and_does_not_come_back,
    another_machine_of_the_same_name_is_another_enforcer_and_replaces_the_first,
    a_renewed_certificate_is_another_one_of_the_same_enforcer_and_the_old_one_counts_on,
);

const HOUR: SignedDuration = SignedDuration::from_hours(1);

async fn a_token_lets_in_as_many_nodes_as_it_says_and_no_more(console: Running) {
    let token = console.token(2, HOUR).await;
    console.enrol_with(&token, "a", "1").await.unwrap();
    console.enrol_with(&token, "b", "2").await.unwrap();
    let refused = console.enrol_with(&token, "c", "3").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert_eq!(console.store.enforcers().await.unwrap().len(), 2);
}

async fn expired_revoked_and_forged_tokens_let_nobody_in(console: Running) {
    let expired = console.token(1, -HOUR).await;
    let revoked = console.token(1, HOUR).await;
    let mut transaction = console.store.begin(&Running::actor()).await.unwrap();
    transaction.revoke_enrolment_token(&revoked.id.to_string()).await.unwrap();
    transaction.commit().await.unwrap();
    let good = console.token(1, HOUR).await;
    let forged = EnrolmentToken { secret: Secret::generate().unwrap(), ..good.clone() };
    let unknown = EnrolmentToken { id: Uuid::now_v7(), ..good.clone() };
    for token in [expired, revoked, forged, unknown] {
        let refused = console.enrol_with(&token, "a", "1").await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    assert!(console.store.enforcers().await.unwrap().is_empty());
    // The right one still has its use.
    console.enrol_with(&good, "a", "1").await.unwrap();
}

async fn a_bad_request_costs_no_use_of_the_token(console: Running) {
    let token = console.token(1, HOUR).await;
    let channel = connect(&console.url, &Trust::Pinned(console.authority.fingerprint())).await.unwrap();
    let mut client = EnrolmentClient::new(channel);
    for (node, csr_der) in [("a", vec![1, 2, 3]), ("", Vec::new()), ("a\u{1b}[2J", Vec::new())] {
        let node = node.to_owned();
        let request = EnrolRequest { token: token.reveal(), node, csr_der, ..EnrolRequest::default() };
        assert_eq!(client.enrol(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let huge = EnrolRequest { token: "x".repeat(1 << 20), ..EnrolRequest::default() };
    assert_eq!(client.enrol(huge).await.unwrap_err().code(), Code::OutOfRange);
    console.enrol_with(&token, "a", "1").await.unwrap();
}

async fn without_a_certificate_that_counts_there_is_no_session(console: Running) {
    // Without one.
    let channel = connect(&console.url, &Trust::Pinned(console.authority.fingerprint())).await.unwrap();
    let refused = GatewayClient::new(channel).session(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    // Of the right authority, but not given out by this console: its key was stolen, or its store is an old one.
    let forged = console.certified(&console.authority, Timestamp::now(), None).await;
    assert_eq!(console.session(&forged).await.err().unwrap().code(), Code::Unauthenticated);
    // Of another authority, and expired: the connection itself is refused.
    let foreign = Authority::create(Timestamp::now()).unwrap();
    let foreign = console.certified(&foreign, Timestamp::now(), None).await;
    let long_ago = Timestamp::now() - SignedDuration::from_hours(100 * 24);
    let expired = console.certified(&console.authority, long_ago, None).await;
    for enforcer in [foreign, expired] {
        assert!(console.session(&enforcer).await.is_err());
    }
    // Nor does an enforcer take another console for its own.
    let other = Running::sqlite().await;
    assert!(connect(&other.url, &Trust::Pinned(console.authority.fingerprint())).await.is_err());
}

async fn a_revoked_enforcer_is_sent_away_at_once_and_does_not_come_back(console: Running) {
    let (enforcer, other) = (console.enrol("a").await, console.enrol("b").await);
    let mut session = console.session(&enforcer).await.unwrap();
    let mut untouched = console.session(&other).await.unwrap();
    session.send_events(1, &[event("before")]).await;
    assert_eq!(session.stored().await, 1);
    let mut transaction = console.store.begin(&Running::actor()).await.unwrap();
    transaction.revoke_enforcer(enforcer.id()).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(session.goodbye().await, goodbye::Reason::Revoked);
    assert_eq!(console.session(&enforcer).await.err().unwrap().code(), Code::Unauthenticated);
    let renewal =
        moat_wire::gateway::proto::RenewRequest { csr_der: NewKey::generate().unwrap().request().unwrap() };
    assert_eq!(
        enforcer.client(&console.url).await.unwrap().renew(renewal).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    untouched.send_events(1, &[event("after")]).await;
    assert_eq!(untouched.stored().await, 1);
}

async fn another_machine_of_the_same_name_is_another_enforcer_and_replaces_the_first(console: Running) {
    let token = console.token(3, HOUR).await;
    let first = console.enrol_with(&token, "node", "machine 1").await.unwrap();
    let mut session = console.session(&first).await.unwrap();
    let second = console.enrol_with(&token, "node", "machine 2").await.unwrap();
    assert_ne!(first.id(), second.id());
    assert_eq!(session.goodbye().await, goodbye::Reason::Revoked);
    assert!(console.session(&first).await.is_err());
    console.session(&second).await.unwrap();
    // The same machine stays who it is.
    let again = console.enrol_with(&token, "node", "machine 2").await.unwrap();
    assert_eq!(again.id(), second.id());
}

async fn a_renewed_certificate_is_another_one_of_the_same_enforcer_and_the_old_one_counts_on(
    console: Running,
) {
    let enforcer = console.enrol("a").await;
    let key = NewKey::generate().unwrap();
    let request = moat_wire::gateway::proto::RenewRequest { csr_der: key.request().unwrap() };
    let renewed = enforcer.client(&console.url).await.unwrap().renew(request).await.unwrap().into_inner();
    let renewed = key.certified(&renewed.certificate_chain_der).unwrap();
    assert_eq!(renewed.certificate.name, enforcer.id());
    assert_ne!(renewed.certificate.serial, enforcer.identity.certificate.serial);
    let renewed = Enforcer::with(renewed, console.authority.certificate().clone());
    // The answer may have been lost on its way.
    console.session(&enforcer).await.unwrap();
    console.session(&renewed).await.unwrap();
}
