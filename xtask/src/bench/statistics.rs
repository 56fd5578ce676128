//! Medians and spreads.

/// Numbers in rising order.
#[derive(Debug, Clone)]
pub struct Sorted(Vec<f64>);

impl Sorted {
    pub fn new(mut values: Vec<f64>) -> Sorted {
        values.sort_by(f64::total_cmp);
        Sorted(values)
    }

    /// The smallest value that at least so many percent of all are not above (nearest rank); NaN of no values.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (percent * self.0.len()).div_ceil(100);
        self.0.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let sorted = Sorted::new((1..=100).rev().map(f64::from).collect());
        let percentiles = [0, 50, 99, 100].map(|percent| sorted.percentile(percent).to_string());
        assert_eq!(percentiles, ["1", "50", "99", "100"]);
        assert_eq!(Sorted::new(vec![7.0]).median().to_string(), "7");
        assert!(Sorted::new(Vec::new()).median().is_nan());
    }
}
