//! Games on their way to the disk, which may refuse them.

use std::{cell::RefCell, fs, path::PathBuf};

use actix::Addr;
use selfplay_engine::{
    games::tictactoe::{MarkPlanes, TicTacToe},
    journal::{SessionOptions, open_session},
    replay::{ReadGame, SessionId},
    search::SpareTree,
    selfplay::{Agent, Progress, SelfPlayGame},
};
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::testing::{Inbox, play, play_settings};

struct Stage {
    dir: TempDir,
    ready: PathBuf,
    writer: Addr<WriterActor<TicTacToe>>,
    journal: Journal,
    credits: Inbox<Credit>,
    holds: Inbox<HoldStarts>,
    root: Inbox<WriterFlushed>,
    escalations: Inbox<WritingFails>,
    stats: Arc<Stats>,
}

impl Stage {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// A stage whose output is changed before the writer gets it.
    fn with(change: impl FnOnce(&mut Output)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready");
        let session = SessionId::of_this_process();
        let store = ReplayStore::open(&ready, session).unwrap();
        let options = SessionOptions {
            session,
            seed: 1,
            settings_hash: "5e77".to_owned(),
            daemon_version: "test".to_owned(),
            journal: true,
            resume: true,
            spool: Some(dir.path().join("spool")),
            lock_wait: Duration::from_secs(10),
        };
        let journal = open_session(&ready, &options).unwrap().journal;
        let mut output = Output {
            store,
            stems: StemClock::new(session, 0),
            journal: journal.clone(),
            sync: Duration::from_secs(1),
            spool: None,
            deadline: Duration::from_secs(60),
            min_free: Some(0),
            max_rejected: 3,
        };
        change(&mut output);
        let (credits, holds, root, escalations) = (Inbox::new(), Inbox::new(), Inbox::new(), Inbox::new());
        let addresses = WriterAddresses {
            credits: credits.address.clone(),
            holds: holds.address.clone(),
            flushed: root.address.clone(),
            gave_up: escalations.address.clone(),
        };
        let provenance = Provenance { pid: 77, daemon_version: "test".to_owned(), rules: None, metrics_dir: None };
        let stats = Arc::new(Stats::default());
        let writer = WriterActor::new(TicTacToe, output, provenance, addresses, stats.clone()).start();
        writer.do_send(UseEncoding(MarkPlanes));
        Self { dir, ready, writer, journal, credits, holds, root, escalations, stats }
    }

    /// Hands over a finished game.
    fn finish(&self, record: GameRecord<TicTacToe>) {
        let number = self.journal.begin(record.seed, record.index);
        for (index, ply) in record.plies.iter().enumerate() {
            self.journal.ply(number, index, ply, Some(record.model_version));
        }
        self.writer.do_send(WriteGame { number, record, settings_hash: "5e77".into() });
    }

    /// Waits for as many games to be safe.
    async fn credits(&mut self, count: usize) {
        for _ in 0..count {
            self.credits.next().await;
        }
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
        (0..5).for_each(|index| stage.finish(record(index)));
        assert!(stage.credits.take().await.is_empty(), "a group is waited for");
        let before = Instant::now();
        stage.credits(5).await;
        assert!(before.elapsed() <= GROUP_WAIT + Duration::from_millis(1));
        assert_eq!(stage.written(), [0, 1, 2, 3, 4]);
        stage.writer.do_send(Flush);
        assert_eq!(stage.root.take().await, [WriterFlushed::default()]);
        assert_eq!(stage.stats.games_written.get(), 5);
        let bytes: u64 = fs::read_dir(&stage.ready)
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap())
            .filter(fs::Metadata::is_file)
            .map(|file| file.len())
            .sum();
        let counts = stage.stats.snapshot();
        assert_eq!(counts.bytes_written, bytes);
        let positions: usize = (0..5).map(|index| record(index).plies.len()).sum();
        assert_eq!((counts.positions_written, counts.model_lag.count()), (positions as u64, positions as u64));
        assert_eq!((counts.version_games, counts.write_duration.count(), counts.writer_queue), (5, 1, 0));
        assert!(counts.disk_free > 0 && counts.disk_floor == 0 && counts.journal_bytes > 0);
    });
}

