use std::fmt::Display;

/// Says that a test cannot run here, and why; the caller then returns.
///
/// # Panics
///
/// If `MOAT_REQUIRE`, a comma-separated list, names `need` (`guard`, `docker` …): there the machine was
/// promised to be able to.
pub fn skip(need: &str, why: impl Display) {
    let required = std::env::var("MOAT_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name.trim() == need),
        "MOAT_REQUIRE names {need}, but this machine cannot: {why}"
    );
    println!("skipped: {why}");
}
