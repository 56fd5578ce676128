//! Opens: every name of a file, every way to open it, and what is left alone.

use moat_event::FileOperation::{Create, Read, Truncate, Write};
use moat_policy::model::RuleAction::{Alert, Block, KillProcess};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use super::sandbox::{Agent, Sandbox, available, file};
use crate::record::{Act, Outcome};

#[test]
fn a_denied_read_is_refused_and_reported() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    sandbox.run("cat /etc/secret").allowed();
    agent.apply(&sandbox, vec![file(Block, &["/etc/secret"], &[Read])]);
    sandbox.run("cat /etc/secret").denied();
    let record = agent.record();
    assert_eq!(record.outcome, Outcome::Denied);
    assert_eq!((record.enforced, record.audited, record.count), (Some(0), None, 1));
    assert_eq!(record.act, Act::File { path: b"/etc/secret".to_vec(), operation: Read });
    assert_eq!(record.process.executable, b"/bin/busybox");
    assert_eq!(record.process.arguments, b"cat\0/etc/secret\0");
    assert_eq!(record.process.cwd, b"/");
    assert_eq!(record.cgroup, sandbox.scope.cgroup);
    sandbox.run("cat /etc/conf; ls /etc").allowed();
}

#[test]
fn no_other_name_of_the_file_escapes() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    sandbox.run("ln /etc/secret /tmp/before").allowed();
    agent.apply(&sandbox, vec![file(Block, &["/etc/secret", "/etc/keys/**"], &[Read])]);
    let attempts = [
        "cat /tmp/before",
        "ln /etc/secret /tmp/link && cat /tmp/link",
        "ln -s /etc/secret /tmp/symbolic && cat /tmp/symbolic",
        "cat /proc/self/root/etc/secret",
        "cat /proc/1/../self/cwd/etc/secret",
        "mkdir -p /tmp/bound && mount --bind /etc /tmp/bound && cat /tmp/bound/secret",
        "cat /tmp/bound/keys/one",
        "touch /tmp/onto && mount --bind /etc/keys/one /tmp/onto && cat /tmp/onto",
        "unshare -m /bin/cat /etc/keys/one",
        "unshare -m /bin/sh -c 'mkdir -p /tmp/m && mount --bind /etc/keys /tmp/m && cat /tmp/m/one'",
        "mkdir -p /tmp/jail && mount --bind / /tmp/jail && chroot /tmp/jail /bin/cat /etc/keys/one",
        "chroot /tmp/jail /bin/cat /etc/secret",
        "mv /etc/secret /tmp/moved && cat /tmp/moved",
    ];
    for attempt in attempts {
        let reply = sandbox.run(attempt);
        println!("{attempt}: {reply:?}");
        reply.denied();
    }
    sandbox.run("cat /tmp/plain").allowed();
}

#[test]
fn a_parent_that_is_renamed_does_not_free_an_exactly_ruled_file() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    sandbox.run("mkdir /etc/made && echo 'secret!' > /etc/made/file").allowed();
    agent.apply(&sandbox, vec![file(Block, &["/etc/made/file"], &[Read])]);
    sandbox.run("mv /etc/made /tmp/made && cat /tmp/made/file").denied();
}

#[test]
fn descriptors_without_a_permission_do_not_become_one() {
    if !available() {
        return;
    }
    let (mut agent, sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(&sandbox, vec![file(Block, &["/etc/secret", "/etc/keys/**"], &[Read])]);
    let reopen = || {
        let path = rustix::fs::open(c"/etc/secret", OFlags::PATH, Mode::empty())?;
        // The number is below ten hundred in a fresh process; formatted without allocation.
        let number = std::os::fd::AsRawFd::as_raw_fd(&path);
        let mut name = *b"/proc/self/fd/000\0";
        for (at, power) in [(14, 100), (15, 10), (16, 1)] {
            name[at] = b'0' + (number / power % 10) as u8;
        }
        let start = name.iter().rposition(|&byte| byte == b'/').unwrap_or(0) + 1;
        let zeros = name[start..16].iter().take_while(|&&byte| byte == b'0').count();
        name.copy_within(start + zeros.., start);
        rustix::fs::open(
            std::ffi::CStr::from_bytes_until_nul(&name).map_err(|_| rustix::io::Errno::INVAL)?,
            OFlags::RDONLY,
            Mode::empty(),
        )
        .map(drop)
    };
    assert_eq!(sandbox.act(reopen).unwrap_err().raw_os_error(), Some(libc::EPERM));
    let detached = || {
        use rustix::mount::{OpenTreeFlags, open_tree};
        let tree = open_tree(CWD, c"/etc/keys", OpenTreeFlags::OPEN_TREE_CLONE)?;
        rustix::fs::openat(tree, c"one", OFlags::RDONLY, Mode::empty()).map(drop)
    };
    assert_eq!(sandbox.act(detached).unwrap_err().raw_os_error(), Some(libc::EPERM));
    sandbox.act(|| rustix::fs::open(c"/etc/conf", OFlags::RDONLY, Mode::empty()).map(drop)).unwrap();
}

#[test]
fn reading_and_writing_are_told_apart() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(&sandbox, vec![file(Block, &["/etc/**"], &[Write, Create, Truncate])]);
    assert_eq!(sandbox.run("cat /etc/conf").allowed(), "secret!\n");
    sandbox.run("echo more >> /etc/conf").denied();
    sandbox.run("echo over > /etc/conf").denied();
    assert_eq!(sandbox.run("cat /etc/conf").allowed(), "secret!\n");
    sandbox.run("echo new > /etc/new").denied();
    assert_eq!(sandbox.run("cat /etc/new").allowed(), "", "it exists, and nothing was written");
    sandbox.run("echo free > /tmp/free && cat /tmp/free").allowed();
    let operations: Vec<_> = agent.records.try_iter().map(|record| record.act).collect();
    assert!(
        operations.contains(&Act::File { path: b"/etc/conf".to_vec(), operation: Write }),
        "{operations:?}"
    );
}

