//! Text that somebody else chose, made safe to show.
//!
//! Paths, arguments, labels and image names come from inside containers. Whoever writes one to a terminal or
//! a log calls [`printable`]: what remains can neither move a cursor nor forge a line nor read other than it
//! is. Where the exact bytes count, read the JSON.

use std::borrow::Cow;

/// `text` on one line: control characters, line separators, invisible characters and those that turn the
/// direction of writing become `\n`, `\t`, `\r` or `\u{202e}`. Everything else stays as it is.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unprintable(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character acts on a terminal, breaks a line, hides, or reorders its neighbours (Unicode Standard
/// Annex 9 §2, Unicode Technical Report 36 §2.9).
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' // soft hyphen
                | '\u{61c}' // Arabic letter mark
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}' // zero width, direction marks
                | '\u{2028}'..='\u{202e}' // line and paragraph separators, embeddings and overrides
                | '\u{2060}'..='\u{206f}' // invisible operators, isolates
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}' // tags
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_text_is_borrowed_unchanged() {
        for text in ["", "/usr/bin/größe it's \"q\" \\d+", "漢字 🦀", "docker.io/library/nginx:1.27"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn terminal_commands_and_forged_lines_become_visible() {
        assert_eq!(printable("a\nb\tc\rd"), r"a\nb\tc\rd");
        assert_eq!(printable("\x1b]0;title\x07\x1b[2J"), r"\u{1b}]0;title\u{7}\u{1b}[2J");
        assert_eq!(printable("\u{9b}31mred\u{7f}\0"), r"\u{9b}31mred\u{7f}\u{0}");
        assert_eq!(printable("a\u{2028}b\u{85}c"), r"a\u{2028}b\u{85}c");
    }

    #[test]
    fn bidirectional_overrides_and_hidden_characters_become_visible() {
        assert_eq!(printable("/tmp/\u{202e}txt.exe"), r"/tmp/\u{202e}txt.exe");
        assert_eq!(printable("\u{2066}x\u{2069}"), r"\u{2066}x\u{2069}");
        assert_eq!(printable("ng\u{200b}inx\u{feff}"), r"ng\u{200b}inx\u{feff}");
        assert_eq!(printable("a\u{e0041}"), r"a\u{e0041}");
    }

    #[test]
    fn nothing_unprintable_is_left_of_any_character() {
        for character in '\0'..=char::MAX {
            assert!(!printable(character.encode_utf8(&mut [0; 4])).contains(is_unprintable));
        }
    }
}
