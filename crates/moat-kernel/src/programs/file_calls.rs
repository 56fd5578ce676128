//! System calls that change files without opening them: which they are, where they keep their paths, and what
//! they do to which file. The programs see them as they begin; the agent decides and can only report, or kill
//! the process, after they took effect.

use moat_event::FileOperation;

use super::calls::{name, number};
use super::record_bytes::FileCall;

/// Where a call keeps what it names: argument indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    name: &'static str,
    operation: FileOperation,
    /// Descriptor that the path starts from, or of the file itself where there is no path.
    directory: Option<i8>,
    path: Option<i8>,
    second_directory: Option<i8>,
    second_path: Option<i8>,
}

const fn by_path(name: &'static str, operation: FileOperation, path: i8) -> Shape {
    Shape { name, operation, directory: None, path: Some(path), second_directory: None, second_path: None }
}

const fn at(name: &'static str, operation: FileOperation, directory: i8, path: i8) -> Shape {
    Shape { directory: Some(directory), ..by_path(name, operation, path) }
}

const fn by_descriptor(name: &'static str, operation: FileOperation) -> Shape {
    Shape { path: None, ..at(name, operation, 0, 0) }
}

const fn pair(name: &'static str, operation: FileOperation) -> Shape {
    Shape { second_path: Some(1), ..by_path(name, operation, 0) }
}

const fn pair_at(name: &'static str, operation: FileOperation) -> Shape {
    Shape { second_directory: Some(2), second_path: Some(3), ..at(name, operation, 0, 1) }
}

const SHAPES: [Shape; 33] = {
    use FileOperation::{Chmod, Chown, Create, Delete, Link, Rename, SetXattr, Truncate};
    [
        by_path("unlink", Delete, 0),
        at("unlinkat", Delete, 0, 1),
        by_path("rmdir", Delete, 0),
        pair("rename", Rename),
        pair_at("renameat", Rename),
        pair_at("renameat2", Rename),
        by_path("chmod", Chmod, 0),
        by_descriptor("fchmod", Chmod),
        at("fchmodat", Chmod, 0, 1),
        at("fchmodat2", Chmod, 0, 1),
        by_path("chown", Chown, 0),
        by_path("lchown", Chown, 0),
        by_descriptor("fchown", Chown),
        at("fchownat", Chown, 0, 1),
        pair("link", Link),
        pair_at("linkat", Link),
        by_path("symlink", Create, 1),
        at("symlinkat", Create, 1, 2),
        by_path("mkdir", Create, 0),
        at("mkdirat", Create, 0, 1),
        by_path("mknod", Create, 0),
        at("mknodat", Create, 0, 1),
        by_path("creat", Create, 0),
        by_path("truncate", Truncate, 0),
        by_descriptor("ftruncate", Truncate),
        by_path("setxattr", SetXattr, 0),
        by_path("lsetxattr", SetXattr, 0),
        by_descriptor("fsetxattr", SetXattr),
        by_path("removexattr", SetXattr, 0),
        by_path("lremovexattr", SetXattr, 0),
        by_descriptor("fremovexattr", SetXattr),
        at("setxattrat", SetXattr, 0, 1),
        at("removexattrat", SetXattr, 0, 1),
    ]
};

fn shape(number: u32) -> Option<&'static Shape> {
    let name = name(number)?;
    SHAPES.iter().find(|shape| shape.name == name)
}

/// Numbers of the calls that do this to a file.
pub(super) fn that_perform(operation: FileOperation) -> impl Iterator<Item = u32> {
    SHAPES.iter().filter(move |shape| shape.operation == operation).filter_map(|shape| number(shape.name))
}

/// The rows of the map `file_calls`: number and `struct file_call`.
pub(super) fn rows() -> impl Iterator<Item = (u32, [u8; 8])> {
    SHAPES.iter().filter_map(|shape| {
        let index = |argument: Option<i8>| argument.unwrap_or(-1).to_ne_bytes()[0];
        let row = [
            1,
            index(shape.directory),
            index(shape.path),
            index(shape.second_directory),
            index(shape.second_path),
            0,
            0,
            0,
        ];
        Some((number(shape.name)?, row))
    })
}

/// What a call does to which files: absolute, with `.` and `..` taken out as written.
pub(super) fn effects(call: &FileCall) -> Vec<(Vec<u8>, FileOperation)> {
    let Some(shape) = shape(call.number) else { return Vec::new() };
    let mut effects = Vec::new();
    if shape.path.is_none() {
        effects.push((call.base.clone(), shape.operation));
    } else if !call.path.is_empty() {
        effects.push((join(&call.base, &call.path), shape.operation));
    }
    if shape.second_path.is_some() && !call.second_path.is_empty() {
        effects.push((join(&call.second_base, &call.second_path), shape.operation));
    }
    effects
}

/// `path` as seen from `base`, without `.`, `..` and repeated slashes.
fn join(base: &[u8], path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let start: &[u8] = if path.starts_with(b"/") { b"" } else { base };
    for part in start.split(|byte| *byte == b'/').chain(path.split(|byte| *byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut joined = Vec::with_capacity(base.len() + path.len() + 1);
    for part in &parts {
        joined.push(b'/');
        joined.extend_from_slice(part);
    }
    if joined.is_empty() {
        joined.push(b'/');
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_cleaned() {
        for (base, path, expected) in [
            ("/etc", "passwd", "/etc/passwd"),
            ("/etc", "/tmp/x", "/tmp/x"),
            ("/etc/nginx", "../passwd", "/etc/passwd"),
            ("/", "../../etc//./passwd", "/etc/passwd"),
            ("", ".", "/"),
        ] {
            assert_eq!(join(base.as_bytes(), path.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn every_file_operation_but_opening_has_a_call_here() {
        for operation in FileOperation::ALL {
            let opened = matches!(operation, FileOperation::Read | FileOperation::Write);
            assert_eq!(that_perform(operation).next().is_none(), opened, "{operation}");
        }
    }

    #[test]
    fn a_rename_is_judged_for_both_names() {
        let call = FileCall {
            cgroup: 1,
            number: number("renameat").expect("known"),
            pid: 1,
            parent_pid: 0,
            uid: 0,
            path: b"passwd".to_vec(),
            base: b"/etc".to_vec(),
            second_path: b"/tmp/gone".to_vec(),
            second_base: b"/".to_vec(),
        };
        assert_eq!(
            effects(&call),
            [
                (b"/etc/passwd".to_vec(), FileOperation::Rename),
                (b"/tmp/gone".to_vec(), FileOperation::Rename)
            ]
        );
    }
}
