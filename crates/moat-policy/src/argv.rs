//! `argv` as the kernel keeps it: one string, in which each argument ends with a NUL.

use std::borrow::Cow;

/// The single arguments. The last one may lack its NUL, where the kernel cut it off.
pub fn arguments(argv: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ended = argv.strip_suffix(b"\0").unwrap_or(argv);
    // An empty vector has no arguments, not one that is empty.
    ended.split(|byte| *byte == 0).filter(move |_| !argv.is_empty())
}

/// `argv` of single arguments.
pub fn argv(arguments: &[String]) -> Vec<u8> {
    arguments.iter().flat_map(|argument| argument.bytes().chain([0])).collect()
}

/// The arguments joined by one space: what `argsRegex` is searched for in.
pub(crate) fn joined(argv: &[u8]) -> Cow<'_, [u8]> {
    let ended = argv.strip_suffix(b"\0").unwrap_or(argv);
    if !ended.contains(&0) {
        return Cow::Borrowed(ended);
    }
    Cow::Owned(ended.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_end_with_a_nul() {
        for (argv, single, together) in [
            ("", vec![], ""),
            ("\0", vec![""], ""),
            ("sh\0", vec!["sh"], "sh"),
            ("sh\0-c\0a b\0", vec!["sh", "-c", "a b"], "sh -c a b"),
            ("sh\0\0\0", vec!["sh", "", ""], "sh  "),
            ("sh\0cut o", vec!["sh", "cut o"], "sh cut o"),
        ] {
            let found: Vec<&[u8]> = arguments(argv.as_bytes()).collect();
            assert_eq!(found, single.iter().map(|one| one.as_bytes()).collect::<Vec<_>>(), "{argv:?}");
            assert_eq!(&*joined(argv.as_bytes()), together.as_bytes(), "{argv:?}");
        }
    }
}
