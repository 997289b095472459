//! Games of searches, networks, random players and solvers.

use super::*;
use crate::{
    evaluation::{Evaluator, HashEvaluator, HashPriors, UniformEvaluator},
    games::{
        connect_four::ConnectFour,
        quoridor::{Quoridor, QuoridorEncoding},
        tictactoe::TicTacToe,
    },
    replay::{GameArrays, GameMetadata, ReadGame},
    search::{InFlight, Root, Simulations},
};

const fn seat(mover: Mover, simulations: u32) -> Seat {
    let search = SearchParams {
        simulations: Simulations::PerMove(simulations),
        c_puct: 1.4,
        leaf_parallelism: 1,
        in_flight: InFlight::Visits,
        noise: None,
        root: Root::PUCT,
        solver: false,
    };
    Seat { mover, search, tree_reuse: true, penalize_visited_states: false, open_ended: false }
}

/// Plays a game; `evaluators`: the first player's and the second's.
fn played<G: Game>(mut game: MatchGame<G>, evaluators: &mut [&mut dyn Evaluator<G>; 2]) -> (Outcome, Vec<Action>) {
    let (mut leaves, mut evaluations, mut spare) = (Vec::new(), Evaluations::default(), SpareTree::default());
    loop {
        leaves.clear();
        match game.advance(&mut leaves, &mut spare) {
            Step::Leaves(player) => {
                evaluators[player.index()].evaluate(&leaves, &mut evaluations).unwrap();
                game.apply(&evaluations, &mut spare);
            }
            Step::Thinking(_) => {}
            Step::Choice => unreachable!("no solver plays"),
            Step::Over(outcome) => return (outcome, game.actions()),
        }
    }
}

#[test]
fn a_player_against_itself_plays_the_same_game_on_either_side() {
    let game = ConnectFour::default();
    let mut hash = HashEvaluator::new(game, (), HashPriors::Softmax, 5);
    for (mover, simulations) in [(Mover::Search, 30), (Mover::Raw, 0)] {
        for pair in 0..3 {
            let opening = opening(&game, 9, pair, 0, 4).unwrap();
            let seats = [seat(mover, simulations); 2];
            let mut play = || {
                let mut other = hash.clone();
                played(MatchGame::new(game, seats, &opening, 9, pair), &mut [&mut hash, &mut other])
            };
            let first = play();
            assert_eq!(play(), first);
            assert!(first.1.starts_with(&opening));
        }
    }
}

/// Quoridor turns the board for the second player, and its actions with it.
#[test]
fn files_of_a_game_tell_what_each_player_saw() {
    let game = Quoridor::new(5, 3, Some(60)).unwrap();
    let mut hash = HashEvaluator::new(game, QuoridorEncoding::Resnet, HashPriors::Softmax, 5);
    let (mut leaves, mut evaluations, mut spare) = (Vec::new(), Evaluations::default(), SpareTree::default());
    let opening = opening(&game, 1, 0, 0, 3).unwrap();
    let mut plays = MatchGame::new(game, [seat(Mover::Raw, 0), seat(Mover::Search, 30)], &opening, 1, 0);
    let outcome = loop {
        leaves.clear();
        match plays.advance(&mut leaves, &mut spare) {
            Step::Leaves(_) => {
                hash.evaluate(&leaves, &mut evaluations).unwrap();
                plays.apply(&evaluations, &mut spare);
            }
            Step::Thinking(_) | Step::Choice => unreachable!("neither waits for that"),
            Step::Over(outcome) => break outcome,
        }
    };
    let actions = plays.actions();
    let record = plays.into_record(7, outcome);
    for (ply, told) in record.plies.iter().enumerate() {
        let searched = ply % 2 == 1;
        let PlyNotes { kind, simulations, raw_value, divergence, .. } = told.notes;
        match ply {
            0..3 => assert_eq!((kind, told.is_row()), (PlyKind::Opening, false)),
            _ if searched => {
                assert_eq!((kind, simulations, told.is_row(), told.is_searched()), (PlyKind::Full, 30, true, true));
                assert!(raw_value.is_finite() && divergence.is_finite());
            }
            _ => {
                assert_eq!((kind, told.is_row(), told.is_searched()), (PlyKind::NoSearch, true, false));
                assert_eq!((raw_value, divergence), (told.root_value, 0.0));
                let most = told.targets.iter().map(|target| target.probability).fold(0.0, f32::max);
                let seen = game.turn_action(told.player, told.action);
                let its = told.targets.iter().find(|target| target.action == seen).map(|target| target.probability);
                assert_eq!(its, Some(most), "the network's likeliest move is played");
            }
        }
    }
    let npz = GameArrays::new(&record, &game, QuoridorEncoding::Resnet).unwrap().to_npz().unwrap();
    let yaml = GameMetadata::new(&record, 1, "", "").to_yaml().unwrap();
    let read = ReadGame::read(std::io::Cursor::new(npz), &yaml).unwrap();
    assert_eq!((read.plies(), read.rows()), (actions.len(), actions.len() - 3));
    assert_eq!(read.all.unwrap().actions.to_vec(), actions.into_iter().map(i32::from).collect::<Vec<_>>());
}

