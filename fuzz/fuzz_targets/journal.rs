//! Any bytes as the journal of a dead session: the next session begins all the same, games that go on replay by the rules or are
//! refused, and the session after that takes over exactly the same games.
//!
//! An input that begins with a zero is a list of entries, to which lengths and checksums are added here, so that mutations reach
//! what lies behind them; any other is a journal as it stands.

#![no_main]

use std::{fs, path::Path, sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use selfplay_engine::{
    games::quoridor::Quoridor,
    journal::{Recovered, SessionOptions, open_session, restore_plies},
    replay::SessionId,
};
use tempfile::TempDir;

/// How every journal begins.
const MAGIC: &[u8] = b"SPJL\x01\0\0\0";

static GAME: LazyLock<Quoridor> = LazyLock::new(|| Quoridor::new(5, 3, Some(50)).expect("rules"));

/// The journal that `input` stands for.
fn journal(input: &[u8]) -> Vec<u8> {
    let Some((0, mut entries)) = input.split_first().map(|(first, rest)| (*first, rest)) else { return input.to_vec() };
    let mut journal = MAGIC.to_vec();
    while let Some((&length, rest)) = entries.split_first() {
        let (content, rest) = rest.split_at(rest.len().min(length.into()));
        let length = (content.len() as u32).to_le_bytes();
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&length);
        hasher.update(content);
        journal.extend(length);
        journal.extend(hasher.finalize().to_le_bytes());
        journal.extend(content);
        entries = rest;
    }
    journal
}

fn open(dir: &Path, session: u32) -> Option<Recovered> {
    let options = SessionOptions {
        session: SessionId::new(1, session),
        seed: 7,
        settings_hash: "hash".to_owned(),
        daemon_version: "0".to_owned(),
        journal: true,
        resume: true,
        spool: None,
        lock_wait: Duration::from_secs(1),
    };
    open_session(dir, &options).ok()
}

fuzz_target!(|input: &[u8]| {
    let dir = TempDir::new().expect("a directory");
    fs::create_dir(dir.path().join("tmp")).expect("a directory");
    let file = dir.path().join(format!("tmp/session_{}.journal", SessionId::new(1, 1)));
    fs::write(file, journal(input)).expect("room for the journal");
    let Some(first) = open(dir.path(), 2) else { return };
    for game in &first.unfinished {
        drop(restore_plies(&*GAME, &game.plies));
    }
    let games = first.unfinished.iter().map(|game| (game.seed, game.index, format!("{:?}", game.plies)));
    let games: Vec<_> = games.collect();
    drop(first);
    let second = open(dir.path(), 3).expect("what was read once is read again");
    let again = second.unfinished.iter().map(|game| (game.seed, game.index, format!("{:?}", game.plies)));
    assert_eq!(again.collect::<Vec<_>>(), games);
});
