//! Games that end before the rules end them, and decided ones that get less effort.

use super::*;
use crate::{
    Outcome, Player,
    replay::{Ending, PlyKind},
    selfplay::soft::SoftResign,
    solve::{Adjudicator as _, FilledBoards},
};

/// Ends of a game, and the game that is to end by them from its first plies.
fn ending<G: Game>(
    rules: &G,
    settings: &Arc<PlaySettings>,
    (seed, index): (u64, u64),
    ends: &EarlyEnds<G>,
    plies: Vec<PlyRecord<G>>,
) -> GameRecord<G> {
    let game = SelfPlayGame::resume(rules.clone(), settings.clone(), seed, index, plies, Some(10));
    finish(rules, game.ending_by(ends.clone()), 1)
}

/// That a game which stopped after any ply ends as it did.
fn ends_alike_when_resumed<G: Game>(
    rules: &G,
    settings: &Arc<PlaySettings>,
    number: (u64, u64),
    ends: &EarlyEnds<G>,
    whole: &GameRecord<G>,
) {
    for cut in 0..=whole.plies.len() {
        let resumed = ending(rules, settings, number, ends, whole.plies[..cut].to_vec());
        assert_eq!(text(&resumed.plies), text(&whole.plies), "cut at ply {cut}");
        assert_eq!((resumed.outcome, resumed.end_reason()), (whole.outcome, whole.end_reason()));
        assert_eq!(resumed.resign, whole.resign);
    }
}

#[test]
fn a_game_ends_where_its_result_is_known() {
    let rules = Quoridor::new(5, 1, Some(60)).unwrap();
    let settings = Arc::new(PlaySettings { tree_reuse: false, ..settings() });
    let ends = EarlyEnds { adjudicator: Some(Arc::new(rules)), ..EarlyEnds::default() };
    let mut adjudicated = 0;
    for seed in 0..12 {
        let record = ending(&rules, &settings, (seed, 3), &ends, Vec::new());
        let mut state = rules.start();
        for ply in &record.plies {
            assert_eq!(rules.verdict(&state), None, "it would have ended there");
            rules.play(&mut state, ply.action);
        }
        match record.ending {
            Ending::Adjudicated => {
                adjudicated += 1;
                assert_eq!((rules.outcome(&state), rules.verdict(&state)), (None, Some(record.outcome)));
                assert_eq!(record.end_reason(), "adjudicated");
            }
            _ => assert_eq!(rules.outcome(&state), Some(record.outcome)),
        }
        // Up to there it is the game that it would have been.
        let whole = finish(&rules, SelfPlayGame::new(rules, settings.clone(), seed, 3), 1);
        assert_eq!(text(&record.plies), text(&whole.plies[..record.plies.len()]));
        ends_alike_when_resumed(&rules, &settings, (seed, 3), &ends, &record);
    }
    assert!(adjudicated > 6, "{adjudicated} of 12 games");
}

#[test]
fn a_game_has_a_row_before_it_is_adjudicated() {
    let ends = EarlyEnds { adjudicator: Some(Arc::new(FilledBoards(TicTacToe))), ..EarlyEnds::default() };
    let record = ending(&TicTacToe, &Arc::new(settings()), (1, 3), &ends, Vec::new());
    assert_eq!((record.plies.len(), record.ending), (1, Ending::Adjudicated));
    let opening = OpeningSettings { random_plies: 9, policy_plies: 0.0 };
    let settings = Arc::new(PlaySettings { opening, ..settings() });
    for seed in 0..20 {
        let record = ending(&TicTacToe, &settings, (seed, 3), &ends, Vec::new());
        assert_eq!(record.rows().count(), 1, "known by then at the latest");
    }
}

const RESIGN: ResignSettings = ResignSettings { played_on: 0.25, most_wrong: 0.05 };

#[test]
fn players_resign_below_the_threshold_unless_the_game_is_played_on() {
    let rules = quoridor();
    let settings = Arc::new(PlaySettings { tree_reuse: false, resign: Some(RESIGN), ..settings() });
    let ends = EarlyEnds { resign_below: -0.02, ..EarlyEnds::default() };
    let (mut resigned, mut played_on) = (0, 0);
    for index in 0..24 {
        let record = ending(&rules, &settings, (5, index), &ends, Vec::new());
        let notes = record.resign.unwrap();
        assert_eq!((notes.threshold, notes.no_resign), (-0.02, RESIGN.plays_on(5, index)));
        let below = record.plies.iter().position(|ply| ply.root_value.max(ply.notes.best_value) < -0.02);
        assert_eq!(notes.would_resign_ply, below.map(|ply| ply as u32));
        let last = record.plies.last().unwrap();
        if record.ending == Ending::Resigned {
            resigned += 1;
            assert!(!notes.no_resign);
            assert_eq!((below, record.end_reason()), (Some(record.plies.len() - 1), "resigned"));
            assert_eq!(record.outcome, Outcome::Win(last.player.opponent()));
            ends_alike_when_resumed(&rules, &settings, (5, index), &ends, &record);
        } else if notes.no_resign {
            let whole = finish(&rules, SelfPlayGame::new(rules, settings.clone(), 5, index), 1);
            assert_eq!(text(&record.plies), text(&whole.plies));
            played_on += u32::from(below.is_some());
        } else {
            assert!(below.is_none_or(|ply| ply + 1 == record.plies.len()), "game {index}");
        }
    }
    assert!(resigned > 5 && played_on > 2, "{resigned} resigned, {played_on} played on");
}

