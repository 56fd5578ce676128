//! The command line's program; all of it is in the library beside it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    moat::run(std::env::args_os())
}