#[test]
fn a_solver_s_moves_are_told_with_their_worth() {
    let mut plays = MatchGame::new(TicTacToe, [seat(Mover::Solver, 0); 2], &[0, 3], 1, 0);
    let mut spare = SpareTree::default();
    plays.choose(&[2, 1], Class::Win, &mut spare);
    let told = &plays.plies()[2];
    let shares: Vec<_> = told.targets.iter().map(|target| (target.action, target.probability)).collect();
    assert_eq!(shares, [(2, 0.5), (1, 0.5)]);
    assert_eq!((told.root_value, told.notes.best_value, told.notes.proven), (1.0, 1.0, true));
    assert!(told.is_row() && !told.is_searched());
}

#[test]
fn an_open_ended_search_goes_on_until_it_is_told() {
    let game = ConnectFour::default();
    let (mut leaves, mut evaluations, mut spare) = (Vec::new(), Evaluations::default(), SpareTree::default());
    let thinks = Seat { open_ended: true, tree_reuse: false, ..seat(Mover::Search, 4) };
    let mut plays = MatchGame::new(game, [thinks; 2], &[], 1, 0);
    for wanted in [100, 1, 37] {
        let ply = plays.plies().len();
        let mut asked = 0;
        while plays.plies().len() == ply {
            leaves.clear();
            match plays.advance(&mut leaves, &mut spare) {
                Step::Leaves(_) => {
                    asked += 1;
                    UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
                    plays.apply(&evaluations, &mut spare);
                    if asked >= wanted {
                        plays.enough();
                    }
                }
                step => unreachable!("{step:?}"),
            }
            if plays.plies().len() > ply {
                // What was asked last is of the next move.
                asked -= 1;
            }
        }
        // Without any visit there is no move: two evaluations at least.
        assert_eq!(plays.plies()[ply].notes.simulations, wanted.max(2));
        assert_eq!(asked, wanted.max(2));
        plays = MatchGame::new(game, [thinks; 2], &plays.actions(), 1, 0);
    }
}

/// Once all positions are known no leaf is left to ask: the search says so after each installment, and ends where the worth is proven.
#[test]
fn a_search_that_asks_nothing_any_more_can_be_told_too() {
    let (mut leaves, mut evaluations, mut spare) = (Vec::new(), Evaluations::default(), SpareTree::default());
    // Three cells are left.
    let moves = [0, 1, 2, 4, 3, 5];
    for solver in [false, true] {
        let mut thinks = Seat { open_ended: true, ..seat(Mover::Search, 8) };
        thinks.search.solver = solver;
        let mut plays = MatchGame::new(TicTacToe, [thinks; 2], &moves, 1, 0);
        let mut rests = 0;
        while plays.plies().len() == moves.len() {
            leaves.clear();
            match plays.advance(&mut leaves, &mut spare) {
                Step::Leaves(_) => {
                    UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
                    plays.apply(&evaluations, &mut spare);
                }
                Step::Thinking(_) => rests += 1,
                step => assert!(matches!(step, Step::Over(_)), "{step:?}"),
            }
            if rests == 5 {
                plays.enough();
            }
        }
        assert_eq!(rests == 0, solver, "{rests}");
    }
}

#[test]
fn search_beats_random_moves_from_either_side_of_most_openings() {
    let seats = [seat(Mover::Search, 200), seat(Mover::Random, 0)];
    let mut points = 0;
    for pair in 0..10 {
        let opening = opening(&TicTacToe, 1, pair, 0, 1).unwrap();
        for (seats, player) in [(seats, Player::First), ([seats[1], seats[0]], Player::Second)] {
            let game = MatchGame::new(TicTacToe, seats, &opening, 1, pair);
            let (outcome, _) = played(game, &mut [&mut UniformEvaluator, &mut UniformEvaluator]);
            points += if outcome == Outcome::Win(player) { 2 } else { i32::from(matches!(outcome, Outcome::Draw(_))) };
        }
    }
    assert!(points >= 34, "{points} of 40");
}

/// Kept trees are those of the position at hand, whoever moved last: else the search would not begin on them.
#[test]
fn trees_are_kept_through_the_moves_of_both_players() {
    let game = ConnectFour::default();
    let mut spare = SpareTree::default();
    let mut plays = MatchGame::new(game, [seat(Mover::Search, 200); 2], &[], 1, 0);
    let (mut leaves, mut evaluations) = (Vec::new(), Evaluations::default());
    while plays.actions().len() < 2 {
        leaves.clear();
        assert!(matches!(plays.advance(&mut leaves, &mut spare), Step::Leaves(_)));
        UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
        plays.apply(&evaluations, &mut spare);
    }
    // The first player's second move has begun: on what it knew of the answer.
    assert!(plays.searches[0].size().nodes > 1, "{:?}", plays.searches[0].size());
}

#[test]
fn openings_follow_from_seed_pair_and_attempt_and_do_not_end_the_game() {
    let game = ConnectFour::default();
    let first = opening(&game, 3, 0, 0, 6).unwrap();
    assert_eq!((first.len(), opening(&game, 3, 0, 0, 6).as_ref()), (6, Some(&first)));
    let others = [opening(&game, 4, 0, 0, 6), opening(&game, 3, 1, 0, 6), opening(&game, 3, 0, 1, 6)];
    assert!(others.iter().all(|other| other.as_ref() != Some(&first)));
    assert_eq!(opening(&TicTacToe, 1, 0, 0, 9), None);
    assert_eq!(opening(&TicTacToe, 1, 0, 0, 0), Some(Vec::new()));
}
