//! Properties of the rules along random games, on all board sizes.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::game::ActionSet;

/// A game of random legal actions: wall by wall with probability `wall_share`, else pawn moves. Calls `visit` on each state
/// before its ply, and returns the number of plies.
fn random_game(game: &Quoridor, seed: u64, wall_share: f64, mut visit: impl FnMut(&QuoridorState)) -> u32 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut state = game.start();
    let cells = Action::from(game.board_size()).pow(2);
    while game.outcome(&state).is_none() {
        visit(&state);
        let legal: Vec<Action> = game.legal_actions(&state).iter().collect();
        let first_wall = legal.partition_point(|&action| action < cells);
        let (moves, walls) = legal.split_at(first_wall);
        let choice = if walls.is_empty() || !(moves.is_empty() || rng.random_bool(wall_share)) { moves } else { walls };
        game.play(&mut state, choice[rng.random_range(0..choice.len())]);
    }
    state.ply
}

/// The context found anew: the walls placed one after the other on an empty board with the pawns where they are.
fn paths_from_scratch(game: &Quoridor, walls: Walls, pawns: [Cell; 2]) -> Paths {
    let mut paths = Paths::without_walls(&game.geometry, pawns);
    for orientation in [Orientation::Vertical, Orientation::Horizontal] {
        for row in 0..game.board_size() - 1 {
            for anchor in (0..game.board_size() - 1).map(|col| Cell { row, col }) {
                if walls.contains(orientation, anchor) {
                    paths.place_wall(&game.geometry, orientation, anchor);
                }
            }
        }
    }
    paths
}

impl Quoridor {
    /// The start and its mirror image: on a board of even size the pawns begin beside the middle.
    pub(in crate::games) fn mirrored_starts(&self) -> (QuoridorState, QuoridorState) {
        let start = self.start();
        let pawns = start.pawns.map(|cell| self.geometry.mirror_cell(cell));
        (start, QuoridorState { pawns, paths: Paths::without_walls(&self.geometry, pawns), ..start })
    }
}

/// Reads a position back from its planes.
fn decode_resnet(size: u8, planes: &[f32]) -> QuoridorPosition {
    let grid = 2 * usize::from(size) + 3;
    let area = grid * grid;
    let at = |plane: usize, row: usize, col: usize| planes[plane * area + row * grid + col];
    let pawn = |plane: usize| {
        let standing: Vec<usize> = (0..area).filter(|&entry| planes[plane * area + entry] != 0.0).collect();
        let [entry] = standing[..] else { panic!("one pawn on plane {plane}, not {standing:?}") };
        assert!((entry / grid).is_multiple_of(2) && (entry % grid).is_multiple_of(2));
        Cell { row: (entry / grid / 2 - 1) as u8, col: (entry % grid / 2 - 1) as u8 }
    };
    let count = |plane: usize| {
        let entries = &planes[plane * area..(plane + 1) * area];
        assert!(entries.iter().all(|entry| *entry == entries[0]));
        entries[0] as u8
    };
    // A middle between two walls of the other orientation is marked too, so a wall is told by all its three marks, taken from
    // above and from the left: a wall that continues another one cannot begin in its second half.
    let mut left: Vec<f32> = planes[..area].to_vec();
    let mut walls = Walls::default();
    for row in 0..size - 1 {
        for col in 0..size - 1 {
            let middle = (2 * usize::from(row) + 3) * grid + 2 * usize::from(col) + 3;
            for (orientation, stride) in [(Orientation::Vertical, grid), (Orientation::Horizontal, 1)] {
                let marks = [middle - stride, middle, middle + stride];
                if marks.iter().all(|&mark| left[mark] == 1.0) {
                    walls.insert(orientation, Cell { row, col });
                    marks.iter().for_each(|&mark| left[mark] = 0.0);
                }
            }
        }
    }
    let inside = (2..grid - 2).flat_map(|row| (2..grid - 2).map(move |col| row * grid + col));
    assert!(inside.into_iter().all(|entry| left[entry] == 0.0), "a mark belongs to no wall");
    assert_eq!(at(0, 1, 1), 1.0);
    QuoridorPosition { walls, pawns: [pawn(1), pawn(2)], walls_left: [count(3), count(4)] }
}

