use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{super::Class, *};
use crate::{
    Action,
    game::Player,
    games::{hex::Hex, mnk::Mnk, tictactoe::TicTacToe},
};

fn outcome(class: Class, mover: Player) -> Outcome {
    match class {
        Class::Draw => Outcome::Draw(Draw::StepLimit),
        class => class.outcome(mover),
    }
}

/// The first position of a random game that `is_wanted`, and what was played before; `None` if the game ends before.
fn reach<G: Game>(game: &G, seed: u64, is_wanted: impl Fn(&G::State) -> bool) -> Option<(G::State, Vec<Action>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut state, mut actions) = (game.start(), Vec::new());
    while game.outcome(&state).is_none() {
        if is_wanted(&state) {
            return Some((state, actions));
        }
        let legal = game.legal_actions(&state);
        let action = legal.nth(rng.random_range(0..legal.len()));
        game.play(&mut state, action);
        actions.push(action);
    }
    None
}

fn no_walls(state: &QuoridorState) -> bool {
    Player::BOTH.iter().all(|&player| state.walls_left(player) == 0)
}

/// Endgames of random games with all walls placed at random.
fn endgames(game: &Quoridor, count: usize) -> impl Iterator<Item = (QuoridorState, Vec<Action>)> {
    (0..).filter_map(move |seed| reach(game, seed, no_walls)).take(count)
}

#[test]
fn quoridor_without_walls_in_hand_is_worth_what_looking_at_everything_finds() {
    let mut drawn = 0;
    for (size, walls) in [(3, 1), (4, 1), (4, 3), (5, 2)] {
        for limit in 0..24 {
            let free = Quoridor::new(size, walls, None).unwrap();
            for (state, actions) in endgames(&free, 8) {
                let game = Quoridor::new(size, walls, Some(actions.len() as u32 + 1 + limit)).unwrap();
                let class = Exhaustive::new(game, 1 << 20).class(&state).unwrap();
                let expected = outcome(class, game.side_to_move(&state));
                assert_eq!(game.verdict(&state), Some(expected), "{size}x{size}, {limit} plies left, {actions:?}");
                drawn += u32::from(class == Class::Draw);
            }
        }
    }
    assert!(drawn > 50, "{drawn} draws by the limit");
}

#[test]
fn the_verdict_is_what_best_play_comes_to() {
    let mut results = [0; 3];
    for (size, walls, limit, count) in
        [(5, 3, 40, 800), (5, 3, 16, 800), (5, 2, 12, 400), (7, 5, 80, 150), (9, 10, 400, 30)]
    {
        let game = Quoridor::new(size, walls, Some(limit)).unwrap();
        for (start, actions) in endgames(&game, count) {
            let verdict = game.verdict(&start).unwrap();
            let endgame = Endgame::of(&game, &start).unwrap();
            let mut state = start;
            let played = loop {
                if let Some(outcome) = game.outcome(&state) {
                    break outcome;
                }
                let after = |action| {
                    let mut next = state;
                    game.play(&mut next, action);
                    next
                };
                // The winner hurries and the loser delays; what nobody can win goes round in circles.
                let worth = |&action: &Action| {
                    let next = after(action);
                    match game.outcome(&next) {
                        Some(Outcome::Win(_)) => f64::INFINITY,
                        _ => match endgame.plies(&next) {
                            0 => 0.0,
                            plies => -1.0 / f64::from(plies),
                        },
                    }
                };
                let legal = game.legal_actions(&state);
                state = after(legal.iter().max_by(|a, b| worth(a).total_cmp(&worth(b))).unwrap());
            };
            assert_eq!(played, verdict, "{size}x{size}, {actions:?}");
            results[match verdict {
                Outcome::Win(winner) => winner.index(),
                Outcome::Draw(_) => 2,
            }] += 1;
        }
    }
    assert!(results.iter().all(|&count| count > 20), "{results:?}");
}

