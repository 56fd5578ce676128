//! Medians and spreads.

/// Numbers in rising order.
#[derive(Debug, Clone)]
pub struct Sorted(Vec<f64>);

impl Sorted {
    pub fn new(mut values: Vec<f64>) -> Sorted {
        values.sort_by(f64::total_cmp);
        Sorted(values)
    }

    /// The smallest value that at least `share` (0 to 1) of all are not above (nearest rank); NaN of no values.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "values that are given back as they were put in")]
    fn quantiles_are_values_that_were_measured() {
        let sorted = Sorted::new((1..=100).rev().map(f64::from).collect());
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| sorted.quantile(share)), [1.0, 50.0, 99.0, 100.0]);
        assert_eq!(Sorted::new(vec![7.0]).median(), 7.0);
        assert!(Sorted::new(Vec::new()).median().is_nan());
    }
}
