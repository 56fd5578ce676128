//! Measurements as a table, each act a line and each state a column.

use std::fmt::Write as _;

use super::{ACTS, Cost, Measured, State};

/// In Markdown: instructions while the driver is detached, what each state adds to them, and the decision's own share.
pub fn markdown(measured: &[Measured]) -> String {
    let mut text = String::from("| act |");
    for one in measured {
        let _ = write!(text, " {} |", one.state.title());
    }
    let _ = writeln!(text, "\n|{}", " --- |".repeat(measured.len() + 1));
    for act in &ACTS {
        let cost = |one: &Measured| one.costs.iter().find(|cost| cost.act == act.name).cloned();
        let base = measured.iter().find(|one| one.state == State::Detached).and_then(cost);
        let _ = write!(text, "| {} |", act.name);
        for one in measured {
            let cell = cost(one).map_or_else(String::new, |cost| cell(one.state, &cost, base.as_ref()));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

fn cell(state: State, cost: &Cost, base: Option<&Cost>) -> String {
    let decision = if cost.decision > 0.0 { format!(" [{:.0}]", cost.decision) } else { String::new() };
    match base {
        Some(base) if state != State::Detached => {
            let added = cost.median - base.median;
            format!("{added:+.0} ({:+.1} %){decision}", 100.0 * added / base.median)
        }
        _ => {
            let spread = (cost.quartiles[1] - cost.quartiles[0]) / 2.0;
            format!("{:.0} ± {spread:.0}{decision}", cost.median)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_tells_what_was_added() {
        let cost = |median, decision| Cost {
            act: ACTS[0].name.into(),
            median,
            quartiles: [median - 2.0, median + 4.0],
            decision,
        };
        let one = |state, cost| Measured { state, costs: vec![cost], load: 0.0 };
        let table =
            markdown(&[one(State::Detached, cost(1000.0, 0.0)), one(State::Rules(10), cost(1250.0, 200.4))]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "| act | detached | 10 rules on paths |");
        assert_eq!(lines[1], "| --- | --- | --- |");
        assert_eq!(lines[2], format!("| {} | 1000 ± 3 | +250 (+25.0 %) [200] |", ACTS[0].name));
        assert_eq!(lines[3], format!("| {} |  |  |", ACTS[1].name));
    }
}
