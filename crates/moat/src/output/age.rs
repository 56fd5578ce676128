//! Quantities in the unit that a person would choose.

/// `42 s`, `5 min`, `3 h 12 min`, `9 d 4 h`.
pub fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days} d {} h", hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min"),
        () => format!("{seconds} s"),
    }
}

/// `812 B`, `38.4 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(size);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit_the_quantity() {
        assert_eq!([0, 59, 60, 11_520, 792_000].map(age), ["0 s", "59 s", "1 min", "3 h 12 min", "9 d 4 h"]);
        assert_eq!(
            [812, 1024, 40_265_400, u64::MAX].map(bytes),
            ["812 B", "1.0 KiB", "38.4 MiB", "17179869183.9 GiB"]
        );
    }
}
