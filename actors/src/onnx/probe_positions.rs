//! The positions that every model is tried with before it serves.

use selfplay_engine::{
    evaluation::{Leaf, mix},
    game::{ActionSet, Game},
};

/// How many.
pub(super) const PROBE_POSITIONS: usize = 64;
/// Games they are taken from, evenly.
const GAMES: usize = 8;
/// Plies after which a game is long enough: most are over by then.
const MOST_PLIES: usize = 256;
/// Games tried before fewer positions must do.
const MOST_GAMES: u64 = 1000;

/// Positions of this game from its start to its end, by either mover, the same in every process: games of uniformly random
/// moves from fixed seeds, eight positions of each, spread over all its plies. Random moves build walls early and run about
/// late, so that everything a network sees occurs.
pub(super) fn probe_positions<G: Game>(game: &G) -> Vec<Leaf<G>> {
    random_positions(game, 0)
}

/// As many, of the games that begin with the one of this seed.
pub(super) fn random_positions<G: Game>(game: &G, first: u64) -> Vec<Leaf<G>> {
    let mut found = Vec::with_capacity(PROBE_POSITIONS);
    for seed in first..first + MOST_GAMES {
        let played = random_game(game, seed);
        let each = PROBE_POSITIONS / GAMES;
        // Each game begins a little later than the one before, so that not all are the start position.
        let shift = seed as usize % GAMES;
        let wanted = (0..each).map(|index| (index * GAMES + shift) * played.len() / (each * GAMES));
        let mut before = None;
        for index in wanted.filter(|&index| index < played.len()) {
            if before.replace(index) != Some(index) && found.len() < PROBE_POSITIONS {
                found.push(played[index]);
            }
        }
        if found.len() == PROBE_POSITIONS {
            break;
        }
    }
    found
}

fn random_game<G: Game>(game: &G, seed: u64) -> Vec<Leaf<G>> {
    let mut state = game.start();
    let mut leaves = Vec::new();
    while leaves.len() < MOST_PLIES && game.outcome(&state).is_none() {
        let legal = game.legal_actions(&state);
        if legal.is_empty() {
            break;
        }
        leaves.push(Leaf::new(game, &state, &legal));
        let draw = mix(seed << 32 | leaves.len() as u64) % legal.len() as u64;
        game.play(&mut state, legal.nth(draw as usize));
    }
    leaves
}

#[cfg(test)]
mod tests {
    use selfplay_engine::games::{
        quoridor::{Quoridor, QuoridorEncoding},
        tictactoe::TicTacToe,
    };

    use super::*;

    /// What the network sees, in whole numbers.
    fn planes(game: &Quoridor, leaf: &Leaf<Quoridor>) -> Vec<i32> {
        let mut planes = vec![0.0; game.input_shape(QuoridorEncoding::Resnet).iter().product()];
        game.encode(QuoridorEncoding::Resnet, &leaf.position, &mut planes);
        planes.into_iter().map(|entry| entry as i32).collect()
    }

    fn seen(game: &Quoridor, leaves: &[Leaf<Quoridor>]) -> Vec<Vec<i32>> {
        leaves.iter().map(|leaf| planes(game, leaf)).collect()
    }

    #[test]
    fn they_are_of_all_stages_of_a_game_and_the_same_every_time() {
        for (board, walls) in [(3, 1), (5, 3), (9, 10)] {
            let game = Quoridor::new(board, walls, None).unwrap();
            let leaves = probe_positions(&game);
            assert_eq!(leaves.len(), PROBE_POSITIONS);
            let positions = seen(&game, &leaves);
            assert_eq!(positions, seen(&game, &probe_positions(&game)));
            let distinct: std::collections::HashSet<_> = positions.iter().collect();
            assert!(distinct.len() > PROBE_POSITIONS / 2, "{}", distinct.len());
            // Many actions are legal while walls are left, few once they are gone.
            let most = leaves.iter().map(|leaf| leaf.legal.len()).max().unwrap();
            let start = game.legal_actions(&game.start()).len();
            assert!(most >= start && leaves.iter().any(|leaf| leaf.legal.len() <= 5), "{most} of {start}");
        }
    }

    #[test]
    fn both_sides_move() {
        let game = Quoridor::new(5, 3, None).unwrap();
        let played = seen(&game, &random_game(&game, 0));
        let chosen = seen(&game, &probe_positions(&game));
        let plies: Vec<_> = chosen.iter().filter_map(|leaf| played.iter().position(|other| other == leaf)).collect();
        assert!(plies.iter().any(|ply| ply % 2 == 0) && plies.iter().any(|ply| ply % 2 == 1), "{plies:?}");
    }

    #[test]
    fn short_games_give_as_many() {
        assert_eq!(probe_positions(&TicTacToe).len(), PROBE_POSITIONS);
    }
}
