//! What to tell the console of a set of things, of which it was told before.

use std::collections::BTreeMap;

use moat_wire::gateway::CONTENT;

/// What fits into a message.
#[derive(Debug, PartialEq)]
pub struct Part<K, T> {
    /// What this and the following parts do not name is gone.
    pub full: bool,
    pub upserts: Vec<T>,
    pub gone: Vec<K>,
}

/// All that there is where nothing was told, else what differs. `encode` says as what a value is sent, and how large that
/// is.
pub fn changes<K: Ord + Clone, V: PartialEq, T>(
    told: Option<&BTreeMap<K, V>>,
    now: &BTreeMap<K, V>,
    encode: impl Fn(&V) -> (T, usize),
) -> Vec<Part<K, T>> {
    let is_new =
        |key: &K, value: &V| told.is_none_or(|told| told.get(key).is_none_or(|known| known != value));
    let gone = told.into_iter().flat_map(BTreeMap::keys).filter(|key| !now.contains_key(*key));
    let mut part = Part { full: told.is_none(), upserts: Vec::new(), gone: gone.cloned().collect() };
    let (mut parts, mut size) = (Vec::new(), 0);
    for (_, value) in now.iter().filter(|(key, value)| is_new(key, value)) {
        let (upsert, bytes) = encode(value);
        size += bytes;
        part.upserts.push(upsert);
        if size >= CONTENT {
            let next = Part { full: false, upserts: Vec::new(), gone: Vec::new() };
            parts.push(std::mem::replace(&mut part, next));
            size = 0;
        }
    }
    if part.full || !part.upserts.is_empty() || !part.gone.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(told: Option<&BTreeMap<u32, &str>>, now: &BTreeMap<u32, &str>) -> Vec<Part<u32, String>> {
        changes(told, now, |value| ((*value).to_owned(), 1000))
    }

    #[test]
    fn the_console_is_told_everything_once_and_then_what_differs() {
        let first = BTreeMap::from([(1, "a"), (2, "b"), (3, "c")]);
        let all = Part { full: true, upserts: ["a", "b", "c"].map(str::to_owned).to_vec(), gone: vec![] };
        assert_eq!(told(None, &first), [all]);
        assert_eq!(
            told(None, &BTreeMap::new()),
            [Part { full: true, upserts: Vec::new(), gone: Vec::new() }]
        );
        assert_eq!(told(Some(&first), &first), []);
        let second = BTreeMap::from([(1, "a"), (2, "B"), (4, "d")]);
        let differs =
            Part { full: false, upserts: vec![String::from("B"), String::from("d")], gone: vec![3] };
        assert_eq!(told(Some(&first), &second), [differs]);
        assert_eq!(
            told(Some(&first), &BTreeMap::from([(1, "a"), (2, "b")])),
            [Part { full: false, upserts: vec![], gone: vec![3] }]
        );
    }

    #[test]
    fn much_comes_in_several_parts_of_which_only_the_first_is_full() {
        let all: BTreeMap<_, _> = (0..500).map(|number| (number, "x")).collect();
        let parts = told(None, &all);
        assert!(parts.len() > 2);
        assert_eq!(parts.iter().filter(|part| part.full).count(), 1);
        assert!(parts.first().is_some_and(|first| first.full));
        assert_eq!(parts.iter().map(|part| part.upserts.len()).sum::<usize>(), 500);
    }
}
