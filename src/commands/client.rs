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
    hub::{self, FleetStatus},
    status::Status,
    streams::{complain, print},
    token::Token,
};

/// What is asked of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// A hub: how it and its fleet are doing.
    Fleet,
    /// A hub: to have all workers serve the newest model.
    Promote,
    /// A hub: to have all go back to the one before, for this reason.
    Withdraw(Option<String>),
    /// A hub: to hold the roll-out.
    Hold,
    /// A hub: to let it go on.
    GoOn,
}

impl Ask {
    fn request(&self) -> (Method, &'static str) {
        match self {
            Self::Status => (Method::GET, "/v1/status"),
            Self::Games => (Method::GET, "/v1/games"),
            Self::Reload => (Method::POST, "/v1/reload"),
            Self::Pause => (Method::POST, "/v1/pause"),
            Self::Resume => (Method::POST, "/v1/resume"),
            Self::Drain => (Method::POST, "/v1/drain"),
            Self::Fleet => (Method::GET, "/v1/fleet"),
            Self::Promote => (Method::POST, "/v1/rollout/promote"),
            Self::Withdraw(_) => (Method::POST, "/v1/rollout/withdraw"),
            Self::Hold => (Method::POST, "/v1/rollout/hold"),
            Self::GoOn => (Method::POST, "/v1/rollout/resume"),
        }
    }

    /// What goes with it.
    fn body(&self) -> Option<String> {
        match self {
            Self::Withdraw(Some(why)) => Some(serde_json::json!({ "why": why }).to_string()),
            _ => None,
        }
    }

    /// Who is asked.
    fn whom(&self) -> &'static str {
        match self {
            Self::Fleet | Self::Promote | Self::Withdraw(_) | Self::Hold | Self::GoOn => "hub",
            _ => "daemon",
        }
    }

    /// The answer for people; `None` if it is not of the form that this version knows.
    fn for_people(&self, body: &[u8]) -> Option<String> {
        match self {
            Self::Status => serde_json::from_slice::<Status>(body).ok().map(|status| table::status(&status)),
            Self::Games => serde_json::from_slice(body).ok().map(|games| table::games(&games)),
            Self::Reload => serde_json::from_slice::<Reloaded>(body).ok().map(|reloaded| reloaded.words),
            Self::Pause => Some("accepted: the daemon rests until `selfplayd resume`".to_owned()),
            Self::Resume => Some("accepted: the daemon plays on".to_owned()),
            Self::Drain => Some("accepted: the daemon ends when the games in play are over".to_owned()),
            Self::Fleet => serde_json::from_slice::<FleetStatus>(body).ok().map(|status| hub::table::table(&status)),
            Self::Promote => Some("accepted: all workers are told to serve the newest model".to_owned()),
            Self::Withdraw(_) => Some("accepted: all workers are told to go back to the model before".to_owned()),
            Self::Hold => Some("accepted: the roll-out stays where it is until `selfplayd fleet resume`".to_owned()),
            Self::GoOn => Some("accepted: the roll-out goes on".to_owned()),
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
    let whom = ask.whom();
    let Answer { status, body } = match request::send(&place, method, path, token.as_ref(), ask.body()) {
        Ok(answer) => answer,
        Err(unreachable) => return Ok(give_up(whom, &place, &unreachable)),
    };
    if !status.is_success() {
        return refused(whom, &body, status.as_u16(), args.json);
    }
    let text = if args.json { String::from_utf8(body).ok() } else { ask.for_people(&body) };
    let Some(text) = text else {
        return Ok(give_up(whom, &place, &Unreachable::NoDaemon("its answer has another form".to_owned())));
    };
    print(text.trim_end())?;
    Ok(Exit::Clean)
}

fn read_token(file: &Path) -> anyhow::Result<Token> {
    Token::read(file).map_err(|reason| anyhow::anyhow!("--token-file {}: {reason}", file.display()))
}

/// Says that there is no daemon to speak to, and what to do.
fn give_up(whom: &str, place: &Place, unreachable: &Unreachable) -> Exit {
    complain(format_args!("selfplayd: {} at {place}\n{}", unreachable.words(whom), unreachable.hint(whom)));
    Exit::Unreachable
}

/// Passes on why the daemon would not.
fn refused(whom: &str, body: &[u8], status: u16, json: bool) -> anyhow::Result<Exit> {
    if json {
        print(String::from_utf8_lossy(body).trim_end())?;
    }
    match serde_json::from_slice::<Words>(body) {
        Ok(Words { error, hint }) => {
            complain(format_args!("selfplayd: the {whom} refused: {error}\n  {hint}"));
        }
        Err(_) => complain(format_args!("selfplayd: the {whom} refused with status {status}")),
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
