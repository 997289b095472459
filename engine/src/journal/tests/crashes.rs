//! A crash after every step of a game, and after every step of the recovery from it.

use super::*;
use crate::replay::{Staged, Stem};

/// Steps from opening the session to the end of a game of [`PLIES`] journaled plies, for [`live`].
const STEPS: usize = PLIES + 9;
const PLIES: usize = 5;

/// Lives through the first `steps` steps of a session with one game, and dies.
fn live(stage: &Stage, steps: usize) {
    let journal = stage.open(1).journal;
    let (store, record) = (&stage.store, whole_game(3));
    let mut clock = StemClock::new(session(1), 5_000);
    let mut number = None;
    let mut stem: Option<Stem> = None;
    let mut staged: Vec<Staged> = Vec::new();
    for step in 0..steps {
        match step {
            0 => number = Some(journal.begin(SEED, 3)),
            1..=PLIES => journal.ply(number.unwrap(), step - 1, &record.plies[step - 1], Some(7)),
            _ => match step - PLIES - 1 {
                0 => {
                    (PLIES..record.plies.len()).for_each(|ply| {
                        journal.ply(number.unwrap(), ply, &record.plies[ply], Some(7));
                    });
                    stem = Some(clock.next(1, 3));
                    journal.staging(number.unwrap(), stem.as_ref().unwrap());
                }
                // A file that was being written.
                1 => fs::write(store.tmp_file(stem.as_ref().unwrap(), "yaml.part"), b"ya").unwrap(),
                2 => staged.push(store.stage(stem.as_ref().unwrap(), b"yaml", b"arrays").unwrap()),
                // The first of two renames.
                3 => {
                    let [part, whole] = ["yaml.part", "yaml"].map(|ending| store.tmp_file(staged[0].stem(), ending));
                    fs::rename(part, whole).unwrap();
                }
                4 => store.complete(&mut staged).unwrap(),
                5 => {
                    journal.staged([(number.unwrap(), staged[0].stem())]);
                    journal.sync().unwrap();
                }
                6 => drop(store.publish(std::mem::take(&mut staged)).remove(0).unwrap()),
                _ => journal.end(number.unwrap()),
            },
        }
    }
}

/// Goes on with all unfinished games, and publishes them; how many there were.
fn go_on(stage: &Stage, recovered: Recovered, steps: usize) -> usize {
    let mut clock = StemClock::new(session(2), recovered.not_before_ms);
    let games = recovered.unfinished.len();
    for game in recovered.unfinished {
        let plies = restore_plies(&TicTacToe, &game.plies).unwrap();
        assert_eq!((game.seed, game.index), (SEED, 3));
        assert_eq!(game.plies.len(), plies_after(steps), "{steps} steps");
        assert_eq!(game.first_version, (steps > 1).then_some(7));
        let record = play_on(game.index, plies, game.first_version);
        let whole = whole_game(3).plies;
        let actions = |plies: &[PlyRecord<TicTacToe>]| plies.iter().map(|ply| ply.action).collect::<Vec<_>>();
        assert_eq!(actions(&record.plies), actions(&whole), "the same game goes on");
        let stem = clock.next(0, game.index);
        assert!(stem.ms() >= 1 && (steps <= PLIES + 1 || stem.ms() > 5_000), "{stem} after {steps} steps");
        recovered.journal.staging(game.number, &stem);
        stage.store.write(&stem, b"yaml", b"arrays").unwrap();
        recovered.journal.end(game.number);
    }
    recovered.journal.close().unwrap();
    games
}

/// Plies on the disk after so many steps.
fn plies_after(steps: usize) -> usize {
    if steps <= PLIES + 1 { steps.saturating_sub(1) } else { whole_game(3).plies.len() }
}

#[test]
fn the_recorded_game_is_long_enough_and_comes_to_its_end() {
    assert!(whole_game(3).plies.len() > PLIES);
    let stage = Stage::new();
    live(&stage, STEPS);
    assert_eq!(stage.train(), 1);
}

