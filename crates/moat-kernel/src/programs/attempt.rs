//! Loads programs only to see whether this kernel takes them.

use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd};

use libbpf_rs::ObjectBuilder;

use super::layout::Settings;
use super::object::{OBJECT, prepare};

/// Loads the named programs and lets them go again.
pub(crate) fn try_programs(names: &[&str], settings: Settings) -> Result<(), String> {
    let attempt = || -> Result<(), libbpf_rs::Error> {
        libbpf_rs::set_print(None);
        let mut open = ObjectBuilder::default().name("moat_probe")?.open_memory(&OBJECT.0)?;
        prepare(&mut open, names, settings)?;
        open.load().map(drop)
    };
    attempt().map_err(|error| {
        format!("the kernel refuses the program ({error}): it needs 5.15 or later with BTF, and CAP_BPF with CAP_PERFMON")
    })
}

/// The number by which this kernel knows a hook of the LSM.
fn lsm_hook(name: &CStr) -> Option<u32> {
    // SAFETY: the name is a C string that outlives the call; libbpf copies what it needs.
    let id = unsafe { libbpf_sys::libbpf_find_vmlinux_btf_id(name.as_ptr(), libbpf_sys::BPF_LSM_MAC) };
    u32::try_from(id).ok().filter(|id| *id > 0)
}

/// Loads a program of two instructions at a hook of the LSM.
pub(crate) fn try_lsm() -> Result<(), String> {
    // mov r0, 0; exit
    const PROGRAM: [u64; 2] = [0xb7, 0x95];
    let Some(attach_btf_id) = lsm_hook(c"file_open") else {
        return Err(String::from(
            "the kernel's BTF has no LSM hooks: it needs CONFIG_BPF_LSM and CONFIG_DEBUG_INFO_BTF",
        ));
    };
    let mut options = libbpf_sys::bpf_prog_load_opts {
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as libbpf_sys::size_t,
        expected_attach_type: libbpf_sys::BPF_LSM_MAC,
        attach_btf_id,
        ..Default::default()
    };
    // SAFETY: the instructions are two, as said, and everything pointed to outlives the call.
    let descriptor = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_LSM,
            c"moat_probe".as_ptr(),
            c"GPL".as_ptr(),
            PROGRAM.as_ptr().cast(),
            PROGRAM.len() as libbpf_sys::size_t,
            &raw mut options,
        )
    };
    if descriptor < 0 {
        let error = std::io::Error::from_raw_os_error(-descriptor);
        return Err(format!(
            "the kernel refuses LSM programs ({error}): boot with `bpf` in the `lsm=` list of a kernel that allows them"
        ));
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    Ok(())
}

/// Whether the layout of overlayfs' inodes is known, so that an upper-layer file can be told from the image's.
pub(crate) fn overlay_layout_known() -> bool {
    let known = |btf: Result<libbpf_rs::btf::Btf<'_>, libbpf_rs::Error>| {
        btf.is_ok_and(|btf| btf.type_by_name::<libbpf_rs::btf::types::Struct<'_>>("ovl_inode").is_some())
    };
    known(libbpf_rs::btf::Btf::from_vmlinux()) || std::path::Path::new("/sys/kernel/btf/overlay").exists()
}
