//! `selfplayd match` and `selfplayd ladder`: who is stronger, found out by games.
//!
//! - [`contestant`]: who plays
//! - [`opening_file`]: where openings come from
//! - [`report`]: what came of a match
//! - [`contest`]: a match
//! - [`ladder`]: matches among the models of a directory, and their ratings

mod contest;
mod contestant;
mod ladder;
mod opening_file;
mod report;

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};
use selfplay_engine::matches::Mover;

pub(crate) use self::ladder::play_ladder;
use self::{
    contest::{Arena, Kept, MatchPlan},
    contestant::Contestant,
    report::{Ending, Report},
};
use crate::{
    cli::MatchArgs,
    daemon::signals::Signals,
    exit::Exit,
    played::PlayedGame,
    settings::{Resolved, Settings},
    streams,
};

/// Plays and prints: [`Exit::Refused`] where a test was asked for and rejected.
///
/// # Errors
/// When a player cannot play.
pub(crate) fn play_match(
    game: &impl PlayedGame,
    args: &MatchArgs,
    settings: &Settings,
    resolved: &Resolved,
) -> anyhow::Result<Exit> {
    let players = [Contestant::parse(&args.a, resolved)?, Contestant::parse(&args.b, resolved)?];
    contestant::warn(&players);
    let solved = *game.plies_to_solve().start();
    if args.openings.is_none()
        && args.opening_plies < solved
        && players.iter().any(|player| player.seat.mover == Mover::Solver)
    {
        tracing::warn!(
            "the solver may take many minutes for a move before ply {solved}; --opening-plies {solved} begins where it is quick"
        );
    }
    let mut signals = Signals::catch()?;
    let arena = Arena::open(settings, game, &players)?;
    let plan = MatchPlan {
        pairs: args.games.div_ceil(2),
        openings: opening_file::source(game, args.openings.as_deref(), args.opening_plies)?,
        seed: settings.play.seed.unwrap_or(0),
        sprt: args.sprt,
    };
    let bar = progress_bar();
    let kept = Kept { record: args.record.as_deref(), games: args.games_dir.as_deref() };
    let outcome = arena.play(players.each_ref(), &plan, kept, &mut signals, &bar);
    bar.finish_and_clear();
    let outcome = outcome?;
    let names = players.each_ref().map(|player| player.name.clone());
    let report = Report::new(names, game.title(), &plan, &outcome)?;
    streams::print(&if args.json { serde_json::to_string(&report)? } else { report.text() })?;
    Ok(match outcome.ending {
        Ending::Rejected => Exit::Refused,
        Ending::Interrupted => Exit::CutShort,
        Ending::Complete | Ending::OutOfOpenings | Ending::Accepted => Exit::Clean,
    })
}

/// Of games, on a terminal. Its prefix may say of which match.
fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix}{bar:20} {pos}/{len} games, {elapsed}, {eta} left: {msg}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    crate::telemetry::share_terminal_with(bar.clone());
    bar
}
