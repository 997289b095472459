//! Asks a daemon over HTTP, politely or not.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::Value;

use crate::wait::{self, DEADLINE};

/// What a daemon answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let read = from.read_to_end(&mut bytes);
        if bytes.is_empty() {
            read?; // Who answers early may cut off what was still to be said.
        }
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its status is `status`, and its body says what is wrong, with `text` in it, and what to do.
    pub(crate) fn fails(&self, status: u16, text: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let (error, hint) = (self.json()["error"].clone(), self.json()["hint"].clone());
        assert!(error.as_str().unwrap().contains(text) && !hint.as_str().unwrap().is_empty(), "{text}: {self:?}");
    }
}

/// A request for `path`, which ends the connection; `more` are lines of its head.
pub(crate) fn request(method: &str, path: &str, more: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let host = if more.contains("Host: ") { "" } else { "Host: localhost\r\n" };
    format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{length}{more}\r\n{body}")
}

/// A connection that waits for answers, but not for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the daemon listens");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends these bytes; the answer, if there is any. A daemon need not read what it does not want.
pub(crate) fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> io::Result<Reply> {
    let mut stream = connect(address);
    let written = stream.write_all(bytes.as_ref());
    Reply::read(&mut stream).inspect_err(|_| drop(written))
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Reply {
    send(address, request("GET", path, "", "")).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A command with lines of its head.
pub(crate) fn post(address: SocketAddr, path: &str, more: &str) -> Reply {
    send(address, request("POST", path, more, "")).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Asks through a Unix socket.
pub(crate) fn through(socket: &Path, method: &str, path: &str) -> Reply {
    through_with(socket, method, path, "")
}

/// The same, with lines of its head.
pub(crate) fn through_with(socket: &Path, method: &str, path: &str, more: &str) -> Reply {
    let mut stream = UnixStream::connect(socket).expect("the daemon listens");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request(method, path, more, "").as_bytes()).unwrap();
    Reply::read(&mut stream).unwrap()
}

/// Waits until the status is as `is` wants it.
pub(crate) fn status(address: SocketAddr, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, || Some(get(address, "/v1/status").json()).filter(&is))
}

/// Waits until leaves are looked up that had not been before.
pub(crate) fn plays_on(address: SocketAddr) {
    let lookups = |status: &Value| {
        let count = |name: &str| status["totals"][name].as_u64().unwrap();
        count("cache_hits") + count("cache_misses") + count("cache_in_flight_hits")
    };
    let before = lookups(&get(address, "/v1/status").json());
    status(address, "play that goes on", |status| lookups(status) > before);
}
