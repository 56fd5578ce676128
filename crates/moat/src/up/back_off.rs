//! How long to wait before the agent is started again: not at all after a life, longer and longer after deaths
//! at birth. It is never given up.

use std::time::Duration;

/// An agent that lived this long was well.
pub const HEALTHY: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct BackOff {
    /// Deaths at birth, one after the other.
    failures: u32,
}

impl BackOff {
    /// The wait after an agent that lived for `life`. The first death costs nothing, however early.
    pub fn next(&mut self, life: Duration) -> Duration {
        if life >= HEALTHY {
            self.failures = 0;
        }
        let delay = match self.failures {
            0 => Duration::ZERO,
            failures => FIRST.saturating_mul(2_u32.saturating_pow(failures - 1)).min(LONGEST),
        };
        self.failures = self.failures.saturating_add(1);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_a_life_ends_them() {
        let mut back_off = BackOff::default();
        let waits: Vec<_> = (0..12).map(|_| back_off.next(Duration::from_millis(5)).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
        assert_eq!(back_off.next(HEALTHY), Duration::ZERO);
        assert_eq!(back_off.next(Duration::ZERO), FIRST);
        back_off.failures = u32::MAX;
        assert_eq!(back_off.next(Duration::ZERO), LONGEST);
    }
}
