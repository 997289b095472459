//! A game as a picture, made from the shapes that it describes its board by: one position with all moves numbered as game records
//! are printed and with what the search would play, or a sheet with all positions.

use selfplay_engine::{
    Player,
    game::{
        Notation,
        board::{Board, Cell, Edge, Label, Mark, Pieces, Point, Shape, Stone, StoneKind, Tone},
    },
};

use super::{
    game::ShownGame,
    svg::{curve, escape, headed, open, part, title},
    view::Ply,
};

/// A unit of the board.
const CELL: f32 = 10.0;
/// Around a board.
const EDGE: f32 = 2.0;
/// Boards in a row of a sheet.
const ROW: usize = 6;
/// What the lines above a board need.
const LEAST_WIDTH: f32 = 84.0;
/// Height of the lines above a board, of the curve below, and of the caption of a board of a sheet.
const HEAD: f32 = 20.0;
const BELOW: f32 = 36.0;
const CAPTION: f32 = 6.0;

/// Draws the position before ply `ply`, by default the last one; `all`: a sheet of all positions.
pub(crate) fn picture<G: Notation>(game: &ShownGame<G>, all: bool, ply: Option<usize>) -> String {
    let drawing = Drawing::of(game.rules.board());
    if all { sheet(game, &drawing) } else { position(game, &drawing, ply.unwrap_or(game.plies.len())) }
}

fn position<G: Notation>(game: &ShownGame<G>, drawing: &Drawing, ply: usize) -> String {
    let [across, down] = drawing.extent();
    let (width, height) = (across.max(LEAST_WIDTH) + 2.0 * EDGE, HEAD + down + BELOW);
    let mut text = open(width, height, &title(game));
    headed(&mut text, game, ply, EDGE);
    drawing.place(&mut text, [EDGE, HEAD], &Position::with_its_moves(game, ply));
    part(&mut text, format_args!("<g transform=\"translate({EDGE} {:.1})\">\n", HEAD + down + EDGE));
    curve(&mut text, &game.plies, ply, across.max(LEAST_WIDTH));
    text += "</g>\n</svg>\n";
    text
}

fn sheet<G: Notation>(game: &ShownGame<G>, drawing: &Drawing) -> String {
    let positions = game.plies.len() + 1;
    let [across, down] = drawing.extent();
    let (across, down) = (across + 2.0 * EDGE, down + CAPTION + EDGE);
    let (columns, rows) = (positions.min(ROW), positions.div_ceil(ROW));
    let title = title(game);
    let mut text = open((columns as f32 * across).max(LEAST_WIDTH), rows as f32 * down + 12.0, &title);
    part(&mut text, format_args!("<text class=\"head\" x=\"{EDGE}\" y=\"7\">{title}</text>\n"));
    for number in 0..positions {
        let at = [(number % ROW) as f32 * across + EDGE, (number / ROW) as f32 * down + 12.0];
        drawing.place(&mut text, at, &Position::with_the_last_move(game, number));
        let caption = number.checked_sub(1).map_or_else(
            || "start".to_owned(),
            |last| format!("{number}. {}", game.rules.action_name(game.plies[last].action)),
        );
        let middle = [at[0] + across / 2.0 - EDGE, at[1] + down - CAPTION + 2.0];
        let caption = escape(&caption);
        part(&mut text, format_args!("<text x=\"{:.1}\" y=\"{:.1}\">{caption}</text>\n", middle[0], middle[1]));
    }
    text += "</svg>\n";
    text
}

/// What is drawn on a board.
struct Position {
    pieces: Pieces,
    /// The last move, unless moves are numbered.
    last: Option<Mark>,
    /// Moves up to this position, in their order.
    moves: Vec<(Player, Mark)>,
    /// What the search would play, with its shares.
    ideas: Vec<(Mark, f32)>,
}