#[test]
fn positions_are_as_far_behind_as_the_model_that_played_them() {
    play(async {
        let mut stage = Stage::new();
        stage.stats.model_version.set(9);
        let mut game = record(0);
        for (ply, version) in game.plies.iter_mut().zip([4, 4, 8, 9, 12].into_iter().chain(std::iter::repeat(9))) {
            ply.model_version = version;
        }
        let others = game.plies.len() as u64 - 3;
        stage.finish(game);
        stage.credits(1).await;
        let lag = stage.stats.model_lag.get();
        let counts: Vec<_> =
            lag.buckets().filter(|bucket| bucket.count > 0).map(|bucket| (bucket.le, bucket.count)).collect();
        assert_eq!(counts, [(Some(0.0), others), (Some(1.0), 1), (Some(5.0), 2)]);
    });
}

#[test]
fn more_than_a_group_is_written_at_once() {
    play(async {
        let mut stage = Stage::new();
        (0..150).for_each(|index| stage.finish(record(index)));
        stage.credits(150).await;
        assert_eq!(stage.written(), Vec::from_iter(0..150));
    });
}

#[test]
fn games_the_disk_refuses_wait_and_are_written_when_it_recovers() {
    play(async {
        let mut stage = Stage::new();
        stage.finish(record(0));
        stage.credits(1).await;
        stage.break_disk();
        (1..4).for_each(|index| stage.finish(record(index)));
        tokio::time::sleep(GROUP_WAIT + RETRY_WAIT * 5 + RETRY_WAIT / 2).await;
        let errors = stage.stats.write_errors_total();
        assert!((5..=6).contains(&errors), "{errors}");
        assert_eq!(stage.stats.write_errors_missing.get(), errors, "a file stands in the directory's place");
        assert_eq!(stage.stats.writer_queue.get(), 3);
        assert!(stage.credits.take().await.is_empty());

        stage.mend_disk();
        let before = Instant::now();
        stage.credits(3).await;
        assert!(before.elapsed() <= 2 * RETRY_WAIT);
        assert_eq!(stage.written(), [1, 2, 3]);
        stage.finish(record(4));
        stage.credits(1).await;
        assert_eq!(stage.written(), [1, 2, 3, 4]);
        assert!(stage.escalations.take().await.is_empty());
    });
}

#[test]
fn when_writing_fails_for_too_long_it_escalates_once() {
    play(async {
        let mut stage = Stage::with(|output| output.deadline = Duration::from_secs(10));
        stage.break_disk();
        let before = Instant::now();
        stage.finish(record(0));
        let report = stage.escalations.next().await;
        let waited = before.elapsed().as_secs_f64();
        assert!((10.0..12.0).contains(&waited), "{waited}");
        assert!(report.reason.contains("for 10 s: failed to create"), "{report:?}");
        tokio::time::sleep(RETRY_WAIT * 60).await;
        assert!(stage.escalations.take().await.is_empty());
    });
}

#[test]
fn a_flush_reports_what_the_disk_refuses() {
    play(async {
        let mut stage = Stage::with(|output| output.journal = Journal::disabled());
        stage.break_disk();
        stage.finish(record(0));
        stage.finish(record(1));
        stage.writer.do_send(Flush);
        let flushed = stage.root.next().await;
        assert_eq!((flushed.lost, flushed.kept, flushed.spooled), (2, 0, 0));
        assert!(flushed.reason.contains("create directory"), "{}", flushed.reason);
    });
}

