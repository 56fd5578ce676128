//! Times that are not now.

use moat_store::EventFilter;
use moat_wire::authority::LEAF_LIFETIME;

use super::*;

over_both!(a_session_ends_with_its_certificate, events_of_any_time_are_kept_and_found,);

async fn a_session_ends_with_its_certificate(console: Running) {
    let enrolled = console.enrol("a").await;
    let soon = Timestamp::now() - LEAF_LIFETIME + SignedDuration::from_secs(3);
    let enforcer = console.certified(&console.authority, soon, Some(&enrolled)).await;
    let mut session = console.session(&enforcer).await.unwrap();
    session.send_events(1, &[event("while it counts")]).await;
    assert_eq!(session.stored().await, 1);
    assert_eq!(session.goodbye().await, goodbye::Reason::Expired);
    assert!(console.session(&enforcer).await.is_err());
    // The other one counts on.
    console.session(&enrolled).await.unwrap();
}

async fn events_of_any_time_are_kept_and_found(console: Running) {
    let times =
        ["-009999-01-02T01:59:59Z", "1969-12-31T23:59:59Z", "2038-01-19T03:14:08Z", "9999-12-30T22:00:00Z"];
    let events: Vec<_> = times
        .iter()
        .map(|time| Event { timestamp: time.parse().unwrap(), ..event(time) })
        .chain([event("now")])
        .collect();
    let mut session = console.session(&console.enrol("a").await).await.unwrap();
    session.send_events(1, &events).await;
    assert_eq!(session.stored().await, 1);
    let in_order: Vec<_> = console.stored().await.into_iter().map(|stored| stored.event.message).collect();
    assert_eq!(in_order, [&times[..], &["now"]].concat());
    let newest_first = console.store.search_events(&EventFilter::default(), None, 10).await.unwrap();
    let newest_first: Vec<_> = newest_first.events.into_iter().map(|stored| stored.event.message).collect();
    assert_eq!(newest_first, [times[3], times[2], "now", times[1], times[0]]);
    // What has a wrong time leaves by retention or stays; it does not stop it.
    console.store.maintain(&moat_store::Retention::default()).await.unwrap();
    assert!(console.store.newest_event().await.unwrap() >= 5);
}