#[test]
fn an_open_whose_purpose_cannot_be_told_must_be_allowed_both() {
    if !available() {
        return;
    }
    let (mut agent, sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(&sandbox, vec![file(Block, &["/etc/conf"], &[Write])]);
    let openat2 = |path: &'static std::ffi::CStr| {
        move || rustix::fs::openat2(CWD, path, OFlags::RDONLY, Mode::empty(), ResolveFlags::empty()).map(drop)
    };
    assert_eq!(sandbox.act(openat2(c"/etc/conf")).unwrap_err().raw_os_error(), Some(libc::EPERM));
    sandbox.act(openat2(c"/etc/secret")).unwrap();
    sandbox.act(|| rustix::fs::open(c"/etc/conf", OFlags::RDONLY, Mode::empty()).map(drop)).unwrap();
}

#[test]
fn executing_a_file_is_not_reading_it() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(&sandbox, vec![file(Block, &["/bin/id"], &[Read])]);
    sandbox.run("/bin/id").allowed();
    sandbox.run("cat /bin/id").denied();
}

#[test]
fn an_alert_reports_and_lets_it_happen() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    let mut audited = file(Block, &["/etc/conf"], &[Read]);
    audited.enforced = false;
    agent.apply(&sandbox, vec![file(Alert, &["/etc/secret"], &[Read]), audited]);
    sandbox.run("cat /etc/secret").allowed();
    let record = agent.record();
    assert_eq!((record.outcome, record.enforced, record.audited), (Outcome::Allowed, Some(0), None));
    sandbox.run("cat /etc/conf").allowed();
    let record = agent.record();
    assert_eq!((record.outcome, record.enforced, record.audited), (Outcome::Allowed, None, Some(1)));
}

#[test]
fn the_reader_is_killed_before_it_reads() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(&sandbox, vec![file(KillProcess, &["/etc/secret"], &[Read])]);
    let reply = sandbox.run("cat /etc/secret");
    assert_eq!(reply.status, 128 + libc::SIGKILL, "{reply:?}");
    assert!(!reply.text.contains("secret!"));
    assert_eq!(agent.record().outcome, Outcome::Killed);
}

#[test]
fn the_node_and_the_runtime_are_never_refused() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(&sandbox, vec![file(Block, &["/etc/secret"], &[Read])]);
    let outside = format!("/proc/{}/root/etc/secret", sandbox.scope.init_pid);
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "secret!\n");
    sandbox.run("cat /etc/secret").denied();
    assert!(
        sandbox
            .run_in_shell("read line < /etc/secret; echo got $line")
            .ends_with("Operation not permitted\ngot\n")
    );
    agent.runtimes.add(sandbox.scope.init_pid);
    assert_eq!(sandbox.run_in_shell("read line < /etc/secret; echo got $line"), "got secret!\n");
    sandbox.run("cat /etc/secret").denied();
}

#[test]
fn files_on_volumes_are_watched_by_their_mount() {
    if !available() {
        return;
    }
    let mut sandbox = Sandbox::start_with(
        "mount --bind ../volume data; mount -t tmpfs tmpfs shm; echo 'secret!' > shm/secret",
    );
    let mut agent = Agent::start();
    agent.apply(&sandbox, vec![file(Block, &["/data/**", "/shm/secret"], &[Read])]);
    sandbox.run("cat /data/secret").denied();
    sandbox.run("cat /shm/secret").denied();
    sandbox.run("unshare -m /bin/sh -c 'mount --bind /shm /tmp && cat /tmp/secret'").denied();
    assert_eq!(agent.driver.weaknesses(sandbox.scope.cgroup).len(), 1);
    // The same file on the node.
    assert_eq!(std::fs::read_to_string(sandbox.directory.path().join("volume/secret")).unwrap(), "secret!\n");
}

#[test]
fn a_file_that_was_left_alone_is_watched_once_it_gets_a_ruled_name() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(&sandbox, vec![file(Block, &["/etc/keys/**"], &[Read])]);
    sandbox.run("echo 'secret!' > /tmp/own; cat /tmp/own; cat /tmp/own; mv /tmp/own /etc/keys/own").allowed();
    // The notice of the new name is on its way while the first of these may still pass.
    let passed = (0..1000).take_while(|_| sandbox.run("cat /etc/keys/own").status == 0).count();
    assert!(passed < 10, "{passed}");
}
