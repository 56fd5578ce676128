//! Thousands of connections on which nothing happens.

use moat_testkit::gateway::event;
use moat_testkit::skip;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const IDLE: usize = 10_000;
/// Of connections to the gateway on which nobody shakes hands: they take files from the console until it gives them up.
const SILENT: usize = 2_000;
/// What an idle connection may cost the console.
const MEMORY: u64 = 32 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_cost_little_and_hold_nobody_up() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    // Those of other tests of this program come on top.
    if limit.current.is_some_and(|files| files < (IDLE + SILENT + 2_000) as u64) {
        return skip("files", format!("a process may open {:?} files only", limit.current));
    }
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let mut command = console(state, &[&ANYWHERE[..], &["--insecure-http"]].concat());
    command.env("RUST_LOG", "warn,moat_console=info");
    let program = Program::start(command);
    let enforcer = enrol(&program, state, "node-1").await;
    let mut session = enforcer.session(&program.gateway).await.unwrap();
    let client = client();
    let before = resident(&program);

    let (api, gateway) = (&program.url["http://".len()..], &program.gateway["https://".len()..]);
    let mut idle = Vec::new();
    for _ in 0..IDLE / 100 {
        let hundred = (0..100).map(|_| async {
            let mut stream = TcpStream::connect(api).await.unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
            stream
        });
        idle.extend(futures::future::join_all(hundred).await);
    }
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(gateway).await.unwrap());
    }
    let grown = resident(&program).saturating_sub(before);
    assert!(grown < (IDLE + SILENT) as u64 * MEMORY, "{} KiB for {IDLE} connections", grown / 1024);

    // Others are served: a new caller, the enforcer that was there, and one that comes now.
    assert!(client.get(format!("{}/readyz", program.url)).send().await.unwrap().status().is_success());
    session.send_events(1, &[event("among many")]).await;
    assert_eq!(session.stored().await, 1);
    let newcomer = enrol(&program, state, "node-2").await;
    let mut newcomer = newcomer.session(&program.gateway).await.unwrap();
    newcomer.send_events(1, &[event("late")]).await;
    assert_eq!(newcomer.stored().await, 1);
    // And those that were idle were not cut off.
    for stream in idle.iter_mut().step_by(1000) {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 64];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
    }
}

/// In bytes.
fn resident(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}
