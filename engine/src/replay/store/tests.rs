//! The store, with a directory in the way of every step.

use tempfile::TempDir;

use super::*;
use crate::replay::{StemClock, lock::LOCK_FILE};

const SESSION: SessionId = SessionId::new(77, 0xab);

fn opened() -> (TempDir, ReplayStore) {
    let root = TempDir::new().unwrap();
    let store = ReplayStore::open(root.path().join("deep/ready"), SESSION).unwrap();
    (root, store)
}

fn stem() -> Stem {
    StemClock::new(SESSION, 0).next(1_000, 5)
}

/// Names of all files and directories under `dir`, sorted.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != LOCK_FILE);
    names.sort();
    names
}

#[test]
fn a_game_is_two_files_and_nothing_is_left_over() {
    let (_root, store) = opened();
    assert_eq!(names(store.dir()), ["tmp"]);
    let written = store.write(&stem(), b"yaml", b"arrays").unwrap();
    let npz = store.dir().join("game_0000000001000_0005_77-000000ab.npz");
    assert_eq!(written, Written { stem: stem(), npz: npz.clone(), bytes: 10 });
    assert_eq!(fs::read(&npz).unwrap(), b"arrays");
    assert_eq!(fs::read(npz.with_extension("yaml")).unwrap(), b"yaml");
    assert_eq!(names(store.dir()).len(), 3);
    assert!(names(&store.dir().join("tmp")).is_empty());
}

