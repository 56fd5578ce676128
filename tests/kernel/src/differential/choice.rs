//! Choices that look random and are the same for the same seed.

/// `SplitMix64` (Steele, Lea, Flood, 2014): any seed will do, 0 too.
#[derive(Debug, Clone)]
pub struct Choice(u64);

impl Choice {
    pub fn new(seed: u64) -> Choice {
        Choice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them; there is one at least.
    pub fn of<T: Clone>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())].clone()
    }

    /// From one to three different ones, in their order.
    pub fn some<T: Clone>(&mut self, these: &[T]) -> Vec<T> {
        let wanted = 1 + self.below(these.len().min(3));
        let mut left = these.len();
        let mut missing = wanted;
        let mut chosen = Vec::with_capacity(wanted);
        for one in these {
            if self.below(left) < missing {
                chosen.push(one.clone());
                missing -= 1;
            }
            left -= 1;
        }
        chosen
    }

    /// As [`Choice::some`] of texts, in so many of a hundred cases, else none.
    pub fn texts(&mut self, percent: usize, these: &[&str]) -> Vec<String> {
        if self.chance(percent) {
            self.some(these).into_iter().map(String::from).collect()
        } else {
            Vec::new()
        }
    }

    pub fn text(&mut self, percent: usize, these: &[&str]) -> Option<String> {
        self.chance(percent).then(|| self.of(these).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_choices() {
        let all = [1, 2, 3, 4, 5];
        let (mut one, mut other) = (Choice::new(7), Choice::new(7));
        for _ in 0..1000 {
            let chosen = one.some(&all);
            assert_eq!(chosen, other.some(&all));
            assert!((1..=3).contains(&chosen.len()) && chosen.is_sorted());
        }
        assert_ne!(Choice::new(1).next(), Choice::new(2).next());
    }

    #[test]
    fn each_is_chosen() {
        let mut choice = Choice::new(0);
        let mut counts = [0; 4];
        for _ in 0..400 {
            counts[choice.of(&[0, 1, 2, 3])] += 1;
        }
        assert!(counts.iter().all(|count| (50..150).contains(count)), "{counts:?}");
    }
}
