//! Which of the object's LSM programs this kernel takes: kernels differ in the hooks that they have, and in what their
//! verifiers prove. Every program in a section `lsm/HOOK` counts, whoever wrote it.

use std::sync::OnceLock;

use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::Func;

use super::LoadError;
use super::attempt::try_programs;
use super::layout::Settings;
use super::object::{self, Loaded};
use super::pins::Pins;

/// An LSM program of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feature {
    pub program: &'static str,
    pub hook: &'static str,
}

/// All of the object, read once.
pub(super) fn all() -> Result<&'static [Feature], LoadError> {
    static ALL: OnceLock<Vec<(String, String)>> = OnceLock::new();
    static FEATURES: OnceLock<Vec<Feature>> = OnceLock::new();
    let object = object::open("moat")?;
    let names = ALL.get_or_init(|| {
        let hook = |section: &str| {
            Some(section.strip_prefix("lsm/").or_else(|| section.strip_prefix("lsm.s/"))?.to_owned())
        };
        let programs = object.progs().filter_map(|program| {
            let hook = hook(&program.section().to_string_lossy())?;
            Some((program.name().to_string_lossy().into_owned(), hook))
        });
        programs.collect()
    });
    Ok(FEATURES.get_or_init(|| names.iter().map(|(program, hook)| Feature { program, hook }).collect()))
}

/// A feature that this kernel is without, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    pub feature: Feature,
    pub why: String,
}

/// What this kernel takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Features {
    pub present: Vec<Feature>,
    pub missing: Vec<Missing>,
    /// Not used unless what they stand in for is refused.
    substitutes: Vec<Feature>,
}

/// Programs that kernels may refuse, and others that do nearly the same by another hook. Owners come in structures by
/// value, which programs can read from 6.0 on.
const SUBSTITUTES: &[(&str, &str)] = &[("moat_lsm_chown", "moat_lsm_set_owner")];

impl Features {
    /// Those whose hooks the kernel has, as its type information tells; nothing is tried.
    pub fn listed() -> Result<Features, LoadError> {
        // Once for all hooks: it is some megabytes. The kernel has a function for every hook that it was built with.
        let types = Btf::from_vmlinux()?;
        let has_hook = |hook: &str| types.type_by_name::<Func<'_>>(&format!("bpf_lsm_{hook}")).is_some();
        let mut features = Features::default();
        for feature in all()? {
            let hook = feature.hook;
            if SUBSTITUTES.iter().any(|(_, substitute)| feature.program == *substitute) {
                features.substitutes.push(*feature);
            } else if has_hook(hook) {
                features.present.push(*feature);
            } else {
                let why = format!("this kernel has no hook {hook}: {}", how_to_get(hook));
                features.missing.push(Missing { feature: *feature, why });
            }
        }
        Ok(features)
    }

    /// Loads those that are present with the `other` programs. One that the kernel refuses is left out, unless it is
    /// among the `required`.
    pub fn load(
        &mut self,
        required: &[&str],
        other: &[&'static str],
        settings: Settings,
        pins: Option<&Pins>,
    ) -> Result<Loaded, LoadError> {
        let error = match object::load(&self.with(other), settings, pins) {
            Ok(loaded) => return Ok(loaded),
            Err(error) => error,
        };
        let mut refused = Vec::new();
        find_refused(&self.present, settings, &mut refused);
        for missing in &refused {
            if required.contains(&missing.feature.program) {
                return Err(LoadError::Refused(format!("{}: {}", missing.feature.program, missing.why)));
            }
        }
        if refused.is_empty() {
            return Err(error);
        }
        self.present.retain(|feature| refused.iter().all(|missing| missing.feature != *feature));
        for Missing { feature, .. } in &refused {
            let substitute = SUBSTITUTES.iter().find(|(program, _)| feature.program == *program);
            let is_it = |other: &mut Feature| substitute.is_some_and(|(_, name)| other.program == *name);
            self.present.extend(self.substitutes.extract_if(.., is_it));
        }
        self.missing.extend(refused);
        object::load(&self.with(other), settings, pins)
    }

    pub fn programs(&self) -> Vec<&'static str> {
        self.present.iter().map(|feature| feature.program).collect()
    }

    fn with(&self, other: &[&'static str]) -> Vec<&'static str> {
        [self.programs().as_slice(), other].concat()
    }
}

/// Which of these the kernel refuses. Checking takes it seconds, and opening the object once more does too: halves that
/// load are done with.
fn find_refused(features: &[Feature], settings: Settings, refused: &mut Vec<Missing>) {
    let programs: Vec<&str> = features.iter().map(|feature| feature.program).collect();
    match (try_programs(&programs, settings), features) {
        (Ok(()), _) | (_, []) => {}
        (Err(why), [feature]) => refused.push(Missing { feature: *feature, why }),
        (Err(_), _) => {
            let (before, after) = features.split_at(features.len() / 2);
            find_refused(before, settings, refused);
            find_refused(after, settings, refused);
        }
    }
}

/// What a kernel needs for a hook (`include/linux/lsm_hook_defs.h`, by release).
fn how_to_get(hook: &str) -> &'static str {
    match hook {
        "file_truncate" => "it came with Linux 6.2",
        "userns_create" => "it came with Linux 6.1",
        "uring_override_creds" | "uring_sqpoll" => {
            "it came with Linux 5.16, for kernels with CONFIG_IO_URING"
        }
        "uring_cmd" => "it came with Linux 6.0, for kernels with CONFIG_IO_URING",
        "uring_allowed" => "it came with Linux 6.15",
        "bdev_setintegrity" => "it came with Linux 6.12",
        _ if hook.starts_with("path_") => "it needs CONFIG_SECURITY_PATH",
        _ if hook.starts_with("socket_") => "it needs CONFIG_SECURITY_NETWORK",
        _ if hook.starts_with("key_") => "it needs CONFIG_KEYS",
        _ if hook.starts_with("perf_event_") => "it needs CONFIG_PERF_EVENTS",
        _ => "a newer kernel may have it",
    }
}
