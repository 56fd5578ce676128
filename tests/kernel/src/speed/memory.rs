//! The kernel's memory that one container's rules take.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result};
use libbpf_rs::MapHandle;
use libbpf_rs::query::MapInfoIter;
use serde::{Deserialize, Serialize};

use super::State;
use super::acts::Stage;

/// Bytes, as the kernel counts those of maps (`memlock` in `/proc/self/fdinfo`, from 6.4 on by what is in them), and by
/// what the slabs grew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub maps: i64,
    pub slabs: i64,
}

pub const RULES: u32 = 50;

/// What 100 rules take: [`RULES`] on files, and as many on programs.
pub fn measure() -> Result<Memory> {
    let stage = Stage::set("memory")?;
    stage.attach()?;
    stage.apply(State::Rules(0))?;
    let before = now()?;
    stage.apply(State::Rules(RULES))?;
    let after = now()?;
    Ok(Memory { maps: after.maps - before.maps, slabs: after.slabs - before.slabs })
}

fn now() -> Result<Memory> {
    let mut maps = 0;
    for info in MapInfoIter::default() {
        let map = MapHandle::from_map_id(info.id)?;
        let path = format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd());
        maps += number(&fs::read_to_string(&path)?, "memlock:")
            .with_context(|| format!("{path} has no memlock"))?;
    }
    let memory = fs::read_to_string("/proc/meminfo")?;
    let slabs =
        ["Slab:", "VmallocUsed:"].iter().map(|field| number(&memory, field).unwrap_or_default() * 1024);
    Ok(Memory { maps, slabs: slabs.sum() })
}

fn number(text: &str, field: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}
