//! `selfplayd fleet hub`, and the commands that speak to one.

use anyhow::Context as _;
use selfplay_fleet::{folder::Folder, models::Stages};

use crate::{
    cli::HubArgs,
    daemon::signals::Signals,
    exit::{Exit, failed},
    hub,
    settings::{Preset, Purpose},
};

/// A hub plays nothing: it needs no game's rules of its own.
const HUB: Preset =
    Preset { name: "preset of this command", toml: "search.mcts_n = 100\ngame.board_size = 9\ngame.max_walls = 10" };

/// Collects and publishes until a signal ends it.
pub(crate) fn hub(args: &HubArgs) -> anyhow::Result<Exit> {
    let signals = Signals::catch()?;
    let flags = args.flags();
    let (settings, resolved) = crate::load(&flags, Purpose::Bench, Some(HUB))?;
    let folder = Folder::read(&args.dir).map_err(failed)?;
    let absolute = |path: &std::path::PathBuf| {
        std::path::absolute(path).with_context(|| format!("failed to find {}", path.display()))
    };
    let latest = args.models.as_ref().map(absolute).transpose()?.map(|models| {
        if models.extension().is_some_and(|ending| ending == "yaml") { models } else { models.join("latest.yaml") }
    });
    let plan = hub::Plan {
        folder,
        ready: args.ready.as_ref().map(absolute).transpose()?,
        latest,
        stages: Stages::new(args.stages.clone()),
        settings_hash: if args.files.config.is_some() { settings.games_hash() } else { String::new() },
        may_move: !resolved.is_chosen("http.listen"),
    };
    hub::run(plan, &settings, signals)
}
