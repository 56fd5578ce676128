//! Aligned columns.

use std::fmt::Write;

use anstyle::Style;
use moat_event::printable;
use unicode_width::UnicodeWidthStr;

use super::style;

/// Between columns.
const GAP: usize = 2;

/// One place in a table. Made from any text: it is escaped here.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub fn new(text: impl AsRef<str>) -> Cell {
        Cell::styled(text, style::PLAIN)
    }

    pub fn styled(text: impl AsRef<str>, style: Style) -> Cell {
        Cell { text: printable(text.as_ref()).into_owned(), style }
    }
}

/// Rows below a header; columns as wide as their widest cell.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new<const N: usize>(header: [&str; N]) -> Table {
        Table { rows: vec![header.iter().map(|name| Cell::styled(name, style::QUIET)).collect()] }
    }

    /// Without a header.
    pub fn plain() -> Table {
        Table { rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    /// The lines, the last column ragged; each begins with `indent` spaces.
    pub fn render(&self, indent: usize) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            for (index, cell) in row.iter().enumerate() {
                let width = cell.text.width();
                match widths.get_mut(index) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut padding = indent;
            for (cell, width) in row.iter().zip(&widths) {
                if !cell.text.is_empty() {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "{:padding$}{}", "", style::paint(cell.style, &cell.text));
                    padding = 0;
                }
                padding += width - cell.text.width() + GAP;
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_whatever_is_in_them() {
        let mut table = Table::new(["NAME", "STATE", "DETAIL"]);
        table.row([Cell::new("漢字"), Cell::styled("held", style::GOOD), Cell::new("")]);
        table.row([Cell::new("a\x1b[2Jb"), Cell::new(""), Cell::new("why")]);
        let text = anstream::adapter::strip_str(&table.render(2)).to_string();
        assert_eq!(text, "  NAME         STATE  DETAIL\n  漢字         held\n  a\\u{1b}[2Jb         why\n");
    }
}
