//! The figures for people.

use super::figures::{Bin, Figures, Mistakes};
use crate::commands::bench::table;

/// All of it.
pub(super) fn text(figures: &Figures) -> String {
    let Figures { game, model, device, positions, settings, policy, search, value } = figures;
    let mut rows = vec![
        ["", "mistakes", "%", "95%", "win→draw", "win→loss", "draw→loss", "wrong sign %"].map(str::to_owned).to_vec(),
        row("policy", policy),
    ];
    rows.extend(search.iter().map(|search| row(&format!("n = {}", search.simulations), &search.mistakes)));
    let mut bins = vec![["value said", "positions", "mean said", "mean result"].map(str::to_owned).to_vec()];
    bins.extend(value.bins.iter().map(bin_row));
    let solver = if settings.solver { ", with the solver" } else { "" };
    let symmetry = if settings.symmetry { ", least images asked" } else { "" };
    [
        format!("{game}, {model}, {device}"),
        format!(
            "{} positions {}: for the mover {} won, {} drawn, {} lost",
            positions.count, positions.source, positions.won, positions.drawn, positions.lost
        ),
        format!(
            "search: {}, c_puct {}, K = {}, in flight for {}{solver}{symmetry}, no noise, the move visited most",
            settings.root, settings.c_puct, settings.leaf_parallelism, settings.in_flight
        ),
        String::new(),
        format!("in {} positions some moves are worse than others:", positions.with_a_choice),
        table(&rows),
        String::new(),
        format!(
            "value of the network: wrong sign in {} of {} decided positions, mean squared error {:.3}, calibration error {:.3}",
            policy.value_signs.wrong, policy.value_signs.of, value.mean_squared_error, value.calibration_error
        ),
        table(&bins),
    ]
    .join("\n")
}

fn row(name: &str, its: &Mistakes) -> Vec<String> {
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let [low, high] = its.interval.map(percent);
    vec![
        name.to_owned(),
        its.mistakes.to_string(),
        percent(its.rate),
        format!("{low} to {high}"),
        its.win_to_draw.to_string(),
        its.win_to_loss.to_string(),
        its.draw_to_loss.to_string(),
        percent(its.value_signs.rate),
    ]
}

fn bin_row(bin: &Bin) -> Vec<String> {
    let mean = |mean: f64| if bin.positions == 0 { "-".to_owned() } else { format!("{mean:+.2}") };
    vec![format!("{:+.1} to {:+.1}", bin.from, bin.to), bin.positions.to_string(), mean(bin.said), mean(bin.is)]
}
