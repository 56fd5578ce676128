//! What every other suite takes for granted.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};

use super::{Case, Machine, cases};
use crate::container::Container;

pub fn cases() -> Vec<Case> {
    let mut cases = cases!("boot": bpf_is_a_security_module, types_are_known, overlay_types_are_known, containers_are_apart);
    cases.push(Case::new("boot", "there_are_two_processors", there_are_two_processors).on(Machine::Parallel));
    cases.push(
        Case::new("boot", "a_loop_costs_the_same_twice", a_loop_costs_the_same_twice).on(Machine::Counting),
    );
    cases
}

fn bpf_is_a_security_module() -> Result<()> {
    let modules = fs::read_to_string("/sys/kernel/security/lsm").context("no list of security modules")?;
    assert!(modules.split(',').any(|module| module == "bpf"), "{modules}");
    let capabilities = moat_kernel::probe();
    let lsm = capabilities.entries.iter().find(|entry| entry.name == moat_kernel::capability::name::LSM);
    let lsm = lsm.context("the probe says nothing of LSM programs")?;
    assert!(lsm.available, "{}", lsm.detail);
    Ok(())
}

fn types_are_known() -> Result<()> {
    assert!(fs::metadata("/sys/kernel/btf/vmlinux")?.len() > 1 << 20);
    Ok(())
}

fn overlay_types_are_known() -> Result<()> {
    fs::metadata("/sys/kernel/btf/overlay").map(drop).context("the module's types are not known")
}

/// A process entered into a container has its cgroup, its processes and its files, and leaves its marks where the case
/// can see them.
fn containers_are_apart() -> Result<()> {
    let container = Container::start("apart")?;
    let shell = container.run(&["/bin/sh", "-c", "cat /proc/self/cgroup; ls /; cat /etc/secret; echo $$"])?;
    assert_eq!(shell.status, Some(0), "{shell:?}");
    let lines: Vec<&str> = shell.output.lines().collect();
    assert_eq!(lines.first(), Some(&"0::/moat/apart"), "{shell:?}");
    assert!(lines.contains(&"secret!") && !lines.contains(&"image"), "{shell:?}");
    assert!(lines.last().is_some_and(|pid| pid.parse().is_ok_and(|pid: u32| pid < 10)), "{shell:?}");

    for program in ["/usr/bin/mark", "/usr/bin/marked-dynamic", "/usr/bin/script.sh"] {
        assert!(!container.mark("ran").exists());
        let ended = container.run(&[program])?;
        assert_eq!(ended.status, Some(0), "{program}: {ended:?}");
        fs::remove_file(container.mark("ran")).with_context(|| format!("{program} left no mark"))?;
    }

    let absent = container.run(&["/usr/bin/absent"])?;
    assert_eq!(absent.errno, Some(rustix::io::Errno::NOENT.raw_os_error()), "{absent:?}");
    let killed = container.run(&["/bin/sh", "-c", "kill -9 $$"])?;
    assert_eq!(killed.signal, Some(9), "{killed:?}");
    let failed = container.run(&["/bin/sh", "-c", "exit 3"])?;
    assert_eq!(failed.status, Some(3), "{failed:?}");
    Ok(())
}

fn there_are_two_processors() -> Result<()> {
    assert_eq!(std::thread::available_parallelism()?.get(), 2);
    Ok(())
}

/// The clock counts instructions: nothing but an interrupt within the loop makes a difference.
fn a_loop_costs_the_same_twice() -> Result<()> {
    let cost = || {
        let begin = Instant::now();
        (0..10_000_u32).for_each(|number| {
            std::hint::black_box(number);
        });
        begin.elapsed().as_nanos()
    };
    let least = |costs: [u128; 20]| costs.into_iter().min().context("no costs");
    let (once, again) = (least([(); 20].map(|()| cost()))?, least([(); 20].map(|()| cost()))?);
    assert!(once.abs_diff(again) <= once / 100, "{once} ns, then {again} ns");
    Ok(())
}
