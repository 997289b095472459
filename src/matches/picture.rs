//! Ratings by version as a picture.

use serde::Serialize;

use crate::boards::svg::{escape, open, part};

/// A player and its rating.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Standing {
    pub player: String,
    /// Above the first anchor.
    pub elo: f64,
    /// Half of the 95% interval.
    pub margin: f64,
    pub games: u64,
}

/// Width of a player's column, height of the chart, and what is around it.
const COLUMN: f32 = 12.0;
const HEIGHT: f32 = 90.0;
const LEFT: f32 = 14.0;
const TOP: f32 = 14.0;
const BELOW: f32 = 26.0;
/// What lies between two lines of the grid, in Elo: the least that gives no more than eight.
const STEPS: [f64; 6] = [10.0, 25.0, 50.0, 100.0, 200.0, 500.0];

/// A chart of all ratings with their intervals: anchors first, of which there are `anchors`, then models, oldest first, joined by a line.
pub(crate) fn picture(title: &str, standings: &[Standing], anchors: usize) -> String {
    let low = standings.iter().map(|standing| standing.elo - standing.margin).fold(0.0, f64::min);
    let high = standings.iter().map(|standing| standing.elo + standing.margin).fold(0.0, f64::max);
    let step = STEPS.into_iter().find(|step| (high - low) / step <= 8.0).unwrap_or(1000.0);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step + step);
    let x = |place: usize| LEFT + (place as f32 + 0.5) * COLUMN;
    let y = |elo: f64| TOP + (1.0 - ((elo - low) / (high - low)) as f32) * HEIGHT;
    let width = (LEFT + standings.len() as f32 * COLUMN).max(130.0) + 4.0;
    let title = format!("Ratings: {}", escape(title));
    let mut text = open(width, TOP + HEIGHT + BELOW, &title);
    part(&mut text, format_args!("<text class=\"head\" x=\"2\" y=\"7\">{title}</text>\n"));
    let lines = ((high - low) / step).round() as i32;
    for elo in (0..=lines).map(|line| low + f64::from(line) * step) {
        let (at, place) = (y(elo), LEFT / 2.0);
        part(
            &mut text,
            format_args!("<line class=\"zero\" x1=\"{LEFT}\" x2=\"{width:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"),
        );
        part(&mut text, format_args!("<text x=\"{place:.1}\" y=\"{:.1}\">{elo:.0}</text>\n", at + 1.2));
    }
    let models = standings.iter().enumerate().skip(anchors);
    let points: Vec<_> = models.map(|(place, standing)| format!("{:.1},{:.1}", x(place), y(standing.elo))).collect();
    part(&mut text, format_args!("<polyline class=\"curve\" points=\"{}\"/>\n", points.join(" ")));
    for (place, Standing { player, elo, margin, .. }) in standings.iter().enumerate() {
        let (x, class) = (x(place), u8::from(place < anchors));
        let ends = format!("x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"", y(elo - margin), y(elo + margin));
        part(&mut text, format_args!("<line class=\"t{class} trail\" {ends}/>"));
        part(&mut text, format_args!("<circle class=\"p{class}\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"1.4\"/>", y(*elo)));
        let below = format!("translate({x:.1} {:.1}) rotate(50)", TOP + HEIGHT + 4.0);
        let player = escape(player);
        part(&mut text, format_args!("<text class=\"line\" transform=\"{below}\">{player}</text>\n"));
    }
    text += "</svg>\n";
    text
}
