//! Games on their way from the folder to the outbox, while processes die and disks fail.

use super::*;
use crate::{
    disk::fake::{End, FakeDisk},
    frame::{Frame, tests::stem},
    name::Origin,
    outbox::Owner,
};

const READY: &str = "ready";
const GAMES: u64 = 7;

fn outbox(disk: &FakeDisk, room: u64) -> Result<Outbox<FakeDisk>, OutboxError> {
    let owner = Owner { run: "run".parse().unwrap(), worker: "w1".parse().unwrap() };
    Outbox::open(disk.clone(), "outbox", &owner, room, Origin::new([1; 16]))
}

/// Puts files there as the daemon does.
fn put(disk: &FakeDisk, name: &str, yaml: &str, npz: &[u8]) {
    disk.write(format!("{READY}/{name}.yaml").as_ref(), yaml.as_bytes()).unwrap();
    disk.write(format!("{READY}/{name}.npz").as_ref(), npz).unwrap();
    disk.sync_dir(READY.as_ref()).unwrap();
}

/// Games of two settings by turns, three and three.
fn yaml(number: u64) -> String {
    let settings = if (number / 3).is_multiple_of(2) { "5e77" } else { "0dd5" };
    format!("model_version: 3\ngame_length: 5\ncreator: '1'\nsettings_hash: {settings}\n")
}

fn folder(seed: u64) -> FakeDisk {
    let disk = FakeDisk::with_dir(seed, READY);
    (0..GAMES).for_each(|number| put(&disk, stem(number).as_str(), &yaml(number), &[number as u8; 50]));
    disk
}

fn known(version: i64) -> Option<[u8; 32]> {
    (version == 3).then_some([9; 32])
}

/// A process that takes all there are. `released`: up to which frame it lets them be sent.
fn live(disk: &FakeDisk, released: &mut u64) -> Result<(), IntakeError> {
    let mut outbox = outbox(disk, 1 << 30)?;
    assert!(outbox.sendable().is_empty());
    let mut intake = Intake::open(disk.clone(), READY, &mut outbox)?;
    loop {
        let taken = intake.take(&mut outbox, known);
        *released = *outbox.sendable().end();
        check(disk, *released);
        match taken {
            Ok(0) => return Ok(()),
            Err(error) if disk.is_dead() => return Err(error),
            // Of a call that failed the next one makes good.
            _ => {}
        }
    }
}

/// No game of a frame that may be sent is still in the folder.
fn check(disk: &FakeDisk, released: u64) {
    for number in 1..=released {
        let bytes = disk.peek(format!("outbox/{number:020}.frame")).unwrap();
        for game in &Frame::read(&bytes).unwrap().header().games {
            let left = ["yaml", "npz"].map(|ending| disk.peek(format!("{READY}/{}.{ending}", game.stem)).is_some());
            assert_eq!(left, [false; 2], "{} of frame {number} may be sent, and is still there", game.stem);
        }
    }
}

/// The games of all frames.
fn framed(disk: &FakeDisk) -> Vec<Stem> {
    let mut outbox = outbox(disk, 1 << 30).unwrap();
    let numbers = 1..=outbox.last();
    let of = |number| {
        let bytes = outbox.frame(number).unwrap();
        let header = Frame::read(&bytes).unwrap().header().clone();
        header.games.into_iter().map(|game| game.stem).collect::<Vec<_>>()
    };
    numbers.flat_map(of).collect()
}

#[test]
fn games_leave_the_folder_for_frames_of_their_settings() {
    let disk = folder(0);
    disk.write(format!("{READY}/notes.npz").as_ref(), b"none of ours").unwrap();
    disk.write(format!("{READY}/{}.yaml", stem(99)).as_ref(), b"its archive is not there yet").unwrap();
    let mut outbox = outbox(&disk, 1 << 30).unwrap();
    let mut intake = Intake::open(disk.clone(), READY, &mut outbox).unwrap();
    let taken: Vec<_> = (0..4).map(|_| intake.take(&mut outbox, known).unwrap()).collect();
    assert_eq!((taken, outbox.sendable()), (vec![3, 3, 1, 0], 1..=3));
    let bytes = outbox.frame(2).unwrap();
    let frame = Frame::read(&bytes).unwrap();
    assert_eq!(frame.header().settings_hash, "0dd5");
    assert_eq!(frame.header().games[0].model, Model { version: 3, sha256: [9; 32] });
    let files = frame.games().next().unwrap().unwrap();
    assert_eq!((files.yaml, files.npz), (yaml(3).into_bytes(), vec![3; 50]));
    assert_eq!(disk.names(READY), [format!("{}.yaml", stem(99)), "notes.npz".to_owned()]);
}

