//! Where callers are heard: TCP addresses and a Unix socket, bound before play begins.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tokio::{
    net::{TcpListener, UnixListener, UnixSocket},
    runtime::Runtime,
};

use crate::settings::HttpSettings;

/// Ports after the default one that are tried when it is taken.
const MORE_PORTS: u16 = 99;
/// Callers of the Unix socket that may wait to be heard.
const BACKLOG: u32 = 128;

/// A place where callers are heard.
pub(super) enum Listener {
    /// A TCP address where everything is served.
    Tcp(TcpListener),
    /// A TCP address where metrics and health are served alone.
    Metrics(TcpListener),
    /// The Unix socket.
    Unix(UnixListener),
}

/// All places, and the runtime that hears.
pub(crate) struct Listening {
    pub(super) runtime: Runtime,
    pub(super) listeners: Vec<Listener>,
    pub(super) socket: Option<SocketFile>,
}

impl Listening {
    /// Binds what `settings` name; `None` where they name nothing. `may_move`: `http.listen` is the default, so that the next free
    /// port is as good. So it is for metrics, as daemons that are started alike share their settings.
    ///
    /// # Errors
    /// When something that the user set cannot be bound. Where the default address cannot be, play goes on without.
    pub(crate) fn bind(settings: &HttpSettings, may_move: bool) -> anyhow::Result<Option<Self>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("failed to start HTTP: no runtime")?;
        let inside = runtime.enter();
        let mut listeners = Vec::new();
        if let Some(listen) = &settings.listen {
            if may_move {
                for &address in listen.iter() {
                    match bind_or_next(address, "http.listen") {
                        Ok(listener) => listeners.push(Listener::Tcp(listener)),
                        Err(error) => tracing::warn!("no status, control or metrics at {address}: {error}"),
                    }
                }
            } else {
                for &address in listen.iter() {
                    listeners.push(Listener::Tcp(bind(address, "http.listen")?));
                }
            }
        }
        for &address in settings.metrics_listen.iter().flat_map(|listen| listen.iter()) {
            match bind_or_next(address, "http.metrics_listen") {
                Ok(listener) => listeners.push(Listener::Metrics(listener)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tracing::warn!(
                        "no metrics at http.metrics_listen {address} and the {MORE_PORTS} ports after it: {error}"
                    );
                }
                Err(error) => return Err(cannot_listen(error, address, "http.metrics_listen")),
            }
        }
        let mut file = None;
        if let Some(path) = &settings.socket {
            let bound = SocketFile::bind(path);
            let (listener, socket) =
                bound.with_context(|| format!("failed to listen at http.socket {}", path.display()))?;
            listeners.push(Listener::Unix(listener));
            file = Some(socket);
        }
        drop(inside);
        Ok((!listeners.is_empty()).then_some(Self { runtime, listeners, socket: file }))
    }

    /// Where the page is served.
    pub(crate) fn page(&self) -> Option<SocketAddr> {
        self.listeners.iter().find_map(|listener| match listener {
            Listener::Tcp(tcp) => tcp.local_addr().ok(),
            _ => None,
        })
    }

    /// Says where callers are heard.
    pub(super) fn log(&self) {
        for listener in &self.listeners {
            match listener {
                Listener::Tcp(tcp) => log_address(tcp, "status and control"),
                Listener::Metrics(tcp) => log_address(tcp, "metrics"),
                Listener::Unix(_) => {}
            }
        }
        if let Some(socket) = &self.socket {
            tracing::info!(socket = %socket.path.display(), "status and control");
        }
    }
}

fn log_address(listener: &TcpListener, what: &str) {
    match listener.local_addr() {
        Ok(address) => tracing::info!(url = %format_args!("http://{address}"), "{what}"),
        Err(error) => tracing::warn!("{what} at an unknown address: {error}"),
    }
}

/// Listens at an address that the user set.
fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    listener(address).map_err(|error| cannot_listen(error, address, key))
}

