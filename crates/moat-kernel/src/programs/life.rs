//! The agent's signs of life (`struct agent`): the programs make a start wait only while they are fresh.

use std::path::Path;

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use rustix::time::{ClockId, clock_gettime};

use super::object::io_error;

const KEY: [u8; 4] = [0; 4];
/// `beat` and `waits`, before the counters.
const HEAD: usize = 16;

#[derive(Debug)]
pub(super) struct Life {
    map: MapHandle,
    /// Of each counter, what agents have told of.
    told: Vec<u64>,
    ended: bool,
}

impl Life {
    /// Takes over what the agent before us had told; nothing where there was none.
    pub fn new(map: MapHandle) -> Result<Life, libbpf_rs::Error> {
        let value = map.lookup(&KEY, MapFlags::ANY)?.unwrap_or_default();
        let told = value.get(HEAD..).unwrap_or_default();
        let told = told.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect();
        Ok(Life { map, told, ended: false })
    }

    /// Of an agent that has pinned its maps there.
    pub fn open(maps: &Path) -> Result<Life, libbpf_rs::Error> {
        Life::new(MapHandle::from_pinned_path(maps.join("agent"))?)
    }

    pub fn told(&self, counter: u32) -> u64 {
        self.told.get(counter as usize).copied().unwrap_or_default()
    }

    pub fn tell(&mut self, counter: u32, count: u64) {
        if let Some(told) = self.told.get_mut(counter as usize) {
            *told = count;
        }
    }

    pub fn beat(&self) {
        if !self.ended {
            self.write(true);
        }
    }

    /// From now on no start waits.
    pub fn end(&mut self) {
        self.ended = true;
        self.write(false);
    }

    fn write(&self, waits: bool) {
        let mut value = Vec::with_capacity(HEAD + self.told.len() * 8);
        value.extend(now().to_ne_bytes());
        value.extend(u64::from(waits).to_ne_bytes());
        value.extend(self.told.iter().flat_map(|count| count.to_ne_bytes()));
        if let Err(error) = self.map.update(&KEY, &value, MapFlags::ANY) {
            tracing::error!(error = %io_error(&error), "the programs are not told that the agent lives");
        }
    }
}

/// The clock of `bpf_ktime_get_ns`.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
