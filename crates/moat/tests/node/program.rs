//! Small static programs for containers, compiled on the spot.

use std::path::Path;
use std::process::Command;

/// Compiles `programs/SOURCE` with the host's `gcc` and returns the program.
pub fn compile(source: &str, flags: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/programs").join(source);
    let output =
        Command::new("gcc").arg("-static").args(flags).arg("-o").arg(&program).arg(source).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(program).unwrap()
}
