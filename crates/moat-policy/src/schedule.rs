//! The schedule of a compliance policy: five cron fields (POSIX crontab), with steps (`*/5`).

/// The fields and their ranges, in order.
const FIELDS: [(&str, u8, u8); 5] =
    [("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7)];

/// Checks a schedule.
///
/// # Errors
/// What is wrong with which field, in words.
pub fn check(text: &str) -> Result<(), String> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "a schedule has five fields (minute, hour, day of month, month, day of week), this one has {}",
            fields.len()
        ));
    }
    for ((name, lowest, highest), field) in FIELDS.iter().zip(fields) {
        if !field.split(',').all(|element| is_element(element, *lowest, *highest)) {
            let field: String = field.chars().take(40).collect();
            return Err(format!(
                "the {name} `{}` is not `*`, a number from {lowest} to {highest}, a range, a step or a list of them",
                field.escape_default()
            ));
        }
    }
    Ok(())
}

/// `*`, `n` or `n-m`; the first and the last also with a step, `/n`.
fn is_element(element: &str, lowest: u8, highest: u8) -> bool {
    let number = |text: &str| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u8>().ok().filter(|_| digits)
    };
    let value = |text: &str| number(text).filter(|value| (lowest..=highest).contains(value));
    let (range, step) = match element.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (element, None),
    };
    let (is_valid, is_single) = match range.split_once('-') {
        _ if range == "*" => (true, false),
        Some((first, last)) => {
            (value(first).zip(value(last)).is_some_and(|(first, last)| first <= last), false)
        }
        None => (value(range).is_some(), true),
    };
    is_valid && step.is_none_or(|step| !is_single && number(step).is_some_and(|step| step > 0))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn schedules() {
        for text in ["0 * * * *", "*/5 0-6 1,15 * 1-5", "59 23 31 12 7", "0-30/10 * * * 0"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "0 * * *",
            "0 * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "5/5 * * * *",
            "1, * * * *",
            "a * * * *",
            "-1 * * * *",
            "000 * * * *",
            "@hourly",
            "+1 * * * *",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
