//! How a fleet's servers are called by those who connect.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
    str::FromStr,
};

use serde::Deserialize;

use super::FolderError;

/// A server: its name or address, and a port where it has one of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// Without brackets.
    pub(super) name: String,
    pub(super) port: Option<u16>,
}

/// One server, or those of a cluster: as text, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Hosts(Vec<Host>);

impl Hosts {
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Host> {
        self.0.iter()
    }

    /// Whether they are several.
    pub(super) fn is_cluster(&self) -> bool {
        self.0.len() > 1
    }
}

/// A host and its port, as an address has them.
pub(super) fn with_port(name: &str, port: u16) -> String {
    // An address of six has colons of its own.
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}

/// Address and port where a server listens.
pub(super) fn listening(listen: &str) -> Result<(&str, u16), FolderError> {
    let parts = listen.rsplit_once(':').and_then(|(address, port)| Some((address, u16::from_str(port).ok()?)));
    let is_name = |address: &str| {
        !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    };
    match parts {
        Some((address, port)) if port > 0 && (is_name(address) || listen.parse::<SocketAddr>().is_ok()) => {
            Ok((address, port))
        }
        _ => Err(FolderError::Listen(listen.to_owned())),
    }
}

/// How a machine is called, where nothing is said, whose server listens there.
pub(super) fn usual_host(listen: &str) -> &str {
    match listening(listen).map(|(address, _)| address) {
        Ok("0.0.0.0" | "[::]") | Err(_) => "localhost",
        Ok(address) => address,
    }
}

impl FromStr for Host {
    type Err = FolderError;

    fn from_str(text: &str) -> Result<Self, FolderError> {
        let wrong = || FolderError::Host(text.to_owned());
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') && text.parse::<Ipv6Addr>().is_err() => (name, Some(port)),
            _ => (text, None),
        };
        let port = port.map(|port| port.parse().ok().filter(|&port| port > 0).ok_or_else(wrong)).transpose()?;
        let of_six = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let fits = |letter: u8| letter.is_ascii_alphanumeric() || b".-_".contains(&letter);
        let is_name = !name.is_empty() && name.bytes().all(fits);
        let is_of_six = of_six.parse::<Ipv6Addr>().is_ok();
        if is_name || is_of_six { Ok(Self { name: of_six.to_owned(), port }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => f.write_str(&with_port(&self.name, port)),
            None if self.name.contains(':') => write!(f, "[{}]", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for Hosts {
    type Err = FolderError;

    fn from_str(text: &str) -> Result<Self, FolderError> {
        let hosts = text.split(',').map(|host| host.trim().parse()).collect::<Result<Vec<_>, _>>()?;
        if hosts.len().is_multiple_of(2) { Err(FolderError::Even(hosts.len())) } else { Ok(Self(hosts)) }
    }
}

impl TryFrom<String> for Hosts {
    type Error = FolderError;

    fn try_from(text: String) -> Result<Self, FolderError> {
        text.parse()
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.0.iter().map(Host::to_string).collect();
        f.write_str(&hosts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_a_port_or_none() {
        for (text, name, port) in [
            ("b1.example.org", "b1.example.org", None),
            ("b1.example.org:4223", "b1.example.org", Some(4223)),
            ("10.0.0.1:1", "10.0.0.1", Some(1)),
            ("[::1]:4222", "::1", Some(4222)),
            ("[::1]", "::1", None),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!((host.name.as_str(), host.port, host.to_string().as_str()), (name, port, text));
        }
        assert_eq!("fe80::1".parse::<Host>().unwrap().to_string(), "[fe80::1]");
        for wrong in ["", ":4222", "a:0", "a:70000", "a:b", "tls://a", "a b", "a/", "u@a", "a\"", "[a]", "[::1", "a::g"]
        {
            assert!(matches!(wrong.parse::<Host>(), Err(FolderError::Host(_))), "{wrong}");
        }
    }

    #[test]
    fn servers_are_one_or_an_odd_number() {
        let several: Hosts = "a, b:1 ,c".parse().unwrap();
        assert!(several.is_cluster() && several.to_string() == "a,b:1,c");
        assert!(!"a".parse::<Hosts>().unwrap().is_cluster());
        for (even, number) in [("a,b", 2), ("a,b,c,d", 4)] {
            assert!(matches!(even.parse::<Hosts>(), Err(FolderError::Even(found)) if found == number));
        }
        assert!(matches!("a,,b".parse::<Hosts>(), Err(FolderError::Host(_))));
    }
}
