//! Which servers are connected to, and as whom.

use std::{path::PathBuf, str::FromStr as _, time::Duration};

use async_nats::{Client, ConnectOptions, ServerAddr};
use thiserror::Error;
use tokio::time::timeout;

use super::{keys::Key, subjects};
use crate::name::Name;

/// Most servers of a list.
const MOST_SERVERS: usize = 32;

/// A server that is frozen is noticed by the third of these that has no answer.
const PING: Duration = Duration::from_secs(10);

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long all attempts may take where somebody waits for them.
const CONNECT_ONCE: Duration = Duration::from_secs(20);

/// How long an answer is waited for. Below the courier's patience, so that its answer is ours.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// What may wait within the client: messages to be sent, and received per subscription.
const CAPACITY: usize = 256;

/// Which servers, who we are, and what proves it.
#[derive(Clone, Debug)]
pub struct Dial {
    servers: Vec<ServerAddr>,
    tls: bool,
    ca: Option<PathBuf>,
    client: String,
    key: Key,
}

/// Servers cannot be connected to as was said.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DialError {
    /// None was named, or too many.
    #[error("connect to a broker: {0} addresses are named, and 1 to {MOST_SERVERS} can be")]
    Number(usize),
    /// An address is none.
    #[error("connect to {url}: {reason}; an address looks like tls://host:4222")]
    Address {
        /// The address.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// It has another scheme.
    #[error("connect to {0}: the address must begin with tls://, or with nats:// for a server on this machine")]
    Scheme(String),
    /// It is not encrypted, and leaves this machine.
    #[error(
        "connect to {0}: without encryption anybody on the way reads and changes games and models; use tls:// (nats:// is for servers on this machine)"
    )]
    Plain(String),
    /// Some of them are encrypted and others are not.
    #[error("connect to a broker: some addresses begin with tls:// and some with nats://; use one of the two for all")]
    Mixed,
    /// A password stands in the address.
    #[error("connect to a broker: an address holds a user or password; who connects is proven by a key in a file")]
    Password,
}

impl Dial {
    /// Servers of these addresses; all of a cluster should be named. `ca`: a file with the
    /// certificates, in PEM, that theirs are signed by, where the system does not know them; what else stands in it is passed over. `client`: who we are, which names the inbox that our key opens.
    ///
    /// # Errors
    /// When there is none, or one cannot be used.
    pub fn new(urls: &[String], ca: Option<PathBuf>, client: &Name, key: Key) -> Result<Self, DialError> {
        let servers = servers(urls)?;
        let tls = servers[0].tls_required();
        Ok(Self { servers, tls, ca, client: client.to_string(), key })
    }

    /// Whether servers of these addresses can be connected to, before it is known by whom.
    ///
    /// # Errors
    /// When there is none, or one cannot be used.
    pub fn check(urls: &[String]) -> Result<(), DialError> {
        servers(urls).map(drop)
    }

    /// Whether a host is this machine, whatever its names mean to others.
    #[must_use]
    pub fn is_here(host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Connects now; why that cannot be.
    pub(super) async fn connect(&self) -> Result<Client, String> {
        match timeout(CONNECT_ONCE, self.options().connect(self.addresses())).await {
            Ok(client) => client.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", CONNECT_ONCE.as_secs())),
        }
    }

    /// Servers, as people read them.
    pub(super) fn servers(&self) -> String {
        self.servers.iter().map(ServerAddr::as_url_str).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn addresses(&self) -> Vec<ServerAddr> {
        self.servers.clone()
    }

    /// Options of the client. A connection that is lost is made again, for ever.
    pub(super) fn options(&self) -> ConnectOptions {
        let options = ConnectOptions::with_nkey(self.key.seed())
            .name(format!("selfplayd {}", self.client))
            .custom_inbox_prefix(subjects::inbox(&self.client))
            .require_tls(self.tls)
            // Those that a server names are not ours to trust: without encryption they need not be on this machine.
            .ignore_discovered_servers()
            .ping_interval(PING)
            .connection_timeout(CONNECT)
            .request_timeout(Some(ANSWER))
            .client_capacity(CAPACITY)
            .subscription_capacity(CAPACITY);
        match &self.ca {
            Some(ca) => options.add_root_certificates(ca.clone()),
            None => options,
        }
    }
}

fn servers(urls: &[String]) -> Result<Vec<ServerAddr>, DialError> {
    if !(1..=MOST_SERVERS).contains(&urls.len()) {
        return Err(DialError::Number(urls.len()));
    }
    let servers = urls.iter().map(|url| address(url.trim())).collect::<Result<Vec<_>, _>>()?;
    let tls = servers[0].tls_required();
    let mixed = servers.iter().any(|server| server.tls_required() != tls);
    if mixed { Err(DialError::Mixed) } else { Ok(servers) }
}

fn address(url: &str) -> Result<ServerAddr, DialError> {
    // A password is not shown.
    if url.contains('@') {
        return Err(DialError::Password);
    }
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("tls" | "nats")) {
        return Err(DialError::Scheme(url.to_owned()));
    }
    let wrong = |reason: String| DialError::Address { url: url.to_owned(), reason };
    let address = ServerAddr::from_str(url).map_err(|error| wrong(error.to_string()))?;
    if address.host().is_empty() {
        return Err(wrong("it names no host".to_owned()));
    }
    if address.tls_required() || Dial::is_here(address.host()) {
        Ok(address)
    } else {
        Err(DialError::Plain(url.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(urls: &[&str]) -> Result<Dial, DialError> {
        let urls: Vec<_> = urls.iter().map(|&url| url.to_owned()).collect();
        Dial::new(&urls, None, &"w1".parse().unwrap(), Key::generate().unwrap())
    }

    #[test]
    fn servers_elsewhere_are_connected_to_with_encryption_only() {
        assert!(dial(&["tls://host:4222", "tls://10.0.0.1:4222"]).unwrap().tls);
        for here in ["nats://127.0.0.1:4222", "nats://localhost", "nats://[::1]:4222"] {
            assert!(!dial(&[here]).unwrap().tls, "{here}");
        }
        assert_eq!(dial(&["nats://host:4222"]).unwrap_err(), DialError::Plain("nats://host:4222".to_owned()));
        assert_eq!(dial(&["tls://127.0.0.1:1", "nats://127.0.0.1:2"]).unwrap_err(), DialError::Mixed);
    }

    #[test]
    fn what_is_no_address_is_told() {
        assert_eq!(dial(&[]).unwrap_err(), DialError::Number(0));
        for (url, words) in [
            ("host:4222", "must begin with tls://"),
            ("http://host:4222", "must begin with tls://"),
            ("wss://host:443", "must begin with tls://"),
            ("tls://", "tls://host:4222"),
            ("tls://host:x", "tls://host:4222"),
            ("", "must begin with tls://"),
        ] {
            let refusal = dial(&[url]).unwrap_err().to_string();
            assert!(refusal.contains(words), "{url}: {refusal}");
        }
        let refusal = dial(&["tls://user:secret@host:4222"]).unwrap_err();
        assert!(refusal == DialError::Password && !refusal.to_string().contains("secret"));
    }
}
