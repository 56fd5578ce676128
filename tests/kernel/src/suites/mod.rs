//! The cases, by suite: one file a suite. The host lists them, the guest runs them.

mod boot;
mod bypass;
mod differential;
mod file;
mod guard;
pub mod life;
pub mod lsm;
mod observe;
mod older;
mod records;
mod speed;
mod trouble;

use std::any::Any;
use std::cell::RefCell;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::node::send;
use crate::protocol::{Message, Verdict};

/// One thing to prove in a guest.
pub struct Case {
    /// `suite::name`.
    pub name: String,
    /// What it must run on.
    pub machine: Machine,
    /// The only series of kernels that it is for, where it is not for all.
    pub series: Option<&'static str>,
    /// Too slow on an emulated processor for every run: only with `--include-ignored`.
    pub slow: bool,
    limit: Duration,
    run: Box<dyn Fn() -> Result<String> + Send + Sync>,
}

/// What a guest can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// One processor. Nothing runs at the same time, and all kernels boot.
    Plain,
    /// Two processors, for races.
    Parallel,
    /// One processor, and a clock that ticks a nanosecond an instruction, so that costs are counts that do not vary.
    Counting,
}

impl Machine {
    pub const ALL: [Machine; 3] = [Machine::Plain, Machine::Parallel, Machine::Counting];
}

/// How long a case may take that does not say so itself.
const LIMIT: Duration = Duration::from_mins(5);
/// As much as is sent of what a case has to say; its console has it all.
const TEXT: usize = 16 << 10;

impl std::fmt::Debug for Case {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Case").field(&self.name).finish()
    }
}

impl Case {
    /// `run` fails by an error or by a panic, and is skipped by [`skip`].
    pub fn new(suite: &str, name: &str, run: impl Fn() -> Result<()> + Send + Sync + 'static) -> Case {
        Case::telling(suite, name, move || run().map(|()| String::new()))
    }

    /// A case that has something to say when it succeeds.
    pub fn telling(
        suite: &str,
        name: &str,
        run: impl Fn() -> Result<String> + Send + Sync + 'static,
    ) -> Case {
        Case {
            name: format!("{suite}::{name}"),
            machine: Machine::Plain,
            series: None,
            slow: false,
            limit: LIMIT,
            run: Box::new(run),
        }
    }

    /// It is left out unless asked for.
    #[must_use]
    pub fn slow(self) -> Case {
        Case { slow: true, ..self }
    }

    /// It says something about one series of kernels.
    #[must_use]
    pub fn only(self, series: &'static str) -> Case {
        Case { series: Some(series), ..self }
    }

    /// It needs such a machine.
    #[must_use]
    pub fn on(self, machine: Machine) -> Case {
        Case { machine, ..self }
    }

    /// It may take so long, and no longer.
    #[must_use]
    pub fn within(self, limit: Duration) -> Case {
        Case { limit, ..self }
    }
}

/// Cases of the functions' own names.
macro_rules! cases {
    ($suite:literal: $($name:ident),+ $(,)?) => {
        vec![$($crate::suites::Case::new($suite, stringify!($name), $name)),+]
    };
}
use cases;

/// All cases, those of one suite together.
pub fn all() -> Vec<Case> {
    let suites = [
        boot::cases(),
        guard::cases(),
        life::cases(),
        observe::cases(),
        older::cases(),
        records::cases(),
        file::cases(),
        differential::cases(),
        bypass::cases(),
        speed::cases(),
    ];
    suites.into_iter().flatten().collect()
}

/// Why a case cannot be tried on this kernel.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Skipped(String);

/// What a case returns that this kernel cannot run.
pub fn skip(why: impl std::fmt::Display) -> Result<()> {
    Err(Skipped(why.to_string()).into())
}

thread_local! {
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs cases in this process, one after the other, and sends their verdicts through the standard input, which is the
/// writing end of a pipe ([`crate::node`]).
pub fn run(names: &[String]) -> Result<()> {
    let standard_input = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned()?;
    let mut messages = File::from(standard_input);
    // No child of a case may hold the pipe open.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    // What libbpf and the verifier complain of is worth more here than in an agent's log.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_ansi(false)
        .without_time()
        .with_writer(std::io::stderr)
        .init();
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        PANICKED_AT.with(|at| *at.borrow_mut() = place);
    }));
    let all: Vec<Case> =
        all().into_iter().chain(trouble::cases()).chain(crate::speed::measurements()).collect();
    for name in names {
        let case = all.iter().find(|case| case.name == *name).with_context(|| format!("no case {name}"))?;
        send(&mut messages, &Message::Begin { name: name.clone(), limit: case.limit })?;
        eprintln!("== {name}");
        let (verdict, mut text) = match catch_unwind(AssertUnwindSafe(&case.run)) {
            Ok(Ok(text)) => (Verdict::Ok, text),
            Ok(Err(error)) => match error.downcast_ref::<Skipped>() {
                Some(why) => (Verdict::Skipped, why.to_string()),
                None => (Verdict::Failed, format!("{error:?}")),
            },
            Err(panic) => (Verdict::Failed, panic_text(panic.as_ref())),
        };
        eprintln!("== {name}: {verdict:?} {text}");
        text.truncate(text.floor_char_boundary(TEXT));
        send(&mut messages, &Message::Case { name: name.clone(), verdict, text })?;
    }
    Ok(())
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text");
    PANICKED_AT.with(|at| format!("{}: {text}", at.borrow()))
}
