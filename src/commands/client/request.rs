//! One request to a daemon, over TCP or its Unix socket, and what comes back.

use std::{fmt, io, path::PathBuf, str::FromStr, time::Duration};

use axum::http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::token::Token;

/// How long a daemon may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Largest answer read, in bytes.
const MOST_BODY: usize = 16 << 20;
/// The port of an address that names none.
const DEFAULT_PORT: u16 = 9466;

/// Where a daemon is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A host, which may be an IP address in brackets, and its port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be a URL such as http://127.0.0.1:9466".to_owned();
        let uri: Uri =
            if text.contains("://") { text.parse() } else { format!("http://{text}").parse() }.map_err(|_| wrong())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        match (uri.scheme_str(), uri.path_and_query().map_or("/", |path| path.as_str())) {
            (Some("http"), "/" | "") => Ok(Self::Tcp(host.to_owned(), uri.port_u16().unwrap_or(DEFAULT_PORT))),
            (Some("https"), _) => Err("the daemon speaks no https; use http, or --socket".to_owned()),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// What a daemon answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether it did as it was asked.
    pub status: StatusCode,
    /// JSON, if it is a daemon.
    pub body: Vec<u8>,
}

/// Why no daemon answered. Texts go on with "at", and the place.
#[derive(Debug)]
pub(super) enum Unreachable {
    /// There is no connection.
    Nobody(io::Error),
    /// A program listens there, but says nothing in time.
    Silent,
    /// The program that listens there is no daemon, or one of another version.
    NoDaemon(String),
}

impl Unreachable {
    /// What happened; `whom`: a daemon, or a hub.
    pub(super) fn words(&self, whom: &str) -> String {
        match self {
            Self::Nobody(error) => format!("no {whom} answers ({error})"),
            Self::Silent => format!("no answer within {} s", ANSWER_WITHIN.as_secs()),
            Self::NoDaemon(why) => format!("what listens is no {whom} of this version ({why})"),
        }
    }

    /// What to do about it.
    pub(super) fn hint(&self, whom: &str) -> String {
        match self {
            Self::Nobody(_) => format!(
                "  Is it running? Its log says where it listens: with several {whom}s on one machine, ports count up from 9466.\n  \
                 Name the place with --address or --socket."
            ),
            Self::Silent => "  It may be overloaded or stopped: look at its log.".to_owned(),
            Self::NoDaemon(_) => "  Name another place with --address or --socket, or use --json.".to_owned(),
        }
    }
}

/// Asks for `path` at `place`.
pub(super) fn send(
    place: &Place,
    method: Method,
    path: &str,
    token: Option<&Token>,
    body: Option<String>,
) -> Result<Answer, Unreachable> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Unreachable::Nobody)?;
    let exchange = async {
        match place {
            Place::Tcp(host, port) => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                let stream = TcpStream::connect((bare, *port)).await.map_err(Unreachable::Nobody)?;
                exchange(stream, &format!("{host}:{port}"), method, path, token, body).await
            }
            Place::Unix(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(Unreachable::Nobody)?;
                exchange(stream, "localhost", method, path, token, body).await
            }
        }
    };
    runtime.block_on(async { timeout(ANSWER_WITHIN, exchange).await }).unwrap_or(Err(Unreachable::Silent))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    method: Method,
    path: &str,
    token: Option<&Token>,
    body: Option<String>,
) -> Result<Answer, Unreachable> {
    let no_daemon = |error: &dyn fmt::Display| Unreachable::NoDaemon(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| no_daemon(&error))?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, token.bearer());
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body.unwrap_or_default()))).map_err(|error| no_daemon(&error))?;
    let response = sender.send_request(request).await.map_err(|error| no_daemon(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MOST_BODY).collect().await.map_err(|error| no_daemon(&error))?;
    Ok(Answer { status, body: body.to_bytes().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_urls_of_which_less_may_be_said() {
        for (text, place) in [
            ("http://127.0.0.1:9467", "http://127.0.0.1:9467"),
            ("http://gpu-1.lan/", "http://gpu-1.lan:9466"),
            ("127.0.0.1:80", "http://127.0.0.1:80"),
            ("http://[::1]:9466", "http://[::1]:9466"),
        ] {
            assert_eq!(text.parse::<Place>().map(|place| place.to_string()), Ok(place.to_owned()), "{text}");
        }
        for text in ["", "http://", "ftp://x", "http://x/v1/status", "http://a b"] {
            assert!(text.parse::<Place>().unwrap_err().starts_with("must be a URL"), "{text}");
        }
        assert!("https://x".parse::<Place>().unwrap_err().contains("no https"));
    }
}
