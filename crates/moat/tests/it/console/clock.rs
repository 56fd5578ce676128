//! A console whose clock jumps. libfaketime stands between the program and the system's clock; what waits (the
//! monotonic clock) goes on as it should.

use std::fs;
use std::path::PathBuf;

use moat_testkit::gateway::event;
use moat_testkit::skip;
use moat_wire::gateway::proto::goodbye;

use super::*;

/// Where Debian's package libfaketime has it.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

/// The program's clock.
struct Clock(PathBuf);

impl Clock {
    /// So far from the system's from now on.
    fn set(&self, offset: &str) {
        // Replaced as a whole: the program reads it at every look at the clock.
        let new = self.0.with_extension("new");
        fs::write(&new, offset).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_does_so_by_the_clock_and_a_clock_that_is_set_right_mends_all() {
    let Some(library) = library() else { return skip("faketime", "libfaketime is not installed") };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let clock = Clock(folder.path().join("clock"));
    clock.set("+0");
    let mut command = console(&state, &[&ANYWHERE[..], &["--insecure-http"]].concat());
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock.0);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut program = Program::start(command);
    let admin = Admin::by_link(&client(), &program.url, &done(&state, &["user", "link"]), "ada").await;
    let enforcer = enrol(&program, &state, "node-1").await;
    let mut session = enforcer.session(&program.gateway).await.unwrap();
    session.send_events(1, &[event("at its time")]).await;
    assert_eq!(session.stored().await, 1);

    // Half a day and an hour: who signed in is out, who has a certificate is not.
    clock.set("+13h");
    assert_eq!(admin.send(Method::GET, "/session", None).await.status(), StatusCode::UNAUTHORIZED);
    session.send_events(2, &[event("of a console that is ahead")]).await;
    assert_eq!(session.stored().await, 2);
    clock.set("+0");
    assert_eq!(admin.send(Method::GET, "/session", None).await.status(), StatusCode::OK);

    // A hundred days: certificates too are over.
    clock.set("+100d");
    assert_eq!(session.goodbye().await, goodbye::Reason::Expired);
    assert!(enforcer.session(&program.gateway).await.is_err());
    clock.set("+0");
    let mut session = enforcer.session(&program.gateway).await.unwrap();
    session.send_events(3, &[event("back in time")]).await;
    assert_eq!(session.stored().await, 3);

    // Before it all was made: sessions go on, new ones wait until the clock is right.
    clock.set("-30d");
    session.send_events(4, &[event("of a console that is behind")]).await;
    assert_eq!(session.stored().await, 4);
    assert!(enforcer.session(&program.gateway).await.is_err());
    let late =
        admin.send(Method::POST, "/enrolment-tokens", Some(json!({ "label": "written in the past" }))).await;
    assert_eq!(late.status(), StatusCode::CREATED);
    clock.set("+0");
    let mut session = enforcer.session(&program.gateway).await.unwrap();
    session.send_events(5, &[event("at its time again")]).await;
    assert_eq!(session.stored().await, 5);

    let page = admin.get("/events").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 5, "{page}");
    let verified = admin.send(Method::POST, "/audit/verify", None).await;
    assert_eq!(verified.json::<Value>().await.unwrap()["intact"], true);
    assert_eq!(program.end(Signal::TERM).code(), Some(0));
}
