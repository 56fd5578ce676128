//! Lines on the socket: one JSON document each, of bounded length.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Reads lines of at most `limit` bytes. Cancel safe: what was read of a line waits for the next call.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    limit: usize,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub fn new(reader: R, limit: usize) -> Lines<R> {
        Lines { reader, line: Vec::new(), limit }
    }

    /// The next line without its line feed, `None` at the end. A line that is too long, or that the end cuts
    /// off, is an error, and the stream is of no more use.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let bytes = self.reader.fill_buf().await?;
            if bytes.is_empty() {
                return if self.line.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
            let (part, taken, complete) = match bytes.split(|byte| *byte == b'\n').next() {
                Some(part) if part.len() < bytes.len() => (part, part.len() + 1, true),
                _ => (bytes, bytes.len(), false),
            };
            if self.line.len() + part.len() > self.limit {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a line is longer than {} bytes", self.limit),
                ));
            }
            self.line.extend_from_slice(part);
            self.reader.consume(taken);
            if complete {
                return Ok(Some(std::mem::take(&mut self.line)));
            }
        }
    }

    /// Waits until the other side sends or closes.
    pub async fn readable(&mut self) {
        let _ = self.reader.fill_buf().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_split_whatever_the_chunks() {
        let (mut far, near) = tokio::io::duplex(3);
        let sender = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut far, b"first\n\nthird line\n").await.unwrap();
        });
        let mut lines = Lines::new(tokio::io::BufReader::new(near), 10);
        assert_eq!(lines.next().await.unwrap().unwrap(), b"first");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"third line");
        assert_eq!(lines.next().await.unwrap(), None);
        sender.await.unwrap();
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_or_cut_off_is_an_error() {
        let error = Lines::new(&b"12345678901\n"[..], 10).next().await.unwrap_err();
        assert_eq!(error.to_string(), "a line is longer than 10 bytes");
        let error = Lines::new(&b"cut off"[..], 10).next().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