#[test]
fn at_the_end_the_spool_directory_takes_what_the_disk_refuses() {
    play(async {
        let spool_root = tempfile::tempdir().unwrap();
        let spool = spool_root.path().join("spool");
        let session = SessionId::of_this_process();
        let mut stage = Stage::with(|output| output.spool = Some(ReplayStore::open(&spool, session).unwrap()));
        stage.break_disk();
        (0..3).for_each(|index| stage.finish(record(index)));
        stage.writer.do_send(Flush);
        let flushed = stage.root.next().await;
        assert_eq!((flushed.lost, flushed.kept, flushed.spooled), (0, 0, 3));
        assert_eq!(stage.stats.games_spooled.get(), 3);
        stage.ready = spool;
        assert_eq!(stage.written(), [0, 1, 2]);
    });
}

#[test]
fn no_game_starts_while_there_is_too_little_room_or_no_directory() {
    play(async {
        let mut stage = Stage::with(|output| output.min_free = Some(u64::MAX));
        assert_eq!(stage.holds.take().await.iter().map(|hold| hold.0).collect::<Vec<_>>(), [true]);
        stage.finish(record(0));
        stage.credits(1).await;
        assert_eq!(stage.written(), [0], "what is finished is written all the same");
        tokio::time::sleep(RETRY_WAIT * 5).await;
        assert!(stage.holds.take().await.is_empty(), "said once");

        let mut stage = Stage::new();
        assert!(stage.holds.take().await.is_empty());
        let elsewhere = stage.dir.path().join("elsewhere");
        fs::rename(&stage.ready, &elsewhere).unwrap();
        assert!(stage.holds.next().await.0);
        fs::rename(&elsewhere, &stage.ready).unwrap();
        assert!(!stage.holds.next().await.0);
    });
}

#[test]
fn no_game_starts_while_there_is_no_room_where_games_go_on_to() {
    play(async {
        let mut stage = Stage::new();
        stage.stats.onward.tell(Some("outbox full".to_owned()));
        assert!(stage.holds.next().await.0);
        stage.finish(record(0));
        stage.credits(1).await;
        assert_eq!(stage.written(), [0], "what is finished is written all the same");
        stage.stats.onward.tell(None);
        assert!(!stage.holds.next().await.0);
    });
}

#[test]
fn a_game_without_policy_targets_is_counted_and_not_written() {
    play(async {
        let mut stage = Stage::new();
        let mut cheap = record(0);
        cheap.plies.iter_mut().for_each(|ply| ply.notes.weight = 0.0);
        let mut partly = record(1);
        partly.plies.iter_mut().step_by(2).for_each(|ply| ply.notes.weight = 0.0);
        let rows = partly.rows().count() as u64;
        stage.finish(cheap);
        stage.finish(partly);
        stage.credits(2).await;
        assert_eq!(stage.written(), [1]);
        assert_eq!((stage.stats.games_without_targets.get(), stage.stats.games_unfit.get()), (1, 0));
        assert_eq!((stage.stats.games_written.get(), stage.stats.positions_written.get()), (1, rows));
        assert_eq!(stage.stats.snapshot().games_settled(), 2);
        // The journal keeps neither.
        assert!(!stage.ready.join("rejected").exists());
    });
}

#[test]
fn a_game_that_breaks_the_format_is_set_aside_and_gives_its_credit_back() {
    play(async {
        let mut stage = Stage::new();
        let mut unfit = record(0);
        unfit.plies[1].targets[0].probability = 0.5;
        stage.finish(unfit);
        stage.finish(record(1));
        stage.credits(2).await;
        assert_eq!(stage.written(), [1]);
        assert_eq!((stage.stats.games_unfit.get(), stage.stats.games_written.get()), (1, 1));
        let rejected: Vec<_> = fs::read_dir(stage.ready.join("rejected")).unwrap().collect();
        let kept = fs::read_to_string(rejected[0].as_ref().unwrap().path()).unwrap();
        assert!(rejected.len() == 1 && kept.contains("its policy sums to"), "{kept}");
    });
}
