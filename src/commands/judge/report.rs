//! The figures for people.

use super::{
    Judged,
    figures::{Bin, Figures, Mistakes, Positions, SearchSettings},
};
use crate::commands::{bench::table, models::short};

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
    [
        format!("{game}, {model}, {device}"),
        asked(positions, settings),
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

/// Several models, a line for each.
pub(super) fn many(judged: &[Judged]) -> String {
    let Some(Judged { figures: Figures { game, device, positions, settings, search, .. }, .. }) = judged.last() else {
        return String::new();
    };
    let mut head = vec!["".to_owned(), "minutes".to_owned(), "policy %".to_owned()];
    head.extend(search.iter().map(|search| format!("n = {} %", search.simulations)));
    head.extend(["value error", "calibration error"].map(str::to_owned));
    let mut rows = vec![head];
    for Judged { minutes, figures } in judged {
        let mut row = vec![short(&figures.model).to_owned(), format!("{minutes:.1}")];
        let all = [&figures.policy].into_iter().chain(figures.search.iter().map(|search| &search.mistakes));
        row.extend(all.map(|mistakes| format!("{:.2}", 100.0 * mistakes.rate)));
        row.extend(
            [figures.value.mean_squared_error, figures.value.calibration_error].map(|error| format!("{error:.3}")),
        );
        rows.push(row);
    }
    [
        format!("{game}, {device}"),
        asked(positions, settings),
        String::new(),
        format!("mistakes, of {} positions in which some moves are worse than others:", positions.with_a_choice),
        table(&rows),
    ]
    .join("\n")
}

/// What was asked, and how.
fn asked(positions: &Positions, settings: &SearchSettings) -> String {
    let solver = if settings.solver { ", with the solver" } else { "" };
    let symmetry = if settings.symmetry { ", least images asked" } else { "" };
    format!(
        "{} positions {}: for the mover {} won, {} drawn, {} lost\n\
         search: {}, c_puct {}, K = {}, in flight for {}{solver}{symmetry}, no noise, the move visited most",
        positions.count,
        positions.source,
        positions.won,
        positions.drawn,
        positions.lost,
        settings.root,
        settings.c_puct,
        settings.leaf_parallelism,
        settings.in_flight
    )
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
