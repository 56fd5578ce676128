use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::sync_channel;

use moat_event::Severity;

use super::*;
use crate::events::system;

fn entry(line: &str) -> Arc<Entry> {
    Arc::new(Entry { event: system::event("n", Severity::Info, line.to_owned()), line: line.to_owned() })
}

#[test]
fn lines_are_appended_to_a_private_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.jsonl");
    for line in ["{\"a\":1}", "{\"b\":2}"] {
        let (queue, receiver) = sync_channel(QUEUE);
        let output = Output::start(Target::File(path.clone()), receiver).unwrap();
        queue.send(entry(line)).unwrap();
        drop(queue);
        assert_eq!(output.finish(), 0);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\":2}\n");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_rotated_file_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.jsonl");
    let mut writer = Writer::new(Target::File(path.clone()));
    writer.write_line("1").unwrap();
    fs::rename(&path, directory.path().join("events.jsonl.1")).unwrap();
    writer.write_line("2").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
    assert_eq!(fs::read_to_string(directory.path().join("events.jsonl.1")).unwrap(), "1\n");
}

#[test]
fn a_failing_output_is_tried_again_and_what_it_never_took_is_counted() {
    // Every write to it fails with ENOSPC.
    let mut full = Writer::new(Target::File(PathBuf::from("/dev/full")));
    assert_eq!(full.write_line("x").unwrap_err().raw_os_error(), Some(libc::ENOSPC));

    let (queue, receiver) = sync_channel(QUEUE);
    let output = Output::start(Target::File(PathBuf::from("/dev/full")), receiver).unwrap();
    for _ in 0..3 {
        queue.send(entry("x")).unwrap();
    }
    drop(queue);
    assert_eq!(output.finish(), 3);

    // A folder that appears later: the writer succeeds as soon as the file can be opened.
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("later");
    let mut writer = Writer::new(Target::File(folder.join("events")));
    assert_eq!(writer.write_line("1").unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::create_dir(&folder).unwrap();
    writer.write_line("1").unwrap();
    assert_eq!(fs::read_to_string(folder.join("events")).unwrap(), "1\n");
}
