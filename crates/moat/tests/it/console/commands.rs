//! What an administrator types on the console's own machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use moat_testkit::{Postgres, Tmpfs, skip};
use moat_wire::token::EnrolmentToken;

use super::*;

#[tokio::test]
async fn a_token_lets_in_as_many_nodes_as_it_was_made_for() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let program = Program::start(console(state, &[&ANYWHERE[..], &["--insecure-http"]].concat()));
    let printed = done(state, &["token", "create", "--uses", "2", "--hours", "1", "--label", "rack 3"]);
    let token: EnrolmentToken = printed.parse().unwrap();
    for node in ["node-1", "node-2"] {
        Enforcer::enrol(&program.gateway, &token, node, node).await.unwrap();
    }
    assert!(Enforcer::enrol(&program.gateway, &token, "node-3", "node-3").await.is_err());
    let made: Value = serde_json::from_str(&done(state, &["token", "create", "--json"])).unwrap();
    assert_eq!(
        (&made["token"]["usesTotal"], &made["token"]["createdBy"]),
        (&json!(1), &json!("command line"))
    );
    assert!(made["secret"].as_str().unwrap().parse::<EnrolmentToken>().is_ok());
    assert!(refused(state, &["token", "create", "--uses", "0"], 2).contains("1 to 100,000 uses"));
}

#[tokio::test]
async fn links_make_administrators_and_help_those_who_forgot_their_password() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let program = Program::start(console(state, &[&ANYWHERE[..], &["--insecure-http"]].concat()));
    // The one of the first start.
    let first = program.line();
    assert!(first.contains(&format!("{}/setup#", program.url)), "{first}");
    let (client, url) = (client(), program.url.as_str());
    let ada = Admin::by_link(&client, url, &first, "ada").await;
    assert_eq!(ada.get("/session").await["user"]["role"], "Admin");
    let link = done(state, &["user", "link"]);
    Admin::by_link(&client, url, &link, "grace").await;
    let again =
        json!({ "token": link.trim().split_once('#').unwrap().1, "name": "mallory", "password": PASSWORD });
    let again = client.post(format!("{url}/api/v1/session/setup")).json(&again).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::FORBIDDEN);
    let users = done(state, &["user", "list"]);
    let users: Vec<Vec<&str>> = users.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(users, [["ada", "Admin"], ["grace", "Admin"]]);
    // Who has a new password is signed out where the old one was used.
    Admin::by_link(&client, url, &done(state, &["user", "link"]), "ada").await;
    assert_eq!(ada.send(Method::GET, "/session", None).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_audit_log_shows_who_tampered_with_it() {
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(why) => return skip("postgres", format!("{why:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let (state, url) = (folder.path(), postgres.database().unwrap());
    let file = state.join("store.url");
    fs::write(&file, format!("{url}\n")).unwrap();
    let verify = ["audit", "verify", "--store-file", file.to_str().unwrap()];
    let create = ["token", "create", "--store-file", file.to_str().unwrap()];
    for _ in 0..3 {
        done(state, &create);
    }
    let intact = done(state, &verify);
    assert!(intact.starts_with("3 entries, all as they were written; the newest is "), "{intact}");
    postgres.sql(&url, "UPDATE audit SET actor = 'nobody' WHERE seq = 2").unwrap();
    let broken = refused(state, &verify, 1);
    assert!(broken.starts_with("the audit log is broken at entry 2: "), "{broken}");
    let json = refused(state, &[&verify[..], &["--json"]].concat(), 1);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["intact"], &json["brokenAt"]), (&json!(false), &json!(2)));
}

/// From SQLite into PostgreSQL, with the console at work: who had a password or a certificate still comes in.
#[tokio::test]
async fn a_backup_moves_a_console_to_the_other_engine() {
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(why) => return skip("postgres", format!("{why:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut program = Program::start(console(&state, &[&ANYWHERE[..], &["--insecure-http"]].concat()));
    let client = client();
    let admin = Admin::by_link(&client, &program.url, &done(&state, &["user", "link"]), "ada").await;
    let enforcer = enrol(&program, &state, "node-1").await;
    let mut session = enforcer.session(&program.gateway).await.unwrap();
    session.send_events(1, &[moat_testkit::gateway::event("before the move")]).await;
    assert_eq!(session.stored().await, 1);

    let backup = folder.path().join("backup");
    let path = backup.to_str().unwrap();
    done(&state, &["backup", path]);
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&backup).unwrap().contains(&admin.cookie["moat_session=".len()..]));
    let there = refused(&state, &["backup", path], 2);
    assert!(there.contains("exists"), "{there}");
    assert_eq!(program.end(Signal::TERM).code(), Some(0));

    let store = postgres.database().unwrap();
    let cut = folder.path().join("cut");
    let whole = fs::read(&backup).unwrap();
    fs::write(&cut, &whole[..whole.len() - 10]).unwrap();
    refused(&state, &["restore", cut.to_str().unwrap(), "--store", &store], 2);
    done(&state, &["restore", path, "--store", &store]);
    let full = refused(&state, &["restore", path, "--store", &store], 2);
    assert!(full.contains("empty"), "{full}");

    let arguments = [&ANYWHERE[..], &["--insecure-http", "--store", &store]].concat();
    let program = Program::start(console(&state, &arguments));
    assert_eq!(
        admin.client.get(format!("{}/readyz", program.url)).send().await.unwrap().status(),
        StatusCode::OK
    );
    let sign_in = json!({ "name": "ada", "password": PASSWORD });
    let response =
        client.post(format!("{}/api/v1/session", program.url)).json(&sign_in).send().await.unwrap();
    let admin = Admin::signed_in(&client, &program.url, response).await;
    assert_eq!(admin.get("/events").await["items"][0]["event"]["message"], "before the move");
    let mut session = enforcer.session(&program.gateway).await.unwrap();
    session.send_events(2, &[moat_testkit::gateway::event("after the move")]).await;
    assert_eq!(session.stored().await, 2);
    let found = done(&state, &["audit", "verify", "--store", &store]);
    assert!(found.contains("all as they were written"), "{found}");
}

#[test]
fn what_cannot_be_started_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let open = refused(state, &["--listen", "0.0.0.0:0", "--insecure-http"], 2);
    assert!(open.contains("leave out --insecure-http"), "{open}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let taken_is = refused(state, &["--listen", &taken, "--gateway", "127.0.0.1:0"], 2);
    assert!(taken_is.contains(&format!("cannot listen on {taken}")), "{taken_is}");
    let none = refused(state, &["--store", "mysql://x"], 2);
    assert!(none.contains("sqlite: or postgres://"), "{none}");
    let Some(disk) = Tmpfs::mount("16m") else { return };
    done(&disk.path(), &["user", "list"]);
    disk.remount("ro");
    let read_only = refused(&disk.path(), &ANYWHERE, 2);
    assert!(read_only.contains("the store is read-only"), "{read_only}");
}
