//! Decodes what the kernel writes: `struct fanotify_event_metadata`, one after the other (fanotify(7)).

use std::os::fd::RawFd;

/// Bytes of one event without information records.
pub(super) const METADATA_LENGTH: usize = 24;

const VERSION: u8 = 3;

/// One event as the kernel wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawEvent {
    pub mask: u64,
    pub file: Option<RawFd>,
    pub tid: u32,
}

/// The whole events at the start of `bytes`; stops at the first that is cut off or of another version.
pub(super) fn decode(mut bytes: &[u8]) -> impl Iterator<Item = RawEvent> {
    std::iter::from_fn(move || {
        // u32 event_len, u8 vers, u8 reserved, u16 metadata_len, u64 mask, i32 fd, i32 pid
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let version = *bytes.get(4)?;
        let mask = u64::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
        let file = i32::from_ne_bytes(*bytes.get(16..)?.first_chunk()?);
        let tid = i32::from_ne_bytes(*bytes.get(20..)?.first_chunk()?);
        if version != VERSION || length < METADATA_LENGTH {
            return None;
        }
        bytes = bytes.get(length..)?;
        Some(RawEvent { mask, file: (file >= 0).then_some(file), tid: tid.try_into().unwrap_or(0) })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(length: u32, version: u8, mask: u64, file: i32, pid: i32) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([version, 0]);
        bytes.extend(24_u16.to_ne_bytes());
        bytes.extend(mask.to_ne_bytes());
        bytes.extend(file.to_ne_bytes());
        bytes.extend(pid.to_ne_bytes());
        bytes.resize(length.max(24) as usize, 0);
        bytes
    }

    #[test]
    fn events_follow_one_another() {
        let mut bytes = encode(24, 3, libc::FAN_OPEN_PERM, 7, 42);
        bytes.extend(encode(32, 3, libc::FAN_OPEN_EXEC_PERM, 8, 43));
        bytes.extend(encode(24, 3, libc::FAN_Q_OVERFLOW, -1, 0));
        let events: Vec<_> = decode(&bytes).collect();
        assert_eq!(
            events,
            [
                RawEvent { mask: libc::FAN_OPEN_PERM, file: Some(7), tid: 42 },
                RawEvent { mask: libc::FAN_OPEN_EXEC_PERM, file: Some(8), tid: 43 },
                RawEvent { mask: libc::FAN_Q_OVERFLOW, file: None, tid: 0 },
            ]
        );
    }

    #[test]
    fn an_event_of_another_version_or_cut_short_ends_the_list() {
        assert_eq!(decode(&encode(24, 2, 1, 7, 42)).count(), 0);
        assert_eq!(decode(&encode(8, 3, 1, 7, 42)).count(), 0);
        let bytes = encode(24, 3, 1, 7, 42);
        assert_eq!(decode(&bytes[..23]).count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(decode(&bytes).count() <= bytes.len() / METADATA_LENGTH);
        }
    }
}
