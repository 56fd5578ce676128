//! Everything that is printed goes through here: colours only where a terminal shows them, and nothing that
//! somebody else chose reaches a terminal unescaped.

mod age;
pub mod event_line;
pub mod style;
pub mod table;

use std::io::{self, Write};

use anstream::{AutoStream, stderr, stdout};
use serde::Serialize;

pub use age::{age, bytes};

/// Prints text that may carry styles to standard output.
pub fn text(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints bytes as they are to standard output.
pub fn raw(bytes: &[u8]) -> io::Result<()> {
    let mut out = AutoStream::never(io::stdout()).into_inner();
    out.write_all(bytes)?;
    out.flush()
}

/// Prints a document as indented JSON.
pub fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    let mut text = moat_wire::json::pretty(value)?;
    text.push('\n');
    raw(text.as_bytes())?;
    Ok(())
}

/// Prints one of many documents on a line of its own.
pub fn json_line<T: Serialize>(value: &T) -> anyhow::Result<()> {
    let mut text = moat_wire::json::line(value)?;
    text.push('\n');
    raw(text.as_bytes())?;
    Ok(())
}

/// Says why the command failed, to standard error. Line feeds in the message stay: diagnostics have them.
pub fn error(error: &anyhow::Error) {
    let message = format!("{error:#}");
    let lines: Vec<_> = message.lines().map(moat_event::printable).collect();
    let _ = writeln!(stderr(), "{}: {}", style::paint(style::BAD, "error"), lines.join("\n"));
}

/// Says what goes on, to standard error.
pub fn note(message: &str) {
    let _ = writeln!(stderr(), "{}: {}", style::paint(style::NAME, "moat"), moat_event::printable(message));
}

/// Whether the reader of standard output went away, which is its right.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
