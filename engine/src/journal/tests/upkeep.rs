//! A journal whose disk is full, whose file is removed, or which grows.

use std::sync::atomic::AtomicBool;

use super::*;

fn file(journal: &Journal) -> &JournalFile {
    journal.file.as_deref().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_full_disk_did_not_take_is_written_later() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    let (number, record) = begin(&journal, 0, 2);
    journal.sync().unwrap();
    file(&journal).replace_file(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    journal.ply(number, 2, &record.plies[2], Some(7));
    journal.ply(number, 3, &record.plies[3], Some(7));
    assert!(!journal.is_healthy());
    let error = journal.sync().unwrap_err();
    assert!(matches!(&error, JournalError::Unhealthy { reason } if reason.contains("No space left")), "{error}");
    // What the disk has is good up to here.
    let copy = stage.copy();
    assert_eq!(copy.open(2).unfinished[0].plies, all_journaled(&record.plies[..2]));

    journal.tend().unwrap();
    assert!(journal.is_healthy());
    journal.sync().unwrap();
    journal.ply(number, 4, &record.plies[4], Some(7));
    drop(journal);
    assert_eq!(stage.open(2).unfinished[0].plies, all_journaled(&record.plies[..5]));
}

#[test]
#[cfg(target_os = "linux")]
fn a_journal_that_missed_something_is_completed_when_it_is_closed() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    file(&journal).replace_file(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let (_, record) = begin(&journal, 0, 3);
    journal.close().unwrap();
    drop(begin(&journal, 1, 1));
    journal.tend().unwrap();
    let recovered = stage.open(2);
    assert_eq!(recovered.unfinished.len(), 1, "nothing is kept after the end");
    assert_eq!(recovered.unfinished[0].plies, all_journaled(&record.plies[..3]));
}

#[test]
fn a_removed_tmp_is_made_again_with_all_that_is_unfinished() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    let (number, record) = begin(&journal, 0, 2);
    fs::remove_dir_all(stage.tmp()).unwrap();
    journal.ply(number, 2, &record.plies[2], Some(7));
    journal.tend().unwrap();
    journal.ply(number, 3, &record.plies[3], Some(7));
    // It is locked as before.
    assert_eq!(stage.open(2).report.to_string(), "session 1-0000abcd lives: left alone\n");
    drop(journal);
    assert_eq!(stage.open(3).unfinished[0].plies, all_journaled(&record.plies[..4]));
}

#[test]
fn a_removed_directory_is_not_made_again() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    let (_, record) = begin(&journal, 0, 2);
    fs::remove_dir_all(&stage.dir).unwrap();
    assert!(matches!(journal.tend(), Err(JournalError::Io { path, .. }) if path == stage.tmp()));
    assert!(!stage.dir.exists() && !journal.is_healthy());
    assert!(matches!(journal.sync(), Err(JournalError::Unhealthy { .. })));
    fs::create_dir(&stage.dir).unwrap();
    journal.tend().unwrap();
    drop(journal);
    assert_eq!(stage.open(2).unfinished[0].plies, all_journaled(&record.plies[..2]));
}

#[test]
fn a_long_journal_is_written_afresh_while_games_go_on() {
    let stage = Stage::new();
    let mut journal = stage.open(1).journal;
    Arc::get_mut(journal.file.as_mut().unwrap()).unwrap().set_long_bytes(2_000);
    let stop = AtomicBool::new(false);
    let games = std::thread::scope(|scope| {
        let player = scope.spawn(|| {
            let mut games = 0;
            while !stop.load(Ordering::Relaxed) {
                let (number, _) = begin(&journal, games, 9);
                // One game in 500 stays.
                if games % 500 > 0 {
                    journal.end(number);
                }
                games += 1;
            }
            games
        });
        let mut rewritten = 0;
        while rewritten < 5 {
            let before = journal.bytes();
            journal.tend().unwrap();
            journal.sync().unwrap();
            rewritten += usize::from(journal.bytes() < before);
        }
        stop.store(true, Ordering::Relaxed);
        player.join().unwrap()
    });
    drop(journal);
    let recovered = stage.open(2);
    let indices: Vec<_> = recovered.unfinished.iter().map(|game| game.index).collect();
    assert_eq!(indices, (0..games).step_by(500).collect::<Vec<_>>());
    assert_eq!(recovered.next_index, games);
    for game in recovered.unfinished {
        assert_eq!(game.plies, all_journaled(&whole_game(game.index).plies));
    }
}

#[test]
fn a_session_without_unfinished_games_leaves_nothing() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    let (number, _) = begin(&journal, 0, 3);
    journal.end(number);
    journal.close().unwrap();
    journal.close().unwrap();
    assert!(stage.leftovers().is_empty());
}

#[test]
fn a_closed_session_with_unfinished_games_goes_on_in_the_next() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    let (_, record) = begin(&journal, 0, 3);
    journal.close().unwrap();
    // The handle is still there, its lock is not.
    assert_eq!(stage.open(2).unfinished[0].plies, all_journaled(&record.plies[..3]));
    drop(journal);
}

#[test]
fn a_game_that_goes_back_says_its_plies_again() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    let (number, record) = begin(&journal, 0, 4);
    let mut changed = record.plies[1].clone();
    changed.root_value = 0.5;
    journal.ply(number, 1, &changed, Some(8));
    // A gap, which no game makes, is not believed.
    journal.ply(number, 3, &record.plies[3], Some(8));
    drop(journal);
    let game = stage.open(2).unfinished.remove(0);
    assert_eq!(game.plies, [journaled(&record.plies[0]), journaled(&changed)]);
    assert_eq!(game.first_version, Some(7));
}
