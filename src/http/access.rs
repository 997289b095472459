//! Who may ask for what: whether a request is meant for this daemon, and whether its sender may control it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, Version, header, request::Parts, uri::Authority};
use selfplay_actors::stats::Stats;

use super::answer::Failure;
use crate::token::Token;

/// How a caller got here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// From this address.
    Tcp(SocketAddr),
    /// Through the Unix socket, which only this user can open; with the user's number, where the system tells.
    Unix(Option<u32>),
}

/// Who sent a request, for the log.
pub(crate) struct Sender<'a>(pub Caller, pub &'a HeaderMap);

impl fmt::Display for Sender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Most that the log takes of a header.
        const MOST: usize = 200;
        match self.0 {
            Caller::Tcp(address) => write!(f, "{address}")?,
            Caller::Unix(Some(uid)) => write!(f, "user {uid} at the Unix socket")?,
            Caller::Unix(None) => f.write_str("the Unix socket")?,
        }
        let text = |name| self.1.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
        let forwarded = [FORWARDED_FOR, header::FORWARDED].into_iter().find_map(text);
        for (words, value) in [("for", forwarded), ("with", text(header::USER_AGENT))] {
            value.map_or(Ok(()), |value| write!(f, " {words} {:?}", value.get(..MOST).unwrap_or(value)))?;
        }
        Ok(())
    }
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whether a proxy passed a request on, as far as it says so.
fn is_forwarded(headers: &HeaderMap) -> bool {
    let signs = [header::FORWARDED, header::VIA, HeaderName::from_static("x-real-ip")];
    headers.keys().any(|name| name.as_str().starts_with("x-forwarded-") || signs.contains(name))
}

/// Why a caller may not do what only some may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denied {
    WrongToken,
    NoToken,
    /// Without a token those on this machine may, and this is another.
    Remote,
    /// Who is behind the proxy is not known.
    Proxied,
}

/// The rules of one daemon.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// What those over TCP must show who want to control it; `None`: they must be on this machine.
    pub token: Option<Token>,
    /// Who only wants to read must show it too.
    pub token_for_reads: bool,
    /// Names that it may be called by, in lower case; `None`: any.
    pub hosts: Option<Vec<String>>,
    /// Where refusals are counted.
    pub stats: Arc<Stats>,
}

