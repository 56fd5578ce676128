//! Suggestions for names that nobody knows.

/// The candidate that a misspelt name most likely means.
pub(crate) fn nearest<'c>(name: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let name = name.to_lowercase();
    // One slip in three letters; a distance beyond that is another word.
    let limit = (name.chars().count() / 3).clamp(1, 4);
    candidates
        .iter()
        .map(|candidate| (strsim::osa_distance(&name, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a`, `b`, `c`: for "expected are …".
pub(crate) fn list_of(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
