//! Writes tar archives (POSIX.1-1988 ustar), as far as container images need them.

/// What one member of an archive is.
#[derive(Debug, Clone)]
pub enum Member {
    File { mode: u32, content: Vec<u8> },
    Directory { mode: u32 },
    Symlink { target: String },
}

/// An archive being written.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
}

const BLOCK: usize = 512;

impl Archive {
    /// Appends a member under a relative path of at most 100 bytes, all that ustar's plain name field holds.
    pub fn append(&mut self, path: &str, member: &Member) -> anyhow::Result<()> {
        let (kind, mode, content, target) = match member {
            Member::File { mode, content } => (b'0', *mode, content.as_slice(), ""),
            Member::Directory { mode } => (b'5', *mode, [].as_slice(), ""),
            Member::Symlink { target } => (b'2', 0o777, [].as_slice(), target.as_str()),
        };
        anyhow::ensure!(path.len() <= 100 && target.len() <= 100, "path too long for a tar member: {path}");

        let mut header = [0_u8; BLOCK];
        let mut put = |offset: usize, text: &[u8]| header[offset..offset + text.len()].copy_from_slice(text);
        put(0, path.as_bytes());
        put(100, format!("{mode:07o}").as_bytes());
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, format!("{:011o}", content.len()).as_bytes());
        put(136, b"00000000000");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, target.as_bytes());
        put(257, b"ustar\x0000");
        // The checksum is the sum of the header's bytes, its own field taken as blanks.
        let checksum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{checksum:06o}\0 ").as_bytes());

        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }

    /// Ends the archive with its two empty blocks.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}
