//! Bytes that somebody else chose, made safe to print.

use std::fmt::Write;

/// `bytes` on one line: text stays, control and invisible characters become `\n` or `\u{202e}`, a backslash
/// is doubled, and bytes that are no UTF-8 become `\xff`.
pub fn escape(bytes: &[u8]) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\'' | '"' => escaped.push(character),
                _ => escaped.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_line_or_hides() {
        assert_eq!(escape("/srv/größe it's".as_bytes()), "/srv/größe it's");
        assert_eq!(escape(b"a\nb\x1b[31m\\\xff\0"), r"a\nb\u{1b}[31m\\\xff\0");
        assert_eq!(escape("\u{202e}txt".as_bytes()), r"\u{202e}txt");
    }
}
