//! Several sessions in one directory.

use super::*;

#[test]
fn nothing_of_a_live_session_is_touched() {
    let stage = Stage::new();
    let alive = stage.open(1);
    let (number, record) = begin(&alive.journal, 0, 3);
    let mut clock = StemClock::new(session(1), 0);
    let stems = [0, 1].map(|_| clock.next(1, record.index));
    alive.journal.staging(number, &stems[0]);
    let torn = stage.store.stage(&stems[0], b"yaml", b"arrays").unwrap();
    let mut complete = [stage.store.stage(&stems[1], b"yaml", b"arrays").unwrap()];
    stage.store.complete(&mut complete).unwrap();
    let before = stage.leftovers();

    let second = stage.open(2);
    assert_eq!(second.unfinished, []);
    assert_eq!(second.report.to_string(), "session 1-0000abcd lives: left alone\n");
    assert!(second.report.is_quiet() && stage.games().is_empty());
    second.journal.close().unwrap();
    assert_eq!(stage.leftovers(), before);

    // It goes on as if nothing had happened, and dies.
    let mut torn = [torn];
    stage.store.complete(&mut torn).unwrap();
    assert!(stage.store.publish(torn.into()).iter().all(Result::is_ok));
    drop(alive);
    let third = stage.open(3);
    assert_eq!(third.unfinished, [], "its one game is in place");
    assert_eq!(third.report.published(), 1);
    assert_eq!(stage.train(), 2);
}

#[test]
fn the_games_of_several_dead_sessions_go_on_in_one() {
    let stage = Stage::new();
    let sessions = [1, 2, 3].map(|number| stage.open(number));
    for (index, session) in sessions.iter().enumerate() {
        drop(begin(&session.journal, index as u64, index));
    }
    drop(sessions);
    let recovered = stage.open(4);
    let games: Vec<_> = recovered.unfinished.iter().map(|game| (game.index, game.plies.len())).collect();
    assert_eq!(games, [(0, 0), (1, 1), (2, 2)]);
    assert_eq!(recovered.next_index, 3);
    // New games get numbers of their own.
    let (number, _) = begin(&recovered.journal, 3, 1);
    assert!(recovered.unfinished.iter().all(|game| game.number != number));
    drop(recovered);
    assert_eq!(stage.leftovers(), ["session_4-0000abcd.journal"]);
    assert_eq!(stage.open(5).unfinished.len(), 4);
}

#[test]
fn games_of_other_settings_are_discarded_and_their_numbers_remembered() {
    let stage = Stage::new();
    drop(begin(&stage.open(1).journal, 4, 2));
    let other = SessionOptions { settings_hash: "07e4".to_owned(), ..options(2) };
    let recovered = open_session(&stage.dir, &other).unwrap();
    assert_eq!((recovered.unfinished.len(), recovered.report.discarded(), recovered.next_index), (0, 1, 5));
    assert_eq!(
        recovered.report.to_string(),
        "1 games of session 1-0000abcd discarded: they were played with other settings\n"
    );
    drop(recovered);
    // Also over sessions in between that began none.
    assert_eq!(stage.open(3).next_index, 5);
    let another_seed = SessionOptions { seed: 1, ..options(4) };
    assert_eq!(open_session(&stage.dir, &another_seed).unwrap().next_index, 0);
}

#[test]
fn only_games_begun_with_the_same_settings_go_on_although_these_changed_meanwhile() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    drop(begin(&journal, 0, 1));
    let changed = journal.begin_with(SEED, 1, "07e4");
    whole_game(1).plies.iter().take(2).enumerate().for_each(|(ply, record)| journal.ply(changed, ply, record, Some(7)));
    let _same = journal.begin_with(SEED, 2, "5e77");
    drop(journal);
    let games = |recovered: &Recovered| -> Vec<_> {
        recovered.unfinished.iter().map(|game| (game.index, game.plies.len())).collect()
    };
    let of_before = stage.copy().open(2);
    assert_eq!((games(&of_before), of_before.report.discarded()), (vec![(0, 1), (2, 0)], 1));
    let other = SessionOptions { settings_hash: "07e4".to_owned(), ..options(2) };
    let recovered = open_session(&stage.dir, &other).unwrap();
    assert_eq!((games(&recovered), recovered.report.discarded(), recovered.next_index), (vec![(1, 2)], 2, 3));
    drop(recovered);
    // From now on it is a game of its session's settings.
    let third = open_session(&stage.dir, &SessionOptions { session: session(3), ..other }).unwrap();
    assert_eq!(games(&third), [(1, 2)]);
}

#[test]
fn games_are_discarded_when_asked_but_finished_ones_are_not() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    drop(begin(&journal, 0, 2));
    let (number, record) = begin(&journal, 1, 9);
    let stem = StemClock::new(session(1), 0).next(1, record.index);
    journal.staging(number, &stem);
    stage.store.complete(&mut [stage.store.stage(&stem, b"yaml", b"arrays").unwrap()]).unwrap();
    drop(journal);
    let recovered = open_session(&stage.dir, &SessionOptions { resume: false, ..options(2) }).unwrap();
    assert_eq!((recovered.unfinished.len(), recovered.report.discarded(), recovered.report.published()), (0, 1, 1));
    assert_eq!((stage.train(), recovered.next_index), (1, 2));
}

