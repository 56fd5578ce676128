//! Cases that come to harm, for the test of the bench itself (`tests/bench.rs`): no part of [`super::all`].

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Case, cases, skip};
use crate::container::Container;

pub fn cases() -> Vec<Case> {
    let mut cases = cases!("trouble": fails, panics, is_skipped, ends_its_process, works, ends_its_guest);
    cases.push(Case::new("trouble", "hangs", hangs).within(Duration::from_secs(3)));
    cases
}

fn fails() -> Result<()> {
    bail!("as it was told")
}

fn panics() -> Result<()> {
    panic!("as it was told")
}

fn is_skipped() -> Result<()> {
    skip("as it was told")
}

/// Leaves a container that nobody removes.
fn ends_its_process() -> Result<()> {
    let _left = Container::start("left")?;
    std::process::abort()
}

fn hangs() -> Result<()> {
    let _left = Container::start("left")?;
    loop {
        std::thread::park();
    }
}

/// What the others have left is gone.
fn works() -> Result<()> {
    Container::start("left").map(drop)
}

fn ends_its_guest() -> Result<()> {
    fs::write("/proc/sysrq-trigger", "c").context("the kernel does not panic on demand")
}
