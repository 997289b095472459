//! A game as a picture: one board with everything that was played on it, numbered as game records are printed, or a sheet with
//! all its boards.
//!
//! Lengths are in units of which a cell has 10. The picture needs no other file and follows the reader's light or dark theme.

use std::fmt::Write as _;

use selfplay_engine::{
    Game, Player,
    game::Notation as _,
    games::quoridor::{Quoridor, QuoridorState},
};

use super::game::ShownGame;
use crate::boards::view::{Ply, QuoridorView, WallView};

const CELL: f32 = 10.0;
const GAP: f32 = 2.4;
const STEP: f32 = CELL + GAP;
/// Around a board, for letters and numbers.
const EDGE: f32 = 6.0;
/// Boards in a row of a sheet.
const ROW: usize = 6;
const CURVE: f32 = 24.0;
/// What the lines above a board need.
const LEAST_WIDTH: f32 = 84.0;

const STYLE: &str = "\
svg{--paper:#fff;--cell:#ecede8;--goal:#d3d5d0;--ink:#1d2226;--muted:#59626a;--accent:#0b6e75;--soft:#d6ebec;\
background:var(--paper);font-family:system-ui,sans-serif}\
@media(prefers-color-scheme:dark){svg{--paper:#191d20;--cell:#23292d;--goal:#373e43;--ink:#e6e9ea;--muted:#9ba6ae;\
--accent:#5cc3c6;--soft:#17393c}}\
text{fill:var(--muted);font-size:3.4px;text-anchor:middle}.cell{fill:var(--cell)}.goal{fill:var(--goal)}\
.p0{fill:var(--accent)}.p1{fill:var(--ink)}.t0{stroke:var(--accent)}.t1{stroke:var(--ink)}\
.trail{fill:none;stroke-width:.7;stroke-linejoin:round;opacity:.55}.mark{fill:var(--paper)}\
.number{font-size:2.7px;font-weight:600}.wall .number{fill:var(--paper)}.idea{fill:var(--accent)}\
.fresh{stroke:var(--accent);stroke-width:.6}.head{font-size:4.4px;font-weight:600;fill:var(--ink);text-anchor:start}\
.line{text-anchor:start}.area{fill:var(--soft)}.curve{fill:none;stroke:var(--accent);stroke-width:.6}\
.zero{stroke:var(--muted);stroke-width:.3;stroke-dasharray:1 1}";

/// Draws the position before ply `ply`, by default the last one, with what was played up to it; `all`: a sheet of all
/// positions.
pub(crate) fn picture(game: &ShownGame<Quoridor>, all: bool, ply: Option<usize>) -> String {
    if all { sheet(game) } else { record(game, ply.unwrap_or(game.plies.len())) }
}

fn extent(game: &Quoridor) -> f32 {
    f32::from(game.board_size()) * STEP - GAP
}

/// Opens a picture of this size, to be seen at three times its units or less.
pub(super) fn open(width: f32, height: f32, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{:.0}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n",
        width * 4.0
    )
}

/// One board with the trails of both pawns and the number of every wall and move.
fn record(game: &ShownGame<Quoridor>, ply: usize) -> String {
    let (rules, side) = (&game.rules, extent(&game.rules));
    let (width, top) = ((side + 2.0 * EDGE).max(LEAST_WIDTH), EDGE + 17.0);
    let height = top + side + EDGE + CURVE + 10.0;
    let mut text = open(width, height, &title(game));
    headed(&mut text, game, ply, EDGE);

    part(&mut text, format_args!("<g transform=\"translate({EDGE} {top})\">\n"));
    let state = game.state(ply);
    cells(&mut text, rules, true);
    let tracks = Tracks::of(game, ply);
    tracks.draw_trails(&mut text);
    if let Some(next) = game.plies.get(ply) {
        ideas(&mut text, rules, &state, next);
    }
    tracks.draw_walls(&mut text);
    pawns(&mut text, &QuoridorView::of(rules, &state));
    tracks.draw_numbers(&mut text, &state);
    text += "</g>\n";
    part(&mut text, format_args!("<g transform=\"translate({EDGE} {})\">\n", top + side + EDGE));
    curve(&mut text, &game.plies, ply, side);
    text += "</g>\n</svg>\n";
    text
}

