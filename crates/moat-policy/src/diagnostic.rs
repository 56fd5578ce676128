//! What is wrong with a policy file, and where: made by [`parse`](crate::parse), shown by [`render`].

use std::fmt::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use crate::escape::escape;

/// Longest line that is shown around a mistake, in bytes; beyond it only the place is named.
const MAX_SHOWN_LINE: usize = 400;
/// Most diagnostics that [`render`] writes out.
const MAX_RENDERED: usize = 50;
/// Longest quotation from a document in a message, in characters.
const MAX_QUOTED: usize = 120;

/// One mistake in one file.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    file: Arc<File>,
    span: Range<usize>,
    line: usize,
    column: usize,
    message: String,
    label: String,
    help: Option<String>,
}

/// The text that diagnostics point into.
#[derive(Debug)]
pub(crate) struct File {
    /// As shown: control characters replaced, each by as many bytes.
    source: NamedSource<String>,
    /// Where each line starts, in bytes.
    lines: Vec<usize>,
}

impl File {
    pub fn new(name: &str, text: &str) -> Arc<File> {
        let lines = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(index, _)| index + 1))
            .collect();
        let name = Printable(name).to_string();
        Arc::new(File { source: NamedSource::new(name, shown(text)), lines })
    }

    fn text(&self) -> &str {
        self.source.inner()
    }

    /// Line and column, from 1; the column in characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text().get(start..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// Whether the lines around `line`, from 1, are short enough to be shown.
    fn shows(&self, line: usize) -> bool {
        let start = |index: usize| self.lines.get(index).copied().unwrap_or(self.text().len());
        (line.saturating_sub(2)..=line).all(|index| start(index + 1) - start(index) <= MAX_SHOWN_LINE)
    }
}

impl Diagnostic {
    pub(crate) fn new(
        file: &Arc<File>,
        span: Range<usize>,
        message: String,
        label: String,
        help: Option<String>,
    ) -> Diagnostic {
        let text = file.text();
        let start = text.floor_char_boundary(span.start);
        let end = text.ceil_char_boundary(span.end).max(start);
        // A label of many lines hides the message: the first line says where.
        let end = text[start..end].find('\n').map_or(end, |length| start + length);
        let (line, column) = file.position(start);
        Diagnostic { file: Arc::clone(file), span: start..end, line, column, message, label, help }
    }

    /// The file's name as it was given to [`parse`](crate::parse), control characters escaped.
    pub fn file(&self) -> &str {
        self.file.source.name()
    }

    /// From 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// From 1, in characters.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Line and column after the last character of the mistake, from 1.
    pub fn end(&self) -> (usize, usize) {
        self.file.position(self.span.end)
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// One line: file, line, column, message and hint, for logs and events.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file(), self.line, self.column, self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        self.help.as_deref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.file.shows(self.line).then_some(&self.file.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(Some(self.label.clone()), self.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// Diagnostics as people read them, with the lines they are about; ANSI colours only where asked.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false);
    let mut text = String::new();
    for diagnostic in diagnostics.iter().take(MAX_RENDERED) {
        let shown = Shown(diagnostic);
        if handler.render_report(&mut text, &shown).is_err() {
            // Writing to a string cannot fail, but a snippet can: the one-line form always works.
            let _ = writeln!(text, "{diagnostic}");
        }
        text.push('\n');
    }
    if let Some(more @ 1..) = diagnostics.len().checked_sub(MAX_RENDERED) {
        let _ = writeln!(text, "… and {more} more");
    }
    text
}

/// A diagnostic whose headline leaves out what the snippet below it shows.
#[derive(Debug)]
struct Shown<'a>(&'a Diagnostic);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let diagnostic = self.0;
        if miette::Diagnostic::source_code(diagnostic).is_none() {
            write!(f, "{}:{}:{}: ", diagnostic.file(), diagnostic.line, diagnostic.column)?;
        }
        f.write_str(&diagnostic.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        miette::Diagnostic::help(self.0)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.0.labels()
    }
}

/// Text from a document inside a message: escaped, and not without end.
pub(crate) struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MAX_QUOTED) {
            Some((end, _)) => write!(f, "{}…", escape(&self.0.as_bytes()[..end])),
            None => f.write_str(&escape(self.0.as_bytes())),
        }
    }
}

/// Whether a terminal shows something else than the character: controls, the invisible, and what turns the
/// direction of text.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text with unsafe characters replaced, byte offsets unchanged.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            '\r' => shown.push(' '),
            unsafe_one if is_unsafe(unsafe_one) => {
                shown.extend(std::iter::repeat_n('?', unsafe_one.len_utf8()));
            }
            other => shown.push(other),
        }
    }
    shown
}
