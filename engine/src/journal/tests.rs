//! Journals without a daemon: crashes are simulated by dropping everything, which gives locks back as the death of a process does.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;

use super::*;
use crate::{
    games::tictactoe::TicTacToe,
    replay::{GameRecord, ReplayStore, StemClock, lock::LOCK_FILE},
    search::{InFlight, Root, RootNoise, SearchParams, Simulations, SpareTree},
    selfplay::{Agent, OpeningSettings, PlaySettings, Progress, RowSettings, SelfPlayGame},
};

mod crashes;
mod damage;
mod draws;
mod imports;
mod sessions;
mod upkeep;

const SEED: u64 = 9;

fn session(number: u32) -> SessionId {
    SessionId::new(number, 0xabcd)
}

fn options(number: u32) -> SessionOptions {
    SessionOptions {
        session: session(number),
        seed: SEED,
        settings_hash: "5e77".to_owned(),
        daemon_version: "test".to_owned(),
        journal: true,
        resume: true,
        spool: None,
        lock_wait: Duration::from_secs(20),
    }
}

/// A directory for games.
struct Stage {
    _root: TempDir,
    dir: PathBuf,
    store: ReplayStore,
}

impl Stage {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let dir = root.path().join("ready");
        let store = ReplayStore::open(&dir, session(0)).unwrap();
        Self { _root: root, dir, store }
    }

    /// The same files at another place, as a crash at this moment would leave them.
    fn copy(&self) -> Self {
        let copy = Self::new();
        for from in [self.dir.clone(), self.tmp()] {
            for entry in fs::read_dir(&from).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_file() {
                    let to = copy.dir.join(entry.path().strip_prefix(&self.dir).unwrap());
                    fs::copy(entry.path(), to).unwrap();
                }
            }
        }
        copy
    }

    fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    fn open(&self, number: u32) -> Recovered {
        open_session(&self.dir, &options(number)).unwrap()
    }

    /// Visible archives.
    fn games(&self) -> Vec<String> {
        names(&self.dir).into_iter().filter(|name| name.ends_with(".npz")).collect()
    }

    /// Takes all games away, as the trainer does; how many there were.
    fn train(&self) -> usize {
        let games = self.games();
        for name in &games {
            // It dies when the YAML file is missing or a file is not whole.
            assert_eq!(fs::read(self.dir.join(name.replace(".npz", ".yaml"))).unwrap(), b"yaml");
            assert_eq!(fs::read(self.dir.join(name)).unwrap(), b"arrays");
            fs::remove_file(self.dir.join(name.replace(".npz", ".yaml"))).unwrap();
            fs::remove_file(self.dir.join(name)).unwrap();
        }
        games.len()
    }

    /// What is in `tmp` but for the lock.
    fn leftovers(&self) -> Vec<String> {
        names(&self.tmp()).into_iter().filter(|name| name != LOCK_FILE).collect()
    }
}

fn names(dir: &Path) -> Vec<String> {
    recovery::list(dir).unwrap()
}

fn settings() -> Arc<PlaySettings> {
    Arc::new(PlaySettings {
        search: SearchParams {
            simulations: Simulations::PerMove(2),
            c_puct: 1.4,
            leaf_parallelism: 1,
            in_flight: InFlight::Losses(1),
            noise: None::<RootNoise>,
            root: Root::PUCT,
            solver: false,
        },
        temperature: 1.0,
        temperature_decay: None,
        drop_t_on_step: None,
        tree_reuse: false,
        penalize_visited_states: false,
        opening: OpeningSettings::default(),
        soft_resign: None,
        resign: None,
        rows: RowSettings::default(),
        symmetry: false,
        agents: [Agent::Random; 2],
    })
}

/// Plays on after `plies` to the end.
fn play_on(index: u64, plies: Vec<PlyRecord<TicTacToe>>, first_version: Option<i64>) -> GameRecord<TicTacToe> {
    let mut game = SelfPlayGame::resume(TicTacToe, settings(), SEED, index, plies, first_version);
    match game.advance(&mut Vec::new(), &mut SpareTree::default()) {
        Progress::Finished(record) => record,
        Progress::Leaves => panic!("random players need no evaluations"),
    }
}

fn whole_game(index: u64) -> GameRecord<TicTacToe> {
    play_on(index, Vec::new(), None)
}

/// A ply as it is journaled.
fn journaled(ply: &PlyRecord<TicTacToe>) -> JournaledPly {
    JournaledPly {
        action: ply.action,
        targets: ply.targets.iter().map(|target| (target.action, target.visits, target.probability)).collect(),
        root_value: ply.root_value,
        root_draw: ply.root_draw,
        model_version: ply.model_version,
        notes: ply.notes,
    }
}

fn all_journaled(plies: &[PlyRecord<TicTacToe>]) -> Vec<JournaledPly> {
    plies.iter().map(journaled).collect()
}

/// Begins a game and journals its first `plies` plies.
fn begin(journal: &Journal, index: u64, plies: usize) -> (JournalNumber, GameRecord<TicTacToe>) {
    let record = whole_game(index);
    let number = journal.begin(SEED, index);
    for (ply, recorded) in record.plies.iter().enumerate().take(plies) {
        journal.ply(number, ply, recorded, Some(7));
    }
    (number, record)
}

#[test]
fn a_journal_that_is_off_keeps_nothing() {
    let journal = Journal::disabled();
    let (first, record) = begin(&journal, 0, 2);
    let (second, _) = begin(&journal, 1, 2);
    assert_ne!(first, second);
    journal.staging(first, &StemClock::new(session(1), 0).next(1, record.index));
    journal.end(first);
    assert_eq!((journal.bytes(), journal.is_healthy()), (0, true));
    journal.sync().and_then(|()| journal.tend()).and_then(|()| journal.close()).unwrap();
}

#[test]
fn plies_of_another_game_are_refused() {
    let record = whole_game(0);
    let plies = all_journaled(&record.plies);
    let restored = restore_plies(&TicTacToe, &plies).unwrap();
    assert_eq!(format!("{restored:?}"), format!("{:?}", record.plies));

    let mut twice = plies.clone();
    twice[1].action = twice[0].action;
    let action = twice[0].action;
    assert_eq!(restore_plies(&TicTacToe, &twice).unwrap_err(), RestoreError::Illegal { ply: 1, action });
    for action in [9, 63, 64, u16::MAX] {
        let mut outside = plies.clone();
        outside[0].action = action;
        assert_eq!(restore_plies(&TicTacToe, &outside).unwrap_err(), RestoreError::Illegal { ply: 0, action });
        let mut outside = plies.clone();
        outside[0].targets.push((action, 1, 0.5));
        assert_eq!(restore_plies(&TicTacToe, &outside).unwrap_err(), RestoreError::IllegalTarget { ply: 0, action });
    }
    let mut longer = plies.clone();
    longer.push(plies[0].clone());
    assert!(matches!(restore_plies(&TicTacToe, &longer), Err(RestoreError::Illegal { ply, .. }) if ply == plies.len()));
}