/// All positions in rows.
fn sheet(game: &ShownGame<Quoridor>) -> String {
    let (rules, side) = (&game.rules, extent(&game.rules));
    let positions = game.plies.len() + 1;
    let (across, down) = (side + EDGE, side + EDGE + 5.0);
    let columns = positions.min(ROW);
    let (width, height) = (columns as f32 * across + EDGE, positions.div_ceil(ROW) as f32 * down + 12.0);
    let title = title(game);
    let mut text = open(width, height, &title);
    part(&mut text, format_args!("<text class=\"head\" x=\"{EDGE}\" y=\"7\">{title}</text>\n"));
    let mut before: Option<QuoridorView> = None;
    for number in 0..positions {
        let (x, y) = ((number % ROW) as f32 * across + EDGE, (number / ROW) as f32 * down + 12.0);
        let board = QuoridorView::of(rules, &game.state(number));
        part(&mut text, format_args!("<g transform=\"translate({x:.1} {y:.1})\">\n"));
        cells(&mut text, rules, false);
        let fresh = before.as_ref().and_then(|before| placed(before, &board));
        for &wall in &board.walls {
            let class = if fresh == Some(wall) { "p1 fresh" } else { "p1" };
            bar(&mut text, wall, class, 1.0);
        }
        pawns(&mut text, &board);
        let caption = number.checked_sub(1).map_or_else(
            || "start".to_owned(),
            |last| format!("{number}. {}", rules.action_name(game.plies[last].action)),
        );
        part(&mut text, format_args!("<text x=\"{:.1}\" y=\"{:.1}\">{caption}</text>\n</g>\n", side / 2.0, side + 5.0));
        before = Some(board);
    }
    text += "</svg>\n";
    text
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

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Adds to a picture; a string takes everything.
pub(super) fn part(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).ok();
}

const fn middle(place: u8) -> f32 {
    place as f32 * STEP + CELL / 2.0
}

fn cells(text: &mut String, rules: &Quoridor, labels: bool) {
    let size = rules.board_size();
    for row in 0..size {
        for col in 0..size {
            let class = if row == 0 || row == size - 1 { "goal" } else { "cell" };
            let (x, y) = (f32::from(col) * STEP, f32::from(row) * STEP);
            part(
                text,
                format_args!(
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"10\" height=\"10\" rx=\"1.4\"/>\n"
                ),
            );
        }
        if labels {
            let at = middle(row);
            part(text, format_args!("<text x=\"-3\" y=\"{:.1}\">{}</text>", at + 1.2, row + 1));
            part(text, format_args!("<text x=\"{at:.1}\" y=\"-2\">{}</text>\n", char::from(b'a' + row)));
        }
    }
}

fn pawns(text: &mut String, board: &QuoridorView) {
    for (player, [row, col]) in board.pawns.into_iter().enumerate() {
        let (x, y, down) = (middle(col), middle(row), if player == 0 { 1.0 } else { -1.0 });
        part(text, format_args!("<circle class=\"p{player}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\"/>"));
        let tip = format!("M{:.1} {:.1}h3.2l-1.6 {:.1}z", x - 1.6, y - 0.8 * down, 2.2 * down);
        part(text, format_args!("<path class=\"mark\" d=\"{tip}\"/>\n"));
    }
}

fn bar(text: &mut String, wall: WallView, class: &str, opacity: f32) {
    let (x, y) = (f32::from(wall.c) * STEP, f32::from(wall.r) * STEP);
    let (x, y, width, height) =
        if wall.o == 'h' { (x, y + CELL, CELL + STEP, GAP) } else { (x + CELL, y, GAP, CELL + STEP) };
    let shape = format!("x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\".9\"");
    part(text, format_args!("<rect class=\"{class}\" {shape} opacity=\"{opacity:.2}\"/>\n"));
}

/// The wall that stands in `after` only.
fn placed(before: &QuoridorView, after: &QuoridorView) -> Option<WallView> {
    after.walls.iter().copied().find(|wall| !before.walls.contains(wall))
}

/// What the search would play, the stronger the larger its share.
fn ideas(text: &mut String, rules: &Quoridor, state: &QuoridorState, ply: &Ply) {
    let before = QuoridorView::of(rules, state);
    for top in ply.top() {
        let mut after = *state;
        rules.play(&mut after, top.action);
        let (after, opacity) = (QuoridorView::of(rules, &after), 0.2 + 0.8 * top.probability);
        match placed(&before, &after) {
            Some(wall) => bar(text, wall, "idea", opacity),
            None => {
                let [row, col] = after.pawns[ply.player.index()];
                let at = format!("cx=\"{:.1}\" cy=\"{:.1}\"", middle(col), middle(row));
                part(text, format_args!("<circle class=\"idea\" {at} r=\"2.2\" opacity=\"{opacity:.2}\"/>\n"));
            }
        }
    }
}

/// Where the pawns went and which walls were placed, with the numbers of the moves, from 1.
struct Tracks {
    /// Of each player: number of the move, row and column; the start is number 0.
    trails: [Vec<(usize, [u8; 2])>; 2],
    walls: Vec<(usize, Player, WallView)>,
}

impl Tracks {
    fn of(game: &ShownGame<Quoridor>, plies: usize) -> Self {
        let mut board = QuoridorView::of(&game.rules, &game.state(0));
        let mut tracks = Self { trails: board.pawns.map(|start| vec![(0, start)]), walls: Vec::new() };
        for (number, ply) in game.plies[..plies].iter().enumerate() {
            let after = QuoridorView::of(&game.rules, &game.state(number + 1));
            match placed(&board, &after) {
                Some(wall) => tracks.walls.push((number + 1, ply.player, wall)),
                None => {
                    let player = ply.player.index();
                    tracks.trails[player].push((number + 1, after.pawns[player]));
                }
            }
            board = after;
        }
        tracks
    }

