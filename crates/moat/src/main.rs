use std::process::ExitCode;

fn main() -> ExitCode {
    moat::run(std::env::args_os())
}
