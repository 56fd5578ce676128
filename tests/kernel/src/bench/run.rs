//! The cases of one kernel series: one boot for all of them, and another one for the rest where a case has
//! taken the guest with it.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Missing;
use super::guest::{Guest, SILENCE, Waited, attend};
use super::initramfs;
use super::kernel::Kernel;
use crate::node::SHELL;
use crate::protocol::{Message, Verdict};
use crate::suites::Machine;

/// How many guests may die before the remaining cases are given up.
const GUESTS: usize = 4;
/// How often a wait shows that it is alive.
const PROGRESS: Duration = Duration::from_secs(2);

/// The selected cases of one series, and what is known of them.
#[derive(Debug)]
pub struct Run {
    series: &'static str,
    machine: Machine,
    log: String,
    program: PathBuf,
    cache: PathBuf,
    waiting: VecDeque<String>,
    verdicts: BTreeMap<String, (Verdict, String)>,
    kernel: Option<Kernel>,
    guest: Option<Guest>,
    /// Why guests have died.
    dead: Vec<String>,
    /// The guest has said that it is.
    ready: bool,
    /// When a healthy guest has sent its next message.
    expected: Instant,
    /// Why there can be no guest here; tried once.
    missing: Option<Missing>,
}

impl Run {
    /// `program` is `moat-guest`; kernels, programs and logs are kept in `cache`.
    pub fn new(
        series: &'static str,
        machine: Machine,
        cases: Vec<String>,
        program: &Path,
        cache: &Path,
    ) -> Run {
        Run {
            series,
            machine,
            log: format!("console-{series}-{machine:?}").to_lowercase(),
            program: program.to_owned(),
            cache: cache.to_owned(),
            waiting: cases.into(),
            verdicts: BTreeMap::new(),
            kernel: None,
            guest: None,
            dead: Vec::new(),
            ready: false,
            expected: Instant::now(),
            missing: None,
        }
    }

    /// What the consoles' logs are called, which is otherwise `console-SERIES-MACHINE`.
    #[must_use]
    pub fn logged_as(self, log: &str) -> Run {
        Run { log: log.to_owned(), ..self }
    }

    /// The release of its kernel, once a guest was booted.
    pub fn release(&self) -> Option<&str> {
        self.kernel.as_ref().map(Kernel::release)
    }

    /// The verdict on a case, with what there is to say. Boots a guest for all cases that have none yet; the last
    /// one waits for the guest's end.
    ///
    /// # Errors
    /// [`Missing`], where this machine cannot boot a guest, and any other when something is wrong with the bench.
    pub fn verdict(&mut self, case: &str) -> Result<(Verdict, String)> {
        loop {
            if let Some(verdict) = self.verdicts.get(case)
                && (!self.waiting.is_empty() || self.guest.is_none())
            {
                return Ok(verdict.clone());
            }
            if let Some(missing) = &self.missing {
                return Err(missing.clone().into());
            }
            if self.guest.is_none() {
                if self.dead.len() >= GUESTS {
                    let last = self.dead.last().map_or("", String::as_str);
                    let text = format!("not run: {} guests died; of the last one: {last}", self.dead.len());
                    self.settle(case, Verdict::Failed, text);
                    continue;
                }
                if let Err(error) = self.boot() {
                    self.missing = error.downcast_ref::<Missing>().cloned();
                    return Err(error);
                }
                self.ready = false;
                self.expected = Instant::now() + SILENCE;
            }
            let Some(guest) = &mut self.guest else { continue };
            match guest.next(PROGRESS, self.expected) {
                Waited::Message(message) => {
                    self.expected = Instant::now() + SILENCE;
                    self.note(message);
                }
                Waited::Nothing => {
                    eprint!(".");
                    let _ = std::io::stderr().flush();
                }
                Waited::Dead(why) => self.bury(case, why),
            }
        }
    }

    fn boot(&mut self) -> Result<()> {
        let kernel = if let Some(kernel) = &self.kernel {
            kernel.clone()
        } else {
            let fetched = Kernel::fetch(self.series, &self.cache);
            self.kernel.insert(fetched.map_err(|error| Missing(format!("{error:#}")))?).clone()
        };
        if cfg!(not(target_arch = "x86_64")) {
            return Err(Missing("the guests are x86-64 machines, and this one is not".into()).into());
        }
        eprint!("booting {} for {} cases ", kernel.release(), self.waiting.len());
        let cases: Vec<String> = self.waiting.iter().cloned().collect();
        let initramfs = initramfs::build(&kernel, &self.program, &cases, &self.cache)
            .context("cannot build the initramfs")?;
        let log = self.cache.join(format!("{}-{}.log", self.log, self.dead.len() + 1));
        self.guest = Some(Guest::boot(&kernel, self.machine, initramfs, &log)?);
        Ok(())
    }

    fn note(&mut self, message: Message) {
        match message {
            Message::Ready => {
                self.ready = true;
                let age = self.guest.as_ref().map(Guest::age).unwrap_or_default();
                eprint!("({:.1} s) ", age.as_secs_f32());
            }
            // The case that runs stands first.
            Message::Begin { name, limit } => {
                // The guest's init ends what takes longer.
                self.expected += limit;
                self.waiting.retain(|waiting| *waiting != name);
                self.waiting.push_front(name);
            }
            Message::Case { name, verdict, text } => self.settle(&name, verdict, text),
            Message::Fatal(why) => self.bury("", format!("the guest's init gave up: {why}")),
            Message::End => {
                self.guest = None;
                // What it was told to run and did not.
                for name in std::mem::take(&mut self.waiting) {
                    let text = "the guest knows no such case".into();
                    self.verdicts.insert(name, (Verdict::Failed, text));
                }
            }
        }
    }

    /// The guest is dead: whichever case was running has failed, or the one that waits, if that one was the last.
    /// One that has never come to life says nothing about a case: some do not with two processors.
    fn bury(&mut self, asked: &str, why: String) {
        self.guest = None;
        self.dead.push(why.clone());
        if self.ready {
            let running = self.waiting.front().cloned().unwrap_or_else(|| asked.to_owned());
            self.settle(&running, Verdict::Failed, why);
        } else {
            eprint!("{why}; trying again ");
            // Some kernels and versions of QEMU do not: what wants two processors is then tried with one.
            if self.machine == Machine::Parallel {
                self.machine = Machine::Plain;
            }
        }
    }

    fn settle(&mut self, case: &str, verdict: Verdict, text: String) {
        self.waiting.retain(|name| name != case);
        self.verdicts.insert(case.to_owned(), (verdict, text));
    }
}

/// Boots a guest of a series with a shell on its console, and waits for its end.
pub fn shell(series: &str, program: &Path, cache: &Path) -> Result<()> {
    let kernel = Kernel::fetch(series, cache)?;
    attend(&kernel, &initramfs::build(&kernel, program, &[SHELL.to_owned()], cache)?)
}
