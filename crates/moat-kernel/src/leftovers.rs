//! What of Moat is in the kernel although nobody holds it: nothing, unless it was pinned.

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use libbpf_rs::query::ProgInfoIter;

/// How long the kernel may take to free what an agent had until a moment ago.
const FREED: Duration = Duration::from_secs(30);
/// It tells nobody when it has, so it is asked this often.
const ASK: Duration = Duration::from_millis(20);

/// Every program of ours that is loaded and that no running process has, in words.
pub fn leftovers() -> Vec<String> {
    let deadline = Instant::now() + FREED;
    loop {
        // Those of another agent on this node are in its hands.
        let held = held();
        let left: Vec<_> = ProgInfoIter::default()
            .filter(|program| !held.contains(&program.id))
            .filter_map(|program| {
                let name = program.name.to_str().filter(|name| name.starts_with("moat_"))?;
                Some(format!("the kernel program {name} (id {})", program.id))
            })
            .collect();
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        sleep(ASK);
    }
}

/// Programs that processes have a descriptor of, or of a link to (`proc_pid_fdinfo(5)`).
fn held() -> BTreeSet<u32> {
    let folders =
        fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path().join("fdinfo"));
    let files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    texts
        .flat_map(|text| {
            let ids = text.lines().filter_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
            ids.collect::<Vec<u32>>()
        })
        .collect()
}