#[test]
fn a_win_that_comes_too_late_is_a_draw_and_without_a_limit_there_may_be_no_result() {
    let free = Quoridor::new(5, 2, None).unwrap();
    for (state, actions) in endgames(&free, 200) {
        let plies = Endgame::of(&free, &state).unwrap().plies(&state);
        let with_plies_left = |left| Quoridor::new(5, 2, Some(actions.len() as u32 + left)).unwrap().verdict(&state);
        if plies == 0 {
            assert_eq!((free.verdict(&state), with_plies_left(1000)), (None, Some(Outcome::Draw(Draw::StepLimit))));
            continue;
        }
        let mover = free.side_to_move(&state);
        let won = Some(Outcome::Win(if plies > 0 { mover } else { mover.opponent() }));
        let needed = u32::from(plies.unsigned_abs());
        assert_eq!([free.verdict(&state), with_plies_left(needed)], [won, won]);
        if needed > 1 {
            assert_eq!(with_plies_left(needed - 1), Some(Outcome::Draw(Draw::StepLimit)));
        }
    }
}

#[test]
fn mirror_images_have_one_verdict() {
    let game = Quoridor::new(5, 3, Some(30)).unwrap();
    for (state, actions) in endgames(&game, 300) {
        let mut image = game.start();
        for action in actions {
            let mover = game.side_to_move(&image);
            let turned = game.transform_action(1, game.turn_action(mover, action));
            game.play(&mut image, game.turn_action(mover, turned));
        }
        assert_eq!(game.transform(1, &game.position(&state)), game.position(&image));
        assert_eq!(game.verdict(&state), game.verdict(&image));
    }
}

#[test]
fn with_a_wall_in_hand_nothing_is_known() {
    let game = Quoridor::new(5, 1, Some(60)).unwrap();
    let one_left = |state: &QuoridorState| Player::BOTH.iter().any(|&player| state.walls_left(player) == 0);
    let (state, _) = (0..).find_map(|seed| reach(&game, seed, one_left)).unwrap();
    assert_eq!([game.verdict(&game.start()), game.verdict(&state)], [None, None]);
}

/// How many of the positions after `plies` random ones the verdict is known of, which is that of `solver`.
fn known<G: Game>(endings: &impl Adjudicator<G>, solver: &mut impl Solver<G>, plies: u32, positions: u64) -> u64 {
    let game = solver.game().clone();
    let at = |seed| reach(&game, seed, |state| game.ply(state) == plies);
    let mut known = 0;
    for (state, actions) in (0..).filter_map(at).take(positions as usize) {
        if let Some(verdict) = endings.verdict(&state) {
            known += 1;
            assert_eq!(verdict, solver.class(&state).unwrap().outcome(game.side_to_move(&state)), "{actions:?}");
        }
    }
    known
}

#[test]
fn endings_of_connect_four_are_worth_what_the_solver_says() {
    let game = ConnectFour::default();
    let mut solver = ConnectFourSolver::new(game, u64::MAX);
    let endings = ConnectFourEndings(game);
    assert_eq!(known(&endings, &mut solver, 17, 20), 0, "too many cells are empty");
    assert!(known(&endings, &mut solver, 20, 200) > 150);
    assert_eq!(known(&endings, &mut solver, 32, 200), 200);
    // What was asked before changes nothing.
    let (state, _) = (0..).find_map(|seed| reach(&game, seed, |state| game.ply(state) == 18)).unwrap();
    assert_eq!(endings.verdict(&state), ConnectFourEndings(game).verdict(&state));
}

#[test]
fn boards_that_are_nearly_full_are_worth_what_looking_at_everything_finds() {
    assert_eq!(known(&FilledBoards(TicTacToe), &mut Exhaustive::new(TicTacToe, 1 << 20), 0, 5), 0);
    assert_eq!(known(&FilledBoards(TicTacToe), &mut Exhaustive::new(TicTacToe, 1 << 20), 3, 20), 20);
    let (mnk, hex) = (Mnk::new(4, 4, 4).unwrap(), Hex::new(4, false).unwrap());
    assert_eq!(known(&FilledBoards(mnk), &mut Exhaustive::new(mnk, 1 << 20), 8, 20), 20);
    assert_eq!(known(&FilledBoards(hex), &mut Exhaustive::new(hex, 1 << 20), 8, 20), 20);
}
