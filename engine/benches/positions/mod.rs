//! The positions that benchmarks share: 9 × 9 Quoridor, 10 walls each, with 0, 8 and 16 walls on the board.

use selfplay_engine::{Action, Game, games::quoridor::Quoridor};

/// Actions that lead from the start to a board with 8 walls, and those that go on to 16.
const EIGHT_WALLS: [Action; 12] = [13, 67, 22, 58, 188, 165, 126, 100, 186, 167, 107, 119];
const EIGHT_MORE: [Action; 8] = [198, 161, 133, 85, 174, 177, 90, 208];

pub(crate) type State = <Quoridor as Game>::State;

pub(crate) fn quoridor() -> Quoridor {
    Quoridor::new(9, 10, None).expect("a usual board")
}

/// The number of walls on the board, with the board.
pub(crate) fn boards(game: &Quoridor) -> [(u32, State); 3] {
    let after = |actions: &[Action]| {
        let mut state = game.start();
        actions.iter().for_each(|&action| game.play(&mut state, action));
        state
    };
    [(0, after(&[])), (8, after(&EIGHT_WALLS)), (16, after(&[EIGHT_WALLS.as_slice(), &EIGHT_MORE].concat()))]
}
