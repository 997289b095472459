//! Games as text: `--trace` while they are played, `selfplayd show` afterwards.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use selfplay_actors::game::{GameHook, each_ply};
use selfplay_engine::{
    Action, Game,
    game::Notation,
    games::quoridor::Quoridor,
    replay::{PlyRecord, ReadGame},
};

use crate::{cli::ShowArgs, exit::Exit};

/// Prints every ply as it is played: who played what, what the search thought of it, and the board after it.
pub(crate) fn print_ply(game: Quoridor) -> GameHook<Quoridor> {
    each_ply(move |index, plies: &[PlyRecord<Quoridor>]| {
        let Some(last) = plies.last() else { return };
        let actions: Vec<Action> = plies.iter().map(|ply| ply.action).collect();
        let text = format!(
            "game {index}, ply {}: player {} plays {} (value {:+.3}, {} visits)\n{}\n",
            plies.len() - 1,
            last.player.index() + 1,
            game.action_name(last.action),
            last.root_value,
            last.targets.iter().map(|target| target.visits).sum::<u32>(),
            board_after(&game, &actions),
        );
        // A closed standard output is no reason to stop playing.
        io::stdout().lock().write_all(text.as_bytes()).ok();
    })
}

fn board_after(game: &Quoridor, actions: &[Action]) -> String {
    let mut state = game.start();
    actions.iter().for_each(|&action| game.play(&mut state, action));
    game.draw(&state)
}

/// `selfplayd show`: draws a finished game.
pub(crate) fn show(args: &ShowArgs) -> anyhow::Result<Exit> {
    let path = game_file(&args.path)?;
    let read = ReadGame::open(&path).with_context(|| format!("failed to show {}", path.display()))?;
    let game = rules_of(&read).with_context(|| format!("failed to show {}", path.display()))?;
    let actions = actions_of(&read, &game).with_context(|| format!("failed to show {}", path.display()))?;
    let mut out = io::stdout().lock();
    let metadata = &read.metadata;
    let result = metadata.result.map_or_else(|| "unknown".to_owned(), |result| format!("{result:?}").to_lowercase());
    writeln!(out, "{}", path.display())?;
    writeln!(out, "{} plies, result {result}, model version {}", actions.len(), metadata.model_version)?;
    let names: Vec<_> = actions.iter().map(|&action| game.action_name(action)).collect();
    for (number, pair) in names.chunks(2).enumerate() {
        write!(out, "{}{}. {}", if number == 0 { "" } else { " " }, number + 1, pair.join(" "))?;
    }
    writeln!(out, "\n")?;
    let shown = match (args.all, args.ply) {
        (true, _) => 0..=actions.len(),
        (false, Some(ply)) => {
            let ply = ply as usize;
            ensure!(ply <= actions.len(), "--ply {ply}: the game has {} plies", actions.len());
            ply..=ply
        }
        (false, None) => actions.len()..=actions.len(),
    };
    for ply in shown {
        let value = read.root_values.as_ref().and_then(|values| values.get(ply));
        let value = value.map(|value| format!(", the mover's value {value:+.3}")).unwrap_or_default();
        writeln!(out, "before ply {ply}{value}\n{}", board_after(&game, &actions[..ply]))?;
    }
    Ok(Exit::Clean)
}

/// The game a path names: an archive, the archive of a YAML file, or the newest archive of a directory.
fn game_file(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.with_extension("npz"));
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("failed to list {}", path.display()))?;
    let games = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let newest = games.filter(|file| file.extension().is_some_and(|extension| extension == "npz")).max();
    newest.with_context(|| format!("failed to find a game in {}: it holds no .npz file", path.display()))
}

/// The rules, found from the shapes of the arrays: the policy's width fixes the board, the first input the walls.
fn rules_of(read: &ReadGame) -> anyhow::Result<Quoridor> {
    for size in 3..=9 {
        let game = Quoridor::new(size, 0, None)?;
        if game.policy_size() != read.policy_size() {
            continue;
        }
        let first = read.input_arrays.outer_iter().next().context("the game has no plies")?;
        let encoding = game.encodings().into_iter().find(|&encoding| game.input_shape(encoding) == first.shape());
        if encoding.is_none() {
            bail!("inputs of shape {:?} are no Quoridor position on a board of {size}", first.shape());
        }
        // In both encodings the last entry is the opponent's walls, which at the start are all of them.
        let walls = first.iter().last().copied().unwrap_or(0.0);
        return Ok(Quoridor::new(size, walls as u32, None)?);
    }
    bail!("policies of {} entries fit no Quoridor board", read.policy_size())
}

/// The actions played, checked against the rules.
fn actions_of(read: &ReadGame, game: &Quoridor) -> anyhow::Result<Vec<Action>> {
    use selfplay_engine::ActionSet as _;
    let stored = read.actions.as_ref().context("the file has no actions: it was not written by selfplayd")?;
    let mut state = game.start();
    let mut actions = Vec::with_capacity(stored.len());
    for (ply, &action) in stored.iter().enumerate() {
        let legal = game.legal_actions(&state);
        let action = Action::try_from(action).ok().filter(|&action| {
            usize::from(action) < game.policy_size() && legal.contains(action) && game.outcome(&state).is_none()
        });
        let action = action.with_context(|| format!("ply {ply} is not a legal move"))?;
        game.play(&mut state, action);
        actions.push(action);
    }
    Ok(actions)
}
