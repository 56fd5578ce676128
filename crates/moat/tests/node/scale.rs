//! As many containers, policies and rules as promised; what does not fit is refused by name.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use moat_event::EventType;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Node;
use crate::life_cycle::busybox;
use crate::node::policy;

const PODS: usize = 10;
const PER_POD: usize = 10;
const POLICIES: usize = 100;
const RULES: usize = 100;
const AT_ONCE: usize = 4;

/// A policy whose rules each deny reading one file of their own and, every fourth, one argument.
fn wide(number: usize) -> String {
    let mut rules = String::new();
    for rule in 0..RULES {
        let matcher = match rule % 4 {
            0 => format!("process: {{ paths: [/bin/tool-{number}-{rule}] }}"),
            1 => format!("process: {{ names: [tool-{number}-{rule}] }}"),
            2 => format!("file: {{ paths: [/tmp/file-{number}-{rule}], operations: [Read] }}"),
            _ => format!("network: {{ direction: Egress, cidrs: [10.200.{number}.{rule}/32] }}"),
        };
        writeln!(rules, "  - {{ name: rule-{rule}, action: Block, {matcher} }}").unwrap();
    }
    policy(&format!("wide-{number:03}"), "many", &rules)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn ten_thousand_rules_hold_in_a_hundred_containers_and_too_much_is_refused_by_name() {
    let Some(mut node) = Node::start_alone(busybox()).await else { return };
    let pods = node.pods().await;
    let started = Instant::now();
    let mut starts = JoinSet::new();
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    for pod in 0..PODS {
        let (pods, image, permits) = (pods.clone(), node.image.clone(), Arc::clone(&permits));
        starts.spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            let sandbox = pods.pod("default", &format!("many-{pod}"), &[("app", "many")]).await.unwrap();
            let mut containers = Vec::new();
            for index in 0..PER_POD {
                let name = format!("c-{pod}-{index}");
                let container = pods.container(&sandbox, &name, &image, &[]).await.unwrap();
                containers.push((name, container));
            }
            containers
        });
    }
    let mut containers = Vec::new();
    while let Some(start) = starts.join_next().await {
        containers.extend(start.unwrap());
    }
    let start_up = started.elapsed();

    let saved = Instant::now();
    let documents: Vec<_> = (0..POLICIES).map(wide).collect();
    node.write("wide.yaml", &documents.join("---\n"));
    let all = PODS * PER_POD;
    let in_force = |rules: usize| {
        move |statuses: &[moat_wire::control::ContainerStatus]| {
            let ours = statuses.iter().filter(|one| one.workload.container.starts_with("c-"));
            ours.filter(|one| one.rules == rules && one.problem.is_empty()).count() == all
        }
    };
    node.containers("all rules in all containers", in_force(POLICIES * RULES)).await;
    println!(
        "{all} containers in {start_up:?}; {} rules in force in all of them {:?} after they were saved; \
         resident {} KiB",
        POLICIES * RULES,
        saved.elapsed(),
        node.status().await.resident_bytes / 1024
    );

    for (name, container) in
        [containers.first(), containers.get(all / 2), containers.last()].into_iter().flatten()
    {
        for number in [0, POLICIES / 2, POLICIES - 1] {
            let policy = format!("wide-{number:03}");
            let script = format!(
                "cd /tmp; for rule in 0 1 96 97; do \
                   tool=/bin/tool-{number}-$rule; cp /bin/busybox $tool; $tool true && echo ran $tool; done; \
                 for rule in 2 98; do echo secret >file-{number}-$rule; cat file-{number}-$rule; done; \
                 for rule in 3 99; do nc -w 1 10.200.{number}.$rule 80; done; true"
            );
            let output = pods.exec(container, &["/bin/sh", "-c", &script]).await.unwrap();
            let (stdout, stderr) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(stdout, "", "{name}: {stderr}");
            let refusals = stderr.matches("peration not permitted").count();
            assert_eq!(refusals, 8, "{name}, {policy}: {stderr}");
            for rule in [0, 1, 96, 97, 2, 98, 3, 99] {
                let rule = format!("rule-{rule}");
                node.event(&format!("{policy} {rule} in {name}"), |event| {
                    event.container_name.as_deref() == Some(name)
                        && event.policy_name.as_deref() == Some(&policy)
                        && event.rule.as_deref() == Some(&rule)
                })
                .await;
            }
        }
        let free = pods.exec(container, &["/bin/echo", "free"]).await.unwrap();
        assert_eq!(free.stdout, b"free\n");
    }

    // One that does not fit: named, and everything else stays in force.
    let mut expressions = String::new();
    for number in 0..300 {
        writeln!(
            expressions,
            "  - {{ name: expression-{number}, action: Block, process: {{ argsRegex: \"x{number}y+z\" }} }}"
        )
        .unwrap();
    }
    node.write("too-much.yaml", &policy("too-much", "many", &expressions));
    let refusal = node
        .event("the refusal", |event| {
            event.event_type == EventType::System && event.message.contains("too-much")
        })
        .await;
    assert!(refusal.message.contains("argsRegex"), "{refusal:?}");
    node.containers("every container says what is wrong", |statuses| {
        let ours = statuses.iter().filter(|one| one.workload.container.starts_with("c-"));
        ours.filter(|one| one.rules == POLICIES * RULES && one.problem.contains("too-much")).count() == all
    })
    .await;
    let (_, last) = containers.last().unwrap();
    let output =
        pods.exec(last, &["/bin/sh", "-c", "/bin/tool-99-97 true; cat /tmp/file-99-98"]).await.unwrap();
    assert_eq!(output.stdout, b"", "{output:?}");
    node.remove("too-much.yaml");
    node.containers("all is well again", in_force(POLICIES * RULES)).await;
    node.end().await;
}
