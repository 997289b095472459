//! Who may ask for what: whether a request is meant for this daemon, and whether its sender may control it.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, StatusCode, Uri, header, request::Parts, uri::Authority};

use super::answer::Failure;
use crate::token::Token;

/// How a caller got here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// From this address.
    Tcp(SocketAddr),
    /// Through the Unix socket, which only this user can open.
    Unix,
}

/// The rules of one daemon.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    /// What those over TCP must show who want to control it; `None`: they must be on this machine.
    pub token: Option<Token>,
    /// Names that it may be called by, in lower case.
    pub hosts: Vec<String>,
}

impl Access {
    /// Whether a request is meant for this daemon. A page on the web can make its own name resolve to this machine, but it
    /// cannot make a browser send another name.
    pub(super) fn check_host(&self, caller: Caller, request: &Parts) -> Result<(), Failure> {
        if caller == Caller::Unix {
            return Ok(()); // No browser speaks to those.
        }
        let hint = "call the daemon by its IP address or localhost, or set http.allowed_hosts";
        let host = match host(&request.headers) {
            Ok(host) => host,
            Err(reason) => return Err(Failure::bad_request(reason, hint)),
        };
        let strange =
            [Some(&host), request.uri.authority()].into_iter().flatten().find(|name| !self.knows(name.host()));
        match strange {
            Some(name) => {
                let error = format!("this daemon is not known as {}", name.host());
                Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, error, hint))
            }
            None => Ok(()),
        }
    }

    fn knows(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        bare.parse::<IpAddr>().is_ok() || host == "localhost" || self.hosts.contains(&host)
    }

    /// Whether the sender of a request may control the daemon.
    pub(super) fn may_control(&self, caller: Caller, headers: &HeaderMap) -> bool {
        self.authorise(caller, headers).is_ok()
    }

    /// Refuses those who may not control the daemon.
    pub(super) fn authorise(&self, caller: Caller, headers: &HeaderMap) -> Result<(), Failure> {
        let unauthorised = |error: &str| {
            let hint = "send the token of http.token_file as `Authorization: Bearer TOKEN`, or use the Unix socket";
            Err(Failure::new(StatusCode::UNAUTHORIZED, error, hint))
        };
        match (caller, &self.token) {
            (Caller::Unix, _) => Ok(()),
            (Caller::Tcp(address), None) if address.ip().to_canonical().is_loopback() => Ok(()),
            (Caller::Tcp(_), None) => {
                let hint = "set http.token_file, or call from the machine that the daemon runs on";
                Err(Failure::new(StatusCode::FORBIDDEN, "control is for callers on this machine", hint))
            }
            (Caller::Tcp(_), Some(token)) => match bearer(headers) {
                Some(shown) if token.is(shown) => Ok(()),
                Some(_) => unauthorised("the token is wrong"),
                None => unauthorised("control needs a token"),
            },
        }
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
        Access { token: Some(Token::read(file.path()).unwrap()), hosts: vec![] }
    }

    fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request = headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn requests_for_others_are_refused() {
        let access = Access { token: None, hosts: vec!["gpu-1.lan".to_owned()] };
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
        assert_eq!(access.check_host(Caller::Unix, &request("/", &[])), Ok(()));
    }

    use axum::response::IntoResponse as _;

    #[test]
    fn who_may_control() {
        let shown = |value: &str| request("/", &[("authorization", value)]).headers;
        let none = HeaderMap::new();
        let open = Access::default();
        assert!(open.may_control(local(), &none) && open.may_control(Caller::Unix, &none));
        assert!(!open.may_control(remote(), &none) && !open.may_control(remote(), &shown("Bearer ")));

        let closed = with_token();
        assert!(closed.may_control(Caller::Unix, &none));
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
