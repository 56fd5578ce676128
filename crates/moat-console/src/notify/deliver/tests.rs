//! Delivery against receivers that do what receivers do.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::notify::destination::{
    Destination, Elasticsearch, Otlp, Secrets, Slack, Splunk, Syslog, SyslogFormat, Transport, Webhook,
};
use crate::notify::encode::{samples, webhook};
use crate::notify::receivers::bulk::{self, Index};
use crate::notify::receivers::http::{Answer, Receiver, resetting};
use crate::notify::receivers::rsyslog::{Input, Rsyslog};
use crate::notify::receivers::{delivered, egress, events, pace, sink};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn webhook_to(url: String) -> (Destination, Secrets) {
    let destination = Destination::Webhook(Webhook { url, authority: None, plaintext: false });
    (destination, Secrets { signing_key: Some(KEY.into()), ..Secrets::default() })
}

fn elasticsearch_to(url: String) -> Destination {
    let index = "moat-events".into();
    Destination::Elasticsearch(Elasticsearch { url, index, user: None, authority: None, plaintext: false })
}

fn ids(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.id.clone()).collect()
}

fn body_ids(body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).expect("JSON");
    let events: Vec<Event> = serde_json::from_value(body["data"]["events"].clone()).expect("events");
    ids(&events)
}

