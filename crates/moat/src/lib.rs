//! Moat's command line. Talks to the agent over its control socket; nothing here needs privileges except
//! `moat up`, which starts the agent as its child.
//!
//! [`run`] does everything; a command is a module with one function that prints and returns an [`Outcome`].
#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod cleanup;
mod config;
mod console;
mod containers;
mod doctor;
mod enforcer;
mod events;
mod output;
mod policy;
mod status;
mod up;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};

use arguments::{Arguments, BenchCommand, Command, PolicyCommand};
use config::Config;

/// How a command ended, for the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Exit status 0.
    Ok,
    /// Exit status 1: it worked, and what was asked about is not well, or was refused.
    Finding,
}

/// Runs one command line; 2 where it is wrong, where no agent answers, or where the work could not be done.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors to clap, and go to standard output.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    arguments.color.write_global();
    match execute(arguments) {
        Ok(Outcome::Ok) => ExitCode::SUCCESS,
        Ok(Outcome::Finding) => ExitCode::from(1),
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

/// 1 where the agent understood and refused, else 2.
fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(moat_wire::control::ClientError::Refused(_)) => 1,
        _ => 2,
    }
}

fn execute(arguments: Arguments) -> anyhow::Result<Outcome> {
    if let Command::Completions { shell } = arguments.command {
        let mut script = Vec::new();
        clap_complete::generate(
            clap_complete::Shell::from(shell),
            &mut Arguments::command(),
            "moat",
            &mut script,
        );
        output::raw(&script)?;
        return Ok(Outcome::Ok);
    }
    if let Command::Console(options) = &arguments.command {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("the event loop cannot be started")?;
        return runtime.block_on(console::run(options, arguments.json));
    }
    let config = Config::load(&arguments)?;
    // The thread that starts the agent must live as long as the agent: the kernel ends a supervised child with
    // the thread that made it (prctl(2), PR_SET_PDEATHSIG). One thread, then.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the event loop cannot be started")?;
    runtime.block_on(dispatch(arguments, config))
}

async fn dispatch(arguments: Arguments, config: Config) -> anyhow::Result<Outcome> {
    let json = arguments.json;
    match arguments.command {
        Command::Up(options) => up::run(&config, &options.console).await,
        Command::Status => status::run(&config, json).await,
        Command::Containers => containers::run(&config, json).await,
        Command::Events(filter) => events::run(&config, filter, json).await,
        Command::Policy { command } => match command {
            PolicyCommand::List => policy::list::run(&config, json).await,
            PolicyCommand::Show { name } => policy::show::run(&config, &name, json).await,
            PolicyCommand::Validate { files } => policy::validate::run(&files, json),
            PolicyCommand::Explain(question) => policy::explain::run(&config, *question, json).await,
        },
        Command::Doctor => doctor::run(&config, json).await,
        Command::Uninstall(_) => cleanup::run(&config, json).await,
        Command::Config { .. } => config.show(json),
        Command::Bench { command: BenchCommand::Enforcers(options) } => {
            bench::enforcers(&options, json).await
        }
        Command::Console(_) | Command::Completions { .. } => Ok(Outcome::Ok),
    }
}
