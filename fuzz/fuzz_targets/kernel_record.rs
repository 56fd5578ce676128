//! Any bytes as a record from the kernel's rings: an error, or a record whose texts are the bytes behind its
//! head, one after the other; of what is observed its key ends it.
//!
//! `cargo +nightly fuzz run kernel_record`
#![no_main]

use libfuzzer_sys::fuzz_target;
use moat_kernel::record_bytes::{Decoded, HEAD, KEY, decode, decode_observation};

fuzz_target!(|bytes: &[u8]| {
    if let Ok((key, seen)) = decode_observation(bytes) {
        let process = seen.process;
        let texts = [process.executable, process.arguments, process.parent_executable, process.cwd].concat();
        assert!(bytes.ends_with(&key) && bytes[HEAD..bytes.len() - KEY].starts_with(&texts));
    }
    let name = |number| (number == 101).then_some("ptrace");
    let texts = match decode(bytes, name) {
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error}");
            return;
        }
        Ok(Decoded::Record(record)) => {
            let process = record.process;
            [process.executable, process.arguments, process.parent_executable, process.cwd]
        }
        // Has no text of its own.
        Ok(Decoded::Tampering(_)) => return,
        Ok(Decoded::FileCall(call)) => [call.path, call.base, call.second_path, call.second_base],
    };
    assert!(bytes[HEAD..].starts_with(&texts.concat()));
});
