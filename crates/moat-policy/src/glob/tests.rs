use super::*;

fn matches(glob: &str, path: impl AsRef<[u8]>) -> bool {
    Glob::new(glob).unwrap().is_match(path.as_ref())
}

#[test]
fn each_wildcard_means_what_the_dialect_says() {
    for (glob, yes, no) in [
        ("/etc/passwd", &["/etc/passwd"][..], &["/etc/passwd2", "/etc", "x/etc/passwd"][..]),
        ("/etc/*", &["/etc/a", "/etc/.b", "/etc/a\nb"], &["/etc/a/b", "/etc", "x/etc/a"]),
        ("/etc/?", &["/etc/a"], &["/etc/ab", "/etc//", "/etc/"]),
        ("/etc/[a-c]x", &["/etc/bx"], &["/etc/dx"]),
        ("/etc/[!a-c]x", &["/etc/dx"], &["/etc/ax", "/etc//x"]),
        ("/{bin,sbin}/sh", &["/bin/sh", "/sbin/sh"], &["/sh", "/usr/bin/sh"]),
        ("/etc/**", &["/etc", "/etc/", "/etc/a", "/etc/a/b\n"], &["/etcetera", "/et"]),
        ("/**", &["/", "/a", "/a/b"], &["a"]),
        ("/home/*/.ssh/**", &["/home/a/.ssh", "/home/a/.ssh/k/l\n"], &["/home/a/b/.ssh", "/home/a/.sshd"]),
        ("/a/**/b", &["/a/b", "/a/x/b", "/a/x/y/b"], &["/ab", "/a/xb"]),
        ("**/sh", &["/bin/sh", "sh"], &["/bin/ash"]),
        (r"/a\*", &["/a*"], &["/ab"]),
        (r"/a\[b]/**", &["/a[b]", "/a[b]/c"], &["/ab"]),
    ] {
        for path in yes {
            assert!(matches(glob, path), "{glob} is to match {path:?}");
        }
        for path in no {
            assert!(!matches(glob, path), "{glob} is not to match {path:?}");
        }
    }
}

#[test]
fn paths_are_bytes() {
    assert!(matches("/a/*", b"/a/\xff\xfe"));
    assert!(matches("/a/?", b"/a/\xff"));
    assert!(matches("/a/\u{e4}*", "/a/\u{e4}b"));
    assert!(matches("/a/{\u{e4},\u{f6}}", "/a/\u{f6}"));
}

#[test]
fn shapes_tell_which_table_holds_a_glob() {
    let shape = |glob| Glob::new(glob).unwrap().shape().clone();
    assert!(matches!(shape(r"/a\*b"), Shape::Exact(path) if path == b"/a*b"));
    assert!(matches!(shape("/etc/ssl/**"), Shape::Below(path) if path == b"/etc/ssl"));
    assert!(matches!(shape("/**"), Shape::Below(path) if path.is_empty()));
    assert!(
        matches!(shape("/a/*/**"), Shape::Pattern(pattern) if pattern.text() == "(?s-u)^/a/[^/]*(?:/.*)?$")
    );
}

#[test]
fn mistakes_are_named() {
    let message = |glob| Glob::new(glob).unwrap_err().to_string();
    assert!(message("/a/[b").contains("`/a/[b`"), "{}", message("/a/[b"));
    assert!(message("/a/{b").contains("`/a/{b`"), "{}", message("/a/{b"));
    assert!(message("/a/[\u{e4}]").contains("ASCII"), "{}", message("/a/[\u{e4}]"));
}

#[test]
fn what_the_kernel_cannot_hold_is_refused_by_name() {
    for held in ["/etc/passwd", "/etc/**", "/home/*/.ssh/*", "/**/node_modules/**/*.js"] {
        Glob::new(held).unwrap().check().unwrap();
    }
    let message = Glob::new("/**/*a??????????????").unwrap().check().unwrap_err().to_string();
    assert!(message.starts_with("glob `/**/*a??????????????` needs more states"), "{message}");
}