impl Position {
    fn with_the_last_move<G: Notation>(game: &ShownGame<G>, ply: usize) -> Self {
        let last = ply.checked_sub(1).map(|last| game.rules.mark(&game.state(last), game.plies[last].action));
        Self { pieces: game.rules.pieces(&game.state(ply)), last, moves: Vec::new(), ideas: Vec::new() }
    }

    fn with_its_moves<G: Notation>(game: &ShownGame<G>, ply: usize) -> Self {
        let mut state = game.rules.start();
        let mut moves = Vec::with_capacity(ply);
        for played in &game.plies[..ply] {
            moves.push((played.player, game.rules.mark(&state, played.action)));
            game.rules.play(&mut state, played.action);
        }
        let ideas = game.plies.get(ply).into_iter().flat_map(Ply::top);
        let ideas = ideas.map(|top| (game.rules.mark(&state, top.action), top.probability)).collect();
        Self { pieces: game.rules.pieces(&state), last: None, moves, ideas }
    }

    /// The number of the last move to each place, counted from 1, with who made it and its middle.
    fn numbers(&self) -> impl Iterator<Item = (usize, Player, Point)> {
        let place = |mark: &Mark| match *mark {
            Mark::Cell(at) | Mark::Step { to: at, .. } => Some([at[0] + 0.31, at[1] - 0.22]),
            Mark::Wall { from, to } => Some([(from[0] + to[0]) / 2.0, (from[1] + to[1]) / 2.0 + 0.1]),
            Mark::Word(_) => None,
        };
        self.moves.iter().enumerate().filter_map(move |(number, (player, mark))| {
            let at = place(mark)?;
            let again = self.moves[number + 1..].iter().any(|(_, later)| place(later) == Some(at));
            (!again).then_some((number + 1, *player, at))
        })
    }
}

/// A board with its place on the paper.
struct Drawing {
    board: Board,
    /// Its corners.
    least: Point,
    most: Point,
}

impl Drawing {
    fn of(board: Board) -> Self {
        let points = || board.cells.iter().map(|cell| cell.at).chain(board.labels.iter().map(|label| label.at));
        let bound =
            |axis: usize, start: f32, choose: fn(f32, f32) -> f32| points().map(|at| at[axis]).fold(start, choose);
        let least = [bound(0, 0.0, f32::min) - 0.6, bound(1, 0.0, f32::min) - 0.6];
        let most = [bound(0, 0.0, f32::max) + 0.6, bound(1, 0.0, f32::max) + 0.6];
        Self { board, least, most }
    }

    fn extent(&self) -> [f32; 2] {
        [0, 1].map(|axis| (self.most[axis] - self.least[axis]) * CELL)
    }