impl Access {
    /// Whether a request is meant for this daemon. A page on the web can make its own name resolve to this machine, but it
    /// cannot make a browser send another name.
    pub(super) fn check_host(&self, caller: Caller, request: &Parts) -> Result<(), Failure> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let local = match caller {
            Caller::Unix(_) => return Ok(()), // No browser speaks to those.
            Caller::Tcp(address) => address.ip().to_canonical().is_loopback(),
        };
        // Nor does a browser leave the name out; old health checks do.
        if local && request.version == Version::HTTP_10 && !request.headers.contains_key(header::HOST) {
            return Ok(());
        }
        let hint = "call the daemon by its IP address or localhost, or set http.allowed_hosts";
        let host = match host(&request.headers) {
            Ok(host) => host,
            Err(reason) => return Err(Failure::bad_request(reason, hint)),
        };
        let strange =
            [Some(&host), request.uri.authority()].into_iter().flatten().find(|name| !knows(hosts, name.host()));
        match strange {
            Some(name) => {
                let error = format!("this daemon is not known as {}", name.host());
                Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, error, hint))
            }
            None => Ok(()),
        }
    }

    /// Whether the sender of a request may control the daemon.
    pub(crate) fn may_control(&self, caller: Caller, headers: &HeaderMap) -> bool {
        self.judge(caller, headers).is_ok()
    }

    fn judge(&self, caller: Caller, headers: &HeaderMap) -> Result<(), Denied> {
        let local = match caller {
            Caller::Unix(_) => true,
            Caller::Tcp(address) => address.ip().to_canonical().is_loopback(),
        };
        let proxied = is_forwarded(headers);
        match (caller, &self.token) {
            // A proxy may pass on to the socket, too.
            (Caller::Unix(_), _) if !proxied => Ok(()),
            (_, Some(token)) => match bearer(headers) {
                Some(shown) if token.is(shown) => Ok(()),
                Some(_) => Err(Denied::WrongToken),
                None => Err(Denied::NoToken),
            },
            (_, None) if proxied => Err(Denied::Proxied),
            (_, None) if local => Ok(()),
            (_, None) => Err(Denied::Remote),
        }
    }

    /// Counts a wrong token, whatever it was shown for.
    pub(super) fn count_wrong_token(&self, caller: Caller, headers: &HeaderMap) {
        if self.judge(caller, headers) == Err(Denied::WrongToken) {
            self.stats.http_wrong_token.add(1);
        }
    }

    /// Refuses those who may not read.
    pub(super) fn check_reader(&self, caller: Caller, headers: &HeaderMap) -> Result<(), Failure> {
        if self.token_for_reads { self.authorise(caller, headers) } else { Ok(()) }
    }

    /// Refuses those who may not control the daemon.
    pub(super) fn authorise(&self, caller: Caller, headers: &HeaderMap) -> Result<(), Failure> {
        let unauthorised = |error: &str| {
            let hint = "send the token of http.token_file as `Authorization: Bearer TOKEN`, or use the Unix socket";
            Failure::new(StatusCode::UNAUTHORIZED, error, hint)
        };
        let forbidden = |error: &str, hint: &str| Failure::new(StatusCode::FORBIDDEN, error, hint);
        self.judge(caller, headers).map_err(|denied| match denied {
            Denied::WrongToken => unauthorised("the token is wrong"), // Counted for every request.
            Denied::NoToken => {
                self.stats.http_no_token.add(1);
                unauthorised("this needs a token")
            }
            Denied::Remote => {
                self.stats.http_not_local.add(1);
                let hint = "set http.token_file, or call from the machine that the daemon runs on";
                forbidden("control is for callers on this machine", hint)
            }
            Denied::Proxied => {
                self.stats.http_not_local.add(1);
                let hint = "set http.token_file and send its token, or call the daemon itself; see configs/proxy/";
                forbidden("this came through a proxy, and callers behind it may only read", hint)
            }
        })
    }

    /// Refuses commands that a page of another origin made a browser send.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let foreign = |what: &str| {
            let hint = "commands are taken from the daemon's own page and from programs";
            Err(Failure::new(StatusCode::FORBIDDEN, format!("the command comes from {what}"), hint))
        };
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site"))
            && site != "same-origin"
            && site != "none"
        {
            return foreign("a page of another site");
        }
        let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
        let origin_host = origin.parse::<Uri>().ok().and_then(|origin| origin.authority().cloned());
        match (origin_host, host(headers)) {
            (Some(origin), Ok(host)) if origin == host => Ok(()),
            _ => foreign("a page of another origin"),
        }
    }
}

/// Whether a daemon of these names may be called by this one.
fn knows(hosts: &[String], host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok() || host == "localhost" || hosts.contains(&host)
}

/// The one host that a request names.
fn host(headers: &HeaderMap) -> Result<Authority, &'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            host.filter(|host| !host.as_str().contains('@')).ok_or("the Host header is none")
        }
        (None, _) => Err("the Host header is missing"),
        (Some(_), Some(_)) => Err("there are two Host headers"),
    }
}