fn decode_mlp(size: u8, entries: &[f32]) -> QuoridorPosition {
    let cells = usize::from(size).pow(2);
    let side = usize::from(size) - 1;
    let pawn = |from: usize| {
        let entry = entries[from..from + cells].iter().position(|&entry| entry == 1.0).expect("one pawn");
        Cell { row: (entry / usize::from(size)) as u8, col: (entry % usize::from(size)) as u8 }
    };
    let mut walls = Walls::default();
    for (wall, _) in entries[2 * cells..entries.len() - 2].iter().enumerate().filter(|(_, entry)| **entry == 1.0) {
        let orientation = if wall % 2 == 0 { Orientation::Vertical } else { Orientation::Horizontal };
        walls.insert(orientation, Cell { row: (wall / 2 / side) as u8, col: (wall / 2 % side) as u8 });
    }
    let [.., mover_left, opponent_left] = *entries else { panic!("at least two entries") };
    let walls_left = [mover_left as u8, opponent_left as u8];
    QuoridorPosition { walls, pawns: [pawn(0), pawn(cells)], walls_left }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn legal_actions_are_those_of_the_plain_rules(
        size in 3u32..=9, walls in 0u32..=40, seed: u64, wall_share in 0.05f64..1.0,
    ) {
        let game = Quoridor::new(size, walls, Some(80)).unwrap();
        random_game(&game, seed, wall_share, |state| {
            let legal = game.legal_actions(state);
            assert_eq!(legal, oracle::legal_actions(&game, state), "\n{}", crate::game::Notation::draw(&game, state));
            assert!(!legal.is_empty());
        });
    }

    #[test]
    fn kept_context_says_what_a_new_one_says(
        size in 3u32..=9, walls in 0u32..=40, seed: u64, wall_share in 0.05f64..1.0,
    ) {
        let game = Quoridor::new(size, walls, Some(80)).unwrap();
        random_game(&game, seed, wall_share, |state| {
            let anew = QuoridorState { paths: paths_from_scratch(&game, state.walls, state.pawns), ..*state };
            assert_eq!(game.legal_actions(state), game.legal_actions(&anew));
        });
    }

    #[test]
    fn turning_is_an_involution_and_agrees_with_itself(size in 3u32..=9, walls in 0u32..=12, seed: u64) {
        let game = Quoridor::new(size, walls, Some(60)).unwrap();
        let actions = game.policy_size() as Action;
        for player in [Player::First, Player::Second] {
            for action in 0..actions {
                let turned = game.turn_action(player, action);
                assert!(turned < actions);
                assert_eq!(game.turn_action(player, turned), action);
            }
        }
        random_game(&game, seed, 0.4, |state| {
            let mover = game.side_to_move(state);
            let legal = game.legal_actions(state);
            let turned = game.turn_actions(mover, &legal);
            let mut one_by_one = ActionBits::default();
            legal.iter().for_each(|action| one_by_one.insert(game.turn_action(mover, action)));
            assert_eq!(turned, one_by_one);
            assert_eq!(game.turn_actions(mover, &turned), legal);

            // As prior of an action, its own index in the game frame.
            let mut priors: Vec<f32> = turned.iter().map(|action| f32::from(game.turn_action(mover, action))).collect();
            game.turn_priors(mover, &legal, &mut priors);
            assert!(priors.iter().copied().eq(legal.iter().map(f32::from)));
        });
    }

    #[test]
    fn the_network_frame_is_the_board_with_players_exchanged(size in 3u32..=9, seed: u64) {
        // The turned position, played on by the other side, has the turned legal actions.
        let game = Quoridor::new(size, 8, Some(60)).unwrap();
        random_game(&game, seed, 0.4, |state| {
            let QuoridorPosition { walls, pawns, walls_left } = game.position(state);
            let paths = paths_from_scratch(&game, walls, pawns);
            let turned = QuoridorState { walls, paths, ply: 0, pawns, walls_left };
            let mover = game.side_to_move(state);
            assert_eq!(game.legal_actions(&turned), game.turn_actions(mover, &game.legal_actions(state)));
        });
    }

    #[test]
    fn packed_positions_unpack_to_the_planes(size in 3u32..=9, walls in 0u32..=64, seed: u64, wall_share in 0.05f64..1.0) {
        let game = Quoridor::new(size, walls, Some(60)).unwrap();
        for encoding in game.encodings() {
            let packing = game.packing(encoding).unwrap();
            let numbers = game.input_shape(encoding).iter().product();
            let (mut planes, mut unpacked) = (vec![f32::NAN; numbers], vec![f32::NAN; numbers]);
            // All of the bytes must be overwritten.
            let mut packed = vec![0xff; packing.bytes];
            random_game(&game, seed, wall_share, |state| {
                let position = game.position(state);
                game.encode(encoding, &position, &mut planes);
                packed.fill(0xff);
                game.pack(encoding, &position, &mut packed);
                packing.unpack(&packed, &mut unpacked);
                assert_eq!(unpacked, planes, "{}", game.encoding_name(encoding));
            });
        }
    }

    #[test]
    fn a_position_written_over_another_is_as_one_written_anew(
        size in 3u32..=9, walls in 0u32..=64, seeds: [u64; 2], wall_share in 0.05f64..1.0,
    ) {
        let game = Quoridor::new(size, walls, Some(60)).unwrap();
        let games = seeds.map(|seed| {
            let mut positions = Vec::new();
            random_game(&game, seed, wall_share, |state| positions.push(game.position(state)));
            positions
        });
        for encoding in game.encodings() {
            let numbers = game.input_shape(encoding).iter().product();
            let (mut kept, mut anew) = (vec![f32::NAN; numbers], vec![f32::NAN; numbers]);
            let mut before = games[0][0];
            game.encode(encoding, &before, &mut kept);
            for position in games[0].iter().zip(&games[1]).flat_map(|(one, other)| [*one, *other, *other]) {
                game.encode_over(encoding, &before, &position, &mut kept);
                game.encode(encoding, &position, &mut anew);
                assert_eq!(kept, anew, "{}", game.encoding_name(encoding));
                before = position;
            }
        }
    }

    #[test]
    fn encoded_positions_can_be_read_back(size in 3u32..=9, walls in 0u32..=30, seed: u64, wall_share in 0.05f64..1.0) {
        let game = Quoridor::new(size, walls, Some(60)).unwrap();
        random_game(&game, seed, wall_share, |state| {
            let position = game.position(state);
            for encoding in game.encodings() {
                // All of the output must be overwritten.
                let mut out = vec![f32::NAN; game.input_shape(encoding).iter().product()];
                game.encode(encoding, &position, &mut out);
                let decoded = match encoding {
                    QuoridorEncoding::Resnet => decode_resnet(size as u8, &out),
                    QuoridorEncoding::Mlp => decode_mlp(size as u8, &out),
                };
                assert_eq!(decoded, position);
            }
        });
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    assert_eq!(Quoridor::new(2, 1, None), Err(RulesError::BoardSize(2)));
    assert_eq!(Quoridor::new(10, 1, None), Err(RulesError::BoardSize(10)));
    assert_eq!(Quoridor::new(9, 256, None), Err(RulesError::MaxWalls(256)));
    assert_eq!(Quoridor::new(9, 10, Some(0)), Err(RulesError::MaxSteps));
    let message = RulesError::BoardSize(10).to_string();
    assert_eq!(message, "set up a board of 10 cells a side: board_size must be 3 to 9");
}

#[test]
fn a_win_on_the_last_step_is_a_win() {
    let play = |max_steps, actions: &[Action]| {
        let game = Quoridor::new(3, 0, Some(max_steps)).unwrap();
        let mut state = game.start();
        for &action in actions {
            assert_eq!(game.outcome(&state), None);
            game.play(&mut state, action);
        }
        game.outcome(&state)
    };
    assert_eq!(play(2, &[4, 1]), Some(Outcome::Win(Player::Second)));
    assert_eq!(play(2, &[4, 6]), Some(Outcome::Draw(Draw::StepLimit)));
    assert_eq!(play(3, &[4, 6]), None);
}

/// On 9 × 9 the last anchor of a row and the first of the next are neighbouring bits, and must not pass for neighbours.
#[test]
fn components_do_not_meet_round_the_border() {
    use Orientation::{Horizontal, Vertical};
    let game = Quoridor::new(9, 10, None).unwrap();
    let mut walls = Walls::default();
    // One component from the inner post (4, 0) to (3, 7), which reaches neither side.
    let standing = [
        (Vertical, 5, 0),
        (Horizontal, 5, 1),
        (Horizontal, 5, 3),
        (Horizontal, 5, 5),
        (Vertical, 4, 5),
        (Horizontal, 3, 6),
    ];
    for (orientation, row, col) in standing {
        walls.insert(orientation, Cell { row, col });
    }
    let cell = |row, col| Cell { row, col };
    // The chains run down either side column.
    for walls in [walls, walls.turned(&game.geometry)] {
        for pawns in [[cell(0, 0), cell(8, 8)], [cell(0, 8), cell(8, 0)]] {
            let paths = paths_from_scratch(&game, walls, pawns);
            let state = QuoridorState { walls, paths, ply: 0, pawns, walls_left: [4; 2] };
            assert_eq!(game.legal_actions(&state), oracle::legal_actions(&game, &state));
        }
    }
}

#[test]
fn packed_positions_stay_small() {
    let game = Quoridor::new(9, 10, None).unwrap();
    let bytes = game.encodings().into_iter().map(|encoding| game.packing(encoding).unwrap().bytes);
    assert_eq!(bytes.collect::<Vec<_>>(), [49, 39]);
}

#[test]
fn states_and_positions_stay_small() {
    assert_eq!(size_of::<QuoridorState>(), 160);
    assert_eq!(size_of::<QuoridorPosition>(), 24);
}
