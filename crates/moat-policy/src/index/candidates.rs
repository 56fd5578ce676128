//! Rules that may match, from several sorted lists, in one ascending order.

/// Merges ascending lists of rules; each rule comes once.
#[derive(Debug, Default)]
pub(super) struct Candidates<'a> {
    lists: Vec<&'a [u32]>,
}

impl<'a> Candidates<'a> {
    pub(super) fn of(list: &'a [u32]) -> Self {
        Candidates { lists: vec![list] }
    }

    pub(super) fn add(&mut self, list: Option<&'a Vec<u32>>) {
        self.lists.extend(list.map(Vec::as_slice));
    }
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let smallest = self.lists.iter().filter_map(|list| list.first().copied()).min()?;
        for list in &mut self.lists {
            if let Some((&first, rest)) = list.split_first()
                && first == smallest
            {
                *list = rest;
            }
        }
        Some(smallest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_merge_in_order_and_each_rule_comes_once() {
        let mut candidates = Candidates::of(&[1, 4, 9]);
        let (more, last) = (vec![0, 4, 5], vec![9]);
        for list in [Some(&more), None, Some(&last)] {
            candidates.add(list);
        }
        assert_eq!(candidates.collect::<Vec<_>>(), [0, 1, 4, 5, 9]);
    }
}
