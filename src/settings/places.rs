//! The places in the file system that settings name: whether they can be what they are meant to be.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::Settings;
use super::check::Found;
use super::mistake::{Mistake, Mistakes};
use super::resolve::Entries;

/// Checks the places that playing needs. Looks at them only, and creates nothing.
pub(super) fn check(settings: &Settings, entries: &Entries, found: &mut Found) {
    let output = &settings.output;
    let directories =
        [("output.dir", &output.dir), ("output.spool_dir", &output.spool_dir), ("metrics.dir", &settings.metrics.dir)];
    for (key, dir) in directories {
        let obstacle = dir.as_deref().and_then(obstacle);
        found.mistakes.extend(obstacle.map(|obstacle| refuse(entries, key, &obstacle)));
    }
    if let Some(dir) = &output.dir {
        check_output(dir, settings, entries, found);
    }
    check_shutdown_file(settings, entries, found);
}

fn check_output(dir: &Path, settings: &Settings, entries: &Entries, found: &mut Found) {
    let tmp = dir.join("tmp");
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    if let (Some(own), Some(its)) = (device(dir), device(&tmp))
        && own != its
    {
        let allowed = format!(
            "a directory on one file system with its tmp, from which finished games are moved in one step; {} is on \
             another: remove that link or mount",
            tmp.display()
        );
        found.mistakes.push(entries.refuse("output.dir", allowed));
    } else if tmp.is_symlink() {
        let allowed = format!(
            "a directory with a tmp of its own, but {} is a link, which could lead anywhere: remove that link",
            tmp.display()
        );
        found.mistakes.push(entries.refuse("output.dir", allowed));
    }
    if let Some(spool) = &settings.output.spool_dir {
        let spool = resolved(spool);
        if spool == resolved(dir) || spool == resolved(&tmp) {
            let allowed = "another directory than output.dir and its tmp, best on another disk";
            found.mistakes.push(entries.refuse("output.spool_dir", allowed));
        }
    }
    if let (Some(min_free), Some(size)) = (settings.output.min_free, file_system_size(dir))
        && min_free > size
    {
        found.warnings.push(format!(
            "output.min_free = {min_free} is more than the whole file system of {} has, {size} bytes: no game will ever \
             start",
            dir.display()
        ));
    }
}

fn check_shutdown_file(settings: &Settings, entries: &Entries, found: &mut Found) {
    let Some(file) = &settings.daemon.shutdown_file else { return };
    if file.is_dir() {
        let allowed = "the name of a file that will stop play; a directory is there already";
        found.mistakes.push(entries.refuse("daemon.shutdown_file", allowed));
    } else if file.exists() {
        found.warnings.push(format!("daemon.shutdown_file {} exists: play ends before it begins", file.display()));
    }
}

/// Creates the directories for what is written beside the games, and tries whether they take files: late in a run it would be
/// too late to learn that they do not. The directory of the games is tried when it is opened.
///
/// # Errors
/// All directories that are of no use, and why.
pub(crate) fn try_out(settings: &Settings) -> Result<(), Mistakes> {
    let directories = [("output.spool_dir", &settings.output.spool_dir), ("metrics.dir", &settings.metrics.dir)];
    let mistakes: Vec<_> = directories
        .into_iter()
        .filter_map(|(key, dir)| {
            let dir = dir.as_deref()?;
            let error = take_a_file(dir).err()?;
            Some(Mistake::File {
                place: format!("{key} {}", dir.display()),
                reason: format!("takes no files: {error}"),
            })
        })
        .collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
}

fn take_a_file(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let probe = dir.join(format!(".probe_{}", std::process::id()));
    fs::write(&probe, b"selfplayd\n")?;
    fs::remove_file(&probe)
}

fn refuse(entries: &Entries, key: &str, obstacle: &str) -> Mistake {
    entries.refuse(key, format!("a directory or a name for a new one, but {obstacle}"))
}

/// What keeps `dir` from being a directory or becoming one; nothing where that cannot be told by looking.
fn obstacle(dir: &Path) -> Option<String> {
    for path in dir.ancestors().filter(|path| *path != Path::new("")) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return None,
            Ok(_) => return Some(format!("{} is no directory", path.display())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                if path.is_symlink() {
                    return Some(format!("{} is a link to nothing", path.display()));
                }
            }
            Err(error) => return Some(format!("{}: {error}", path.display())),
        }
    }
    None
}

/// The path that two names of one place have in common, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for existing in absolute.ancestors() {
        if let (Ok(real), Ok(rest)) = (existing.canonicalize(), absolute.strip_prefix(existing)) {
            return if rest == Path::new("") { real } else { real.join(rest) };
        }
    }
    absolute
}

/// Size in bytes of the file system that `path` is on or will be on.
fn file_system_size(path: &Path) -> Option<u64> {
    let absolute = std::path::absolute(path).ok()?;
    let existing = absolute.ancestors().find(|path| path.exists())?;
    let sizes = rustix::fs::statvfs(existing).ok()?;
    sizes.f_blocks.checked_mul(sizes.f_frsize)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_is_in_the_way_of_a_directory_is_found() {
        let root = TempDir::new().unwrap();
        let file = root.path().join("file");
        fs::write(&file, b"").unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink("nothing", &link).unwrap();
        let round = root.path().join("round");
        std::os::unix::fs::symlink("round", &round).unwrap();
        for free in [root.path().to_owned(), root.path().join("a/b/c"), "a/b".into(), "/".into()] {
            assert_eq!(obstacle(&free), None, "{}", free.display());
        }
        for (path, blocked_by, how) in [
            (file.clone(), &file, " is no directory"),
            (file.join("deep/in/it"), &file, " is no directory"),
            ("/dev/null/games".into(), &PathBuf::from("/dev/null"), " is no directory"),
            (link.clone(), &link, " is a link to nothing"),
            (link.join("x"), &link, " is a link to nothing"),
        ] {
            assert_eq!(obstacle(&path), Some(format!("{}{how}", blocked_by.display())));
        }
        assert!(obstacle(&round).is_some());
        assert!(obstacle(&root.path().join("x".repeat(5000))).is_some());
    }

    #[test]
    fn names_of_one_place_are_told_from_others() {
        let root = TempDir::new().unwrap();
        let real = root.path().join("real");
        fs::create_dir(&real).unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(resolved(&link), resolved(&real));
        assert_eq!(resolved(&link.join("new/dir")), resolved(&real.join("new/dir/")));
        assert_ne!(resolved(&link), resolved(root.path()));
    }

    #[test]
    fn the_size_of_a_file_system_is_known_before_the_directory_is_there() {
        let root = TempDir::new().unwrap();
        let size = file_system_size(&root.path().join("a/b")).unwrap();
        assert!(size > 0);
        assert_eq!(file_system_size(root.path()), Some(size));
    }

    #[test]
    fn directories_are_created_and_left_empty() {
        let root = TempDir::new().unwrap();
        take_a_file(&root.path().join("a/b")).unwrap();
        assert_eq!(fs::read_dir(root.path().join("a/b")).unwrap().count(), 0);
        take_a_file(Path::new("/dev/null/x")).unwrap_err();
    }
}
