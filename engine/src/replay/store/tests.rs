//! The store, with a directory in the way of every step.

use tempfile::TempDir;

use super::{super::stem::StemClock, *};

const PID: u32 = 77;

fn opened() -> (TempDir, ReplayStore) {
    let root = TempDir::new().unwrap();
    let store = ReplayStore::open(root.path().join("deep/ready"), PID).unwrap();
    (root, store)
}

fn stem() -> Stem {
    StemClock::new(PID).next(1_000, 5)
}

/// Names of all files and directories under `dir`, sorted.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_game_is_two_files_and_nothing_is_left_over() {
    let (_root, store) = opened();
    assert_eq!(names(store.dir()), ["tmp"]);
    let written = store.write(&stem(), b"yaml", b"arrays").unwrap();
    let npz = store.dir().join("game_0000000001000_0005_77.npz");
    assert_eq!(written, Written { npz: npz.clone(), bytes: 10 });
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
fn opening_removes_what_this_process_id_left_and_nothing_else() {
    let (_root, store) = opened();
    let tmp = store.dir().join("tmp");
    let others = ["game_1_0001_177.npz", "game_1_0001_7.yaml", "model_77.npz", "game_1_0001_77.txt"];
    for name in ["game_1_0001_77.npz", "game_1_0001_77.yaml", ".probe_77"].iter().chain(&others) {
        fs::write(tmp.join(name), b"torn").unwrap();
    }
    ReplayStore::open(store.dir(), PID).unwrap();
    let mut expected = others.to_vec();
    expected.sort_unstable();
    assert_eq!(names(&tmp), expected);
}

#[test]
fn a_file_in_the_place_of_the_directory_is_an_error() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("ready");
    fs::write(&file, b"").unwrap();
    let error = ReplayStore::open(&file, PID).unwrap_err();
    assert!(matches!(error, StoreError::CreateDirectory { .. }));
    assert_eq!(error.to_string(), format!("create directory {}", file.join("tmp").display()));
}

#[test]
fn a_file_in_the_place_of_tmp_is_an_error() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("tmp"), b"").unwrap();
    let error = ReplayStore::open(root.path(), PID).unwrap_err();
    assert!(matches!(error, StoreError::CreateDirectory { .. }));
    assert_eq!(error.io_kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn directories_that_do_not_take_files_are_found_at_once() {
    let (_root, store) = opened();
    // A directory stands where the probe goes: first in `tmp`, where it counts as a leftover, then at its goal.
    let obstacle = store.dir().join("tmp/.probe_77");
    fs::create_dir(&obstacle).unwrap();
    assert!(matches!(ReplayStore::open(store.dir(), PID), Err(StoreError::Remove { path, .. }) if path == obstacle));
    fs::remove_dir(&obstacle).unwrap();
    fs::create_dir(store.dir().join(".probe_77")).unwrap();
    assert!(matches!(ReplayStore::open(store.dir(), PID), Err(StoreError::Rename { .. })));
    assert!(names(&store.dir().join("tmp")).is_empty());
}

#[test]
fn a_directory_that_went_away_is_an_error() {
    let (_root, store) = opened();
    fs::remove_dir_all(store.dir()).unwrap();
    let error = store.write(&stem(), b"yaml", b"arrays").unwrap_err();
    assert!(matches!(&error, StoreError::Create { path, .. } if path.ends_with("game_0000000001000_0005_77.yaml")));
    assert_eq!(error.io_kind(), io::ErrorKind::NotFound);
    assert!(!error.is_disk_full());
}

#[test]
fn a_failure_at_any_step_leaves_no_archive_and_no_temporary_file() {
    // A directory, not empty, in the place of each file in turn makes its creation or its rename fail.
    for obstacle in ["tmp/{}.yaml", "tmp/{}.npz", "{}.yaml"] {
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
    let mut file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let source = file.write_all(b"arrays").unwrap_err();
    assert!(StoreError::Write { path: PathBuf::new(), source }.is_disk_full());
}
