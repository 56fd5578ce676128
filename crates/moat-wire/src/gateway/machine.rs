//! How the console tells machines apart that have, or had, the same name.

use ring::digest::{Context, SHA256};

use crate::token::hexadecimal;

/// A hash of what identifies a machine. The identity itself is not told to anybody (machine-id(5)).
pub fn machine(identity: &[u8]) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(b"moat machine\0");
    hash.update(identity);
    hexadecimal(hash.finish().as_ref())
}
