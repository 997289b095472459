//! The games a daemon wrote, replayed by the rules.

use std::{
    fs,
    path::{Path, PathBuf},
};

use selfplay_engine::{
    Action, ActionSet as _, Game as _,
    games::quoridor::Quoridor,
    replay::{GameMetadata, GameResult, ReadGame},
};
use serde_json::Value;

use crate::config::Config;

/// The archives that the trainer would find in `dir`: `sorted(dir.glob("*.npz"))`, files only.
pub(crate) fn archives(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut archives: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "npz") && path.is_file()).collect();
    archives.sort();
    archives
}

/// Names of everything in `dir` but what is kept of learning.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "learning");
    names.sort();
    names
}

/// All games in a directory that a daemon has left: nothing else is there, and nothing is half done.
pub(crate) fn left_in(dir: &Path, config: Config) -> Vec<Written> {
    let archives = archives(dir);
    let mut expected: Vec<String> = archives
        .iter()
        .flat_map(|npz| ["npz", "yaml"].map(|ending| npz.with_extension(ending)))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .chain(["tmp".to_owned()])
        .collect();
    expected.sort();
    assert_eq!(names(dir), expected);
    assert_eq!(names(&dir.join("tmp")), [".recovery.lock"], "what those who start lock stays");
    archives.iter().map(|npz| Written::read(npz, config)).collect()
}

/// A game that was written, read back and found right.
#[derive(Debug)]
pub(crate) struct Written {
    /// The archive.
    pub(crate) npz: PathBuf,
    pub(crate) game: ReadGame,
}

impl Written {
    /// Reads and replays it.
    pub(crate) fn read(npz: &Path, config: Config) -> Self {
        let written = Self { npz: npz.to_owned(), game: ReadGame::open(npz).unwrap() };
        written.replay(config);
        written
    }

    /// Number of the game within its daemon: the last number but one of its name.
    pub(crate) fn index(&self) -> u64 {
        let stem = self.npz.file_stem().unwrap().to_str().unwrap();
        let parts: Vec<_> = stem.split('_').collect();
        assert!(matches!(parts[..], ["game", _, _, _]), "{stem}");
        assert_eq!(parts[3].split('-').next().unwrap_or_default(), self.game.metadata.creator, "{stem}");
        parts[2].parse().unwrap()
    }

    /// Every row is the position that the actions of all plies lead to, and the game ends where the rules say, and as it says.
    fn replay(&self, config: Config) {
        let Self { npz, game: read } = self;
        let rules = Quoridor::new(config.board, config.walls, Some(Config::MAX_STEPS)).unwrap();
        let encoding = rules
            .encodings()
            .into_iter()
            .find(|&encoding| rules.encoding_name(encoding) == config.network)
            .expect("the rules know the network's type");
        let mut state = rules.start();
        let mut planes = vec![0.0; rules.input_shape(encoding).iter().product()];
        let all = read.all.as_ref().unwrap();
        let mut rows = all.rows().into_iter().zip(0..).peekable();
        for (ply, &action) in all.actions.iter().enumerate() {
            let place = || format!("{}, ply {ply}", npz.display());
            assert_eq!(rules.outcome(&state), None, "{}", place());
            let mover = rules.side_to_move(&state);
            let action = Action::try_from(action).unwrap();
            let Some((_, row)) = rows.next_if(|&(row, _)| row == ply) else {
                assert!(rules.legal_actions(&state).contains(action), "{}", place());
                rules.play(&mut state, action);
                continue;
            };
            assert_eq!(usize::try_from(read.players[row]).unwrap(), mover.index(), "{}", place());
            rules.encode(encoding, &rules.position(&state), &mut planes);
            assert!(read.input_arrays.outer_iter().nth(row).unwrap().iter().eq(&planes), "{}", place());
            let legal = rules.turn_actions(mover, &rules.legal_actions(&state));
            let masks = read.action_masks.row(row);
            let masked = masks.iter().enumerate().filter(|(_, legal)| **legal).map(|(action, _)| action);
            assert!(masked.eq(legal.iter().map(usize::from)), "{}", place());
            let turned = rules.turn_action(mover, action);
            assert!(read.policies.row(row)[usize::from(turned)] > 0.0, "{}: played without a share", place());
            rules.play(&mut state, action);
        }
        let outcome = rules.outcome(&state).expect("a complete game");
        assert_eq!(read.metadata.result, Some(GameResult::from(outcome)), "{}", npz.display());
    }

    /// Whether every ply of the player has a policy with a single action.
    pub(crate) fn is_one_hot(&self, player: i32) -> bool {
        let rows = self.game.policies.outer_iter().zip(&self.game.players).filter(|(_, mover)| **mover == player);
        rows.map(|(row, _)| row).all(|row| row.iter().filter(|share| **share > 0.0).count() == 1)
    }
}

/// Reads the YAML file as the trainer's pydantic model does: a number is no string, a string no number.
pub(crate) fn strict_metadata(yaml: &Path) -> GameMetadata {
    let text = fs::read_to_string(yaml).unwrap();
    let value: Value = serde_saphyr::from_str(&text).unwrap();
    assert!(
        value["model_version"].is_i64() && value["game_length"].is_u64() && value["creator"].is_string(),
        "{}:\n{text}",
        yaml.display()
    );
    GameMetadata::from_yaml(&text).unwrap()
}