#[tokio::test]
async fn a_webhook_is_signed_and_a_repetition_keeps_its_id() {
    let mut receiver = Receiver::scripted([Answer::status(503, "starting"), Answer::status(204, "")]).await;
    let (destination, secrets) = webhook_to(format!("{}/hook?x=1", receiver.url()));
    let sink = sink(&destination, &secrets, &pace());
    let sent = events(3);
    let (given_up, errors) = delivered(&sink, sent.clone(), &pace()).await;
    assert_eq!(given_up, []);
    assert_eq!(errors, ["503 Service Unavailable: starting"]);
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert_eq!(first.path, "/hook");
    assert_eq!(first.headers["webhook-id"], second.headers["webhook-id"]);
    for request in [first, second] {
        assert_eq!(body_ids(&request.body), ids(&sent));
        let header = |name: &str| request.headers[name].to_str().expect("text");
        let key = webhook::signing_key(KEY).expect("a key");
        let seconds = header("webhook-timestamp").parse().expect("seconds");
        let expected = webhook::signature(&key, header("webhook-id"), seconds, &request.body);
        assert_eq!(header("webhook-signature"), expected);
        assert!(!request.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_is_given_it() {
    let asks = Answer::Status(429, vec![("retry-after", "1".into())], "slow down".into());
    let mut receiver = Receiver::scripted([asks, Answer::status(200, "ok")]).await;
    let (destination, secrets) = webhook_to(receiver.url());
    let sink = sink(&destination, &secrets, &pace());
    let begun = tokio::time::Instant::now();
    let (given_up, errors) = delivered(&sink, events(1), &pace()).await;
    assert!(begun.elapsed() >= Duration::from_secs(1), "it waits no shorter than asked");
    assert_eq!((given_up, errors), (vec![], vec!["429 Too Many Requests: slow down".to_owned()]));
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn a_receiver_that_hangs_is_given_up_by_its_deadline() {
    let receiver = Receiver::scripted([Answer::Never]).await;
    let (destination, secrets) = webhook_to(receiver.url());
    let pace = Pace { deadline: Duration::from_millis(100), attempts: 2, ..pace() };
    let sink = sink(&destination, &secrets, &pace);
    let (given_up, errors) = delivered(&sink, events(2), &pace).await;
    assert_eq!(given_up.len(), 2);
    assert_eq!(errors.len(), 2);
    assert!(errors[0].contains("timed out"), "{errors:?}");
    assert!(given_up.iter().all(|event| event.attempts == 2), "{given_up:?}");
}

#[tokio::test]
async fn connections_that_are_reset_are_tried_again() {
    let (address, mut connections) = resetting().await;
    let (destination, secrets) = webhook_to(format!("http://{address}/"));
    let sink = sink(&destination, &secrets, &pace());
    let (given_up, errors) = delivered(&sink, events(1), &pace()).await;
    assert_eq!(given_up.len(), 1);
    assert_eq!(errors.len(), 4);
    let mut seen = 0;
    while connections.try_recv().is_ok() {
        seen += 1;
    }
    assert_eq!(seen, 4);
    assert!(!errors[0].contains("http://"), "the URL may be a secret: {}", errors[0]);
}

#[tokio::test]
async fn redirections_are_not_followed() {
    let mut elsewhere = Receiver::scripted([Answer::status(200, "")]).await;
    let redirects = Answer::Status(307, vec![("location", elsewhere.url())], String::new());
    let receiver = Receiver::scripted([redirects]).await;
    let (destination, secrets) = webhook_to(receiver.url());
    let pace = Pace { attempts: 1, ..pace() };
    let (given_up, errors) = delivered(&sink(&destination, &secrets, &pace), events(1), &pace).await;
    assert_eq!(given_up.len(), 1);
    assert!(errors[0].contains("redirections are not followed"), "{errors:?}");
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn an_event_that_is_refused_among_others_is_found_and_given_up_at_once() {
    let mut receiver = Receiver::start(|request| {
        let refused = String::from_utf8_lossy(&request.body).contains("event 37\"");
        if refused { Answer::status(422, "event 37 is not welcome") } else { Answer::status(200, "") }
    })
    .await;
    let (destination, secrets) = webhook_to(receiver.url());
    let sent = events(100);
    let (given_up, errors) = delivered(&sink(&destination, &secrets, &pace()), sent.clone(), &pace()).await;
    assert_eq!(errors, Vec::<String>::new());
    let [refused] = given_up.as_slice() else { panic!("{given_up:?}") };
    assert_eq!((refused.event.message.as_str(), refused.attempts), ("event 37", 1));
    assert_eq!(refused.error, "422 Unprocessable Entity: event 37 is not welcome");
    let mut arrived: Vec<String> = Vec::new();
    for request in receiver.received() {
        if !String::from_utf8_lossy(&request.body).contains("event 37\"") {
            arrived.extend(body_ids(&request.body));
        }
    }
    let others: Vec<String> = ids(&sent).into_iter().filter(|id| *id != refused.event.id).collect();
    assert_eq!(arrived, others, "in order, each once");
}

#[tokio::test]
async fn a_receiver_that_refuses_everything_is_tried_again_before_letters_are_dead() {
    let mut receiver = Receiver::scripted([
        Answer::status(400, "bad signature"),
        Answer::status(400, "bad signature"),
        Answer::status(200, ""),
    ])
    .await;
    let (destination, secrets) = webhook_to(receiver.url());
    let (given_up, errors) = delivered(&sink(&destination, &secrets, &pace()), events(1), &pace()).await;
    assert_eq!(given_up, []);
    assert_eq!(errors, ["400 Bad Request: bad signature", "400 Bad Request: bad signature"]);
    assert_eq!(receiver.received().len(), 3);
}

#[tokio::test]
async fn a_bulk_interface_gets_only_what_failed_again() {
    let sent = events(50);
    let index = Index {
        busy: BTreeMap::from([(sent[3].id.clone(), 1), (sent[40].id.clone(), 2)]),
        unmappable: vec![sent[7].id.clone()],
        ..Index::default()
    };
    let (mut receiver, index) = bulk::start(index).await;
    let destination = elasticsearch_to(receiver.url());
    let sink = sink(&destination, &Secrets::default(), &pace());
    let (given_up, errors) = delivered(&sink, sent.clone(), &pace()).await;
    let [unmappable] = given_up.as_slice() else { panic!("{given_up:?}") };
    assert_eq!(unmappable.event, sent[7]);
    assert_eq!(unmappable.error, "400 Bad Request: failed to parse field [process.pid] of type [integer]");
    assert_eq!(errors.len(), 2, "{errors:?}");
    let sizes: Vec<usize> = receiver
        .received()
        .iter()
        .map(|request| {
            assert_eq!(request.path, "/_bulk");
            String::from_utf8_lossy(&request.body).lines().count() / 2
        })
        .collect();
    assert_eq!(sizes, [50, 2, 1], "only the failed documents go again");
    assert_eq!(index.lock().expect("not poisoned").documents.len(), 49);

    // After a restart everything comes again, and nothing is there twice.
    let (given_up, _) = delivered(&sink, sent, &pace()).await;
    assert_eq!(given_up.len(), 1);
    let index = index.lock().expect("not poisoned");
    assert_eq!((index.documents.len(), index.conflicts), (49, 49));
    let labels = &index.documents.values().next().expect("a document")["labels"];
    assert_eq!(labels[1], "app.kubernetes.io/name=web");
}

#[tokio::test]
async fn documents_that_are_always_refused_become_dead_letters_after_all_attempts() {
    let sent = events(2);
    let index = Index { busy: BTreeMap::from([(sent[1].id.clone(), 100)]), ..Index::default() };
    let (receiver, _index) = bulk::start(index).await;
    let sink = sink(&elasticsearch_to(receiver.url()), &Secrets::default(), &pace());
    let (given_up, errors) = delivered(&sink, sent.clone(), &pace()).await;
    let [busy] = given_up.as_slice() else { panic!("{given_up:?}") };
    assert_eq!((&busy.event, busy.attempts, errors.len()), (&sent[1], 4, 4));
}

#[tokio::test]
async fn something_that_is_no_bulk_interface_delivers_nothing() {
    let receiver = Receiver::scripted([Answer::status(200, "<html>welcome</html>")]).await;
    let pace = Pace { attempts: 1, ..pace() };
    let sink = sink(&elasticsearch_to(receiver.url()), &Secrets::default(), &pace);
    let (given_up, errors) = delivered(&sink, events(1), &pace).await;
    assert_eq!(given_up.len(), 1);
    assert!(errors[0].contains("no answer of a bulk interface"), "{errors:?}");
}

#[tokio::test]
async fn splunk_gets_its_token_and_names_what_it_refuses() {
    let mut receiver = Receiver::start(|request| {
        if request.headers["authorization"] != "Splunk 11111111-2222-3333-4444-555555555555" {
            return Answer::status(403, r#"{"text":"Invalid token","code":4}"#);
        }
        let events: Vec<Value> = serde_json::Deserializer::from_slice(&request.body)
            .into_iter()
            .map(|event| event.expect("JSON"))
            .collect();
        match events.iter().position(|event| event["event"]["message"] == "event 1") {
            Some(number) => Answer::status(
                400,
                &format!(r#"{{"text":"Invalid data format","code":6,"invalid-event-number":{number}}}"#),
            ),
            None => Answer::status(200, r#"{"text":"Success","code":0}"#),
        }
    })
    .await;
    let config = Splunk { url: receiver.url(), index: None, authority: None, plaintext: true };
    let token = "11111111-2222-3333-4444-555555555555".to_owned();
    let secrets = Secrets { token: Some(token), ..Secrets::default() };
    let sent = events(3);
    let sink = sink(&Destination::Splunk(config), &secrets, &pace());
    let (given_up, _) = delivered(&sink, sent.clone(), &pace()).await;
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0].event, sent[1]);
    let requests = receiver.received();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].path, "/services/collector/event");
    assert!(!format!("{sink:?}").contains("11111111"), "secrets are in no debug output");
}

#[tokio::test]
async fn a_collector_gets_logs_and_partial_success_is_not_repeated() {
    let mut receiver = Receiver::scripted([
        Answer::status(200, "{}"),
        Answer::status(200, r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#),
        Answer::status(500, "never asked"),
    ])
    .await;
    let config = Otlp { url: format!("{}/otlp/", receiver.url()), authority: None, plaintext: false };
    let sink = sink(&Destination::Otlp(config), &Secrets::default(), &pace());
    assert_eq!(delivered(&sink, samples::all(), &pace()).await, (vec![], vec![]));
    let (given_up, errors) = delivered(&sink, events(2), &pace()).await;
    assert_eq!((given_up.len(), errors.len()), (2, 0));
    assert_eq!(given_up[0].error, "it rejected 1 of 2 log records: too old");
    let requests = receiver.received();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].path, "/otlp/v1/logs");
}

#[tokio::test]
async fn slack_gets_one_message_for_a_batch() {
    let mut receiver = Receiver::scripted([Answer::status(200, "ok")]).await;
    let secrets =
        Secrets { url: Some(format!("{}/services/T/B/secret", receiver.url())), ..Secrets::default() };
    let refused =
        Sink::new(&Destination::Slack(Slack::default()), &secrets, &egress(), Duration::from_secs(1));
    assert!(refused.is_err_and(|error| error.to_string().contains("https")));
    let destination = Destination::Slack(Slack { plaintext: true, ..Slack::default() });
    let sink = sink(&destination, &secrets, &pace());
    assert_eq!(delivered(&sink, events(30), &pace()).await, (vec![], vec![]));
    let requests = receiver.received();
    let message: Value = serde_json::from_slice(&requests[0].body).expect("JSON");
    assert_eq!(
        (requests.len(), message["text"].as_str()),
        (1, Some("30 events, the worst of severity High"))
    );
}

#[tokio::test]
async fn a_batch_too_large_for_one_request_goes_in_parts() {
    let mut receiver = Receiver::scripted([Answer::status(200, "")]).await;
    let (destination, secrets) = webhook_to(receiver.url());
    let sent: Vec<Event> =
        events(40).into_iter().map(|event| Event { reason: Some("x".repeat(60_000)), ..event }).collect();
    let (given_up, errors) = delivered(&sink(&destination, &secrets, &pace()), sent.clone(), &pace()).await;
    assert_eq!((given_up, errors), (vec![], vec![]));
    let requests = receiver.received();
    assert!(requests.len() > 2 && requests.iter().all(|request| request.body.len() <= 1 << 20));
    assert_eq!(requests.iter().flat_map(|request| body_ids(&request.body)).collect::<Vec<_>>(), ids(&sent));
}

fn syslog_to(
    port: u16,
    transport: Transport,
    format: SyslogFormat,
    authority: Option<String>,
) -> Destination {
    let address = format!("127.0.0.1:{port}");
    let max_bytes = Some(32_768);
    Destination::Syslog(Syslog { address, transport, format, facility: 16, max_bytes, authority })
}

/// rsyslog's own reading of each message is compared with the event.
async fn syslog_over(input: Input, transport: Transport) {
    let Some(mut rsyslog) = Rsyslog::start(input).await else { return };
    let authority = (transport == Transport::Tls).then(|| rsyslog.authority.clone());
    let destination = syslog_to(rsyslog.port, transport, SyslogFormat::Rfc5424, authority);
    let sink = sink(&destination, &Secrets::default(), &pace());
    assert_eq!(delivered(&sink, samples::all(), &pace()).await, (vec![], vec![]));
    for event in samples::all() {
        let message = rsyslog.next().await;
        let data = &message["rfc5424-sd"]["moat@32473"];
        assert_eq!((&message["app"], &data["id"]), (&"moat".into(), &event.id.clone().into()), "{message}");
        assert_eq!(message["message"], *moat_event::printable(&event.message), "{message}");
        for (name, value) in [("policyName", &event.policy_name), ("filePath", &event.file_path)] {
            let found = data.get(name).and_then(Value::as_str);
            assert_eq!(found, value.as_deref().map(moat_event::printable).as_deref(), "{message}");
        }
        assert_eq!(data.get("truncated"), None, "{message}");
    }
    // The same stream again: the receiver is still in step.
    assert_eq!(delivered(&sink, vec![samples::loss()], &pace()).await, (vec![], vec![]));
    assert_eq!(rsyslog.next().await["kind"], "System");
}

#[tokio::test]
async fn rsyslog_reads_every_message_over_udp() {
    syslog_over(Input::Udp, Transport::Udp).await;
}

#[tokio::test]
async fn rsyslog_reads_every_message_over_tcp() {
    syslog_over(Input::Tcp, Transport::Tcp).await;
}

#[tokio::test]
async fn rsyslog_reads_every_message_over_tls() {
    syslog_over(Input::Tls, Transport::Tls).await;
}

#[tokio::test]
async fn rsyslog_passes_on_the_common_event_format() {
    let Some(mut rsyslog) = Rsyslog::start(Input::Tcp).await else { return };
    let destination = syslog_to(rsyslog.port, Transport::Tcp, SyslogFormat::Cef, None);
    let sink = sink(&destination, &Secrets::default(), &pace());
    assert_eq!(delivered(&sink, samples::all(), &pace()).await, (vec![], vec![]));
    for event in samples::all() {
        let message = rsyslog.next().await;
        let text = message["message"].as_str().expect("text");
        assert!(text.starts_with("CEF:0|Moat|Moat|"), "{message}");
        assert!(text.contains(&format!("externalId={} ", event.id)), "{message}");
    }
}

#[tokio::test]
async fn tls_trusts_only_the_given_authority() {
    let Some(rsyslog) = Rsyslog::start(Input::Tls).await else { return };
    let Some(other) = Rsyslog::start(Input::Tls).await else { return };
    let authority = Some(other.authority.clone());
    let pace = Pace { attempts: 1, ..pace() };
    for authority in [authority, None] {
        let destination = syslog_to(rsyslog.port, Transport::Tls, SyslogFormat::Rfc5424, authority);
        let (given_up, errors) =
            delivered(&sink(&destination, &Secrets::default(), &pace), events(1), &pace).await;
        assert_eq!(given_up.len(), 1);
        assert!(errors[0].contains("agreeing on TLS"), "{errors:?}");
    }
}

#[tokio::test]
async fn a_syslog_receiver_that_resets_or_never_reads_has_not_received() {
    let (address, mut connections) = resetting().await;
    let destination = syslog_to(address.port(), Transport::Tcp, SyslogFormat::Rfc5424, None);
    let (given_up, _) =
        delivered(&sink(&destination, &Secrets::default(), &pace()), events(5), &pace()).await;
    assert_eq!(given_up.len(), 5);
    assert!(connections.try_recv().is_ok());

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let pace = Pace { deadline: Duration::from_millis(100), attempts: 1, ..pace() };
    let destination = syslog_to(port, Transport::Tcp, SyslogFormat::Rfc5424, None);
    let (given_up, errors) =
        delivered(&sink(&destination, &Secrets::default(), &pace), events(5), &pace).await;
    assert_eq!(given_up.len(), 5);
    assert!(errors[0].contains("close the connection"), "{errors:?}");
}

#[tokio::test]
async fn nobody_listening_is_noticed_over_tcp_and_udp() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let free =
            std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let pace = Pace { attempts: 2, ..pace() };
        let destination = syslog_to(free.port(), transport, SyslogFormat::Rfc5424, None);
        let (given_up, errors) =
            delivered(&sink(&destination, &Secrets::default(), &pace), events(1), &pace).await;
        assert_eq!((given_up.len(), errors.len()), (1, 2), "{transport:?} {errors:?}");
    }
}

#[test]
fn what_may_not_be_sent_to_is_refused_before_anything_is_sent() {
    let refused = |destination: Destination, secrets: Secrets| {
        Sink::new(&destination, &secrets, &crate::notify::egress::Egress::default(), Duration::from_secs(1))
            .expect_err("refused")
            .to_string()
    };
    let (loopback, secrets) = webhook_to("https://127.1/x".into());
    assert!(refused(loopback, secrets.clone()).contains("this host itself"));
    let (metadata, _) = webhook_to("https://[::ffff:a9fe:a9fe]/latest".into());
    assert!(refused(metadata, secrets.clone()).contains("link-local"));
    for url in
        ["file:///etc/passwd", "gopher://x", "https://user:password@example.org", "not a url", "https://"]
    {
        refused(webhook_to(url.into()).0, secrets.clone());
    }
    assert!(refused(webhook_to("https://e.org".into()).0, Secrets::default()).contains("signingKey"));
    let extra = Secrets { token: Some("x".into()), ..secrets };
    assert!(refused(webhook_to("https://e.org".into()).0, extra).contains("no secret token"));
    let token = Secrets { token: Some("x\ny".into()), ..Secrets::default() };
    assert!(refused(elasticsearch_to("https://e.org".into()), token).contains("no HTTP header"));
    for address in ["x", "x:0", ":514", "x:99999", "127.0.0.1:514", "[::1]:514"] {
        let config = Syslog {
            address: address.into(),
            transport: Transport::Tcp,
            format: SyslogFormat::Cef,
            facility: 1,
            max_bytes: None,
            authority: None,
        };
        refused(Destination::Syslog(config), Secrets::default());
    }
}
