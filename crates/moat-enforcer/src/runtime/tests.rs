use std::os::unix::net::UnixListener;

use super::*;

#[tokio::test]
async fn a_runtime_that_never_answers_costs_no_more_than_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("silent.sock");
    // Connections wait in its queue and are never taken.
    let _listener = UnixListener::bind(&socket).unwrap();
    let hint = Hint { pid: std::process::id(), cgroup_path: Some(format!("/default/{}", "a".repeat(64))) };
    let resolve = Kind::ALL.map(|kind| {
        let source = open(Some(kind), Some(&socket)).unwrap().remove(0);
        let hint = hint.clone();
        tokio::spawn(async move { (kind, source.resolve(&hint).await) })
    });
    for resolve in resolve {
        let (expected, answer) = resolve.await.unwrap();
        let Err(RuntimeError::Deadline { kind, call: "resolve", deadline: RESOLVE_DEADLINE }) = answer else {
            panic!("{expected}: {answer:?}");
        };
        assert_eq!(kind, expected);
    }
}

#[tokio::test]
async fn a_runtime_that_is_not_there_is_told_with_its_socket_and_the_reason() {
    for kind in Kind::ALL {
        let source = open(Some(kind), Some(Path::new("/nonexistent/runtime.sock"))).unwrap().remove(0);
        let error = source.list().await.unwrap_err();
        assert!(matches!(error, RuntimeError::Connect { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!(
                "cannot connect to {kind} at /nonexistent/runtime.sock: No such file or directory (os error 2); \
                 is it running?"
            )
        );
        let (sender, mut changes) = mpsc::channel(1);
        let watch = tokio::spawn(async move { source.watch(sender).await });
        assert!(matches!(changes.recv().await, Some(Change::Unreachable { .. })));
        drop(changes);
        watch.await.unwrap();
    }
}
