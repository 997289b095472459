//! How a connection is, in words that a person can act on. Its times are those of a clock that nobody sets.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_nats::{ClientError, Event, ServerError};
use tokio::sync::Notify;

use crate::link::LinkState;

/// Longest trouble that is told; servers and strangers have a say in it.
const MOST_LETTERS: usize = 400;

/// What a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// There is none, since then.
    Down {
        /// Since when; since the process began, where there never was one.
        since: Instant,
    },
    /// There is one.
    Up {
        /// Name and version of the server.
        server: String,
        /// Since when.
        since: Instant,
    },
    /// There is one, to a server that cannot be used.
    Unfit {
        /// Name and version of the server.
        server: String,
        /// Why not, and what helps.
        why: String,
    },
}

/// How a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The addresses that are connected to.
    pub servers: String,
    /// What it is now.
    pub connection: Connection,
    /// How often it came about.
    pub connects: u64,
    /// How often our key was refused.
    pub refused: u64,
    /// How often something was not allowed to us.
    pub denied: u64,
    /// How often messages were dropped because they were not taken up fast enough.
    pub slow: u64,
    /// What went wrong last, and when.
    pub trouble: Option<(Instant, String)>,
}

impl Health {
    /// Whether there is a connection that can be used.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.connection, Connection::Up { .. })
    }

    /// All of it as of this time.
    #[must_use]
    pub fn at(&self, now: Instant) -> String {
        let ago = |then: &Instant| now.saturating_duration_since(*then).as_secs();
        let mut text = match &self.connection {
            Connection::Up { server, since } => format!("connected to {server} for {} s", ago(since)),
            Connection::Unfit { server, why } => format!("connected to {server}, which cannot be used: {why}"),
            Connection::Down { since } => format!("not connected to {} for {} s", self.servers, ago(since)),
        };
        let counts = [
            ("reconnects", self.connects.saturating_sub(1)),
            ("key refused", self.refused),
            ("not allowed", self.denied),
            ("messages dropped", self.slow),
        ];
        for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            text += &format!("; {what}: {count}");
        }
        if let Some((then, what)) = &self.trouble {
            text += &format!("; last trouble {} s ago: {what}", ago(then));
        }
        text
    }
}

impl From<Health> for LinkState {
    fn from(health: Health) -> Self {
        let Health { connects, refused, denied, .. } = health;
        Self { up: health.is_up(), words: health.to_string(), connects, refused, denied }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at(Instant::now()))
    }
}

/// Keeps the health of one connection. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    health: Arc<Mutex<Health>>,
    /// Told when a connection comes about or is lost.
    news: Arc<Notify>,
}

impl Watch {
    pub(super) fn new(servers: String) -> Self {
        let connection = Connection::Down { since: Instant::now() };
        let (connects, refused, denied, slow) = (0, 0, 0, 0);
        let health = Health { servers, connection, connects, refused, denied, slow, trouble: None };
        Self { health: Arc::new(Mutex::new(health)), news: Arc::new(Notify::new()) }
    }

    fn get(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Health {
        self.get().clone()
    }

    /// Waits until a connection comes about or is lost, perhaps. For one at a time.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    pub(super) fn trouble(&self, what: &str) {
        self.get().trouble = Some((Instant::now(), what.chars().take(MOST_LETTERS).collect()));
    }

    /// What the client heard.
    pub(super) fn heard(&self, event: &Event) {
        match event {
            Event::Connected => self.news.notify_one(),
            Event::Disconnected | Event::Closed => {
                self.down();
                self.news.notify_one();
            }
            Event::LameDuckMode => self.trouble("the server is about to stop"),
            Event::SlowConsumer(_) => {
                self.get().slow += 1;
                self.trouble("messages were dropped, as they were not taken up fast enough");
            }
            Event::ServerError(error) => self.server_error(error),
            Event::ClientError(ClientError::Other(what)) if is_refusal(what) => self.refused(),
            // Why a connection did not come about is known in more words: see `attempts`.
            Event::ClientError(_) | Event::Draining => {}
        }
    }

