//! Events in the words of each kind of receiver. Pure: text in and out, tested with what attackers would like it to
//! say.

pub mod cef;
pub mod elasticsearch;
mod fields;
pub mod otlp;
#[cfg(test)]
pub mod samples;
pub mod slack;
pub mod splunk;
pub mod syslog;
pub mod webhook;

/// The longest beginning of `text` in at most `bytes` bytes.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
