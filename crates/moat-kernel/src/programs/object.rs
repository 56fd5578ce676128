//! The loaded kernel object: its programs and maps by name.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use libbpf_rs::{
    Link, MapCore, MapHandle, MapType, Object, ObjectBuilder, OpenMap, OpenObject, PrintLevel, ProgramMut,
};

use super::LoadError;
use super::layout::Settings;
use super::pins::{Attachment, Pins, fingerprint};

/// Aligned as ELF readers want it.
#[repr(align(8))]
pub(crate) struct Aligned<T: ?Sized>(pub(crate) T);

pub(crate) static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/moat.bpf.o")));

/// Of a kind that only kernels with BPF LSM know.
const KNOWN_FILES: &str = "known_files";
/// What loops go through where the kernel has no `bpf_loop`.
const LOOP_STEPS: &str = "loop_steps";
/// `LOOP_STEPS` in `bpf/loop.h`.
pub(crate) const LONGEST_LOOP: usize = 1 << 17;

/// What the maps are called that only programs that observe use, and these programs.
const OBSERVING: &str = "observ";
const OBSERVERS: &str = "moat_observe_";

fn know_files(programs: &[&str]) -> bool {
    programs.iter().any(|name| name.starts_with("moat_lsm_"))
}

/// Opens the object; nothing is in the kernel yet.
pub(super) fn open(name: &str) -> Result<OpenObject, libbpf_rs::Error> {
    // What libbpf has to say goes to our log, not to the terminal of whoever runs the agent.
    libbpf_rs::set_print(Some((PrintLevel::Warn, |_, text| tracing::debug!(libbpf = text.trim_end()))));
    ObjectBuilder::default().name(name)?.open_memory(&OBJECT.0)
}

/// Whether agents share the map where it is pinned. Settings are each agent's own; so are buffers, which hold
/// nothing between two acts, what is only remembered with files or for an agent, and what holds nothing at all.
fn is_shared(map: &OpenMap<'_>) -> bool {
    let name = map.name().to_string_lossy();
    match map.map_type() {
        MapType::InodeStorage => false,
        MapType::PercpuArray => name == "counters",
        _ => !name.ends_with(".rodata") && name != LOOP_STEPS && !name.starts_with(OBSERVING),
    }
}

/// The kernel's programs and maps. Dropping it detaches and frees all of them but what is pinned.
pub(crate) struct Loaded {
    object: Object,
    programs: Vec<&'static str>,
    longest_loop: Option<usize>,
}

impl Loaded {
    /// Loads the named programs into the kernel, over the maps that are pinned and pinning those that are not;
    /// attaches none.
    pub fn load(
        programs: &[&'static str],
        settings: Settings,
        pins: Option<&Pins>,
    ) -> Result<Loaded, LoadError> {
        let mut open = open("moat")?;
        let settings = prepare(&mut open, programs, settings)?;
        for mut map in open.maps_mut() {
            if let Some(pins) = pins
                && is_shared(&map)
            {
                map.set_pin_path(pins.map(&map.name().to_string_lossy()))?;
            }
        }
        let longest_loop = settings.without_loop.then_some(LONGEST_LOOP);
        Ok(Loaded { object: open.load()?, programs: programs.to_vec(), longest_loop })
    }

    /// How often programs go through a loop at most, where there is a limit.
    pub fn longest_loop(&self) -> Option<usize> {
        self.longest_loop
    }

    /// Names of the loaded programs.
    pub fn programs(&self) -> &[&'static str] {
        &self.programs
    }

    /// A handle on a map of its own.
    pub fn map(&self, name: &str) -> Result<MapHandle, LoadError> {
        let map = self
            .object
            .maps()
            .find(|map| map.name() == name)
            .ok_or_else(|| LoadError::Missing { kind: "map", name: name.to_owned() })?;
        Ok(MapHandle::try_from(&map)?)
    }

    /// Ids of all maps that were made: some kinds only where a program needs them.
    pub fn map_ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.object.maps().filter_map(|map| Some(map.info().ok()?.info.id))
    }

