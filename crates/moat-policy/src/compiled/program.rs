//! What an execution starts: a file, and of a multi-call program the applet.

use super::Outcome;
use crate::activity::Exec;
use crate::applet::{applet, is_multicall};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Program<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) applet: Applet<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Applet<'a> {
    /// The file's own name says all.
    None,
    Known(&'a [u8]),
    /// The arguments would tell.
    Unknown,
}

impl<'a> Program<'a> {
    pub(crate) fn of(exec: &Exec<'a>) -> Program<'a> {
        let Some(argv) = exec.arguments else { return Program::with_any_arguments(exec.path) };
        let applet = applet(exec.path, argv).map_or(Applet::None, Applet::Known);
        Program { path: exec.path, applet }
    }

    pub(crate) fn with_any_arguments(path: &'a [u8]) -> Program<'a> {
        Program { path, applet: if is_multicall(path) { Applet::Unknown } else { Applet::None } }
    }
}

impl Applet<'_> {
    /// Whether `test` holds of the applet. `tested` says whether there is anything it could hold of.
    pub(super) fn is(self, tested: bool, test: impl Fn(&[u8]) -> bool) -> Outcome {
        match self {
            Applet::Known(name) => test(name).into(),
            Applet::Unknown if tested => Outcome::NeedsArguments,
            Applet::None | Applet::Unknown => Outcome::No,
        }
    }
}