fn cannot_listen(error: io::Error, address: SocketAddr, key: &str) -> anyhow::Error {
    let remedy = if key == "http.listen" {
        "choose another address, end what listens there, or leave http.listen at its default, which takes the next free port"
    } else {
        "choose another address"
    };
    anyhow::Error::new(error).context(format!("failed to listen at {key} {address}: {remedy}"))
}

/// Listens at `address`, or at the next port that is free.
fn bind_or_next(address: SocketAddr, key: &str) -> io::Result<TcpListener> {
    let first = address.port();
    let mut taken = None;
    // Of port 0 the system makes a free one.
    let last = if first == 0 { 0 } else { first.saturating_add(MORE_PORTS) };
    for port in first..=last {
        match listener(SocketAddr::new(address.ip(), port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken = Some(error),
            outcome => {
                if taken.is_some() && outcome.is_ok() {
                    tracing::info!(key, taken = first, port, "another process has this port: using the next free one");
                }
                return outcome;
            }
        }
    }
    Err(taken.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// The file of a Unix socket. Dropped, it is removed, unless it is another's by then.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// Listens at `path`, in the place of a socket that a dead process left there.
    fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        Self::make_room(path)?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        // Until it listens, no client gets in.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let metadata = fs::symlink_metadata(path)?;
        let file = Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() };
        Ok((socket.listen(BACKLOG)?, file))
    }

    fn make_room(path: &Path) -> io::Result<()> {
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            metadata => metadata?,
        };
        let taken = |what| Err(io::Error::new(io::ErrorKind::AddrInUse, what));
        if !metadata.file_type().is_socket() {
            return taken("a file that is no socket is there already");
        }
        match UnixStream::connect(path) {
            Ok(_) => taken("another process listens there"),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) => Err(error),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| is_ours(&metadata))
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!("failed to remove {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn settings(listen: &str, socket: Option<PathBuf>) -> HttpSettings {
        let listen = Some(listen.parse().unwrap());
        HttpSettings {
            listen,
            metrics_listen: None,
            socket,
            token_file: None,
            token_for_reads: false,
            allowed_hosts: None,
        }
    }

    #[test]
    fn a_taken_port_is_an_error_unless_it_may_move() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Listening::bind(&settings(&address.to_string(), None), false).err().unwrap();
        let message = format!("{error:#}");
        assert!(message.contains(&format!("failed to listen at http.listen {address}")), "{message}");

        let ports: Vec<_> = (0..2)
            .map(|_| {
                let listening = Listening::bind(&settings(&address.to_string(), None), true).unwrap().unwrap();
                let Listener::Tcp(tcp) = &listening.listeners[0] else { panic!("not TCP") };
                (tcp.local_addr().unwrap().port(), listening)
            })
            .collect();
        assert!(address.port() < ports[0].0 && ports[0].0 < ports[1].0, "the first ones are still there");
    }

    #[test]
    fn the_socket_of_a_dead_process_is_replaced_and_that_of_a_live_one_is_not() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "left behind, as by a process that was killed");
        let bind = || Listening::bind(&settings("127.0.0.1:0", Some(path.clone())), true);
        let first = bind().unwrap().unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let message = format!("{:#}", bind().err().unwrap());
        assert!(message.contains("socket: another process listens there"), "{message}");
        drop(first);
        assert!(!path.exists());

        fs::write(&path, "precious").unwrap();
        let message = format!("{:#}", bind().err().unwrap());
        assert!(message.contains("a file that is no socket is there already"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_socket_that_another_process_put_there_since_is_left_alone() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("socket");
        let listening = Listening::bind(&settings("127.0.0.1:0", Some(path.clone())), true).unwrap().unwrap();
        let other = dir.path().join("other");
        let _other = std::os::unix::net::UnixListener::bind(&other).unwrap();
        fs::rename(&other, &path).unwrap();
        drop(listening);
        assert!(path.exists());
    }
}
