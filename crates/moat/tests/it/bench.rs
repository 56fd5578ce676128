//! The load generator, against a console of its own.

use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use moat_console::{Config, console_actor, start};
use moat_store::NewEnrolmentToken;
use moat_wire::token::{EnrolmentToken, Secret};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn simulated_enforcers_enrol_send_events_and_know_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    let config = Config { listen: any, gateway: any, ..Config::new(folder.path().join("console")) };
    let cancel = CancellationToken::new();
    let started = start(config, cancel.clone()).await.unwrap();
    let store = started.console.store().clone();
    let secret = Secret::generate().unwrap();
    let new = NewEnrolmentToken {
        label: String::from("bench"),
        secret_hash: secret.hash(),
        uses: 5,
        expires_at: Timestamp::now() + SignedDuration::from_hours(1),
    };
    let mut transaction = store.begin(&console_actor()).await.unwrap();
    let kept = transaction.create_enrolment_token(new).await.unwrap();
    transaction.commit().await.unwrap();
    let authority = started.console.authority().fingerprint();
    let token = EnrolmentToken { id: kept.id.parse().unwrap(), secret, authority };
    let file = folder.path().join("token");
    std::fs::write(&file, token.reveal()).unwrap();

    let url = format!("https://{}", started.gateway);
    let output = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_moat"))
            .args(["bench", "enforcers", "--json", "--console", &url, "--enrolment-token-file"])
            .arg(&file)
            .args(["--count", "5", "--events-per-second", "100", "--batch", "10", "--seconds", "3"])
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stored = report["eventsStored"].as_u64().unwrap();
    assert_eq!((report["enforcers"].as_u64(), report["sessionsLost"].as_u64()), (Some(5), Some(0)));
    let kept = store.events_after(0, 10_000).await.unwrap().len() as u64;
    assert!(stored > 0 && kept >= stored, "{report} but {kept} are kept");
    assert_eq!(store.enforcers().await.unwrap().len(), 5);
    cancel.cancel();
    started.wait().await;
}
