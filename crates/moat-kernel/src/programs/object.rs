//! The loaded kernel object: its programs and maps by name.

use std::io;
use std::time::Duration;

use libbpf_rs::{Link, MapCore, MapHandle, Object, ObjectBuilder, OpenObject, PrintLevel, ProgramMut};

use super::LoadError;
use super::layout::Settings;

/// Aligned as ELF readers want it.
#[repr(align(8))]
pub(crate) struct Aligned<T: ?Sized>(pub(crate) T);

pub(crate) static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/moat.bpf.o")));

/// The kernel's programs and maps. Dropping it detaches and frees all of them: nothing is pinned.
pub(crate) struct Loaded {
    object: Object,
    programs: Vec<&'static str>,
}

impl Loaded {
    /// Loads the named programs into the kernel; attaches none.
    pub fn load(programs: &[&'static str], settings: Settings) -> Result<Loaded, LoadError> {
        // What libbpf has to say goes to our log, not to the terminal of whoever runs the agent.
        libbpf_rs::set_print(Some((PrintLevel::Warn, |_, text| tracing::debug!(libbpf = text.trim_end()))));
        let mut open = ObjectBuilder::default().name("moat")?.open_memory(&OBJECT.0)?;
        let bytes = settings.bytes();
        for mut map in open.maps_mut() {
            if map.name().to_string_lossy().ends_with(".rodata")
                && let Some(value) = map.initial_value_mut()
                && let Some(first) = value.first_chunk_mut()
            {
                *first = bytes;
            }
        }
        choose(&mut open, programs)?;
        Ok(Loaded { object: open.load()?, programs: programs.to_vec() })
    }

    /// Names of the loaded programs.
    pub fn programs(&self) -> &[&'static str] {
        &self.programs
    }

    /// A handle on a map of its own.
    pub fn map(&self, name: &'static str) -> Result<MapHandle, LoadError> {
        let map = self
            .object
            .maps()
            .find(|map| map.name() == name)
            .ok_or(LoadError::Missing { kind: "map", name })?;
        Ok(MapHandle::try_from(&map)?)
    }

    /// Ids of all maps.
    pub fn map_ids(&self) -> Result<Vec<u32>, LoadError> {
        let id = |map: libbpf_rs::Map<'_>| Ok(map.info()?.info.id);
        self.object.maps().map(id).collect()
    }

    fn program(&mut self, name: &'static str) -> Result<ProgramMut<'_>, LoadError> {
        self.object
            .progs_mut()
            .find(|program| program.name() == name)
            .ok_or(LoadError::Missing { kind: "program", name })
    }

    /// Attaches a tracepoint program.
    pub fn attach(&mut self, name: &'static str) -> Result<Link, LoadError> {
        Ok(self.program(name)?.attach()?)
    }

    /// Attaches a program to one cgroup directory.
    pub fn attach_cgroup(
        &mut self,
        name: &'static str,
        directory: &std::fs::File,
    ) -> Result<Link, LoadError> {
        use std::os::fd::AsRawFd;
        Ok(self.program(name)?.attach_cgroup(directory.as_raw_fd())?)
    }
}

/// Only these programs are to be loaded, and what they need.
pub(crate) fn choose(open: &mut OpenObject, programs: &[&str]) -> Result<(), libbpf_rs::Error> {
    for mut program in open.progs_mut() {
        let wanted = programs.iter().any(|name| program.name() == *name);
        program.set_autoload(wanted);
    }
    if !programs.iter().any(|name| name.starts_with("moat_lsm_")) {
        for mut map in open.maps_mut() {
            // Of a kind that only kernels with BPF LSM know.
            if map.name() == "known_files" {
                map.set_autocreate(false)?;
            }
        }
    }
    Ok(())
}

/// Loads the programs with all that this kernel allows them.
pub(crate) fn load(programs: &[&'static str], settings: Settings) -> Result<Loaded, LoadError> {
    let signalling = Settings { signals_from_cgroups: true, ..settings };
    Loaded::load(programs, signalling).or_else(|_| Loaded::load(programs, settings))
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").finish_non_exhaustive()
    }
}

/// How long a reader of a ring waits before it looks at its stop flag again.
pub(crate) const RING_POLL: Duration = Duration::from_secs(1);

/// libbpf's errors as the operating system's.
pub(crate) fn io_error(error: &libbpf_rs::Error) -> io::Error {
    io::Error::other(error.to_string())
}
