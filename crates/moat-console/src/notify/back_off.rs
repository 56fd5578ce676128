//! How long to wait after failures in a row.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};

/// Longest wait that a receiver may ask for (`Retry-After`).
const LONGEST_ASKED: Duration = Duration::from_hours(1);

/// Doubles from `first` to `longest`.
#[derive(Debug, Clone)]
pub struct BackOff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl BackOff {
    pub fn new(first: Duration, longest: Duration) -> BackOff {
        BackOff { first, longest, failures: 0 }
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// After one more failure: at least half of the doubled time, the rest by chance, so that many notifiers of one
    /// receiver do not come back at once. Never sooner than the receiver asked for.
    pub fn failed(&mut self, asked: Option<Duration>) -> Duration {
        let wait = self.first.saturating_mul(1 << self.failures.min(20)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let half = wait / 2;
        let jittered = half + half.mul_f64(chance());
        jittered.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

/// From 0 to 1. A system that gives no random bytes has no jitter, which is harmless.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    let _ = SystemRandom::new().fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_longest_and_begins_anew() {
        let mut back_off = BackOff::new(Duration::from_secs(1), Duration::from_mins(1));
        for doubled in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let wait = back_off.failed(None);
            let doubled = Duration::from_secs(doubled);
            assert!(wait >= doubled / 2 && wait <= doubled, "{wait:?} of {doubled:?}");
        }
        back_off.reset();
        assert!(back_off.failed(None) <= Duration::from_secs(1));
    }

    #[test]
    fn the_receiver_is_heeded_up_to_an_hour() {
        let mut back_off = BackOff::new(Duration::from_secs(1), Duration::from_mins(1));
        assert_eq!(back_off.failed(Some(Duration::from_secs(90))), Duration::from_secs(90));
        assert_eq!(back_off.failed(Some(Duration::from_secs(u64::MAX))), LONGEST_ASKED);
        assert!(back_off.failed(Some(Duration::ZERO)) >= Duration::from_secs(2));
    }
}
