//! User names of a container: what `users: [www-data]` means there.

use std::collections::BTreeMap;

/// The users of one container's `/etc/passwd`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Users {
    by_name: BTreeMap<Vec<u8>, u32>,
}

impl Users {
    /// Reads passwd(5): `name:password:uid:…`. The file is the container's, so lines that are anything else are
    /// skipped; of two lines with one name the first counts, as it does for `getpwnam`(3).
    pub fn parse(passwd: &[u8]) -> Users {
        let mut by_name = BTreeMap::new();
        for line in passwd.split(|&byte| byte == b'\n') {
            let mut fields = line.split(|&byte| byte == b':');
            let (Some(name), Some(_password), Some(uid)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let uid = std::str::from_utf8(uid).ok().and_then(number);
            if let (false, Some(uid)) = (name.is_empty(), uid) {
                by_name.entry(name.to_vec()).or_insert(uid);
            }
        }
        Users { by_name }
    }

    /// The id of `user`, a name or a number. `root` is 0 whatever the file says; `None`: nobody has this name.
    pub fn resolve(&self, user: &str) -> Option<u32> {
        match user {
            "root" => Some(0),
            _ => number(user).or_else(|| self.by_name.get(user.as_bytes()).copied()),
        }
    }
}

/// Digits only: `u32::from_str` takes a sign too.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_well_formed_and_skips_the_rest() {
        let users = Users::parse(
            b"root:x:7:0::/root:/bin/sh\nwww-data:x:33:33:www\nwww-data:x:34\n:x:1\nno-uid:x\nbad:x:+5\nbig:x:4294967296\n\xff\xfe:x:9\nlast:x:4294967295",
        );
        assert_eq!(users.resolve("root"), Some(0), "root is 0 even where the container's file lies");
        assert_eq!(users.resolve("www-data"), Some(33), "the first line counts");
        assert_eq!(users.resolve("1000"), Some(1000), "a number needs no line");
        assert_eq!(users.resolve("last"), Some(u32::MAX));
        for nobody in ["", "no-uid", "bad", "big", "+5", "-1", "4294967296", "absent"] {
            assert_eq!(users.resolve(nobody), None, "{nobody}");
        }
    }
}
