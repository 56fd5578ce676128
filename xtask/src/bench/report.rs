//! Figures, and the part of `docs/performance.md` that is made of them.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use super::statistics::Sorted;
use crate::workspace;

const PAGE: &str = "docs/performance.md";
const START: &str = "<!-- figures: written by `cargo xtask bench` -->";

/// A goal in words, and its limit in the figure's unit.
pub type Goal = Option<(&'static str, f64)>;

#[derive(Debug)]
pub struct Figure {
    pub what: String,
    pub goal: Goal,
    /// What is held against the goal.
    value: f64,
    pub measured: String,
}

impl Figure {
    pub fn new(what: impl Into<String>, goal: Goal, value: f64, measured: String) -> Figure {
        Figure { what: what.into(), goal, value, measured }
    }

    /// Costs with Moat by those without, which were `base` µs.
    pub fn ratio(what: String, goal: Goal, ratios: &Sorted, base: f64) -> Figure {
        let (low, median, high) = (ratios.percentile(25), ratios.median(), ratios.percentile(75));
        let measured = format!("{median:.3} × of {base:.2} µs ({low:.3}–{high:.3})");
        Figure::new(what, goal, median, measured)
    }

    /// Microseconds added to `base`.
    pub fn added(what: String, goal: Goal, micros: &Sorted, base: f64) -> Figure {
        let (low, median, high) = (micros.percentile(25), micros.median(), micros.percentile(75));
        let measured = format!("{median:.1} µs added to {base:.2} µs ({low:.1}–{high:.1})");
        Figure::new(what, goal, median, measured)
    }

    /// Milliseconds that something took; its median is held against the goal.
    pub fn time(what: impl Into<String>, goal: Goal, millis: &Sorted) -> Figure {
        let (median, most) = (millis.median(), millis.percentile(100));
        let measured = format!("{median:.0} ms (most {most:.0} ms of {})", millis.len());
        Figure::new(what, goal, median, measured)
    }

    pub fn is_met(&self) -> bool {
        self.goal.is_none_or(|(_, limit)| self.value <= limit)
    }
}

/// Puts the figures in place of the last ones.
pub fn write(figures: &[Figure]) -> Result<()> {
    replace(START, "<!-- /figures -->", &section(figures)?)
}

/// Puts a section in place of what stands between two lines of the page.
pub fn replace(start: &str, end: &str, section: &str) -> Result<()> {
    let path = workspace::root()?.join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    let missing = || format!("{PAGE} has no lines `{start}` and `{end}`");
    let (before, rest) = page.split_once(start).with_context(missing)?;
    let (_, after) = rest.split_once(end).with_context(missing)?;
    fs::write(&path, format!("{before}{start}\n{section}{end}{after}"))
        .with_context(|| format!("cannot write {PAGE}"))
}

fn section(figures: &[Figure]) -> Result<String> {
    let uname = rustix::system::uname();
    let processors = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    let mut text = String::new();
    writeln!(
        text,
        "`cargo xtask bench`, {}, commit {}; Linux {}, {} processors {}, load {} over the last 15 minutes.\n",
        jiff::Zoned::now().date(),
        workspace::output("git", &["rev-parse", "--short", "HEAD"])?.trim(),
        uname.release().to_string_lossy(),
        processors.lines().filter(|line| line.starts_with("processor")).count(),
        model.map_or("of unknown model", |(_, name)| name.trim()),
        load.split(' ').nth(2).unwrap_or("unknown"),
    )?;
    writeln!(text, "| what | goal | measured | |\n| --- | --- | --- | --- |")?;
    for figure in figures {
        let (goal, mark) = match figure.goal {
            None => ("", ""),
            Some((goal, _)) => (goal, if figure.is_met() { "met" } else { "**missed**" }),
        };
        writeln!(text, "| {} | {goal} | {} | {mark} |", figure.what, figure.measured)?;
    }
    Ok(text)
}
