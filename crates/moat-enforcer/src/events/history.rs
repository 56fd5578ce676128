//! The last events, kept in memory for `moat events`, bounded by number and by bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::journal::Entry;

/// Most events kept.
const EVENTS: usize = 10_000;
/// Most bytes of JSON kept; the memory taken is about two and a half times that.
const BYTES: usize = 6 * 1024 * 1024;

#[derive(Debug, Default)]
pub struct History {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

impl History {
    pub fn push(&mut self, entry: Arc<Entry>) {
        self.bytes += entry.line.len();
        self.entries.push_back(entry);
        while self.entries.len() > EVENTS || (self.bytes > BYTES && self.entries.len() > 1) {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.line.len();
        }
    }

    /// Oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use moat_event::Severity;

    use super::*;
    use crate::events::system;

    fn entry(line: String) -> Arc<Entry> {
        Arc::new(Entry { event: system::event("n", Severity::Info, String::from("m")), line })
    }

    #[test]
    fn the_oldest_give_way_by_number_and_by_bytes() {
        let mut history = History::default();
        for n in 0..EVENTS + 5 {
            history.push(entry(n.to_string()));
        }
        assert_eq!(history.entries().count(), EVENTS);
        assert_eq!(history.entries().next().map(|entry| entry.line.as_str()), Some("5"));

        for _ in 0..4 {
            history.push(entry("x".repeat(BYTES / 2)));
        }
        assert_eq!(history.entries().count(), 2);
        assert_eq!(history.bytes, BYTES);
    }
}
