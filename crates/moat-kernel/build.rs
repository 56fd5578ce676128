//! Compiles the kernel programs; the object is embedded by `src/programs/object.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use libbpf_cargo::SkeletonBuilder;

const SOURCE: &str = "bpf/moat.bpf.c";

fn main() {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-env-changed=MOAT_CLANG");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let Some(clang) = clang() else {
        panic!("no clang found: install clang-19 (`make setup` does), or name one in MOAT_CLANG");
    };
    SkeletonBuilder::new()
        .source(SOURCE)
        .obj(out.join("moat.bpf.o"))
        .clang(clang)
        .clang_args(["-Wall", "-Werror", "-Wno-unused-parameter", "-mcpu=v3"])
        .build()
        .unwrap_or_else(|error| panic!("{SOURCE} does not compile: {error:?}"));
}

/// The compiler named in `MOAT_CLANG`, else the newest known to compile every program.
fn clang() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("MOAT_CLANG") {
        return Some(PathBuf::from(named));
    }
    ["clang-19", "clang", "clang-16"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()))
        .map(|name| Path::new(name).to_path_buf())
}
