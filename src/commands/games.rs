//! The commands that need a game, for whichever one it is: they are made for each type of game, and chosen here as the program runs.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use selfplay_engine::replay::ReadGame;

use super::{bench, check_model, convert_model, describe, judge, matches, play, show, tune};
use crate::{
    boards::game::game_of,
    cli::{
        BenchArgs, CheckModelArgs, ConvertModelArgs, DescribeArgs, JudgeArgs, LadderArgs, MatchArgs, OutsideArgs,
        ShowArgs, SwapArgs, TuneArgs,
    },
    daemon::signals::Signals,
    exit::Exit,
    played::PlayedGame,
    settings::{Resolved, Settings},
    shipped::AnyGame,
    steering::live_settings::Origin,
};

/// What the program does with a game. Each method is the command of its name.
pub(crate) trait Commands: Send + Sync {
    fn play(&self, settings: &Settings, origin: Origin, signals: Signals) -> anyhow::Result<Exit>;
    fn describe(&self, args: &DescribeArgs) -> anyhow::Result<Exit>;
    fn check_model(&self, args: &CheckModelArgs, settings: &Settings) -> anyhow::Result<Exit>;
    fn convert_model(&self, args: &ConvertModelArgs, settings: &Settings) -> anyhow::Result<Exit>;
    fn play_match(&self, args: &MatchArgs, settings: &Settings, resolved: &Resolved) -> anyhow::Result<Exit>;
    fn play_ladder(&self, args: &LadderArgs, settings: &Settings, resolved: &Resolved) -> anyhow::Result<Exit>;
    fn judge(&self, args: &JudgeArgs, settings: &Settings) -> anyhow::Result<Exit>;
    fn speed(&self, args: &BenchArgs, settings: &Settings) -> anyhow::Result<Exit>;
    fn outside(&self, args: &OutsideArgs, settings: &Settings) -> anyhow::Result<Exit>;
    fn swap(&self, args: &SwapArgs, settings: &Settings) -> anyhow::Result<Exit>;
    fn tune(&self, args: &TuneArgs, settings: &Settings) -> anyhow::Result<Exit>;
    fn show(&self, args: &ShowArgs, path: &Path, read: &ReadGame) -> anyhow::Result<Exit>;
    /// The first moves of a game that was read, for the table that `show --summary` prints.
    fn opening(&self, read: &ReadGame) -> anyhow::Result<Vec<String>>;
}

impl<G: PlayedGame> Commands for G {
    fn play(&self, settings: &Settings, origin: Origin, signals: Signals) -> anyhow::Result<Exit> {
        play::play(self.clone(), settings, origin, signals)
    }

    fn describe(&self, args: &DescribeArgs) -> anyhow::Result<Exit> {
        describe::describe(self, args)
    }

    fn check_model(&self, args: &CheckModelArgs, settings: &Settings) -> anyhow::Result<Exit> {
        check_model::check_model(self, args, settings)
    }

    fn convert_model(&self, args: &ConvertModelArgs, settings: &Settings) -> anyhow::Result<Exit> {
        convert_model::convert_model(self, args, settings)
    }

    fn play_match(&self, args: &MatchArgs, settings: &Settings, resolved: &Resolved) -> anyhow::Result<Exit> {
        matches::play_match(self, args, settings, resolved)
    }

    fn play_ladder(&self, args: &LadderArgs, settings: &Settings, resolved: &Resolved) -> anyhow::Result<Exit> {
        matches::play_ladder(self, args, settings, resolved)
    }

    fn judge(&self, args: &JudgeArgs, settings: &Settings) -> anyhow::Result<Exit> {
        judge::judge(self, args, settings)
    }

    fn speed(&self, args: &BenchArgs, settings: &Settings) -> anyhow::Result<Exit> {
        bench::speed(self, args, settings)
    }

    fn outside(&self, args: &OutsideArgs, settings: &Settings) -> anyhow::Result<Exit> {
        bench::outside(self, args, settings)
    }

    fn swap(&self, args: &SwapArgs, settings: &Settings) -> anyhow::Result<Exit> {
        bench::swap(self, args, settings)
    }

    fn tune(&self, args: &TuneArgs, settings: &Settings) -> anyhow::Result<Exit> {
        tune::tune(self, args, settings)
    }

    fn show(&self, args: &ShowArgs, path: &Path, read: &ReadGame) -> anyhow::Result<Exit> {
        show::show_game(self, args, path, read)
    }

    fn opening(&self, read: &ReadGame) -> anyhow::Result<Vec<String>> {
        show::opening(self, read)
    }
}

/// The games of this process: those that are shipped, and the user's own.
pub(crate) struct Games {
    own: Option<Arc<dyn Commands>>,
}

impl Games {
    /// With this one beside those that are shipped.
    pub(crate) fn with(own: Option<Arc<dyn Commands>>) -> Self {
        Self { own }
    }

    /// The game of the settings.
    ///
    /// # Errors
    /// When its parameters make no sense together.
    pub(crate) fn of(&self, settings: &Settings) -> anyhow::Result<Arc<dyn Commands>> {
        settings.chosen_game().and_then(|game| self.commands(game))
    }

    /// `selfplayd show`.
    ///
    /// # Errors
    /// When the game cannot be read, or what is shown not be written.
    pub(crate) fn show(&self, args: &ShowArgs) -> anyhow::Result<Exit> {
        let game_of = |read: &ReadGame| game_of(read).and_then(|game| self.commands(game));
        if let Some(dir) = &args.summary {
            return show::summarise(dir, args.games as usize, &|read| game_of(read)?.opening(read));
        }
        let (path, read) = show::open(args)?;
        let game = game_of(&read).with_context(|| format!("failed to show {}", path.display()))?;
        game.show(args, &path, &read)
    }

    fn commands(&self, game: AnyGame) -> anyhow::Result<Arc<dyn Commands>> {
        Ok(match game {
            AnyGame::Quoridor(game) => Arc::new(game),
            AnyGame::Other(game) => Arc::new(game),
            AnyGame::Own => self.own.clone().context("this process has no game of its own")?,
        })
    }
}
