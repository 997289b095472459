//! How mistakes become fewer from model to model, as a picture.

use super::{Judged, figures::Mistakes};
use crate::boards::svg::{escape, open, part};

const WIDTH: f64 = 150.0;
const HEIGHT: f64 = 90.0;
const LEFT: f64 = 14.0;
const TOP: f64 = 14.0;
const BELOW: f64 = 12.0;
/// For the names of the curves.
const RIGHT: f64 = 24.0;
/// Between the names of two curves.
const LINE: f64 = 4.0;
/// Lines of the grid. Whatever is less is drawn at the lowest.
const RATES: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
/// Minutes between two marks: the least that gives no more than ten.
const STEPS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 240.0];

/// A chart of the rates of mistakes with their intervals: of the network alone and of searches of every length, over the minutes between
/// the models, or over their number where their files tell no time.
pub(super) fn picture(judged: &[Judged]) -> String {
    let is_timed = judged.windows(2).all(|two| two[0].minutes < two[1].minutes);
    let place = |number: usize| if is_timed { judged[number].minutes } else { number as f64 };
    let last = place(judged.len() - 1).max(1.0);
    let x = |at: f64| LEFT + 3.0 + at / last * (WIDTH - LEFT - 6.0);
    let lowest = judged.iter().flat_map(mistakes).map(|mistakes| mistakes.rate).fold(1.0, f64::min);
    let low = RATES.into_iter().rev().find(|&rate| rate <= lowest).unwrap_or(RATES[0]).min(0.2);
    let y = |rate: f64| TOP + HEIGHT * rate.max(low).ln() / low.ln();
    let title = judged.last().map(|last| format!("Mistakes: {}", escape(&last.figures.game))).unwrap_or_default();
    let mut text = open((WIDTH + RIGHT) as f32, (TOP + HEIGHT + BELOW) as f32, &title);
    part(&mut text, format_args!("<text class=\"head\" x=\"2\" y=\"7\">{title}</text>\n"));
    for rate in RATES.into_iter().chain([1.0]).filter(|&rate| rate >= low) {
        let at = y(rate);
        part(
            &mut text,
            format_args!("<line class=\"zero\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"),
        );
        part(&mut text, format_args!("<text x=\"{:.1}\" y=\"{:.1}\">{}%</text>\n", LEFT / 2.0, at + 1.2, 100.0 * rate));
    }
    let step = STEPS.into_iter().find(|step| last / step <= 10.0).unwrap_or(480.0);
    for mark in (0..=(last / step) as u32).map(|mark| f64::from(mark) * step) {
        part(&mut text, format_args!("<text x=\"{:.1}\" y=\"{:.1}\">{mark}</text>\n", x(mark), TOP + HEIGHT + 5.0));
    }
    let of = if is_timed { "minutes" } else { "models" };
    part(&mut text, format_args!("<text x=\"{:.1}\" y=\"{:.1}\">{of}</text>\n", WIDTH / 2.0, TOP + HEIGHT + 10.0));
    let mut above = f64::MIN;
    for (number, name) in curves(judged) {
        let points = || judged.iter().enumerate().map(|(at, judged)| (x(place(at)), nth(judged, number)));
        let line: Vec<_> = points().map(|(x, its)| format!("{x:.1},{:.1}", y(its.rate))).collect();
        part(&mut text, format_args!("<polyline class=\"curve\" points=\"{}\"/>\n", line.join(" ")));
        for (x, Mistakes { rate, interval: [low, high], .. }) in points() {
            let ends = format!("x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"", y(*high), y(*low));
            part(&mut text, format_args!("<line class=\"t0 trail\" {ends}/>"));
            part(&mut text, format_args!("<circle class=\"p0\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"0.9\"/>\n", y(*rate)));
        }
        let at = points().next_back().map_or(TOP, |(_, its)| y(its.rate) + 1.2).max(above + LINE);
        part(&mut text, format_args!("<text class=\"line\" x=\"{WIDTH:.1}\" y=\"{at:.1}\">{name}</text>\n"));
        above = at;
    }
    text += "</svg>\n";
    text
}

/// The network alone, then its searches.
fn mistakes(judged: &Judged) -> impl Iterator<Item = &Mistakes> {
    [&judged.figures.policy].into_iter().chain(judged.figures.search.iter().map(|search| &search.mistakes))
}

fn nth(judged: &Judged, number: usize) -> &Mistakes {
    mistakes(judged).nth(number).unwrap_or(&judged.figures.policy)
}

/// Curves by their place among the [`mistakes`], those of the last model with most mistakes first. A search of one simulation plays what
/// the network alone does.
fn curves(judged: &[Judged]) -> Vec<(usize, String)> {
    let Some(last) = judged.last() else { return Vec::new() };
    let searches = last.figures.search.iter().enumerate().filter(|(_, search)| search.simulations > 1);
    let named = searches.map(|(number, search)| (number + 1, format!("n = {}", search.simulations)));
    let mut curves: Vec<_> = [(0, "policy".to_owned())].into_iter().chain(named).collect();
    curves.sort_by(|one, other| nth(last, other.0).rate.total_cmp(&nth(last, one.0).rate));
    curves
}
