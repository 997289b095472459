//! What the fake file system keeps and what it forgets.

use super::*;
use crate::disk::RealDisk;

/// What both kinds of file system must do alike.
fn behaves<D: Disk>(disk: &D, root: &Path) {
    let (dir, file, other) = (root.join("d"), root.join("d/b"), root.join("d/a"));
    assert_eq!(disk.list(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(disk.write(&file, b"x").unwrap_err().kind(), io::ErrorKind::NotFound);
    disk.create_dir(&dir).unwrap();
    disk.create_dir(&dir).unwrap();
    assert_eq!(disk.append(&file, 1, b"x").unwrap_err().kind(), {
        if disk.exists(&file).unwrap() { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::NotFound }
    });
    disk.write(&file, b"longer").unwrap();
    disk.write(&file, b"one").unwrap();
    disk.append(&file, 3, b"two").unwrap();
    disk.append(&file, 2, b"!").unwrap();
    assert_eq!(disk.read(&file, 3).unwrap(), b"on!");
    assert_eq!(disk.read(&file, 2).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(disk.append(&file, 4, b"x").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    disk.write(&other, b"other").unwrap();
    assert_eq!(disk.list(&dir).unwrap(), [("a".to_owned(), 5), ("b".to_owned(), 3)]);
    disk.rename(&other, &file).unwrap();
    assert_eq!(disk.rename(&other, &file).unwrap_err().kind(), io::ErrorKind::NotFound);
    disk.sync_dir(&dir).unwrap();
    assert_eq!(disk.read(&file, 9).unwrap(), b"other");
    assert!(disk.exists(&file).unwrap() && !disk.exists(&other).unwrap());
    disk.remove(&file).unwrap();
    disk.remove(&file).unwrap();
    assert_eq!(disk.read(&file, 9).unwrap_err().kind(), io::ErrorKind::NotFound);
    let lock = disk.lock(&file).unwrap();
    assert!(lock.is_some() && disk.lock(&file).unwrap().is_none());
    drop(lock);
    assert!(disk.lock(&file).unwrap().is_some());
}

#[test]
fn the_fake_does_what_the_real_one_does() {
    let dir = tempfile::TempDir::new().unwrap();
    behaves(&RealDisk, dir.path());
    behaves(&FakeDisk::with_dir(0, "r"), Path::new("r"));
}

#[test]
fn a_kill_keeps_what_was_done_and_a_power_cut_what_was_synchronised() {
    let path = |name: &str| PathBuf::from("d").join(name);
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let disk = FakeDisk::with_dir(seed, "d");
        disk.write(&path("old"), b"old").unwrap();
        disk.sync_dir(Path::new("d")).unwrap();
        disk.write(&path("new"), b"new").unwrap();
        disk.rename(&path("old"), &path("moved")).unwrap();
        disk.restart(End::Killed);
        assert_eq!(disk.names("d"), ["moved", "new"]);
        disk.restart(End::PowerCut);
        assert!(disk.peek(path("new")).is_none_or(|bytes| bytes == b"new"));
        assert!(disk.peek(path("old")).is_some() != disk.peek(path("moved")).is_some());
        seen.insert(disk.names("d"));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn a_process_dies_at_every_step_of_a_write() {
    let found = |step| {
        let disk = FakeDisk::with_dir(1, "d");
        disk.die_at(step);
        assert!(disk.write(Path::new("d/f"), b"1234").is_err() == disk.is_dead());
        assert!(!disk.is_dead() || disk.list(Path::new("d")).is_err());
        disk.restart(End::Killed);
        disk.peek("d/f").map(|bytes| bytes.len())
    };
    assert_eq!((0..6).map(found).collect::<Vec<_>>(), [None, Some(0), Some(2), Some(4), Some(4), Some(4)]);
    let disk = FakeDisk::with_dir(1, "d");
    disk.set_room(Some(3));
    assert_eq!(disk.write(Path::new("d/f"), b"1234").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.peek("d/f").unwrap(), b"123");
}
