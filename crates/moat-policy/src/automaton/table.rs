//! An automaton while it is built: rows of state numbers, each state with the patterns that match on entering it.

use std::collections::HashMap;

use super::{Automaton, BuildError, MAX_STATES, MAX_TRANSITIONS};

/// The state from which nothing matches.
pub(super) const DEAD: u32 = 0;

#[derive(Debug)]
pub(super) struct Table {
    pub(super) start: u32,
    /// The class of each byte; the end of the input is the last class.
    pub(super) classes: [u8; 256],
    /// Classes, the end included.
    pub(super) width: usize,
    /// `width` successors a state.
    pub(super) rows: Vec<u32>,
    /// The set of patterns of each state, as an index in `sets`; set 0 is empty.
    pub(super) labels: Vec<u32>,
    sets: Vec<Vec<u32>>,
    set_numbers: HashMap<Vec<u32>, u32>,
    /// States entered at the end of the input, by their set.
    ends: HashMap<u32, u32>,
}

impl Table {
    pub(super) fn new(classes: [u8; 256], width: usize) -> Table {
        Table {
            start: DEAD,
            classes,
            width,
            rows: vec![DEAD; width],
            labels: vec![0],
            sets: vec![Vec::new()],
            set_numbers: HashMap::from([(Vec::new(), 0)]),
            ends: HashMap::from([(0, DEAD)]),
        }
    }

    pub(super) fn states(&self) -> usize {
        self.labels.len()
    }

    /// Adds a state without successors.
    pub(super) fn add_state(&mut self, patterns: Vec<u32>) -> u32 {
        let label = self.label(patterns);
        self.add_labelled(label)
    }

    /// The state without successors in which the input ends with these patterns matched.
    pub(super) fn add_end(&mut self, patterns: Vec<u32>) -> u32 {
        let label = self.label(patterns);
        if let Some(&state) = self.ends.get(&label) {
            return state;
        }
        let state = self.add_labelled(label);
        self.ends.insert(label, state);
        state
    }

    pub(super) fn set(&mut self, from: u32, class: usize, to: u32) {
        self.rows[from as usize * self.width + class] = to;
    }

    pub(super) fn row(&self, state: usize) -> &[u32] {
        &self.rows[state * self.width..(state + 1) * self.width]
    }

    fn label(&mut self, patterns: Vec<u32>) -> u32 {
        if let Some(&label) = self.set_numbers.get(&patterns) {
            return label;
        }
        let label = self.sets.len() as u32;
        self.sets.push(patterns.clone());
        self.set_numbers.insert(patterns, label);
        label
    }

    fn add_labelled(&mut self, label: u32) -> u32 {
        let state = self.labels.len() as u32;
        self.labels.push(label);
        self.rows.resize(self.rows.len() + self.width, DEAD);
        state
    }

    /// The kernel's layout: classes with equal columns as one, matching states last, states numbered by row.
    pub(super) fn lay_out(&self) -> Result<Automaton, BuildError> {
        let states = self.states();
        if states > MAX_STATES {
            return Err(BuildError::TooLarge(Some(states)));
        }
        let end = self.width - 1;
        let mut columns: HashMap<Vec<u32>, usize> = HashMap::new();
        let mut representatives = Vec::new();
        let merged: Vec<usize> = (0..end)
            .map(|class| {
                let column = (0..states).map(|state| self.row(state)[class]).collect();
                *columns.entry(column).or_insert_with(|| {
                    representatives.push(class);
                    representatives.len() - 1
                })
            })
            .collect();
        representatives.push(end);
        let stride = representatives.len();
        if states * stride > MAX_TRANSITIONS {
            return Err(BuildError::TooLarge(Some(states)));
        }

        // A stable sort leaves the dead state first: it has no patterns.
        let mut order: Vec<usize> = (0..states).collect();
        order.sort_by_key(|&state| self.labels[state] != 0);
        let mut place = vec![0u32; states];
        for (position, &state) in order.iter().enumerate() {
            place[state] = (position * stride) as u32;
        }
        let transitions = order
            .iter()
            .flat_map(|&state| representatives.iter().map(move |&class| self.row(state)[class]))
            .map(|to| place[to as usize])
            .collect();
        let matching = order.iter().filter(|&&state| self.labels[state] != 0);
        Ok(Automaton {
            start: place[self.start as usize],
            end_class: (stride - 1) as u32,
            min_match: ((states - matching.clone().count()) * stride) as u32,
            classes: self.classes.map(|class| merged[usize::from(class)] as u8),
            transitions,
            stride: stride as u32,
            matches: matching.map(|&state| self.sets[self.labels[state] as usize].clone()).collect(),
        })
    }
}