    /// Draws the board and what is on it, with its corner at `at`.
    fn place(&self, text: &mut String, at: Point, position: &Position) {
        let [x, y] = [0, 1].map(|axis| at[axis] - self.least[axis] * CELL);
        part(text, format_args!("<g transform=\"translate({x:.1} {y:.1})\">\n"));
        self.board.cells.iter().for_each(|cell| draw_cell(text, cell));
        self.board.edges.iter().for_each(|edge| line(text, edge, "side"));
        for Label { at: [x, y], text: label } in &self.board.labels {
            let (x, y, label) = (x * CELL, y * CELL + 1.2, escape(label));
            part(text, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>\n"));
        }
        for (player, mark) in &position.moves {
            if let Mark::Step { from, to } = *mark {
                line(text, &Edge { from, to, player: Some(*player) }, "trail");
            }
        }
        position.pieces.walls.iter().for_each(|wall| line(text, wall, "wall"));
        position.pieces.stones.iter().for_each(|stone| draw_stone(text, stone));
        if let Some(last) = &position.last {
            mark(text, last, "last", 1.0);
        }
        for (idea, share) in &position.ideas {
            mark(text, idea, "idea", 0.2 + 0.8 * share);
        }
        for (number, player, [x, y]) in position.numbers() {
            let (x, y, player) = (x * CELL, y * CELL, player.index());
            part(text, format_args!("<text class=\"number p{player}\" x=\"{x:.1}\" y=\"{y:.1}\">{number}</text>\n"));
        }
        text.push_str("</g>\n");
    }
}

fn draw_cell(text: &mut String, &Cell { at: [x, y], shape, tone }: &Cell) {
    let class = match tone {
        Tone::Plain => "cell",
        Tone::Dark => "cell dark",
        Tone::Goal => "goal",
    };
    let (x, y) = (x * CELL, y * CELL);
    match shape {
        Shape::Square | Shape::Tile => {
            let half = if shape == Shape::Square { 4.9 } else { 4.0 };
            let (x, y, side) = (x - half, y - half, 2.0 * half);
            part(
                text,
                format_args!(
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{side:.1}\" height=\"{side:.1}\" rx=\".6\"/>\n"
                ),
            );
        }
        Shape::Hexagon => {
            let (half, tall) = (4.85, 5.6);
            let corners = [
                (0.0, -tall),
                (half, -tall / 2.0),
                (half, tall / 2.0),
                (0.0, tall),
                (-half, tall / 2.0),
                (-half, -tall / 2.0),
            ];
            let points: Vec<_> = corners.iter().map(|(dx, dy)| format!("{:.2},{:.2}", x + dx, y + dy)).collect();
            part(text, format_args!("<polygon class=\"{class}\" points=\"{}\"/>\n", points.join(" ")));
        }
        Shape::Hole => part(text, format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.4\"/>\n")),
    }
}

const fn index(player: Option<Player>) -> &'static str {
    match player {
        Some(Player::First) => " t0",
        Some(Player::Second) => " t1",
        None => " t",
    }
}

fn line(text: &mut String, &Edge { from, to, player }: &Edge, class: &str) {
    let [x1, y1, x2, y2] = [from[0], from[1], to[0], to[1]].map(|at| at * CELL);
    part(
        text,
        format_args!(
            "<line class=\"{class}{}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n",
            index(player)
        ),
    );
}

fn draw_stone(text: &mut String, &Stone { at: [x, y], player, kind }: &Stone) {
    let (x, y, number) = (x * CELL, y * CELL, player.index());
    match (kind, player) {
        (StoneKind::Disc, _) => {
            part(text, format_args!("<circle class=\"stone p{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\"/>\n"));
        }
        (StoneKind::Sign, Player::First) => {
            let path = format!("M{:.1} {:.1}l5.6 5.6m0 -5.6l-5.6 5.6", x - 2.8, y - 2.8);
            part(text, format_args!("<path class=\"stone sign t0\" d=\"{path}\"/>\n"));
        }
        (StoneKind::Sign, Player::Second) => {
            part(text, format_args!("<circle class=\"stone sign t1\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.0\"/>\n"));
        }
        (StoneKind::Pawn, _) => {
            let down = if player == Player::First { 1.0 } else { -1.0 };
            let tip = format!("M{:.1} {:.1}h3.2l-1.6 {:.1}z", x - 1.6, y - 0.8 * down, 2.2 * down);
            part(text, format_args!("<circle class=\"stone p{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.4\"/>"));
            part(text, format_args!("<path class=\"tip\" d=\"{tip}\"/>\n"));
        }
    }
}