#[test]
fn a_process_that_dies_at_any_step_costs_no_game_and_doubles_none() {
    let all: Vec<_> = (0..GAMES).map(stem).collect();
    for end in [End::Killed, End::PowerCut] {
        let mut at = 0;
        loop {
            let disk = folder(at);
            let before = disk.steps();
            disk.die_at(at);
            let mut released = 0;
            let died = live(&disk, &mut released).is_err();
            disk.restart(end);
            check(&disk, released);
            live(&disk, &mut 0).unwrap();
            assert_eq!(framed(&disk), all, "{end:?} at step {at}");
            assert!(disk.names(READY).is_empty(), "{end:?} at step {at}: {:?}", disk.names(READY));
            if !died {
                assert!(at > 20, "{at} of {}", disk.steps() - before);
                break;
            }
            at += 1;
        }
    }
}

#[test]
fn a_disk_that_fails_now_and_then_costs_nothing() {
    let all: Vec<_> = (0..GAMES).map(stem).collect();
    for seed in 0..200 {
        let disk = folder(seed);
        disk.set_fails(4);
        let mut tries = 0;
        while live(&disk, &mut 0).is_err() {
            tries += 1;
            assert!(tries < 1_000, "seed {seed}");
        }
        disk.set_fails(0);
        assert_eq!(framed(&disk), all, "seed {seed}");
        assert!(disk.names(READY).is_empty(), "seed {seed}");
    }
}

#[test]
fn games_wait_in_the_folder_while_the_outbox_is_full() {
    let first = {
        let disk = folder(0);
        let mut outbox = outbox(&disk, 1 << 30).unwrap();
        Intake::open(disk, READY, &mut outbox).unwrap().take(&mut outbox, known).unwrap();
        outbox.bytes()
    };
    let disk = folder(0);
    let mut outbox = outbox(&disk, first + first / 8).unwrap();
    let mut intake = Intake::open(disk.clone(), READY, &mut outbox).unwrap();
    assert_eq!(intake.take(&mut outbox, known).unwrap(), 3);
    for _ in 0..2 {
        let refusal = intake.take(&mut outbox, known).unwrap_err();
        assert!(matches!(refusal, IntakeError::Outbox(OutboxError::Full { .. })), "{refusal}");
        assert_eq!((disk.names(READY).len(), outbox.last()), (8, 1));
    }
    outbox.receipt(Origin::new([1; 16]), 1).unwrap();
    assert_eq!(intake.take(&mut outbox, known).unwrap(), 3);
}

#[test]
fn of_games_that_do_not_fit_together_some_go_first() {
    let disk = folder(0);
    let mut large = outbox(&disk, 1 << 30).unwrap();
    Intake::open(disk, READY, &mut large).unwrap().take(&mut large, known).unwrap();
    let disk = folder(0);
    let mut outbox = outbox(&disk, large.bytes() - 1).unwrap();
    let mut intake = Intake::open(disk.clone(), READY, &mut outbox).unwrap();
    assert_eq!((intake.take(&mut outbox, known).unwrap(), disk.names(READY).len()), (1, 12));
    outbox.receipt(Origin::new([1; 16]), 1).unwrap();
    assert_eq!((intake.take(&mut outbox, known).unwrap(), outbox.last()), (2, 2));
}

#[test]
fn what_is_no_game_is_moved_aside_and_told() {
    let disk = FakeDisk::with_dir(0, READY);
    put(&disk, stem(1).as_str(), "no metadata", b"npz");
    put(&disk, stem(2).as_str(), &yaml(0), b"npz");
    disk.write(format!("{READY}/{}.npz", stem(3)).as_ref(), b"without its YAML file").unwrap();
    let mut outbox = outbox(&disk, 1 << 30).unwrap();
    let mut intake = Intake::open(disk.clone(), READY, &mut outbox).unwrap();
    assert_eq!(intake.take(&mut outbox, known).unwrap(), 1);
    let aside = intake.take_aside();
    assert_eq!(aside.iter().map(|game| game.stem.clone()).collect::<Vec<_>>(), [stem(1), stem(3)]);
    assert!(aside[1].reason.starts_with("its yaml file: "), "{aside:?}");
    assert!(disk.names(READY).is_empty() && disk.names(format!("{READY}/not_sent")).len() == 3);
    assert!(intake.take_aside().is_empty());
}