#[test]
fn a_game_is_never_overwritten() {
    let (_root, store) = opened();
    store.write(&stem(), b"yaml", b"first").unwrap();
    let error = store.write(&stem(), b"yaml", b"second").unwrap_err();
    assert!(matches!(&error, StoreError::Exists { path } if fs::read(path).unwrap() == b"first"));
    assert_eq!(error.io_kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_file_in_the_place_of_the_directory_is_an_error() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("ready");
    fs::write(&file, b"").unwrap();
    let error = ReplayStore::open(&file, SESSION).unwrap_err();
    assert!(matches!(error, StoreError::CreateDirectory { .. }));
    assert_eq!(error.to_string(), format!("create directory {}", file.join("tmp").display()));
}

#[test]
fn a_file_in_the_place_of_tmp_is_an_error() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("tmp"), b"").unwrap();
    let error = ReplayStore::open(root.path(), SESSION).unwrap_err();
    assert!(matches!(error, StoreError::CreateDirectory { .. }));
    assert_eq!(error.io_kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn directories_that_do_not_take_files_are_found_at_once() {
    let (_root, store) = opened();
    // A directory stands where the probe goes: first in `tmp`, then at its goal.
    let obstacle = store.dir().join("tmp/.probe_77-000000ab");
    fs::create_dir(&obstacle).unwrap();
    assert!(
        matches!(ReplayStore::open(store.dir(), SESSION), Err(StoreError::Create { path, .. }) if path == obstacle)
    );
    fs::remove_dir(&obstacle).unwrap();
    fs::create_dir(store.dir().join(".probe_77-000000ab")).unwrap();
    assert!(matches!(ReplayStore::open(store.dir(), SESSION), Err(StoreError::Rename { .. })));
    assert!(names(&store.dir().join("tmp")).is_empty());
}

#[test]
fn a_directory_that_went_away_is_an_error() {
    let (_root, store) = opened();
    fs::remove_dir_all(store.dir()).unwrap();
    let error = store.write(&stem(), b"yaml", b"arrays").unwrap_err();
    assert!(matches!(&error, StoreError::CreateDirectory { path, .. } if path.ends_with("tmp")));
    assert!(!store.dir().exists(), "it may be a disk that is not mounted");
    assert_eq!(error.io_kind(), io::ErrorKind::NotFound);
    assert!(!error.is_disk_full());
}

#[test]
fn a_failure_at_any_step_leaves_no_archive_and_no_temporary_file() {
    // A directory, not empty, in the place of each file in turn makes its creation or its rename fail.
    for obstacle in ["tmp/{}.yaml.part", "tmp/{}.npz.part", "tmp/{}.yaml", "tmp/{}.npz", "{}.yaml"] {
        let (_root, store) = opened();
        let blocked = store.dir().join(obstacle.replace("{}", stem().as_str()));
        fs::create_dir_all(blocked.join("full")).unwrap();
        store.write(&stem(), b"yaml", b"arrays").unwrap_err();
        fs::remove_dir_all(&blocked).unwrap();
        assert_eq!(names(store.dir()), ["tmp"], "{obstacle}");
        assert!(names(&store.dir().join("tmp")).is_empty(), "{obstacle}");
        store.write(&stem(), b"yaml", b"arrays").unwrap();
    }
}

#[test]
fn a_full_disk_is_told_from_other_failures() {
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    assert!(StoreError::Write { path: PathBuf::new(), source: full() }.is_disk_full());
    assert!(StoreError::Sync { path: PathBuf::new(), source: full() }.is_disk_full());
    // The game is visible: writing it again would give it to the trainer twice.
    assert!(!StoreError::NotDurable { npz: PathBuf::new(), source: full() }.is_disk_full());
    assert!(!StoreError::Exists { path: PathBuf::new() }.is_disk_full());
}

#[test]
#[cfg(target_os = "linux")]
fn the_system_s_word_for_a_full_disk_is_understood() {
    let mut file = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let source = file.write_all(b"arrays").unwrap_err();
    assert!(StoreError::Write { path: PathBuf::new(), source }.is_disk_full());
}

/// Games 0, 1, 2, staged and complete.
fn complete_games(store: &ReplayStore) -> Vec<Staged> {
    let mut clock = StemClock::new(SESSION, 0);
    let mut games: Vec<_> =
        (0..3).map(|index| store.stage(&clock.next(1, index), b"yaml", b"arrays").unwrap()).collect();
    assert!(games.iter().all(|game| !game.is_complete()));
    store.complete(&mut games).unwrap();
    assert!(games.iter().all(Staged::is_complete));
    games
}

#[test]
fn a_group_of_games_is_published_in_its_order() {
    let (_root, store) = opened();
    let games = complete_games(&store);
    assert_eq!(names(store.dir()), ["tmp"], "nothing is visible before");
    let stems: Vec<_> = games.iter().map(|game| game.stem().clone()).collect();
    let written: Vec<_> = store.publish(games).into_iter().map(|answer| answer.unwrap().stem).collect();
    assert_eq!(written, stems);
    assert_eq!(names(store.dir()).len(), 7);
    assert!(names(&store.dir().join("tmp")).is_empty());
}

#[test]
fn a_game_that_was_not_published_holds_up_no_other_and_is_published_later() {
    for ending in ["yaml", "npz"] {
        let (_root, store) = opened();
        let games = complete_games(&store);
        let obstacle = store.dir().join(format!("{}.yaml", games[1].stem()));
        if ending == "yaml" {
            fs::create_dir_all(obstacle.join("full")).unwrap();
        } else {
            // Its archive is out of the way for a while.
            fs::rename(store.tmp_file(games[1].stem(), "npz"), store.dir().join("away")).unwrap();
        }
        let mut answers = store.publish(games);
        assert!(answers[0].is_ok() && answers[2].is_ok());
        let Unpublished { staged, error } = answers.remove(1).unwrap_err();
        assert!(matches!(error, StoreError::Rename { .. }));
        assert!(!store.npz(staged.stem()).exists());
        if ending == "yaml" {
            fs::remove_dir_all(&obstacle).unwrap();
        } else {
            fs::rename(store.dir().join("away"), store.tmp_file(staged.stem(), "npz")).unwrap();
        }
        let written = store.publish(vec![staged]).remove(0).unwrap();
        assert_eq!(fs::read(written.npz.with_extension("yaml")).unwrap(), b"yaml");
        assert_eq!(fs::read(written.npz).unwrap(), b"arrays");
    }
}

#[test]
fn publishing_never_replaces_a_game() {
    let (_root, store) = opened();
    let games = complete_games(&store);
    let taken = store.npz(games[0].stem());
    fs::write(&taken, b"another").unwrap();
    let failed = store.publish(games).remove(0).unwrap_err();
    assert!(matches!(failed.error, StoreError::Exists { path } if path == taken));
    assert_eq!(fs::read(&taken).unwrap(), b"another");
    assert!(!taken.with_extension("yaml").exists());
}

#[test]
fn completing_goes_on_where_it_failed() {
    let (_root, store) = opened();
    let mut games = [store.stage(&stem(), b"yaml", b"arrays").unwrap()];
    let obstacle = store.tmp_file(&stem(), "npz");
    fs::create_dir(&obstacle).unwrap();
    assert!(matches!(store.complete(&mut games), Err(StoreError::Rename { to, .. }) if to == obstacle));
    assert!(!games[0].is_complete());
    fs::remove_dir(&obstacle).unwrap();
    store.complete(&mut games).unwrap();
    assert!(store.publish(games.into()).remove(0).is_ok());
}

#[test]
fn tmp_is_made_again() {
    let (_root, store) = opened();
    fs::remove_dir_all(store.tmp()).unwrap();
    assert!(store.write(&stem(), b"yaml", b"arrays").is_ok());
}

#[test]
fn room_is_known_as_long_as_the_directory_is_there() {
    let (_root, store) = opened();
    let room = store.free_space().unwrap();
    assert!(room.free <= room.total && room.total > 1 << 20, "{room:?}");
    fs::remove_dir_all(store.dir()).unwrap();
    assert!(
        matches!(store.free_space(), Err(StoreError::FreeSpace { source, .. }) if source.kind() == io::ErrorKind::NotFound)
    );
}

#[test]
fn opening_waits_for_a_process_that_looks_after_the_directory() {
    let (_root, store) = opened();
    let lock = store.lock(Duration::ZERO).unwrap();
    assert!(matches!(store.lock(Duration::from_millis(20)), Err(LockError::Busy { .. })));
    drop(lock);
    assert!(store.lock(Duration::ZERO).is_ok());
}
