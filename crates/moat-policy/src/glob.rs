//! Globs over absolute paths, and which table of the kernel can hold each.
//!
//! `*` and `?` stay within one component, `**` crosses them, `[a-z]` and `[!a-z]` are one byte, `{a,b}` is
//! either, `\` takes the next character literally. `/dir/**` is `/dir` itself too.

use globset::GlobBuilder;

use crate::automaton::{Automaton, AutomatonError, MAX_STATES};
use crate::pattern::{Pattern, PatternError};

/// A glob, ready to match.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    shape: Shape,
}

/// What a glob comes down to.
#[derive(Debug, Clone)]
pub enum Shape {
    /// One path: the kernel's hash of exact paths.
    Exact(Vec<u8>),
    /// `/literal/dir/**`, as `/literal/dir`: that path and all below it; empty for `/**`. The kernel's prefix tree.
    Below(Vec<u8>),
    /// Anything else, as an expression that is anchored at both ends: the kernel's automata.
    Pattern(Pattern),
}

#[derive(Debug, thiserror::Error)]
pub enum GlobError {
    #[error("glob `{}`: {message}", text.escape_debug())]
    Syntax { text: String, message: String },
    #[error("glob `{}`: `[…]` stands for one byte and takes ASCII only; list the characters as `{{ä,ö}}`", .0.escape_debug())]
    ClassNotAscii(String),
    #[error("glob `{}` is too large: {source}", text.escape_debug())]
    TooLarge { text: String, source: PatternError },
    #[error(
        "glob `{}` needs more states than the {MAX_STATES} of the kernel's table; name more of the path, or write `*` for the `?`",
        text.escape_debug()
    )]
    TooManyStates { text: String, source: Box<AutomatonError> },
}

impl Glob {
    pub fn new(text: &str) -> Result<Glob, GlobError> {
        let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build().map_err(
            |error| GlobError::Syntax { text: text.to_owned(), message: error.kind().to_string() },
        )?;
        let shape = if let Some(path) = literal(text) {
            Shape::Exact(path)
        } else if let Some(directory) = text.strip_suffix("/**").and_then(literal) {
            Shape::Below(directory)
        } else {
            if has_class_outside_ascii(text) {
                return Err(GlobError::ClassNotAscii(text.to_owned()));
            }
            let pattern = Pattern::new(&expression(glob.regex()))
                .map_err(|source| GlobError::TooLarge { text: text.to_owned(), source })?;
            Shape::Pattern(pattern)
        };
        Ok(Glob { text: text.to_owned(), shape })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether the kernel's tables can hold this glob. Costs up to some tenths of a second: for validation.
    pub fn check(&self) -> Result<(), GlobError> {
        let Shape::Pattern(pattern) = &self.shape else { return Ok(()) };
        Automaton::full(&[pattern.text()])
            .map(drop)
            .map_err(|source| GlobError::TooManyStates { text: self.text.clone(), source: Box::new(source) })
    }

    pub fn is_match(&self, path: &[u8]) -> bool {
        match &self.shape {
            Shape::Exact(exact) => path == exact.as_slice(),
            Shape::Below(directory) => is_below(path, directory),
            Shape::Pattern(pattern) => pattern.is_match(path),
        }
    }
}

/// Whether `path` is `directory` or lies in it; the root directory is the empty one.
pub fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// The path that a glob without wildcards names.
fn literal(glob: &str) -> Option<Vec<u8>> {
    let mut path = String::with_capacity(glob.len());
    let mut characters = glob.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' | '?' | '[' | '{' | '}' => return None,
            '\\' => path.push(characters.next()?),
            _ => path.push(character),
        }
    }
    Some(path.into_bytes())
}

/// globset writes a class byte by byte, so that `[ä]` would mean either byte of the letter.
fn has_class_outside_ascii(glob: &str) -> bool {
    let (mut escaped, mut in_class) = (false, false);
    glob.chars().any(|character| {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        in_class && !character.is_ascii()
    })
}

/// globset's expression `(?-u)^…$` in our dialect. globset escapes every literal `[` and `^`, so an `[^` opens a
/// negated class, and a `/.*$` is a final `/**`.
fn expression(globset: &str) -> String {
    let globset =
        globset.strip_prefix("(?-u)").unwrap_or(globset).replace("[^", "[^/").replace("[^//]", "[^/]");
    match globset.strip_suffix("/.*$") {
        Some(directory) => format!("(?s-u){directory}(?:/.*)?$"),
        None => format!("(?s-u){globset}"),
    }
}

#[cfg(test)]
mod tests;
