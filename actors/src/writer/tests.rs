//! Games on their way to the disk, which may refuse them.

use std::{cell::RefCell, fs, path::PathBuf};

use actix::Addr;
use selfplay_engine::{
    games::tictactoe::{MarkPlanes, TicTacToe},
    replay::ReadGame,
    search::SpareTree,
    selfplay::{Agent, Progress, SelfPlayGame},
};
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::testing::{Inbox, play, play_settings, settle};

const PID: u32 = 77;

struct Stage {
    _dir: TempDir,
    ready: PathBuf,
    writer: Addr<WriterActor<TicTacToe>>,
    credits: Inbox<Credit>,
    root: Inbox<WriterFlushed>,
    stats: Arc<Stats>,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready");
        let store = ReplayStore::open(&ready, SessionId::new(PID, 0)).unwrap();
        let (credits, root, stats) = (Inbox::new(), Inbox::new(), Arc::new(Stats::default()));
        let provenance = Provenance {
            pid: PID,
            settings_hash: "5e77".to_owned(),
            daemon_version: "test".to_owned(),
            metrics_dir: None,
        };
        let (to_games, to_root) = (credits.address.clone(), root.address.clone());
        let writer = WriterActor::new(TicTacToe, store, provenance, to_games, to_root, stats.clone()).start();
        writer.do_send(EncodingChosen(MarkPlanes));
        Self { _dir: dir, ready, writer, credits, root, stats }
    }

    /// Puts a file in the directory's place.
    fn break_disk(&self) {
        fs::remove_dir_all(&self.ready).unwrap();
        fs::write(&self.ready, b"").unwrap();
    }

    fn mend_disk(&self) {
        fs::remove_file(&self.ready).unwrap();
        fs::create_dir_all(self.ready.join("tmp")).unwrap();
    }

    /// Numbers of the games written, in the order of their files' names.
    fn written(&self) -> Vec<u64> {
        let mut names: Vec<_> = fs::read_dir(&self.ready).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let npz = names.iter().filter(|path| path.extension().is_some_and(|extension| extension == "npz"));
        npz.map(|path| ReadGame::open(path).unwrap().metadata.game_index.unwrap()).collect()
    }
}

/// A finished game.
fn record(index: u64) -> GameRecord<TicTacToe> {
    let spare = RefCell::new(SpareTree::default());
    let mut game = SelfPlayGame::new(TicTacToe, Arc::new(play_settings(2, Agent::Random)), 1, index);
    match game.advance(&mut Vec::new(), &mut spare.borrow_mut()) {
        Progress::Finished(record) => record,
        Progress::Leaves => unreachable!("random players ask nothing"),
    }
}

#[test]
fn every_game_is_written_in_order_for_a_credit_each() {
    play(async {
        let mut stage = Stage::new();
        (0..5).for_each(|index| stage.writer.do_send(GameFinished(record(index))));
        assert_eq!(stage.credits.take().await.len(), 5);
        assert_eq!(stage.written(), [0, 1, 2, 3, 4]);
        stage.writer.do_send(Flush);
        let flushed = stage.root.take().await;
        assert_eq!((flushed.len(), flushed[0].lost, flushed[0].reason.as_str()), (1, 0, ""));
        assert_eq!(stage.stats.games_written.get(), 5);
        let bytes: u64 = fs::read_dir(&stage.ready)
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap())
            .filter(fs::Metadata::is_file)
            .map(|file| file.len())
            .sum();
        assert_eq!(stage.stats.bytes_written.get(), bytes);
    });
}

#[test]
fn games_the_disk_refuses_wait_and_are_written_when_it_recovers() {
    play(async {
        let mut stage = Stage::new();
        stage.writer.do_send(GameFinished(record(0)));
        assert_eq!(stage.credits.take().await.len(), 1);
        stage.break_disk();
        (1..4).for_each(|index| stage.writer.do_send(GameFinished(record(index))));
        assert!(stage.credits.take().await.is_empty());
        assert_eq!(stage.stats.write_errors.get(), 1, "one failure is enough to know");
        tokio::time::sleep(RETRY_WAIT * 5 + RETRY_WAIT / 2).await;
        let errors = stage.stats.write_errors.get();
        assert!((5..=6).contains(&errors), "{errors}");
        assert!(stage.credits.take().await.is_empty());

        stage.mend_disk();
        let before = Instant::now();
        for _ in 1..4 {
            stage.credits.next().await;
        }
        assert!(before.elapsed() <= 2 * RETRY_WAIT);
        assert_eq!(stage.written(), [1, 2, 3]);
        stage.writer.do_send(GameFinished(record(4)));
        settle().await;
        assert_eq!(stage.written(), [1, 2, 3, 4]);
    });
}

#[test]
fn a_flush_reports_what_the_disk_refuses() {
    play(async {
        let mut stage = Stage::new();
        stage.break_disk();
        stage.writer.do_send(GameFinished(record(0)));
        stage.writer.do_send(GameFinished(record(1)));
        stage.writer.do_send(Flush);
        let flushed = stage.root.next().await;
        assert_eq!(flushed.lost, 2);
        assert!(flushed.reason.contains("create file"), "{}", flushed.reason);
    });
}

#[test]
fn a_game_that_breaks_the_format_is_set_aside_and_gives_its_credit_back() {
    play(async {
        let mut stage = Stage::new();
        let mut unfit = record(0);
        unfit.plies[1].targets[0].probability = 0.5;
        stage.writer.do_send(GameFinished(unfit));
        stage.writer.do_send(GameFinished(record(1)));
        assert_eq!(stage.credits.take().await.len(), 2);
        assert_eq!(stage.written(), [1]);
        assert_eq!((stage.stats.games_abandoned.get(), stage.stats.games_written.get()), (1, 1));
    });
}