#[test]
fn without_a_journal_a_session_still_shows_that_it_lives() {
    let stage = Stage::new();
    let quiet = open_session(&stage.dir, &SessionOptions { journal: false, ..options(1) }).unwrap();
    drop(begin(&quiet.journal, 0, 3));
    let stem = StemClock::new(session(1), 0).next(1, 0);
    drop(stage.store.stage(&stem, b"yaml", b"arrays").unwrap());
    assert_eq!(stage.open(2).report.to_string(), "session 1-0000abcd lives: left alone\n");
    assert!(stage.store.tmp_file(&stem, "npz.part").exists());
    drop(quiet);
    let third = stage.open(3);
    assert_eq!(third.unfinished, []);
    assert!(!stage.store.tmp_file(&stem, "npz.part").exists());
}

#[test]
fn names_go_on_after_all_others_whatever_the_clock_says() {
    let stage = Stage::new();
    let last = |number| stage.open(number).not_before_ms;
    assert_eq!(last(1), 1);
    fs::write(stage.dir.join("game_0000000005000_0001_77.npz"), b"").unwrap();
    assert_eq!(last(2), 5_001, "a visible game, of another program");
    fs::write(stage.tmp().join("game_0000000006000_0001_77-0000000a.npz.import_00000000"), b"").unwrap();
    assert_eq!(last(3), 6_001, "a game on its way");
    let journal = stage.open(4).journal;
    let (number, record) = begin(&journal, 0, 9);
    journal.staging(number, &StemClock::new(session(4), 7_000).next(1, record.index));
    journal.end(number);
    drop(journal);
    assert_eq!(last(5), 7_001, "a game that the trainer has taken");
    assert_eq!(last(6), 7_001, "and that no session has heard of since");
}

#[test]
fn a_session_whose_games_another_took_over_must_not_go_on() {
    let stage = Stage::new();
    let first = stage.open(1);
    drop(begin(&first.journal, 0, 1));
    // A file system that forgets locks: to others the session looks dead.
    let path = stage.tmp().join("session_1-0000abcd.journal");
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let second = stage.open(2);
    assert_eq!(second.unfinished.len(), 1);
    assert!(matches!(first.journal.tend(), Err(JournalError::TakenOver { by }) if by == session(2)));
}

#[test]
fn a_process_that_keeps_the_directory_locked_is_waited_for_within_limits() {
    let stage = Stage::new();
    let lock = stage.store.lock(Duration::ZERO).unwrap();
    let hasty = SessionOptions { lock_wait: Duration::ZERO, ..options(1) };
    assert!(matches!(open_session(&stage.dir, &hasty), Err(JournalError::Lock(LockError::Busy { .. }))));
    drop(lock);
    assert!(open_session(&stage.dir, &hasty).is_ok());
}

#[test]
fn a_session_can_be_opened_again_after_it_failed() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    drop(begin(&journal, 0, 2));
    let (number, record) = begin(&journal, 1, 9);
    let stem = StemClock::new(session(1), 0).next(1, record.index);
    journal.staging(number, &stem);
    stage.store.complete(&mut [stage.store.stage(&stem, b"yaml", b"arrays").unwrap()]).unwrap();
    drop(journal);
    // A directory in the way of the game to be published.
    fs::create_dir_all(stage.store.yaml(&stem).join("full")).unwrap();
    assert!(matches!(open_session(&stage.dir, &options(2)), Err(JournalError::Store(StoreError::Rename { .. }))));
    fs::remove_dir_all(stage.store.yaml(&stem)).unwrap();
    let recovered = stage.open(2);
    assert_eq!((recovered.unfinished.len(), stage.train()), (1, 1));
    drop(recovered);
    assert_eq!(stage.leftovers(), ["session_2-0000abcd.journal"]);
    assert_eq!(stage.open(3).unfinished.len(), 1);
}

#[test]
fn the_threshold_of_a_game_is_kept_from_session_to_session() {
    let stage = Stage::new();
    let first = stage.open(1);
    for (index, below) in [(0, Some(-0.75)), (1, None)] {
        let number = first.journal.begin(SEED, index);
        below.into_iter().for_each(|below| first.journal.resigning(number, below));
    }
    first.journal.sync().unwrap();
    let thresholds = |recovered: &Recovered| {
        let games = recovered.unfinished.iter();
        games.map(|game| (game.index, game.resign_below)).collect::<Vec<_>>()
    };
    let expected = [(0, Some(-0.75)), (1, None)];
    // Read, copied into the next journal, and read from there.
    drop(first);
    let second = stage.open(2);
    assert_eq!(thresholds(&second), expected);
    drop(second);
    assert_eq!(thresholds(&stage.open(3)), expected);
}