#[test]
fn after_a_crash_at_any_step_the_game_reaches_the_trainer_once() {
    for steps in 0..=STEPS {
        for trains_between in [false, true] {
            let stage = Stage::new();
            live(&stage, steps);
            let mut seen = if trains_between { stage.train() } else { 0 };
            let recovered = stage.open(2);
            assert_eq!(recovered.report.discarded(), 0);
            assert_eq!(recovered.next_index, if steps == 0 { 0 } else { 4 }, "{steps} steps");
            seen += if trains_between { stage.train() } else { 0 };
            go_on(&stage, recovered, steps);
            seen += stage.train();
            assert_eq!(seen, usize::from(steps > 0), "{steps} steps");
            assert!(stage.leftovers().is_empty(), "{steps} steps: {:?}", stage.leftovers());
        }
    }
}

#[test]
fn a_crash_during_recovery_does_no_harm() {
    for steps in 0..=STEPS {
        // The new journal is in its place, and nothing was published or removed yet.
        let stage = Stage::new();
        live(&stage, steps);
        let copy = stage.copy();
        drop(copy.open(2));
        let journal = "session_2-0000abcd.journal";
        fs::copy(copy.tmp().join(journal), stage.tmp().join(journal)).unwrap();
        let recovered = stage.open(3);
        assert!(recovered.unfinished.len() <= 1, "{steps} steps: adopted twice");
        go_on(&stage, recovered, steps);
        assert_eq!(stage.train(), usize::from(steps > 0), "{steps} steps");
        assert!(stage.leftovers().is_empty(), "{steps} steps: {:?}", stage.leftovers());

        // All was done, and the process died before it played on; again and again.
        drop(copy.open(3));
        drop(copy.open(4));
        go_on(&copy, copy.open(5), steps);
        assert_eq!(copy.train(), usize::from(steps > 0), "{steps} steps");
        assert!(copy.leftovers().is_empty(), "{steps} steps: {:?}", copy.leftovers());
    }
}

#[test]
fn parts_of_a_staged_game_are_whole() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    let (number, record) = begin(&journal, 0, 9);
    let stem = StemClock::new(session(1), 0).next(1, record.index);
    journal.staging(number, &stem);
    stage.store.stage(&stem, b"yaml", b"arrays").unwrap();
    journal.staged([(number, &stem)]);
    drop(journal);
    let recovered = stage.open(2);
    assert_eq!((recovered.unfinished.len(), recovered.report.published()), (0, 1));
    assert_eq!(stage.train(), 1);
}

#[test]
fn a_complete_game_is_published_though_no_journal_speaks_of_it() {
    let stage = Stage::new();
    let mut clock = StemClock::new(session(1), 0);
    let mut staged = [stage.store.stage(&clock.next(1, 0), b"yaml", b"arrays").unwrap()];
    stage.store.complete(&mut staged).unwrap();
    drop(stage.store.stage(&clock.next(1, 1), b"yaml", b"torn").unwrap());
    let recovered = stage.open(2);
    assert_eq!(stage.train(), 1);
    assert_eq!(
        recovered.report.to_string(),
        "finished game game_0000000000001_0000_1-0000abcd put in place\n\
         leftover game_0000000000002_0001_1-0000abcd.npz.part removed\n\
         leftover game_0000000000002_0001_1-0000abcd.yaml.part removed\n"
    );
}

#[test]
fn an_archive_without_metadata_is_not_shown_and_its_game_played_again() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    let (number, record) = begin(&journal, 0, 9);
    let stem = StemClock::new(session(1), 0).next(1, record.index);
    journal.staging(number, &stem);
    fs::write(stage.store.tmp_file(&stem, "npz"), b"arrays").unwrap();
    journal.staged([(number, &stem)]);
    drop(journal);
    let recovered = stage.open(2);
    assert_eq!(recovered.unfinished[0].plies, all_journaled(&record.plies));
    assert!(stage.games().is_empty());
}

#[test]
fn a_spooled_game_is_not_played_again() {
    let (stage, spool) = (Stage::new(), Stage::new());
    let journal = stage.open(1).journal;
    let (number, record) = begin(&journal, 0, 9);
    let stem = StemClock::new(session(1), 0).next(1, record.index);
    journal.staging(number, &stem);
    spool.store.write(&stem, b"yaml", b"arrays").unwrap();
    drop(journal);
    let spooling = SessionOptions { spool: Some(spool.dir.clone()), ..options(2) };
    assert_eq!(open_session(&stage.dir, &spooling).unwrap().unfinished, []);
    assert_eq!(stage.store.import_from(&spool.dir).unwrap().games.len(), 1);
    assert_eq!(stage.train(), 1);
}