    fn draw_trails(&self, text: &mut String) {
        for (player, trail) in self.trails.iter().enumerate() {
            // Side by side where both went the same way.
            let aside = if player == 0 { -1.2 } else { 1.2 };
            let points: Vec<_> = trail
                .iter()
                .map(|&(_, [row, col])| format!("{:.1},{:.1}", middle(col) + aside, middle(row) + aside))
                .collect();
            part(text, format_args!("<polyline class=\"trail t{player}\" points=\"{}\"/>\n", points.join(" ")));
        }
    }

    fn draw_walls(&self, text: &mut String) {
        for &(number, player, wall) in &self.walls {
            text.push_str("<g class=\"wall\">");
            let class = format!("p{}", player.index());
            bar(text, wall, &class, 1.0);
            let (x, y) = (f32::from(wall.c) * STEP + CELL + GAP / 2.0, f32::from(wall.r) * STEP + CELL + GAP / 2.0);
            part(text, format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>"));
            part(text, format_args!("<text class=\"number\" x=\"{x:.1}\" y=\"{:.1}\">{number}</text></g>\n", y + 0.95));
        }
    }

    /// The number of the last move to each cell where no pawn stands.
    fn draw_numbers(&self, text: &mut String, state: &QuoridorState) {
        let taken = [Player::First, Player::Second].map(|player| state.pawn(player)).map(|cell| [cell.row, cell.col]);
        for (player, trail) in self.trails.iter().enumerate() {
            for (place, &(number, cell)) in trail.iter().enumerate() {
                let again = trail[place + 1..].iter().any(|&(_, later)| later == cell);
                if number == 0 || again || taken.contains(&cell) {
                    continue;
                }
                let corner = if player == 0 { -2.6 } else { 2.6 };
                let (x, y) = (middle(cell[1]) + corner, middle(cell[0]) + corner + 0.95);
                part(
                    text,
                    format_args!("<text class=\"number p{player}\" x=\"{x:.1}\" y=\"{y:.1}\">{number}</text>\n"),
                );
            }
        }
    }
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

#[cfg(test)]
pub(super) mod tests {
    use selfplay_engine::replay::ReadGame;

    use super::*;
    use crate::{boards::game::rules_of, shipped::AnyGame, testing::write_games};

    fn shown() -> ShownGame<Quoridor> {
        let read = ReadGame::open(&write_games(1).archives[0]).unwrap();
        let AnyGame::Quoridor(rules) = rules_of(&read).unwrap() else { panic!("it is of Quoridor") };
        ShownGame::new(&read, rules).unwrap()
    }

    /// What a reader of XML finds: every element closed, in order. Our pictures have no text that needs more.
    pub(in crate::boards) fn is_well_formed(picture: &str) -> bool {
        let mut open = Vec::new();
        for tag in picture.split('<').skip(1).map(|tag| tag.split('>').next().unwrap()) {
            let name = tag.split([' ', '/']).next().unwrap();
            match tag.strip_prefix('/') {
                Some(closed) if open.pop() != Some(closed) => return false,
                None if !tag.ends_with('/') => open.push(name),
                _ => {}
            }
        }
        open.is_empty()
    }

    #[test]
    fn a_game_is_one_board_with_every_move_numbered() {
        let game = shown();
        let picture = picture(&game, false, None);
        assert!(is_well_formed(&picture), "{picture}");
        assert_eq!(
            picture.matches("<g class=\"wall\">").count(),
            QuoridorView::of(&game.rules, &game.state(game.plies.len())).walls.len()
        );
        assert!(picture.contains(&title(&game)) && !picture.contains("class=\"idea\""), "{picture}");
        assert_eq!(picture.matches("class=\"trail").count(), 2);
        assert!((1..=game.plies.len()).any(|number| picture.contains(&format!(">{number}</text>"))), "{picture}");
    }

    #[test]
    fn a_position_shows_what_the_search_would_play() {
        let game = shown();
        let picture = picture(&game, false, Some(2));
        assert!(is_well_formed(&picture) && picture.contains("before ply 2, model 7"), "{picture}");
        assert_eq!(picture.matches("class=\"idea\"").count(), game.plies[2].top().count());
    }

    #[test]
    fn a_sheet_has_every_position() {
        let game = shown();
        let picture = picture(&game, true, None);
        assert!(is_well_formed(&picture), "{picture}");
        assert_eq!(picture.matches("class=\"mark\"").count(), 2 * (game.plies.len() + 1));
        assert!(picture.contains(&format!(">{}. ", game.plies.len())), "{picture}");
    }
}
