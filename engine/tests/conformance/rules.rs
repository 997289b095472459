//! Games: legal actions in both frames, network input by its checksum, results.

use flate2::Crc;
use selfplay_engine::{
    Action, ActionBits, ActionSet, Draw, Game, Outcome, Player,
    games::quoridor::{Quoridor, QuoridorEncoding, QuoridorState},
};
use serde::Deserialize;

use crate::records;

/// One game; `tests/data/README.md` says what the fields mean.
#[derive(Deserialize)]
pub(crate) struct GameLine {
    pub(crate) id: String,
    pub(crate) board: u32,
    pub(crate) walls: u32,
    max_steps: u32,
    pub(crate) actions: Vec<Action>,
    legal_counts: Vec<usize>,
    masks: Vec<String>,
    net_masks: Vec<String>,
    obs_crc32: Vec<u32>,
    state: Vec<[u8; 6]>,
    values: Vec<f32>,
    final_state: [u8; 6],
    winner: Option<usize>,
    draw: bool,
    plies: usize,
}

/// Packed most significant bit first, in hexadecimal.
fn mask_text(actions: &ActionBits<4>, policy_size: usize) -> String {
    let mut bytes = vec![0u8; policy_size.div_ceil(8)];
    for action in actions.iter() {
        bytes[usize::from(action / 8)] |= 0x80 >> (action % 8);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn checksum(planes: &[f32]) -> u32 {
    let bytes: Vec<u8> = planes.iter().map(|&entry| entry as u8).collect();
    let mut crc = Crc::new();
    crc.update(&bytes);
    crc.sum()
}

fn summary(state: &QuoridorState) -> [u8; 6] {
    let [first, second] = [Player::First, Player::Second];
    let (one, two) = (state.pawn(first), state.pawn(second));
    [one.row, one.col, two.row, two.col, state.walls_left(first), state.walls_left(second)]
}

/// Replays one game and returns the number of plies.
fn check_game(line: &GameLine) -> usize {
    let id = &line.id;
    let game = Quoridor::new(line.board, line.walls, Some(line.max_steps)).expect("a board in range");
    let planes = game.input_shape(QuoridorEncoding::Resnet).iter().product();
    let mut planes = vec![0.0; planes];
    let mut state = game.start();
    let mut movers = Vec::new();
    assert_eq!(line.plies, line.actions.len(), "{id}");
    for (ply, &action) in line.actions.iter().enumerate() {
        assert_eq!(game.outcome(&state), None, "{id} ply {ply}");
        assert_eq!(game.ply(&state), ply as u32, "{id} ply {ply}");
        assert_eq!(summary(&state), line.state[ply], "{id} ply {ply}");
        let mover = game.side_to_move(&state);
        movers.push(mover);
        let legal = game.legal_actions(&state);
        assert_eq!(legal.len(), line.legal_counts[ply], "{id} ply {ply}");
        assert_eq!(mask_text(&legal, game.policy_size()), line.masks[ply], "{id} ply {ply}");
        let turned = game.turn_actions(mover, &legal);
        assert_eq!(mask_text(&turned, game.policy_size()), line.net_masks[ply], "{id} ply {ply}");
        game.encode(QuoridorEncoding::Resnet, &game.position(&state), &mut planes);
        assert_eq!(checksum(&planes), line.obs_crc32[ply], "{id} ply {ply}");
        assert!(legal.contains(action), "{id} ply {ply}");
        game.play(&mut state, action);
    }
    assert_eq!(summary(&state), line.final_state, "{id}");
    let outcome = game.outcome(&state).unwrap_or_else(|| panic!("{id} has not ended"));
    let expected = match (line.winner, line.draw) {
        (Some(0), false) => Outcome::Win(Player::First),
        (Some(1), false) => Outcome::Win(Player::Second),
        (None, true) => Outcome::Draw(Draw::StepLimit),
        result => panic!("{id}: {result:?} is no result"),
    };
    assert_eq!(outcome, expected, "{id}");
    let values: Vec<f32> = movers.iter().map(|&mover| outcome.value_for(mover)).collect();
    assert_eq!(values, line.values, "{id}");
    line.plies
}

#[test]
fn recorded_games_are_replayed_ply_by_ply() {
    records::check("games.jsonl.gz", |file| {
        let games: Vec<GameLine> = records::read_jsonl(file);
        assert!(games.iter().map(check_game).sum::<usize>() >= games.len());
        games.len()
    });
}