/// A move: `class` says whether it was played or thought of. Words are told beside the board.
fn mark(text: &mut String, mark: &Mark, class: &str, opacity: f32) {
    let dot = |text: &mut String, [x, y]: Point| {
        let (x, y) = (x * CELL, y * CELL);
        part(
            text,
            format_args!(
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.6\" opacity=\"{opacity:.2}\"/>\n"
            ),
        );
    };
    let way = |text: &mut String, from: &Point, to: &Point, kind: &str| {
        let [x1, y1, x2, y2] = [from[0], from[1], to[0], to[1]].map(|at| at * CELL);
        let ends = format!("x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"");
        part(text, format_args!("<line class=\"{class} {kind}\" {ends} opacity=\"{opacity:.2}\"/>\n"));
    };
    match mark {
        Mark::Cell(at) => dot(text, *at),
        Mark::Step { from, to } => {
            way(text, from, to, "way");
            dot(text, *to);
        }
        Mark::Wall { from, to } => way(text, from, to, "along"),
        Mark::Word(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::{
        Outcome,
        evaluation::DrawChance,
        games::{connect_four::ConnectFour, hex::Hex, othello::Othello, quoridor::Quoridor, tictactoe::TicTacToe},
        replay::{GameMetadata, Target},
    };

    use super::*;

    /// What a reader of XML finds: every element closed, in order. Our pictures have no text that needs more.
    fn is_well_formed(picture: &str) -> bool {
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

    /// The first legal action of every ply, up to `most`.
    fn shown<G: Notation>(rules: G, most: usize) -> ShownGame<G> {
        use selfplay_engine::ActionSet as _;
        let (mut state, mut plies) = (rules.start(), Vec::new());
        while plies.len() < most && rules.outcome(&state).is_none() {
            let action = rules.legal_actions(&state).iter().next().unwrap();
            let top = Target { action, visits: 3, probability: 0.2 };
            plies.push(Ply {
                player: rules.side_to_move(&state),
                action,
                model: 1,
                value: Some(0.1),
                draw: DrawChance::UNKNOWN,
                top: [top; 5],
            });
            rules.play(&mut state, action);
        }
        let metadata = GameMetadata::from_yaml("model_version: 1\ngame_length: 1\ncreator: '1'\n").unwrap();
        ShownGame { metadata, rules, plies, outcome: Outcome::Win(Player::First) }
    }

    fn drawn<G: Notation>(rules: G) {
        let (cells, game) = (rules.board().cells.len(), shown(rules, 6));
        let last = picture(&game, false, None);
        assert!(is_well_formed(&last) && last.contains("the first player won after 6 plies"), "{last}");
        assert_eq!(
            last.matches("class=\"cell").count() - 1 + last.matches("class=\"goal").count(),
            cells,
            "and a curve"
        );
        assert_eq!(last.matches("class=\"idea\"").count(), 0);
        let stones = game.rules.pieces(&game.state(6)).stones.len();
        assert_eq!(last.matches("class=\"stone").count(), stones);
        assert!(last.contains(">6</text>") && !last.contains("class=\"last\""), "{last}");
        let before = picture(&game, false, Some(2));
        assert_eq!(before.matches("class=\"idea\"").count(), 5, "{before}");
        let sheet = picture(&game, true, None);
        assert!(is_well_formed(&sheet) && sheet.contains(">start</text>") && sheet.contains(">6. "), "{sheet}");
    }

    #[test]
    fn every_kind_of_board_is_drawn_from_its_shapes() {
        drawn(TicTacToe);
        drawn(ConnectFour::default());
        drawn(Othello::default());
        drawn(Hex::default());
        drawn(Quoridor::new(5, 3, None).unwrap());
    }

    #[test]
    fn moves_are_numbered_where_they_ended_last() {
        let step = |from, to| (Player::First, Mark::Step { from, to });
        let wall = (Player::Second, Mark::Wall { from: [0.5, 0.0], to: [0.5, 2.0] });
        let (a, b) = ([0.0, 0.0], [1.0, 0.0]);
        let moves = vec![step(a, b), wall, step(b, a), step(a, b)];
        let position = Position { pieces: Pieces::default(), last: None, moves, ideas: Vec::new() };
        let numbers: Vec<_> = position.numbers().map(|(number, player, _)| (number, player)).collect();
        assert_eq!(numbers, [(2, Player::Second), (3, Player::First), (4, Player::First)]);
    }
}
