//! Which cgroups are in scope: the containers' own, and those that containers make for themselves.
//!
//! Every program first looks at one cell of an array, picked by the low bits of the acting task's cgroup: where it
//! is 0, no known cgroup has those bits. The programs count nested cgroups there as they come and go; this module
//! counts containers, and what was nested before they were known.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use rustix::mm::{MapFlags as Mapping, ProtFlags, mmap, munmap};

/// `SCOPE_CELLS`.
const CELLS: usize = 1 << 16;
const BYTES: usize = CELLS * size_of::<AtomicU64>();

/// The cells, shared with the programs.
#[derive(Debug)]
struct Cells(NonNull<AtomicU64>);

// SAFETY: the memory is only ever touched by atomic operations, and stays mapped as long as this lives.
unsafe impl Send for Cells {}

impl Cells {
    fn of(map: &MapHandle) -> io::Result<Cells> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice; the array has exactly these bytes.
        let start =
            unsafe { mmap(std::ptr::null_mut(), BYTES, protection, Mapping::SHARED, map.as_fd(), 0) }?;
        NonNull::new(start.cast()).map(Cells).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn cell(&self, cgroup: u64) -> &AtomicU64 {
        // SAFETY: the index is below CELLS, and the mapping lives as long as `self`.
        unsafe { self.0.add(cgroup as usize % CELLS).as_ref() }
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        // SAFETY: mapped by `of` with this length; nothing refers to it any more.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), BYTES) };
    }
}

/// The cgroups in scope.
#[derive(Debug)]
pub(super) struct Scope {
    cells: Cells,
    nested: MapHandle,
    counted: HashSet<u64>,
}

impl Scope {
    pub fn new(cells: &MapHandle, nested: MapHandle) -> io::Result<Scope> {
        Ok(Scope { cells: Cells::of(cells)?, nested, counted: HashSet::new() })
    }

    /// The cgroup is about to be known as a container's.
    pub fn enter(&mut self, cgroup: u64) {
        if self.counted.insert(cgroup) {
            self.cells.cell(cgroup).fetch_add(1, Ordering::SeqCst);
        }
    }

    /// An agent before us has entered the cgroup, and its count still stands.
    pub fn resume(&mut self, cgroup: u64) {
        self.counted.insert(cgroup);
    }

    /// The cgroups that were made in the container's before it was known. From when it is, the programs see them
    /// being made.
    pub fn adopt(&self, cgroup: u64, directory: &Path) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let Ok(metadata) = entry.metadata() else { continue };
            let own = metadata.ino();
            let added = self.nested.update(&own.to_ne_bytes(), &cgroup.to_ne_bytes(), MapFlags::NO_EXIST);
            if added.is_ok() {
                self.cells.cell(own).fetch_add(1, Ordering::SeqCst);
            }
            self.adopt(cgroup, &entry.path());
        }
    }

    /// The container is gone, and with it whatever was nested.
    pub fn leave(&mut self, cgroup: u64) {
        let nested: Vec<Vec<u8>> = self.nested.keys().collect();
        for key in nested {
            let owner = self.nested.lookup(&key, MapFlags::ANY).ok().flatten();
            if owner.is_some_and(|owner| owner == cgroup.to_ne_bytes())
                && let Ok(own) = <[u8; 8]>::try_from(key.as_slice())
                && self.nested.delete(&key).is_ok()
            {
                self.cells.cell(u64::from_ne_bytes(own)).fetch_sub(1, Ordering::SeqCst);
            }
        }
        if self.counted.remove(&cgroup) {
            self.cells.cell(cgroup).fetch_sub(1, Ordering::SeqCst);
        }
    }
}
