//! Games on their way from a spool directory into the store.

use super::*;
use crate::{journal::import::Import, replay::Stem};

/// A store and a spool in which session 1, which is dead, left two games and what is not a game yet.
fn spooled() -> (Stage, Stage, [Stem; 2]) {
    let (stage, spool) = (Stage::new(), Stage::new());
    let mut clock = StemClock::new(session(1), 0);
    let stems = [0, 1].map(|index| clock.next(1, index));
    for stem in &stems {
        spool.store.write(stem, b"yaml", b"arrays").unwrap();
    }
    fs::write(spool.dir.join("game_0000000000009_0001_1-0000abcd.yaml"), b"yaml").unwrap();
    fs::write(spool.dir.join("other.npz"), b"arrays").unwrap();
    (stage, spool, stems)
}

#[test]
fn spooled_games_come_under_their_names_and_leave_the_spool() {
    let (stage, spool, stems) = spooled();
    let imported = stage.store.import_from(&spool.dir).unwrap();
    assert_eq!(imported.games.iter().map(|game| &game.stem).collect::<Vec<_>>(), stems.iter().collect::<Vec<_>>());
    assert!(imported.games.iter().all(|game| game.bytes == 10));
    assert_eq!(spool.games(), ["other.npz"]);
    assert!(stage.leftovers().is_empty());
    assert_eq!(stage.train(), 2);
    assert!(stage.store.import_from(&spool.dir).unwrap().games.is_empty());
    assert_eq!(stage.train(), 0);
}

#[test]
fn a_crash_at_any_step_brings_every_game_once() {
    for steps in 0..=3 {
        for trains_between in [false, true] {
            let (stage, spool, _) = spooled();
            let import = Import::new(&stage.store, fs::canonicalize(&spool.dir).unwrap()).unwrap();
            let copied = if steps > 0 { import.copy().unwrap().games } else { Vec::new() };
            match steps {
                // Only one of the two has left the spool.
                1 => fs::remove_file(spool.store.npz(&copied[0])).unwrap(),
                2 => import.commit(&copied).unwrap(),
                3 => {
                    import.commit(&copied).unwrap();
                    import.place().unwrap();
                }
                _ => {}
            }
            let mut seen = if trains_between { stage.train() } else { 0 };
            drop(stage.open(2));
            seen += if trains_between { stage.train() } else { 0 };
            stage.store.import_from(&spool.dir).unwrap();
            seen += stage.train();
            assert_eq!(seen, 2, "{steps} steps");
            assert_eq!(stage.leftovers(), ["session_2-0000abcd.journal"], "{steps} steps");
            assert_eq!(spool.games(), ["other.npz"], "{steps} steps");
        }
    }
}

#[test]
fn a_game_that_is_here_already_is_not_brought_again() {
    let (stage, spool, stems) = spooled();
    stage.store.write(&stems[0], b"yaml", b"arrays").unwrap();
    let imported = stage.store.import_from(&spool.dir).unwrap();
    assert_eq!((imported.skipped.as_slice(), imported.games.len()), (&stems[..1], 1));
    assert_eq!((stage.train(), spool.games()), (2, vec!["other.npz".to_owned()]));
}

#[test]
fn a_game_that_was_complete_but_not_yet_visible_in_the_spool_comes_too() {
    let (stage, spool, _) = spooled();
    let stem = StemClock::new(session(1), 50).next(1, 2);
    spool.store.complete(&mut [spool.store.stage(&stem, b"yaml", b"arrays").unwrap()]).unwrap();
    assert_eq!(stage.store.import_from(&spool.dir).unwrap().games.len(), 3);
    assert_eq!(stage.train(), 3);
}

#[test]
fn what_a_live_session_spools_is_left_alone() {
    let (stage, spool, _) = spooled();
    let alive = stage.open(1);
    assert!(stage.store.import_from(&spool.dir).unwrap().games.is_empty());
    drop(alive);
    assert_eq!(stage.store.import_from(&spool.dir).unwrap().games.len(), 2);
}

#[test]
fn what_cannot_be_copied_stays_and_the_others_come() {
    let (stage, spool, stems) = spooled();
    // A directory in the place of the second game's archive.
    fs::remove_file(spool.store.npz(&stems[1])).unwrap();
    fs::create_dir(spool.store.npz(&stems[1])).unwrap();
    let error = stage.store.import_from(&spool.dir).unwrap_err();
    assert!(
        matches!(error, JournalError::Store(StoreError::Read { path, .. }) if path.ends_with(format!("{}.npz", stems[1])))
    );
    assert_eq!(stage.train(), 1);
    assert!(spool.store.yaml(&stems[1]).exists());
}

#[test]
fn no_spool_and_the_store_itself_are_empty_spools() {
    let (stage, spool, _) = spooled();
    assert!(stage.store.import_from(&spool.dir.join("none")).unwrap().games.is_empty());
    assert!(spool.store.import_from(&spool.dir).unwrap().games.is_empty());
    assert_eq!(spool.games().len(), 3);
}