    fn program(&mut self, name: &str) -> Result<ProgramMut<'_>, LoadError> {
        self.object
            .progs_mut()
            .find(|program| program.name() == name)
            .ok_or_else(|| LoadError::Missing { kind: "program", name: name.to_owned() })
    }

    /// Attaches a program to the hook that it is written for.
    pub fn attach(&mut self, pins: Option<&mut Pins>, name: &str) -> Result<Attachment, LoadError> {
        let link = self.program(name)?.attach()?;
        Ok(match pins {
            Some(pins) => pins.pin(link, name, None)?,
            None => link.into(),
        })
    }

    /// Runs a program here and now.
    pub fn run(&mut self, name: &str) -> Result<(), LoadError> {
        self.program(name)?.test_run(libbpf_rs::ProgramInput::default())?;
        Ok(())
    }

    /// Attaches a program to one cgroup directory.
    pub fn attach_cgroup(&mut self, name: &str, directory: &std::fs::File) -> Result<Link, LoadError> {
        use std::os::fd::AsRawFd;
        Ok(self.program(name)?.attach_cgroup(directory.as_raw_fd())?)
    }
}

/// Only these programs are to be loaded, and what they need. The settings as this kernel allows them.
pub(crate) fn prepare(
    open: &mut OpenObject,
    programs: &[&str],
    settings: Settings,
) -> Result<Settings, libbpf_rs::Error> {
    let settings = Settings { without_loop: settings.without_loop || !has_loop(), ..settings };
    let observe = programs.iter().any(|name| name.starts_with(OBSERVERS));
    for mut map in open.maps_mut() {
        if map.name() == KNOWN_FILES && !know_files(programs)
            || map.name() == LOOP_STEPS && !settings.without_loop
            || map.name().to_string_lossy().starts_with(OBSERVING) && !observe
        {
            map.set_autocreate(false)?;
        }
        if map.name().to_string_lossy().ends_with(".rodata")
            && let Some(value) = map.initial_value_mut()
            && let Some(first) = value.first_chunk_mut()
        {
            *first = settings.bytes();
        }
    }
    for mut program in open.progs_mut() {
        let wanted = programs.iter().any(|name| program.name() == *name);
        program.set_autoload(wanted);
    }
    Ok(settings)
}

/// Whether the kernel has `bpf_loop`: it came with 5.17, and distributions have put it into older ones.
pub(crate) fn has_loop() -> bool {
    static HAS_LOOP: OnceLock<bool> = OnceLock::new();
    *HAS_LOOP.get_or_init(|| {
        let kind = libbpf_sys::BPF_PROG_TYPE_CGROUP_SKB;
        // SAFETY: it loads a program of three instructions and lets it go; no options are given.
        unsafe { libbpf_sys::libbpf_probe_bpf_helper(kind, libbpf_sys::BPF_FUNC_loop, std::ptr::null()) == 1 }
    })
}

/// What the shared maps are and mean: an agent can take over those of an agent that says the same of its own.
pub(crate) fn layout() -> Result<u64, LoadError> {
    let object = open("moat")?;
    let shapes = object.maps().filter(is_shared).map(|map| {
        let shape =
            [map.map_type() as u32, map.key_size(), map.value_size(), map.max_entries(), map.map_flags()];
        format!("{} {shape:?}", map.name().display()).into_bytes()
    });
    let shapes: Vec<_> = shapes.collect();
    let meaning = [include_bytes!("../../bpf/maps.h").as_slice(), include_bytes!("../../bpf/scope.h")];
    Ok(fingerprint(meaning.into_iter().chain(shapes.iter().map(Vec::as_slice))))
}

/// Loads the programs with all that this kernel allows them.
pub(crate) fn load(
    programs: &[&'static str],
    settings: Settings,
    pins: Option<&Pins>,
) -> Result<Loaded, LoadError> {
    let signalling = Settings { signals_from_cgroups: true, ..settings };
    // One program tells, and checking all of them takes the kernel seconds.
    let signals = programs.contains(&SIGNALS) && Loaded::load(&[SIGNALS], signalling, None).is_ok();
    Loaded::load(programs, if signals { signalling } else { settings }, pins)
}

/// A program of cgroups that sends a signal where it may.
const SIGNALS: &str = "moat_connect4";

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
