//! Sequential halving: how a number of simulations is divided among the actions of a root.

/// For every simulation in turn, how many visits the action that it takes must have had (Karnin et al. 2013; mctx,
/// `get_sequence_of_considered_visits`).
///
/// Runs of equal numbers are *rounds*, in which each of the best actions is visited once: `actions` of them in the first, half as
/// many in each later phase, and two in the last, which takes what simulations are left.
pub(super) fn schedule(actions: usize, simulations: usize) -> Vec<u32> {
    if actions <= 1 {
        return (0..simulations as u32).collect();
    }
    let phases = (actions - 1).ilog2() as usize + 1;
    let (mut considered, mut visits) = (actions, 0);
    let mut schedule = Vec::with_capacity(simulations + actions);
    while schedule.len() < simulations {
        for _ in 0..(simulations / (phases * considered)).max(1) {
            schedule.extend(std::iter::repeat_n(visits, considered));
            visits += 1;
        }
        considered = (considered / 2).max(2);
    }
    schedule.truncate(simulations);
    schedule
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::vectors::Vectors;

    #[test]
    fn schedules_are_those_recorded() {
        for (actions, by_simulations) in Vectors::read().considered_visits {
            for (simulations, expected) in by_simulations {
                let found = schedule(actions, simulations);
                let runs = expected.runs.iter().flat_map(|&(visits, times)| std::iter::repeat_n(visits, times));
                assert_eq!(found, runs.collect::<Vec<_>>(), "{actions} actions, {simulations} simulations");
                // What the actions get if their order never changes.
                let mut visits = vec![0; actions];
                for considered in found {
                    let next = visits.iter().position(|&visits| visits == considered).unwrap();
                    visits[next] += 1;
                }
                assert_eq!(visits, expected.visits_by_rank);
            }
        }
    }

    #[test]
    fn nothing_is_divided_among_nothing() {
        assert_eq!((schedule(4, 0), schedule(0, 2), schedule(1, 2)), (vec![], vec![0, 1], vec![0, 1]));
    }
}
