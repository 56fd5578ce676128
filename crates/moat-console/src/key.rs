//! The console's key: one file that seals what the store must not reveal (the authority's private key,
//! notifiers' secrets), so that a copy of the database alone gives nobody access to anything.
//!
//! Replicas share the file. Without it, sealed values cannot be read again by anyone.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

const KEY_BYTES: usize = 32;
/// What sealed text begins with: the first form, AES-256-GCM with a random nonce.
const FORM: &str = "sealed-v1.";

#[derive(Clone)]
pub struct ConsoleKey(std::sync::Arc<LessSafeKey>);

impl fmt::Debug for ConsoleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsoleKey")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{action} the console's key {path}: {source}", path = path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the console's key {path} holds {found} bytes instead of {KEY_BYTES}: restore it from a backup",
        path = path.display())]
    Length { path: PathBuf, found: usize },
    #[error("the console's key {path} can be read by others (mode {mode:o}): run chmod 600 on it",
        path = path.display())]
    Readable { path: PathBuf, mode: u32 },
    #[error("the system gives no random bytes")]
    Random,
}

/// A sealed value that this key cannot open: sealed by another key, for another purpose, or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open with the console's key: is console.key the one that sealed it?")]
pub struct NotOpened;

impl ConsoleKey {
    /// Reads the key at `path`, which is made first if it is not there. Of several replicas that start at
    /// once, one makes it and all read that one.
    pub fn open_or_create(path: &Path) -> Result<ConsoleKey, KeyError> {
        let failed = |action| move |source| KeyError::File { action, path: path.to_owned(), source };
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::read(path, File::open(path).map_err(failed("opening"))?)
            }
            Err(error) => Err(failed("opening")(error)),
        }
    }

    fn read(path: &Path, file: File) -> Result<ConsoleKey, KeyError> {
        let failed = |source| KeyError::File { action: "reading", path: path.to_owned(), source };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Readable { path: path.to_owned(), mode });
        }
        let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
        file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        let found = bytes.len();
        let key = <[u8; KEY_BYTES]>::try_from(bytes)
            .ok()
            .and_then(|bytes| UnboundKey::new(&AES_256_GCM, &bytes).ok())
            .ok_or_else(|| KeyError::Length { path: path.to_owned(), found })?;
        Ok(ConsoleKey(std::sync::Arc::new(LessSafeKey::new(key))))
    }

    /// Seals bytes for a purpose (`authority`, `notifier ID`): they open for that purpose only, so that nobody
    /// who can write to the store can move a secret to where it would be used otherwise.
    pub fn seal(&self, purpose: &str, bytes: &[u8]) -> Result<String, KeyError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| KeyError::Random)?;
        let mut sealed = bytes.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| KeyError::Random)?;
        sealed.splice(..0, nonce);
        Ok(format!("{FORM}{}", BASE64_URL_SAFE_NO_PAD.encode(sealed)))
    }

    pub fn open(&self, purpose: &str, sealed: &str) -> Result<Vec<u8>, NotOpened> {
        let text = sealed.strip_prefix(FORM).ok_or(NotOpened)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| NotOpened)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(NotOpened)?;
        let mut bytes = sealed.to_vec();
        let opened = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(purpose.as_bytes()), &mut bytes)
            .map_err(|_| NotOpened)?
            .len();
        bytes.truncate(opened);
        Ok(bytes)
    }
}

/// Writes a new key beside `path` and links it there: a crash leaves no half key, and who comes second keeps
/// the first one's.
fn create(path: &Path) -> Result<(), KeyError> {
    let failed = |source| KeyError::File { action: "making", path: path.to_owned(), source };
    let mut bytes = [0; KEY_BYTES];
    let mut name = [0; 8];
    let random = SystemRandom::new();
    random.fill(&mut bytes).and_then(|()| random.fill(&mut name)).map_err(|_| KeyError::Random)?;
    let temporary = path.with_extension(format!("{:016x}.new", u64::from_ne_bytes(name)));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(&bytes)?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let removed = fs::remove_file(&temporary);
    written.and(removed).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(folder: &tempfile::TempDir) -> ConsoleKey {
        ConsoleKey::open_or_create(&folder.path().join("console.key")).expect("a key")
    }

    #[test]
    fn what_is_sealed_opens_again_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let sealed = key(&folder).seal("notifier 1", b"token").expect("sealed");
        assert!(!sealed.contains("token"));
        assert_eq!(key(&folder).open("notifier 1", &sealed).as_deref(), Ok(&b"token"[..]));
        let left: Vec<_> =
            fs::read_dir(folder.path()).expect("listed").map(|e| e.expect("entry").file_name()).collect();
        assert_eq!(left, ["console.key"], "no temporary file is left");
    }

    #[test]
    fn another_purpose_another_key_and_changed_bytes_do_not_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let other = tempfile::tempdir().expect("a folder");
        let key_here = key(&folder);
        let sealed = key_here.seal("notifier 1", b"token").expect("sealed");
        assert_eq!(key_here.open("notifier 2", &sealed), Err(NotOpened));
        assert_eq!(key(&other).open("notifier 1", &sealed), Err(NotOpened));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("text");
            assert_eq!(key_here.open("notifier 1", &changed), Err(NotOpened), "byte {at}");
        }
        for hostile in ["", "sealed-v1.", "sealed-v1.AAAA", "token"] {
            assert_eq!(key_here.open("notifier 1", hostile), Err(NotOpened));
        }
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = key(&folder);
        assert_ne!(key.seal("p", b"same").expect("sealed"), key.seal("p", b"same").expect("sealed"));
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_cut_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("console.key");
        key(&folder);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("mode");
        assert!(matches!(ConsoleKey::open_or_create(&path), Err(KeyError::Readable { mode: 0o640, .. })));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("mode");
        fs::write(&path, [0; 31]).expect("written");
        assert!(matches!(ConsoleKey::open_or_create(&path), Err(KeyError::Length { found: 31, .. })));
    }

    #[test]
    fn replicas_that_start_at_once_agree_on_one_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys: Vec<ConsoleKey> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..8).map(|_| scope.spawn(|| key(&folder))).collect();
            started.into_iter().map(|thread| thread.join().expect("a key")).collect()
        });
        let sealed = keys[0].seal("p", b"shared").expect("sealed");
        for key in keys {
            assert_eq!(key.open("p", &sealed).as_deref(), Ok(&b"shared"[..]));
        }
    }
}
