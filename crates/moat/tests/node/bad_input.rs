//! What attackers and accidents hand in: odd names, huge argument vectors, bytes that are no text, containers that
//! vanish.

use std::sync::atomic::{AtomicBool, Ordering};

use moat_event::EventType;
use moat_testkit::Image;

use crate::Node;
use crate::life_cycle::{NO_ID, busybox};
use crate::node::{exec, policy, text};
use crate::program::compile;

const ODD: &str = "quo\"te \\ back ' $(id) \u{202e}right\u{2069} 日本 \u{1b}[31mred\nsecond line";

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_and_labels_come_through_unharmed() {
    let Some(mut node) = Node::start(busybox()).await else { return };
    node.write("odd.yaml", &policy("odd", "odd", NO_ID));
    node.loaded(1).await;
    let odd = node.container_of("odd", "odd.name_1-x").label("note", ODD);
    let odd = tokio::task::block_in_place(|| odd.start()).unwrap();
    exec(&odd, &["/bin/id"]);
    let event = node.denied_exec("odd.name_1-x", "no-id").await;
    assert_eq!(event.labels.get("note").map(String::as_str), Some(ODD));
    let shown = node.moat(&["events"]).await;
    let escape = |byte: &u8| *byte == 0x1b;
    assert!(shown.status.success() && !shown.stdout.iter().any(escape), "{}", text(&shown));
    assert!(!node.moat(&["containers"]).await.stdout.iter().any(escape));

    let pods = node.pods().await;
    let pod = pods.pod("name space\u{1b}", "pod \"0\"\n", &[("app", "odd"), ("note", ODD)]).await.unwrap();
    let main = pods.container(&pod, "main \u{202e}", &node.image, &[]).await.unwrap();
    let _ = pods.exec(&main, &["/bin/id"]).await;
    let event = node.denied_exec("main \u{202e}", "no-id").await;
    assert_eq!(event.pod_name.as_deref(), Some("pod \"0\"\n"));
    assert_eq!(event.namespace.as_deref(), Some("name space\u{1b}"));
    assert_eq!(event.labels.get("note").map(String::as_str), Some(ODD));
    assert_eq!(node.complaints(), [""; 0]);
    node.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_two_megabytes_of_arguments_decides() {
    let image = Image::busybox("docker.io/moat-test/vector:1").unwrap().file(
        "/bin/vector",
        0o755,
        compile("vector.c", &["-O1"]),
    );
    let Some(mut node) = Node::start(image).await else { return };
    let rule = "  - { name: no-last, action: Block, process: { argsRegex: \" --forbidden$\" } }";
    node.write("long.yaml", &policy("long", "long", rule));
    let long = node.run("long");
    node.rules("long", 1).await;
    // The kernel takes a quarter of the stack's limit, 8 MiB, with pointers and environment.
    for bytes in ["100", "5000", "70000", "300000", "2000000"] {
        let allowed = exec(&long, &["/bin/vector", bytes, "/bin/true", "--forbidden-not", "end"]);
        assert!(allowed.status.success(), "{bytes}: {allowed:?}");
        let denied = exec(&long, &["/bin/vector", bytes, "/bin/true", "--forbidden", "end"]);
        assert!(!denied.status.success() && denied.status.code() != Some(125), "{bytes}: {denied:?}");
    }
    let is_longest = |event: &moat_event::Event| {
        event.rule.as_deref() == Some("no-last")
            && event.process.as_ref().is_some_and(|process| process.arguments_truncated)
    };
    let event = node.event("the longest is denied", is_longest).await;
    let process = event.process.unwrap();
    assert_eq!(process.arguments.first().map(String::as_str), Some("/bin/true"));
    node.end().await;
    let denials = node.seen.iter().filter(|event| event.rule.as_deref() == Some("no-last"));
    assert_eq!(denials.map(|event| event.count).sum::<u64>(), 5, "{:#?}", node.seen.len());
    assert_eq!(node.complaints(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_are_matched_and_told_on_one_line() {
    let Some(mut node) = Node::start(busybox()).await else { return };
    let rules = "  - { name: no-temporary, action: Block, process: { pathGlobs: [\"/tmp/**\"] } }
  - { name: no-notes, action: Block, file: { paths: [\"/etc/n*\"], operations: [Read] } }";
    node.write("bytes.yaml", &policy("bytes", "bytes", rules));
    let bytes = node.run("bytes");
    node.rules("bytes", 2).await;

    let script = r#"p=$(printf '/tmp/a\377\nb'); cp /bin/busybox "$p"; "$p" "$(printf 'x\377\ny')""#;
    let output = exec(&bytes, &["/bin/sh", "-c", script]);
    assert!(text(&output).contains("Operation not permitted"), "{output:?}");
    let event = node.denied_exec("bytes", "no-temporary").await;
    let process = event.process.unwrap();
    assert_eq!(process.executable, "/tmp/a\u{fffd}\nb");
    assert_eq!(event.file_path.as_deref(), Some("/tmp/a\u{fffd}\nb"));
    assert_eq!(process.arguments, ["/tmp/a\u{fffd}\nb", "x\u{fffd}\ny"]);

    let script = r#"f=$(printf '/etc/n\377\nl'); echo secret >"$f"; cat "$f""#;
    let output = exec(&bytes, &["/bin/sh", "-c", script]);
    assert!(
        text(&output).contains("Operation not permitted") && !text(&output).contains("secret"),
        "{output:?}"
    );
    let event = node.event("the read", |event| event.rule.as_deref() == Some("no-notes")).await;
    assert_eq!(event.event_type, EventType::FileAccess);
    assert_eq!(event.file_path.as_deref(), Some("/etc/n\u{fffd}\nl"));

    let shown = node.moat(&["events"]).await;
    assert_eq!(text(&shown).lines().filter(|line| line.contains("/etc/n")).count(), 1, "{}", text(&shown));
    node.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_that_vanish_while_they_are_set_up_harm_nothing() {
    let Some(mut node) = Node::start(busybox()).await else { return };
    let agent = node.status().await.pid;
    let done = AtomicBool::new(false);
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut turn = 0;
                while !done.load(Ordering::Relaxed) {
                    let rule = NO_ID.replace("no-id", &format!("no-id-{turn}"));
                    node.write(
                        "changing.yaml",
                        &policy("changing", "\"*\"", &rule).replace(
                            "labelSelector: { matchLabels: { app: \"*\" } }",
                            "namespaceSelector: {}",
                        ),
                    );
                    turn += 1;
                }
            });
            let starts: Vec<_> = (0..2)
                .map(|worker| {
                    let node = &node;
                    scope.spawn(move || {
                        for number in 0..15 {
                            let id = format!("brief-{worker}-{number}");
                            if number % 2 == 0 {
                                node.container(&id).start().unwrap().remove().unwrap();
                            } else {
                                let brief = node.container(&id).command(["/bin/true"]).run().unwrap();
                                assert!(brief.status.success(), "{brief:?}");
                            }
                        }
                    })
                })
                .collect();
            let ended: Vec<_> = starts.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            done.store(true, Ordering::Relaxed);
            assert!(ended.iter().all(Result::is_ok));
        });
    });
    node.containers("none is left", <[_]>::is_empty).await;
    // Rules still come into force.
    node.write("changing.yaml", &policy("changing", "lasting", NO_ID));
    let lasting = node.run("lasting");
    node.rules("lasting", 1).await;
    assert!(!text(&exec(&lasting, &["/bin/id"])).contains("uid="));
    node.denied_exec("lasting", "no-id").await;
    assert_eq!(node.status().await.pid, agent);
    assert_eq!(node.status().await.problems, [""; 0]);
    assert_eq!(node.complaints(), [""; 0]);
    node.end().await;
}
