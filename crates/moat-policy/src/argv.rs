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
        let cases: [(&[u8], &[&[u8]], &[u8]); 6] = [
            (b"", &[], b""),
            (b"\0", &[b""], b""),
            (b"sh\0", &[b"sh"], b"sh"),
            (b"sh\0-c\0a b\0", &[b"sh", b"-c", b"a b"], b"sh -c a b"),
            (b"sh\0\0\0", &[b"sh", b"", b""], b"sh  "),
            (b"sh\0cut o", &[b"sh", b"cut o"], b"sh cut o"),
        ];
        for (argv, single, together) in cases {
            assert_eq!(arguments(argv).collect::<Vec<_>>(), single, "{argv:?}");
            assert_eq!(&*joined(argv), together, "{argv:?}");
        }
    }
}
