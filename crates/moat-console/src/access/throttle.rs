//! Slows down who guesses passwords: by name and by address, in memory of each replica.
//!
//! Persisting it would let anybody who can reach the console fill the store; a restart forgives, and takes longer
//! than the wait it saves.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
/// Of one address: several people may sit behind it.
const FREE_OF_ADDRESS: u32 = 20;
const LONGEST: Duration = Duration::from_mins(15);
/// Most keys that are remembered.
const MAX_KEYS: usize = 100_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<Key, Failures>>);

impl Throttle {
    /// How long an attempt still has to wait; zero if it may go ahead. One that goes ahead counts as failed until
    /// [`succeeded`](Self::succeeded): attempts at the same time do not slip through together.
    pub fn attempt(&self, name: &str, address: IpAddr, now: Instant) -> Duration {
        self.attempt_by(&[(Key::name(name), FREE), (Key::address(address), FREE_OF_ADDRESS)], now)
    }

    /// The same for an attempt that names nobody; [`succeeded_from`](Self::succeeded_from) takes it back.
    pub fn attempt_from(&self, address: IpAddr, now: Instant) -> Duration {
        self.attempt_by(&[(Key::address(address), FREE_OF_ADDRESS)], now)
    }

    fn attempt_by(&self, keys: &[(Key, u32)], now: Instant) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = keys
            .iter()
            .filter_map(|(key, free)| failures.get(key)?.wait(*free, now))
            .max()
            .unwrap_or_default();
        if !wait.is_zero() {
            return wait;
        }
        if failures.len() + keys.len() > MAX_KEYS {
            failures.retain(|_, failures| now.duration_since(failures.last) < LONGEST);
        }
        if failures.len() + keys.len() > MAX_KEYS {
            // A flood of names from many addresses: all wait a little rather than none.
            return Duration::from_secs(1);
        }
        for (key, _) in keys {
            let entry = failures.entry(key.clone()).or_insert(Failures { count: 0, last: now });
            if now.duration_since(entry.last) > LONGEST {
                entry.count = 0;
            }
            entry.count = entry.count.saturating_add(1);
            entry.last = now;
        }
        Duration::ZERO
    }

    /// The attempt was the right person's.
    pub fn succeeded(&self, name: &str, address: IpAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&Key::name(name));
        self.succeeded_from(address);
    }

    /// Others at this address may still be guessing: only this attempt is taken back.
    pub fn succeeded_from(&self, address: IpAddr) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = failures.get_mut(&Key::address(address)) {
            entry.count = entry.count.saturating_sub(1);
        }
    }
}

impl Key {
    fn name(name: &str) -> Key {
        Key::Name(name.chars().take(256).collect::<String>().to_lowercase())
    }

    fn address(address: IpAddr) -> Key {
        Key::Address(network(address))
    }
}

impl Failures {
    fn wait(&self, free: u32, now: Instant) -> Option<Duration> {
        let over = self.count.checked_sub(free)?;
        let wait = Duration::from_secs(1 << over.min(10)).min(LONGEST);
        wait.checked_sub(now.duration_since(self.last))
    }
}

/// An IPv6 network of 64 bits is one place.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 64)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn guesses_of_one_name_wait_longer_and_longer_whatever_their_address() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        for address in 1..=FREE {
            let address = IpAddr::from([10, 0, 0, address as u8]);
            assert_eq!(throttle.attempt("Ann", address, now), Duration::ZERO);
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = throttle.attempt("ann", HERE, now);
            assert!(!wait.is_zero());
            let just_before = (now + wait).checked_sub(Duration::from_millis(1)).unwrap();
            assert!(!throttle.attempt("ann", HERE, just_before).is_zero());
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(throttle.attempt("ann", HERE, now), Duration::ZERO);
        }
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!(waits[11], LONGEST.as_secs());
        throttle.succeeded("ANN", HERE);
        assert_eq!(throttle.attempt("ann", IpAddr::from([10, 9, 9, 9]), now), Duration::ZERO);
    }

    #[test]
    fn guesses_from_one_network_wait_whatever_the_name() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let address = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, host]);
        for host in 0..FREE_OF_ADDRESS {
            assert_eq!(throttle.attempt(&format!("user{host}"), address(host as u16), now), Duration::ZERO);
        }
        assert!(!throttle.attempt("another", address(999), now).is_zero());
        assert!(!throttle.attempt_from(address(999), now).is_zero());
        throttle.succeeded_from(address(999));
        assert!(throttle.attempt_from(address(999), now).is_zero());
        assert!(throttle.attempt("another", IpAddr::from([0x2001, 0xdb8, 0, 8, 0, 0, 0, 1]), now).is_zero());
    }
}
