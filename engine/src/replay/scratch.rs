//! Files in `tmp/`, opened without following links. Other users may be allowed to write to the directory around it, and a link
//! that they put in its place would lead anywhere.

use std::{fs::File, io, path::Path};

use rustix::fs::{CWD, Mode, OFlags, openat};

/// How a file of `tmp/` is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// For reading; it must be there.
    Read,
    /// For reading and writing. Made if it is not there, else left as it is.
    Keep,
    /// For writing. Made if it is not there, else emptied.
    Empty,
    /// For appending. Made if it is not there.
    Append,
}

impl Open {
    fn flags(self) -> OFlags {
        match self {
            Self::Read => OFlags::RDONLY | OFlags::NONBLOCK,
            Self::Keep => OFlags::RDWR | OFlags::CREATE,
            Self::Empty => OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC,
            Self::Append => OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND,
        }
    }
}

/// Opens the file at `path`. Neither the file nor the directory that it is in may be a link; what lies above may.
///
/// # Errors
/// As the system has them; a link is said to be one.
pub fn open_in_place(path: &Path, how: Open) -> io::Result<File> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let dir_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(CWD, dir, dir_flags, Mode::empty()).map_err(|errno| told(errno, dir))?;
    let flags = how.flags() | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&opened, name, flags, Mode::from_raw_mode(0o666)).map_err(|errno| told(errno, path))?;
    Ok(file.into())
}

/// Opens the directory at `path`, which may not be a link.
///
/// # Errors
/// As [`open_in_place`].
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).map(File::from).map_err(|errno| told(errno, path))
}

/// The system calls a link a loop, or no directory.
fn told(errno: rustix::io::Errno, path: &Path) -> io::Error {
    if path.is_symlink() {
        let what =
            format!("{} is a link, which could lead anywhere: put a directory or file in its place", path.display());
        return io::Error::other(what);
    }
    errno.into()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{Read as _, Write as _},
        os::unix::fs::symlink,
    };

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn files_are_made_emptied_kept_and_appended_to() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("file");
        assert_eq!(open_in_place(&path, Open::Read).unwrap_err().kind(), io::ErrorKind::NotFound);
        open_in_place(&path, Open::Append).unwrap().write_all(b"one").unwrap();
        open_in_place(&path, Open::Append).unwrap().write_all(b", two").unwrap();
        let mut text = String::new();
        open_in_place(&path, Open::Keep).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one, two");
        open_in_place(&path, Open::Empty).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn links_are_not_followed() {
        let (dir, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let precious = elsewhere.path().join("file");
        fs::write(&precious, "precious").unwrap();
        let tmp = dir.path().join("tmp");
        symlink(elsewhere.path(), &tmp).unwrap();
        for how in [Open::Read, Open::Keep, Open::Empty, Open::Append] {
            let error = open_in_place(&tmp.join("file"), how).unwrap_err().to_string();
            assert!(error.contains("tmp is a link, which could lead anywhere"), "{error}");
        }
        assert!(open_directory(&tmp).unwrap_err().to_string().contains("tmp is a link"));
        fs::remove_file(&tmp).unwrap();
        fs::create_dir(&tmp).unwrap();
        symlink(&precious, tmp.join("file")).unwrap();
        let error = open_in_place(&tmp.join("file"), Open::Empty).unwrap_err().to_string();
        assert!(error.contains("tmp/file is a link"), "{error}");
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
        // What lies above is the user's own choice.
        let run = dir.path().join("run");
        symlink(&tmp, &run).unwrap();
        fs::create_dir(tmp.join("deeper")).unwrap();
        open_in_place(&run.join("deeper/file"), Open::Empty).unwrap();
    }
}