#[test]
fn without_a_threshold_nobody_resigns_and_without_the_setting_nothing_is_told() {
    let rules = quoridor();
    let settings = PlaySettings { resign: Some(RESIGN), ..settings() };
    for seed in 0..4 {
        let record = play(&rules, &settings, seed);
        assert_eq!(record.ending, Ending::Rules);
        let notes = record.resign.unwrap();
        assert_eq!((notes.would_resign_ply, notes.threshold), (None, NEVER_RESIGNS));
        assert_eq!(play(&rules, &super::settings(), seed).resign, None);
    }
}

#[test]
fn a_share_of_games_is_played_on() {
    let played_on = (0..10_000).filter(|&index| RESIGN.plays_on(9, index)).count();
    assert!((2_300..2_700).contains(&played_on), "{played_on} of 10000");
    assert!((0..1000).all(|index| ResignSettings { played_on: 1.0, ..RESIGN }.plays_on(9, index)));
}

#[test]
fn the_least_that_a_player_saw_who_did_not_lose_is_what_resigning_must_stay_below() {
    let rules = quoridor();
    let mut record = play(&rules, &settings(), 1);
    for (number, ply) in record.plies.iter_mut().enumerate() {
        ply.root_value = if number == 3 { -0.75 } else { 0.0 };
        ply.notes.best_value = if number == 3 { -0.5 } else { f32::NAN };
    }
    let of = |record: &mut GameRecord<Quoridor>, outcome| {
        record.outcome = outcome;
        record.lowest_unbeaten()
    };
    assert_eq!(of(&mut record, Outcome::Win(Player::Second)), -0.5, "the best move counts where it is worth more");
    assert_eq!(of(&mut record, Outcome::Win(Player::First)), 0.0);
    assert_eq!(of(&mut record, Outcome::Draw(crate::Draw::StepLimit)), -0.5, "a draw would have been given away");
}

const SOFT: SoftResign = SoftResign { value: 0.5, simulations: 4, weight: 0.1 };

#[test]
fn effort_shrinks_once_both_players_agree_for_three_plies() {
    let rules = quoridor();
    let plies = play(&rules, &settings(), 1).plies;
    let after = |values: &[f32]| {
        let mut plies = plies[..values.len()].to_vec();
        plies.iter_mut().zip(values).for_each(|(ply, &value)| ply.root_value = value);
        let Simulations::PerMove(simulations) = SOFT.simulations(&plies, Simulations::PerMove(24), 9) else { panic!() };
        (simulations, (SOFT.weight(&plies) * 1e4).round() / 1e4)
    };
    assert_eq!(after(&[]), (24, 1.0));
    assert_eq!(after(&[1.0, -1.0]), (24, 1.0), "two plies are too few");
    assert_eq!(after(&[0.9, -0.5, 0.9]), (24, 1.0), "no more than the value");
    assert_eq!(after(&[0.9, 0.9, 0.9]), (24, 1.0), "each sees itself ahead");
    assert_eq!(after(&[-0.75, 0.75, -1.0]), (19, 0.775), "a quarter of the way");
    assert_eq!(after(&[0.0, 1.0, -1.0, 1.0]), (4, 0.1), "whoever wins");
    let few = SoftResign { simulations: 100, ..SOFT };
    assert_eq!(few.simulations(&plies[..0], Simulations::PerLegalAction(2), 9), Simulations::PerLegalAction(2));
}

#[test]
fn decided_games_are_played_to_their_end_with_less_effort() {
    let rules = quoridor();
    // Values of this evaluator are small: nearly everything is to count as decided.
    let soft = SoftResign { value: -1.0, ..SOFT };
    let settings = Arc::new(PlaySettings { tree_reuse: false, soft_resign: Some(soft), ..settings() });
    let mut spared = 0;
    for seed in 0..6 {
        let record = ending(&rules, &settings, (seed, 3), &EarlyEnds::default(), Vec::new());
        for (number, ply) in record.plies.iter().enumerate() {
            let before = &record.plies[..number];
            let usual = Simulations::PerMove(N);
            assert_eq!(Simulations::PerMove(ply.notes.simulations), soft.simulations(before, usual, 0));
            assert_eq!((ply.notes.kind, ply.notes.weight), (PlyKind::Full, soft.weight(before)));
            spared += N - ply.notes.simulations;
        }
        assert_eq!(record.ending, Ending::Rules);
        ends_alike_when_resumed(&rules, &settings, (seed, 3), &EarlyEnds::default(), &record);
    }
    assert!(spared > 0);
}
