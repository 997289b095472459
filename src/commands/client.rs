//! `selfplayd status`, `reload`, `pause`, `resume`, `drain` and `games`: what a running daemon says and is told, by way of its
//! HTTP server.
//!
//! - [`request`]: one request, and what comes back
//! - [`table`]: answers for people

mod request;
mod table;

use std::path::Path;

use axum::http::Method;

use self::request::{Answer, Place, Unreachable};
use crate::{
    cli::ClientArgs,
    exit::Exit,
    http::{Reloaded, Words},
    status::Status,
    streams::{complain, print},
    token::Token,
};

/// What is asked of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// How it is doing.
    Status,
    /// Which games are in play.
    Games,
    /// To read its settings again and look for a model.
    Reload,
    /// To rest.
    Pause,
    /// To play on.
    Resume,
    /// To end when the games in play are over.
    Drain,
}

impl Ask {
    fn request(self) -> (Method, &'static str) {
        match self {
            Self::Status => (Method::GET, "/v1/status"),
            Self::Games => (Method::GET, "/v1/games"),
            Self::Reload => (Method::POST, "/v1/reload"),
            Self::Pause => (Method::POST, "/v1/pause"),
            Self::Resume => (Method::POST, "/v1/resume"),
            Self::Drain => (Method::POST, "/v1/drain"),
        }
    }

    /// The answer for people; `None` if it is not of the form that this version knows.
    fn for_people(self, body: &[u8]) -> Option<String> {
        match self {
            Self::Status => serde_json::from_slice::<Status>(body).ok().map(|status| table::status(&status)),
            Self::Games => serde_json::from_slice(body).ok().map(|games| table::games(&games)),
            Self::Reload => serde_json::from_slice::<Reloaded>(body).ok().map(|reloaded| reloaded.words),
            Self::Pause => Some("accepted: the daemon rests until `selfplayd resume`".to_owned()),
            Self::Resume => Some("accepted: the daemon plays on".to_owned()),
            Self::Drain => Some("accepted: the daemon ends when the games in play are over".to_owned()),
        }
    }
}

/// Asks and prints what comes back: [`Exit::Clean`] where the daemon did as it was asked, [`Exit::Refused`] where it would
/// not, [`Exit::Unreachable`] where there is none.
///
/// # Errors
/// When the arguments cannot be used, or standard output takes nothing.
pub(crate) fn ask(args: &ClientArgs, ask: Ask) -> anyhow::Result<Exit> {
    let place = match &args.socket {
        Some(socket) => Place::Unix(socket.clone()),
        None => {
            args.address.parse().map_err(|reason: String| anyhow::anyhow!("--address {}: {reason}", args.address))?
        }
    };
    let token = args.token_file.as_deref().map(read_token).transpose()?;
    let (method, path) = ask.request();
    let Answer { status, body } = match request::send(&place, method, path, token.as_ref()) {
        Ok(answer) => answer,
        Err(unreachable) => return Ok(give_up(&place, &unreachable)),
    };
    if !status.is_success() {
        return refused(&body, status.as_u16(), args.json);
    }
    let text = if args.json { String::from_utf8(body).ok() } else { ask.for_people(&body) };
    let Some(text) = text else {
        return Ok(give_up(&place, &Unreachable::NoDaemon("its answer has another form".to_owned())));
    };
    print(text.trim_end())?;
    Ok(Exit::Clean)
}

fn read_token(file: &Path) -> anyhow::Result<Token> {
    Token::read(file).map_err(|reason| anyhow::anyhow!("--token-file {}: {reason}", file.display()))
}

/// Says that there is no daemon to speak to, and what to do.
fn give_up(place: &Place, unreachable: &Unreachable) -> Exit {
    complain(format_args!("selfplayd: {unreachable} at {place}\n{}", unreachable.hint()));
    Exit::Unreachable
}

/// Passes on why the daemon would not.
fn refused(body: &[u8], status: u16, json: bool) -> anyhow::Result<Exit> {
    if json {
        print(String::from_utf8_lossy(body).trim_end())?;
    }
    match serde_json::from_slice::<Words>(body) {
        Ok(Words { error, hint }) => {
            complain(format_args!("selfplayd: the daemon refused: {error}\n  {hint}"));
        }
        Err(_) => complain(format_args!("selfplayd: the daemon refused with status {status}")),
    }
    Ok(Exit::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_address_is_the_daemons() {
        #[derive(clap::Parser)]
        struct Parser {
            #[command(flatten)]
            args: ClientArgs,
        }
        let default = <Parser as clap::Parser>::parse_from(["selfplayd"]).args.address;
        assert_eq!(Some(default), crate::settings::default_of("http.listen").map(|listen| format!("http://{listen}")));
    }
}
