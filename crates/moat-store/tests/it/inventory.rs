use jiff::{SignedDuration, Timestamp};
use moat_event::Workload;
use moat_store::{ActivityKind, Container, ContainerFilter, NewActivity, Protection};
use serde_json::json;

use crate::engine::{Fresh, contract};

contract!(a_full_report_ends_the_others, activities_are_counted_once);

fn container(id: &str, name: &str) -> Container {
    Container {
        enforcer_id: "e1".into(),
        container_id: id.into(),
        workload: Workload {
            namespace: "prod".into(),
            kind: "Deployment".into(),
            name: name.into(),
            labels: [("app".into(), "<img src=x>".into())].into(),
            ..Workload::default()
        },
        policies: vec!["no-shells".into()],
        rules: 3,
        problem: None,
        protection: Protection::Protected,
        started_at: None,
        seen_at: Timestamp::UNIX_EPOCH,
        ended_at: None,
    }
}

async fn a_full_report_ends_the_others(Fresh { store, .. }: Fresh) {
    store.put_containers("e1", true, &[container("a", "web"), container("b", "db")], &[]).await.unwrap();
    store.put_containers("e2", true, &[container("a", "web")], &[]).await.unwrap();
    store.put_containers("e1", false, &[container("c", "web")], &["b".into()]).await.unwrap();
    let running = async |enforcer: &str| {
        let filter = ContainerFilter { enforcer_id: Some(enforcer.into()), ..ContainerFilter::default() };
        let containers = store.containers(&filter).await.unwrap();
        containers.into_iter().map(|container| container.container_id).collect::<Vec<_>>()
    };
    assert_eq!(running("e1").await, ["a", "c"]);
    store.put_containers("e1", true, &[container("c", "web")], &[]).await.unwrap();
    assert_eq!((running("e1").await, running("e2").await), (vec!["c".to_owned()], vec!["a".to_owned()]));
    let web = ContainerFilter {
        namespace: Some("prod".into()),
        kind: Some("Deployment".into()),
        name: Some("web".into()),
        ended: true,
        ..ContainerFilter::default()
    };
    let all = store.containers(&web).await.unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].workload, container("a", "web").workload);
    assert_eq!(all.iter().filter(|container| container.ended_at.is_some()).count(), 1);
}

async fn activities_are_counted_once(Fresh { store, .. }: Fresh) {
    let at =
        |seconds| "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds);
    let seen = |subject: &str, detail: i64, seconds| NewActivity {
        namespace: "prod".into(),
        workload_kind: "Deployment".into(),
        workload_name: "web".into(),
        container: "nginx".into(),
        kind: ActivityKind::Executed,
        subject: subject.into(),
        detail: json!({ "uid": detail }),
        first_seen: at(seconds - 2),
        last_seen: at(seconds),
        count: 2,
    };
    store
        .put_activities(&[seen("/bin/sh", 0, 10), seen("/bin/sh", 0, 30), seen("/bin/sh", 1, 20)])
        .await
        .unwrap();
    store.put_activities(&[seen("/bin/sh", 0, 5), seen("/bin/ls", 0, 1)]).await.unwrap();
    let workload = Some(("prod", "Deployment", "web"));
    let all = store.activities(workload, at(0), 100).await.unwrap();
    let rows: Vec<_> =
        all.iter().map(|one| (one.subject.as_str(), one.detail["uid"].clone(), one.count)).collect();
    assert_eq!(rows, [("/bin/sh", json!(0), 6), ("/bin/sh", json!(1), 2), ("/bin/ls", json!(0), 2)]);
    assert_eq!((all[0].first_seen, all[0].last_seen), (at(3), at(30)));
    assert_eq!(store.activities(None, at(15), 100).await.unwrap().len(), 2);
    assert_eq!(store.activities(Some(("prod", "Job", "web")), at(0), 100).await.unwrap(), []);
}
