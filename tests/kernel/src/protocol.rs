//! What a guest tells the host, one line each on its second serial port: [`crate::node`] writes, and
//! [`crate::bench`] reads.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The guest's init runs, and everything that the cases need is there.
    Ready,
    /// A case begins, which may take so long.
    Begin { name: String, limit: Duration },
    /// A case has ended.
    Case { name: String, verdict: Verdict, text: String },
    /// The guest's init cannot go on.
    Fatal(String),
    /// All cases have been run.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    Failed,
    Skipped,
}

const CASE: &str = "MOAT-CASE ";
const END: &str = "MOAT-END";

impl Message {
    /// The line, without its end. JSON escapes every control character, so there is exactly one.
    pub fn line(&self) -> String {
        match self {
            Message::End => END.into(),
            other => format!("{CASE}{}", serde_json::to_string(other).unwrap_or_default()),
        }
    }

    /// `None` for a line that is no message.
    pub fn parse(line: &str) -> Option<Message> {
        let line = line.trim();
        if line == END {
            return Some(Message::End);
        }
        serde_json::from_str(line.strip_prefix(CASE)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for message in [
            Message::Ready,
            Message::Begin { name: "exec::name".into(), limit: Duration::from_secs(2) },
            Message::Case {
                name: "exec::name".into(),
                verdict: Verdict::Failed,
                text: "two\r\nlines".into(),
            },
            Message::Fatal("no /proc".into()),
            Message::End,
        ] {
            let line = message.line();
            assert!(!line.contains(['\r', '\n']), "{line}");
            assert_eq!(Message::parse(&format!("{line}\r\n")), Some(message));
        }
        assert_eq!(Message::parse("[    0.5] Run /init as init process"), None);
    }
}
