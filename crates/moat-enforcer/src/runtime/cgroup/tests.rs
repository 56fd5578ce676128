use super::*;

// As the kernel writes them on a host with systemd (unified), on one without it (hybrid), and on one booted with
// `systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1` (legacy), shortened.
const UNIFIED: &str = "0::/kubepods.slice/kubepods-pod7a.slice/cri-containerd-0123abcd.scope\n";
const HYBRID: &str = "\
9:name=systemd:/default/web
8:pids:/default/web
4:memory:/default/web
2:cpu,cpuacct:/default/web
0::/default/web
";
const LEGACY: &str = "\
12:memory:/docker/0123abcd
11:cpu,cpuacct:/docker/0123abcd
3:pids:/docker/0123abcd
1:name=systemd:/docker/0123abcd
";

const UNIFIED_MOUNTS: &str = "\
24 30 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
";
const HYBRID_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
const LEGACY_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
34 31 0:31 / /sys/fs/cgroup/pids rw,nosuid - cgroup cgroup rw,pids
35 31 0:32 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
";

fn paths(text: &str) -> Vec<(u32, String)> {
    parse_memberships(text).into_iter().map(|membership| (membership.hierarchy, membership.path)).collect()
}

#[test]
fn memberships_of_all_three_kinds_of_host_are_read() {
    assert_eq!(
        paths(UNIFIED),
        [(0, "/kubepods.slice/kubepods-pod7a.slice/cri-containerd-0123abcd.scope".to_owned())]
    );
    let hybrid = parse_memberships(HYBRID);
    assert_eq!(hybrid.len(), 5);
    assert_eq!(hybrid[3].controllers, ["cpu", "cpuacct"]);
    assert!(hybrid[4].controllers.is_empty() && hybrid[4].hierarchy == 0);
    assert!(parse_memberships(LEGACY).iter().all(|membership| membership.path == "/docker/0123abcd"));
}

#[test]
fn odd_lines_do_no_harm() {
    assert_eq!(paths("0::/a:b::c\n"), [(0, "/a:b::c".to_owned())]);
    assert_eq!(paths("0::/gone (deleted)\n"), [(0, "/gone".to_owned())]);
    assert_eq!(paths("\nx\n0:\n0::relative\nx::/a\n7:memory\n"), []);
}

#[test]
fn the_hierarchy_is_found_on_all_three_kinds_of_host() {
    let find = |text| Hierarchy::from_mountinfo(text, Path::new("/")).unwrap();
    let unified = find(UNIFIED_MOUNTS);
    assert_eq!((unified.layout(), unified.mount()), (&Layout::Unified, Path::new("/sys/fs/cgroup")));
    let hybrid = find(HYBRID_MOUNTS);
    assert_eq!((hybrid.layout(), hybrid.mount()), (&Layout::Hybrid, Path::new("/sys/fs/cgroup/unified")));
    let legacy = find(LEGACY_MOUNTS);
    assert_eq!(legacy.layout(), &Layout::Legacy { controller: "memory".to_owned() });
    assert_eq!(legacy.mount(), Path::new("/sys/fs/cgroup/memory"));
    let without_memory = LEGACY_MOUNTS.lines().next_back().unwrap();
    let pids_only = LEGACY_MOUNTS.replace(without_memory, "");
    assert_eq!(find(&pids_only).layout(), &Layout::Legacy { controller: "pids".to_owned() });
    assert_eq!(Hierarchy::from_mountinfo("", Path::new("/")), None);
}

#[test]
fn a_mount_of_a_part_of_the_hierarchy_does_not_count() {
    let inside = UNIFIED_MOUNTS.replace(" / /sys/fs/cgroup", " /../../pod1/self /sys/fs/cgroup");
    assert_eq!(Hierarchy::from_mountinfo(&inside, Path::new("/")), None);
    let through_init = Hierarchy::from_mountinfo(UNIFIED_MOUNTS, Path::new("/proc/1/root")).unwrap();
    assert_eq!(through_init.mount(), Path::new("/proc/1/root/sys/fs/cgroup"));
}

#[test]
fn escapes_in_mount_points_are_undone() {
    let text = "29 23 0:26 / /a\\040b\\134c rw - cgroup2 cgroup2 rw\n";
    let found = Hierarchy::from_mountinfo(text, Path::new("/")).unwrap();
    assert_eq!(found.mount(), Path::new("/a b\\c"));
}

#[test]
fn the_host_s_own_cgroup_is_refused_and_an_ended_process_is_told() {
    let Ok(hierarchy) = Hierarchy::detect() else {
        println!("skipped: no cgroup hierarchy is mounted here");
        return;
    };
    assert!(matches!(hierarchy.cgroup_of(std::process::id()), Err(CgroupError::Host { .. })));
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    assert!(matches!(hierarchy.cgroup_of(child.id()), Err(CgroupError::Gone { .. })));
}

#[test]
fn within_goes_by_whole_components() {
    assert!(is_within("/a/b", "/a") && is_within("/a", "/a"));
    assert!(!is_within("/ab", "/a") && !is_within("/a", "/a/b"));
}
