use super::*;

/// What the Engine API 1.41 answers of a container, shortened.
const INSPECTION: &str = r#"{
    "Id": "1987451553c321fb34db7c7851ef40fa8113e9a2a7412975963ccff16c1343c8",
    "Name": "/web",
    "State": { "Status": "running", "Running": true, "Paused": false, "Pid": 8743, "ExitCode": 0 },
    "Image": "sha256:90b77a4daa9c16782cec7bb945a604a7d4597bc19d4c1d2ad303c51764495244",
    "Config": { "Image": "nginx:1.27", "Labels": null, "Env": [] }
}"#;

#[test]
fn a_container_without_labels_is_read() {
    let container = describe(serde_json::from_str(INSPECTION).unwrap(), "sha256:beef".to_owned());
    assert_eq!((container.workload.container.as_str(), container.init_pid), ("web", 8743));
    assert_eq!(container.workload.image, "nginx:1.27");
    assert!(container.workload.labels.is_empty());
}

#[test]
fn an_event_of_a_new_daemon_is_read() {
    // From 1.44 on the old names `status`, `id` and `from` are gone.
    let line = r#"{"Type":"container","Action":"die","Actor":{"ID":"1987","Attributes":{"exitCode":"137"}},
        "scope":"local","time":1795259545,"timeNano":1795259545776814219}"#;
    let event: Event = serde_json::from_str(line).unwrap();
    assert_eq!((event.action.as_str(), event.actor.id.as_str()), ("die", "1987"));
}

#[test]
fn only_a_whole_id_is_asked_for() {
    assert!(is_id("1987451553c321fb34db7c7851ef40fa8113e9a2a7412975963ccff16c1343c8"));
    assert!(!is_id("web") && !is_id("../images") && !is_id(&"g".repeat(64)));
}
