//! A process that may have less memory than it would take.

use std::{collections::BTreeMap, fs};

use tempfile::TempDir;

use crate::{
    config::Config,
    daemon::Signal,
    games,
    steering::{archives, batch},
};

/// Less than ONNX Runtime alone takes.
const TOO_LITTLE: &str = "40MiB";

#[test]
fn a_process_with_too_little_memory_gives_up_what_changes_no_game() {
    const GAMES: u32 = 12;
    let (plain, short) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    batch(plain.path(), GAMES).run().succeeded();

    let mut daemon = batch(short.path(), 100_000)
        .env("SELFPLAYD__MEMORY__MAX_BYTES", TOO_LITTLE)
        .env("SELFPLAYD__PLAY__GAMES_PER_PROCESS", "8")
        .start();
    daemon.says("this process may have 40 MiB (memory.max_bytes)");
    daemon.says("too much memory: trees give back what they do not need");
    daemon.says("too much memory: fewer games at once");
    // By now it has given back after many a move.
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
    let plain = archives(plain.path());
    assert_eq!(plain.len(), GAMES as usize);
    // Games that gave up their room are not among these: they wait in the journal for the next start.
    let written = games::archives(&short.path().join("games"));
    let written = written.iter().map(|npz| games::Written::read(npz, Config::QUICK));
    let short: BTreeMap<_, _> = written.map(|game| (game.index(), fs::read(&game.npz).unwrap())).collect();
    let both: Vec<_> = plain.iter().filter_map(|(index, archive)| Some((index, archive, short.get(index)?))).collect();
    assert!(both.len() >= GAMES as usize / 3, "{both:?}");
    for (index, one, other) in both {
        assert!(one == other, "game {index} is another one");
    }
}
