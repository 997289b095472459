//! What pictures of games have around their boards: head, title, style and the curve of values.
//!
//! Lengths are in units of which a cell has 10. A picture needs no other file and follows the reader's light or dark theme.

use std::fmt::Write as _;

use selfplay_engine::Game;

use super::{game::ShownGame, view::Ply};

const CURVE: f32 = 24.0;

const STYLE: &str = "\
svg{--paper:#fff;--cell:#ecede8;--goal:#d3d5d0;--ink:#1d2226;--muted:#59626a;--accent:#0b6e75;--soft:#d6ebec;\
background:var(--paper);font-family:system-ui,sans-serif}\
@media(prefers-color-scheme:dark){svg{--paper:#191d20;--cell:#23292d;--goal:#373e43;--ink:#e6e9ea;--muted:#9ba6ae;\
--accent:#5cc3c6;--soft:#17393c}}\
text{fill:var(--muted);font-size:3.4px;text-anchor:middle}.cell{fill:var(--cell)}.goal,.dark{fill:var(--goal)}\
.p0{fill:var(--accent)}.p1{fill:var(--ink)}.t{stroke:var(--muted)}.t0{stroke:var(--accent)}.t1{stroke:var(--ink)}\
.side{stroke-width:1.4;stroke-linecap:round}.wall{stroke:var(--ink);stroke-width:2;stroke-linecap:round}\
.sign{fill:none;stroke-width:1.4;stroke-linecap:round}.tip{fill:var(--paper)}.way{stroke:var(--accent);stroke-width:.8}\
.along{stroke:var(--accent);stroke-width:2;stroke-linecap:round}\
.last{fill:var(--paper);stroke:var(--accent);stroke-width:.6}.idea{fill:var(--accent)}.trail{stroke-width:.7;opacity:.45}\
.number{font-size:2.7px;font-weight:600;paint-order:stroke;stroke:var(--paper);stroke-width:.7}\
.head{font-size:4.4px;font-weight:600;fill:var(--ink);text-anchor:start}.line{text-anchor:start}\
.area{fill:var(--soft)}.curve{fill:none;stroke:var(--accent);stroke-width:.6}\
.zero{stroke:var(--muted);stroke-width:.3;stroke-dasharray:1 1}";

/// Opens a picture of this size, to be seen at three times its units or less.
pub(crate) fn open(width: f32, height: f32, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{:.0}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n",
        width * 4.0
    )
}

/// The three lines above a board.
pub(super) fn headed<G: Game>(text: &mut String, game: &ShownGame<G>, ply: usize, left: f32) {
    let title = title(game);
    let (name, result) = title.split_once(": ").unwrap_or((&title, ""));
    part(text, format_args!("<text class=\"head\" x=\"{left}\" y=\"6\">{name}</text>\n"));
    part(text, format_args!("<text class=\"line\" x=\"{left}\" y=\"11\">{result}</text>\n"));
    let at = if ply == game.plies.len() { String::new() } else { format!("before ply {ply}, ") };
    let versions = format!("model {}", game.metadata.model_version);
    let end = game.metadata.end_reason.as_deref().unwrap_or_default().replace('_', " ");
    let line = format!("{at}{versions}{}{}", if end.is_empty() { "" } else { ", end: " }, escape(&end));
    part(text, format_args!("<text class=\"line\" x=\"{left}\" y=\"15.5\">{line}</text>\n"));
}

pub(super) fn title<G: Game>(game: &ShownGame<G>) -> String {
    let index = game.metadata.game_index.map_or_else(|| "Game".to_owned(), |index| format!("Game {index}"));
    format!("{index}: {} after {} plies", game.result(), game.plies.len())
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Adds to a picture; a string takes everything.
pub(crate) fn part(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).ok();
}

/// The search's value over the plies, first player's view, with the ply at hand.
pub(super) fn curve(text: &mut String, plies: &[Ply], ply: usize, width: f32) {
    let Some(values) = plies.iter().map(Ply::value_for_first).collect::<Option<Vec<_>>>() else { return };
    let steps = values.len().saturating_sub(1).max(1) as f32;
    let (x, y) = (|at: usize| at as f32 / steps * width, |value: f32| (1.0 - value) / 2.0 * CURVE);
    let line: Vec<_> = values.iter().enumerate().map(|(at, &value)| format!("{:.1},{:.1}", x(at), y(value))).collect();
    let (line, end, zero) = (line.join(" "), x(values.len().saturating_sub(1)), y(0.0));
    part(text, format_args!("<rect class=\"cell\" width=\"{width:.1}\" height=\"{CURVE}\" rx=\"1\"/>\n"));
    part(text, format_args!("<polygon class=\"area\" points=\"0,{zero:.1} {line} {end:.1},{zero:.1}\"/>\n"));
    part(text, format_args!("<line class=\"zero\" x2=\"{width:.1}\" y1=\"{zero:.1}\" y2=\"{zero:.1}\"/>\n"));
    part(text, format_args!("<polyline class=\"curve\" points=\"{line}\"/>\n"));
    if ply < values.len() {
        part(
            text,
            format_args!(
                "<line class=\"t1\" stroke-width=\".4\" x1=\"{0:.1}\" x2=\"{0:.1}\" y2=\"{CURVE}\"/>\n",
                x(ply)
            ),
        );
    }
    part(
        text,
        format_args!("<text class=\"line\" y=\"{:.1}\">value for the first player, −1 to 1</text>\n", CURVE + 5.0),
    );
}
