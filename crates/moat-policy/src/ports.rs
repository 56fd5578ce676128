//! Ports as policies write them: `443`, or a range `1-1024` with both ends.

use std::ops::RangeInclusive;

/// Why a text is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    #[error("`{}` is not a port or a range of ports", .0.escape_default())]
    Syntax(String),
    #[error("port 0 is no port that anything connects to")]
    Zero,
    #[error("the range {0}-{1} ends before it starts")]
    Reversed(u16, u16),
}

/// The ports that a text stands for.
pub fn parse(text: &str) -> Result<RangeInclusive<u16>, PortError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    let syntax = || PortError::Syntax(text.chars().take(40).collect());
    let (first, last) = (port(first).ok_or_else(syntax)?, port(last).ok_or_else(syntax)?);
    match (first, last) {
        (0, _) | (_, 0) => Err(PortError::Zero),
        (first, last) if first > last => Err(PortError::Reversed(first, last)),
        _ => Ok(first..=last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges() {
        for (text, expected) in
            [("443", 443..=443), ("1-1024", 1..=1024), ("65535", 65535..=65535), ("7-7", 7..=7)]
        {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        assert_eq!(parse("0"), Err(PortError::Zero));
        assert_eq!(parse("0-80"), Err(PortError::Zero));
        assert_eq!(parse("90-80"), Err(PortError::Reversed(90, 80)));
        for text in ["", "-", "80-", "-80", "65536", "+80", "http", "1-2-3", " 80", "0x50", "٣"] {
            assert_eq!(parse(text), Err(PortError::Syntax(text.to_owned())), "{text}");
        }
    }
}
