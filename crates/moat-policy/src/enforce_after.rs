//! When a policy that is only audited at first begins to be enforced.

use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

/// `enforceAfter` of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnforceAfter {
    At(Timestamp),
    /// Counted from when the policy was first seen.
    After(SignedDuration),
}

/// Why an `enforceAfter` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnforceAfterError {
    #[error(
        "`{}` is neither a date (`2027-01-31`), an RFC 3339 date-time (`2027-01-31T08:00:00Z`) nor a duration (`14d`, `12h`)",
        .0.escape_default()
    )]
    Syntax(String),
    #[error("the date-time `{}` has no offset: end it with `Z` or `+01:00`", .0.escape_default())]
    NoOffset(String),
    #[error("the duration `{}` counts months or years, which differ in length: count days (`d`)", .0.escape_default())]
    Calendar(String),
    #[error("the duration `{}` is not positive", .0.escape_default())]
    NotPositive(String),
}

impl EnforceAfter {
    /// The instant of the change, for a policy first seen at `first_seen`.
    pub fn instant(self, first_seen: Timestamp) -> Timestamp {
        match self {
            EnforceAfter::At(instant) => instant,
            EnforceAfter::After(duration) => first_seen.checked_add(duration).unwrap_or(Timestamp::MAX),
        }
    }
}

impl FromStr for EnforceAfter {
    type Err = EnforceAfterError;

    /// A date is its midnight in UTC; days are 24 hours, weeks seven days.
    fn from_str(text: &str) -> Result<EnforceAfter, EnforceAfterError> {
        let quoted = || text.chars().take(60).collect::<String>();
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(EnforceAfter::At(instant));
        }
        if text.len() == "2027-01-31".len()
            && let Ok(date) = text.parse::<Date>()
            && let Ok(midnight) = date.to_zoned(TimeZone::UTC)
        {
            return Ok(EnforceAfter::At(midnight.timestamp()));
        }
        if text.parse::<DateTime>().is_ok() {
            return Err(EnforceAfterError::NoOffset(quoted()));
        }
        let span: Span = text.parse().map_err(|_| EnforceAfterError::Syntax(quoted()))?;
        if span.get_years() != 0 || span.get_months() != 0 {
            return Err(EnforceAfterError::Calendar(quoted()));
        }
        let duration = span
            .to_duration(SpanRelativeTo::days_are_24_hours())
            .map_err(|_| EnforceAfterError::Syntax(quoted()))?;
        if !duration.is_positive() {
            return Err(EnforceAfterError::NotPositive(quoted()));
        }
        Ok(EnforceAfter::After(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_date_times_and_durations() {
        let at = |text: &str| EnforceAfter::At(text.parse().unwrap());
        let after = |hours: i64| EnforceAfter::After(SignedDuration::from_hours(hours));
        for (text, expected) in [
            ("2027-01-31", at("2027-01-31T00:00:00Z")),
            ("2027-01-31T08:00:00Z", at("2027-01-31T08:00:00Z")),
            ("2027-01-31T08:00:00+01:00", at("2027-01-31T07:00:00Z")),
            ("14d", after(14 * 24)),
            ("12h", after(12)),
            ("1w", after(7 * 24)),
            ("1d 12h", after(36)),
            ("P14D", after(14 * 24)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let refused = |text: &str| text.parse::<EnforceAfter>().unwrap_err();
        for text in ["", "soon", "14", "2027-13-01", "31.1.2027", "d", "999999999999999999d"] {
            assert!(matches!(refused(text), EnforceAfterError::Syntax(_)), "{text}");
        }
        assert!(matches!(refused("2027-01-31T08:00:00"), EnforceAfterError::NoOffset(_)));
        assert!(matches!(refused("1mo"), EnforceAfterError::Calendar(_)));
        assert!(matches!(refused("2y 1d"), EnforceAfterError::Calendar(_)));
        assert!(matches!(refused("0h"), EnforceAfterError::NotPositive(_)));
        assert!(matches!(refused("-3d"), EnforceAfterError::NotPositive(_)));
    }

    #[test]
    fn a_duration_beyond_all_time_is_never_reached() {
        let never = EnforceAfter::After(SignedDuration::MAX);
        assert_eq!(never.instant(Timestamp::UNIX_EPOCH), Timestamp::MAX);
    }
}
