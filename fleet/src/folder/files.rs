//! Files of a fleet's folder: read within bounds, replaced as a whole.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use crate::disk::{DiskError, failed};

/// Longest text that is read: a server's configuration has some 500 bytes for each worker.
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// For all to read.
pub(super) const OPEN: u32 = 0o644;

/// For the owner alone.
pub(crate) const SECRET: u32 = 0o600;

/// Makes a directory for the owner alone; fine when it is there.
pub(super) fn secret_dir(dir: &Path) -> Result<(), DiskError> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        made => made.map_err(failed("create directory", dir)),
    }
}

/// Writes a file, or replaces one, at once: a process that is killed leaves the old one or the new one.
pub(crate) fn put(path: &Path, text: &str, mode: u32) -> Result<(), DiskError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let tmp = path.with_file_name(name);
    let write = || {
        // What a process left that was killed may have another mode.
        match fs::remove_file(&tmp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&tmp)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(failed("write file", &tmp))?;
    fs::rename(&tmp, path).map_err(failed("replace", path))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("synchronise directory", dir))
}

/// A file's text; nothing where there is no file.
pub(super) fn text(path: &Path) -> Result<Option<String>, DiskError> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 > MOST_BYTES => Err(failed("read file", path)(io::ErrorKind::FileTooLarge.into())),
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read file", path)(error)),
    }
}

/// The text of a file that must be there.
pub(super) fn needed(path: &Path) -> Result<String, DiskError> {
    text(path)?.ok_or_else(|| failed("read file", path)(io::ErrorKind::NotFound.into()))
}

/// A text in quotes, as TOML has it.
pub(super) fn quoted(text: &str) -> String {
    // JSON's escapes are TOML's as well.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// What is wrong with a TOML file, without its contents, which may be secret.
pub(super) fn told(text: &str, error: &toml::de::Error) -> String {
    let line = error
        .span()
        .map(|span| text.as_bytes()[..span.start.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1);
    let message = error.message().lines().next().unwrap_or_default();
    line.map_or_else(|| message.to_owned(), |line| format!("line {line}: {message}"))
}
