//! Addresses to listen at and to connect to, and names of hosts.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    str::FromStr,
};

use selfplay_fleet::nats::Dial;
use serde::{Deserialize, Serialize};

/// One or more addresses of IP and port, as text separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Addresses(Vec<SocketAddr>);

impl Addresses {
    /// The addresses that other machines may reach.
    pub(crate) fn off_loopback(&self) -> impl Iterator<Item = &SocketAddr> {
        self.iter().filter(|address| !address.ip().to_canonical().is_loopback())
    }
}

impl Deref for Addresses {
    type Target = [SocketAddr];

    fn deref(&self) -> &[SocketAddr] {
        &self.0
    }
}

impl FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |part: &str| {
            let local = part.strip_prefix("localhost:").and_then(|port| port.parse().ok());
            local.map(|port| (Ipv4Addr::LOCALHOST, port).into()).or_else(|| part.parse().ok())
        };
        let addresses: Option<Vec<_>> = text.split(',').map(|part| one(part.trim())).collect();
        addresses.map(Self).ok_or_else(|| format!("{text:?} is not a list of addresses"))
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.iter().map(SocketAddr::to_string).collect();
        f.write_str(&addresses.join(","))
    }
}

/// Names of hosts in lower case, as text separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct HostNames(Vec<String>);

impl Deref for HostNames {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for HostNames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        };
        let names: Vec<_> = text.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
        let all = names.iter().all(|name| is_name(name));
        if all { Ok(Self(names)) } else { Err(format!("{text:?} is not a list of host names")) }
    }
}

impl fmt::Display for HostNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.join(","))
    }
}

impl TryFrom<String> for Addresses {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Addresses> for String {
    fn from(addresses: Addresses) -> Self {
        addresses.to_string()
    }
}

impl TryFrom<String> for HostNames {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<HostNames> for String {
    fn from(names: HostNames) -> Self {
        names.to_string()
    }
}

/// Addresses of a fleet's servers, as text separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Servers(Vec<String>);

impl Deref for Servers {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for Servers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let urls: Vec<_> = text.split(',').map(|url| url.trim().to_owned()).collect();
        Dial::check(&urls).map_err(|error| error.to_string())?;
        Ok(Self(urls))
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.join(","))
    }
}

impl TryFrom<String> for Servers {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Servers> for String {
    fn from(servers: Servers) -> Self {
        servers.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ip_and_port() {
        let read = |text: &str| text.parse::<Addresses>().map(|addresses| addresses.to_string());
        assert_eq!(read("127.0.0.1:9466").as_deref(), Ok("127.0.0.1:9466"));
        assert_eq!(read("localhost:0, [::1]:80").as_deref(), Ok("127.0.0.1:0,[::1]:80"));
        for wrong in ["", "9466", ":9466", "127.0.0.1", "example.org:80", "127.0.0.1:99999", "127.0.0.1:1,", "::1:80:"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_other_machines_reach_is_told_apart() {
        let off = |text: &str| text.parse::<Addresses>().unwrap().off_loopback().count();
        assert_eq!(off("127.0.0.1:1,127.8.9.1:1,[::1]:1,[::ffff:127.0.0.1]:1"), 0);
        assert_eq!(off("0.0.0.0:1,[::]:1,10.0.0.1:1,127.0.0.1:1"), 3);
    }

    #[test]
    fn servers_elsewhere_are_encrypted() {
        let read = |text: &str| text.parse::<Servers>().map(|servers| servers.to_string());
        assert_eq!(read("tls://a:4222, tls://b").as_deref(), Ok("tls://a:4222,tls://b"));
        assert_eq!(read("nats://127.0.0.1:4222").as_deref(), Ok("nats://127.0.0.1:4222"));
        for wrong in ["", "a:4222", "nats://a:4222", "tls://a,", "tls://a,nats://127.0.0.1", "http://a", "tls://u:p@a"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_hosts_hold_no_ports_and_no_wildcards() {
        assert_eq!("GPU-1.lan, b".parse::<HostNames>().unwrap().to_string(), "gpu-1.lan,b");
        for wrong in ["", "a,", "*", "a:80", "http://a", "a b"] {
            assert!(wrong.parse::<HostNames>().is_err(), "{wrong}");
        }
    }
}