    /// What became of the last attempt to connect to each server.
    pub(super) fn attempts(&self, errors: impl Iterator<Item = (String, String)>) {
        let told: Vec<_> = errors
            .map(|(server, error)| {
                let hint = if is_refusal(&error) { ": the server does not know our key" } else { "" };
                format!("{server}: {error}{hint}")
            })
            .collect();
        if !told.is_empty() {
            self.trouble(&told.join("; "));
        }
    }

    fn server_error(&self, error: &ServerError) {
        let text = error.to_string();
        if *error == ServerError::AuthorizationViolation || is_refusal(&text) {
            self.refused();
        } else if text.to_ascii_lowercase().contains("permissions violation") {
            self.get().denied += 1;
            self.trouble(&format!("not allowed: {text}"));
        } else {
            self.trouble(&text);
        }
    }

    fn refused(&self) {
        self.get().refused += 1;
        self.trouble("the server does not know our key, or knows it no more");
    }

    /// There is no connection.
    pub(super) fn down(&self) {
        let mut health = self.get();
        if !matches!(health.connection, Connection::Down { .. }) {
            health.connection = Connection::Down { since: Instant::now() };
        }
    }

    /// There is a connection, the how-many-th, to this server, which cannot be used if there is a reason.
    pub(super) fn up(&self, connects: u64, server: String, unfit: Option<String>) {
        let mut health = self.get();
        let since = match &health.connection {
            Connection::Up { since, .. } if health.connects == connects => *since,
            _ => Instant::now(),
        };
        health.connects = connects;
        health.connection = match unfit {
            Some(why) => Connection::Unfit { server, why },
            None => Connection::Up { server, since },
        };
    }

    /// Why something that was sent since then, on this subject, has no answer: it was not allowed.
    pub(super) fn denial(&self, subject: &str, since: Instant) -> Option<String> {
        let health = self.get();
        let (then, what) = health.trouble.as_ref()?;
        let early = then.checked_add(Duration::from_millis(1)).is_some_and(|then| then < since);
        (!early && what.starts_with("not allowed") && what.contains(subject)).then(|| what.clone())
    }
}

/// Whether a server's word says that it does not let us in.
fn is_refusal(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["authorization violation", "authentication revoked", "authentication expired", "authentication timeout"]
        .iter()
        .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_told_in_words() {
        let watch = Watch::new("tls://a:4222".to_owned());
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        let text = watch.now().at(at(7));
        assert!(text.starts_with("not connected to tls://a:4222 for "), "{text}");
        watch.heard(&Event::ClientError(ClientError::Other("authorization violation".to_owned())));
        watch.up(1, "n1 (nats-server 2.15.1)".to_owned(), None);
        assert!(watch.now().is_up());
        let text = watch.now().at(at(0));
        assert!(text.starts_with("connected to n1 (nats-server 2.15.1) for 0 s; key refused: 1"), "{text}");
        watch.heard(&Event::Disconnected);
        assert!(!watch.now().is_up());
        watch.up(2, "n1 (nats-server 2.9.10)".to_owned(), Some("it is too old".to_owned()));
        let health = watch.now();
        assert!(!health.is_up());
        assert!(health.at(at(0)).contains("which cannot be used: it is too old; reconnects: 1"), "{health}");
    }

    #[test]
    fn a_denial_is_told_from_silence() {
        let watch = Watch::new(String::new());
        let before = Instant::now();
        assert_eq!(watch.denial("games.r.w2", before), None);
        let violation = "Permissions Violation for Publish to \"games.r.w2\"".to_owned();
        watch.heard(&Event::ServerError(ServerError::Other(violation)));
        assert_eq!(watch.now().denied, 1);
        assert!(watch.denial("games.r.w2", before).unwrap().contains("Permissions Violation"));
        assert_eq!(watch.denial("games.r.w1", before), None);
        assert_eq!(watch.denial("games.r.w2", Instant::now() + Duration::from_secs(9)), None);
    }

    #[test]
    fn what_others_say_stays_short() {
        let watch = Watch::new(String::new());
        watch.attempts([("tls://a".to_owned(), "x".repeat(100_000))].into_iter());
        assert!(watch.now().trouble.unwrap().1.len() <= MOST_LETTERS);
    }
}