/// The token of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use axum::http::Request;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn local() -> Caller {
        Caller::Tcp(([127, 0, 0, 1], 5000).into())
    }

    fn remote() -> Caller {
        Caller::Tcp(([192, 0, 2, 7], 5000).into())
    }

    fn with_token() -> Access {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, TOKEN).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        Access { token: Some(Token::read(file.path()).unwrap()), ..Access::default() }
    }

    fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request = headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn requests_for_others_are_refused() {
        let access = Access { hosts: Some(vec!["gpu-1.lan".to_owned()]), ..Access::default() };
        let status = |uri: &str, hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            access
                .check_host(local(), &request(uri, &hosts))
                .map_err(|failure| failure.into_response().status().as_u16())
        };
        for host in
            ["localhost", "LocalHost:9466", "127.0.0.1:9466", "[::1]:9466", "192.0.2.1", "gpu-1.lan:80", "GPU-1.lan."]
        {
            assert_eq!(status("/", &[host]), Ok(()), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:9466", "gpu-1.lan.evil", "lan", "127.0.0.1.evil.example"] {
            assert_eq!(status("/", &[host]), Err(421), "{host}");
        }
        for hosts in [&[][..], &["localhost", "localhost"], &[""], &["a b"], &["user@localhost"]] {
            assert_eq!(status("/", hosts), Err(400), "{hosts:?}");
        }
        assert_eq!(status("http://evil.example/", &["localhost"]), Err(421));
        assert_eq!(access.check_host(Caller::Unix(None), &request("/", &[])), Ok(()));
        // Where nothing is to be protected, any name will do, and old clients on this machine know no names.
        assert_eq!(Access::default().check_host(remote(), &request("/", &[("host", "gpu.example")])), Ok(()));
        let mut old = request("/", &[]);
        old.version = Version::HTTP_10;
        assert_eq!(access.check_host(local(), &old), Ok(()));
        assert!(access.check_host(remote(), &old).is_err());
        let mut old = request("/", &[("host", "evil.example")]);
        old.version = Version::HTTP_10;
        assert!(access.check_host(local(), &old).is_err());
    }

    use axum::response::IntoResponse as _;

    #[test]
    fn who_may_control() {
        let shown = |value: &str| request("/", &[("authorization", value)]).headers;
        let none = HeaderMap::new();
        let open = Access::default();
        assert!(open.may_control(local(), &none) && open.may_control(Caller::Unix(None), &none));
        assert!(!open.may_control(remote(), &none) && !open.may_control(remote(), &shown("Bearer ")));

        let closed = with_token();
        assert!(closed.may_control(Caller::Unix(None), &none));
        for caller in [local(), remote()] {
            assert!(!closed.may_control(caller, &none));
            assert!(closed.may_control(caller, &shown(&format!("Bearer {TOKEN}"))));
            assert!(closed.may_control(caller, &shown(&format!("bearer  {TOKEN}"))));
            for wrong in ["", TOKEN, "Bearer", "Bearer ", "Basic 0123456789abcdef", "Bearer 0123456789abcdee"] {
                assert!(!closed.may_control(caller, &shown(wrong)), "{wrong}");
            }
        }
    }

    #[test]
    fn who_comes_through_a_proxy_reads_and_controls_only_with_a_token() {
        let (open, closed) = (Access::default(), with_token());
        for (name, value) in [
            ("forwarded", "for=192.0.2.7"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("X-Forwarded-Anything", ""),
            ("x-real-ip", "127.0.0.1"),
            ("via", "1.1 proxy"),
        ] {
            for caller in [local(), remote(), Caller::Unix(Some(0))] {
                let headers = request("/", &[(name, value)]).headers;
                assert!(open.check_reader(caller, &headers).is_ok());
                assert!(!open.may_control(caller, &headers) && !closed.may_control(caller, &headers), "{name}");
                let bearer = format!("Bearer {TOKEN}");
                let headers = request("/", &[(name, value), ("authorization", &bearer)]).headers;
                assert!(!open.may_control(caller, &headers) && closed.may_control(caller, &headers), "{name}");
            }
        }
    }

    #[test]
    fn reading_may_need_the_token_too() {
        let access = Access { token_for_reads: true, ..with_token() };
        let shown = request("/", &[("authorization", &format!("Bearer {TOKEN}"))]).headers;
        let none = HeaderMap::new();
        assert!(access.check_reader(local(), &shown).is_ok() && access.check_reader(Caller::Unix(None), &none).is_ok());
        assert!(access.check_reader(local(), &none).is_err());
        access.count_wrong_token(local(), &request("/", &[("authorization", "Bearer x")]).headers);
        access.count_wrong_token(local(), &shown);
        assert_eq!((access.stats.http_wrong_token.get(), access.stats.http_no_token.get()), (1, 1));
    }

    #[test]
    fn the_log_says_who_it_was() {
        let headers = request("/", &[("user-agent", "curl/8 \"x\""), ("x-forwarded-for", "192.0.2.9")]).headers;
        let told = Sender(local(), &headers).to_string();
        assert_eq!(told, r#"127.0.0.1:5000 for "192.0.2.9" with "curl/8 \"x\"""#);
        assert_eq!(Sender(Caller::Unix(Some(1000)), &HeaderMap::new()).to_string(), "user 1000 at the Unix socket");
    }

    #[test]
    fn commands_of_foreign_pages_are_refused() {
        let access = Access::default();
        let taken = |headers: &[(&str, &str)]| {
            let headers: Vec<_> = [("host", "127.0.0.1:9466")].iter().chain(headers).copied().collect();
            access.check_origin(&request("/", &headers).headers).is_ok()
        };
        assert!(taken(&[]) && taken(&[("origin", "http://127.0.0.1:9466")]));
        assert!(taken(&[("origin", "http://127.0.0.1:9466"), ("sec-fetch-site", "same-origin")]));
        for origin in
            ["http://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1:9467", "http://localhost:9466"]
        {
            assert!(!taken(&[("origin", origin)]), "{origin}");
        }
        assert!(!taken(&[("sec-fetch-site", "cross-site")]) && !taken(&[("sec-fetch-site", "same-site")]));
    }
}
