//! The service manager's socket.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

/// How long to wait for a service manager that is busy. What it does not take by then is lost: telling must not hold up play.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Takes news, each in a line.
pub(super) struct Socket {
    address: SocketAddr,
    complained: AtomicBool,
}

impl Socket {
    /// The one that `NOTIFY_SOCKET` names, if it does.
    pub(super) fn from_environment() -> Option<Self> {
        let name = env::var_os("NOTIFY_SOCKET")?;
        let address = address(&name).inspect_err(|error| complain(&name, error)).ok()?;
        Some(Self { address, complained: AtomicBool::new(false) })
    }

    /// Sends all of it in one message.
    pub(super) fn send(&self, news: &[String]) {
        if let Err(error) = self.try_send(&news.join("\n"))
            && !self.complained.swap(true, Relaxed)
        {
            complain(OsStr::new("NOTIFY_SOCKET"), &error);
        }
    }

    fn try_send(&self, text: &str) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(LONGEST_WAIT))?;
        socket.send_to_addr(text.as_bytes(), &self.address).map(drop)
    }
}

/// A path, or a name in the abstract namespace, which is written with `@` for its first byte.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a path from the root nor begins with @")),
    }
}

fn complain(name: &OsStr, error: &io::Error) {
    tracing::warn!(socket = %name.display(), "the service manager is told nothing: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_names_are_understood() {
        assert_eq!(address(OsStr::new("/run/x")).unwrap().as_pathname(), Some(std::path::Path::new("/run/x")));
        assert_eq!(address(OsStr::new("@run/x")).unwrap().as_abstract_name(), Some(&b"run/x"[..]));
        for bad in ["", "run/x", "vsock:2:1234"] {
            address(OsStr::new(bad)).unwrap_err();
        }
    }

    #[test]
    fn news_arrive_in_one_message_and_a_manager_that_is_gone_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let socket = Socket { address: address(path.as_os_str()).unwrap(), complained: AtomicBool::new(false) };
        socket.send(&["READY=1".to_owned(), "STATUS=well".to_owned()]);
        let mut message = [0; 100];
        let length = manager.recv(&mut message).unwrap();
        assert_eq!(&message[..length], b"READY=1\nSTATUS=well");
        drop(manager);
        socket.send(&["STOPPING=1".to_owned()]);
        assert!(socket.complained.load(Relaxed));
    }
}
