//! Multi-call programs: one file that does what the name it is started by says.

use crate::argv::arguments;
use crate::compiled::base_name;

/// How the base names of multi-call programs begin: `busybox.static` and `toybox-x86_64` are some too. They take what
/// begins like this for their own name as well: `busyboxX wget` is `wget`.
pub const MULTICALL: [&str; 3] = ["busybox", "coreutils", "toybox"];

/// How GNU's coreutils is told its program: `--coreutils-prog=ls`, or `--coreutils-prog-shebang=ls` in a script.
const COREUTILS_OPTION: &[u8] = b"--coreutils-prog";

/// Whether the file of this path is a multi-call program, by its base name.
pub fn is_multicall(path: &[u8]) -> bool {
    let name = base_name(path);
    MULTICALL.iter().any(|multicall| name.starts_with(multicall.as_bytes()))
}

/// The applet that an execution of `path` with this `argv` (see [`Exec`](crate::activity::Exec)) is: the base name of
/// `argv[0]`, without the `-` of a login shell, or that of the first argument behind it which is not the name of a
/// multi-call program again. `None` of any other program, and of one that is told no applet.
pub fn applet<'a>(path: &[u8], argv: &'a [u8]) -> Option<&'a [u8]> {
    if !is_multicall(path) {
        return None;
    }
    let called = |(position, argument): (usize, &'a [u8])| match argument {
        [b'-', rest @ ..] if position == 0 => base_name(rest),
        _ if position > 0 && argument.starts_with(COREUTILS_OPTION) => {
            base_name(argument.splitn(2, |byte| *byte == b'=').last().unwrap_or(argument))
        }
        _ => base_name(argument),
    };
    arguments(argv).enumerate().map(called).find(|name| !is_multicall(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_applet_is_what_the_program_takes_it_for() {
        let cases: [(&str, &str, Option<&str>); 27] = [
            ("/bin/busybox", "sh\0-c\0id\0", Some("sh")),
            ("/bin/busybox", "/bin/wget\0", Some("wget")),
            ("/bin/busybox", "-sh\0", Some("sh")),
            ("/bin/busybox", "-/bin/sh\0", Some("sh")),
            ("/bin/busybox", "busybox\0wget\0", Some("wget")),
            ("/bin/busybox", "/bin/busybox\0/bin/wget\0x\0", Some("wget")),
            ("/bin/busybox", "-busybox\0wget\0", Some("wget")),
            ("/bin/busybox", "busyboxX\0wget\0", Some("wget")),
            ("/bin/busybox", "busybox\0busybox\0busybox\0wget\0", Some("wget")),
            ("/bin/busybox", "busybox\0--list\0", Some("--list")),
            ("/bin/busybox", "busybox\0", None),
            ("/bin/busybox", "busybox\0busybox\0", None),
            ("/bin/busybox", "", None),
            ("/bin/busybox", "\0", Some("")),
            ("/bin/busybox", "busybox wget\0", None),
            ("/bin/busybox", "true busybox\0wget\0", Some("true busybox")),
            ("/opt/busybox.static", "ls\0", Some("ls")),
            ("/usr/bin/toybox", "toybox\0cat\0", Some("cat")),
            ("/usr/bin/coreutils", "coreutils\0cat\0", Some("cat")),
            ("/usr/bin/coreutils", "coreutils\0--coreutils-prog=cat\0cat\0", Some("cat")),
            (
                "/usr/bin/coreutils",
                "/usr/bin/coreutils\0--coreutils-prog-shebang=cat\0/usr/bin/cat\0",
                Some("cat"),
            ),
            ("/usr/bin/coreutils", "coreutils\0--coreutils-prog\0", Some("--coreutils-prog")),
            ("/usr/bin/coreutils", "--coreutils-prog=cat\0", Some("-coreutils-prog=cat")),
            ("/bin/cat", "busybox\0wget\0", None),
            ("/bin/sh", "wget\0", None),
            ("/busybox/cat", "wget\0", None),
            ("busybox", "ls\0", Some("ls")),
        ];
        for (path, argv, expected) in cases {
            let found = applet(path.as_bytes(), argv.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{path} {argv:?}");
        }
    }

    proptest! {
        /// A multi-call name is never taken for an applet: allowing `busybox` would allow whatever it is told.
        #[test]
        fn an_applet_is_a_name_of_its_own(argv in "(-?(/bin/)?(busybox|toybox|sh|--x)?\u{0}){0,5}") {
            if let Some(applet) = applet(b"/bin/busybox", argv.as_bytes()) {
                prop_assert!(!is_multicall(applet) && !applet.contains(&b'/') && !applet.contains(&0));
            }
        }
    }
}
