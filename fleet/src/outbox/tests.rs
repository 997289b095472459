//! Outboxes whose process dies, whose disk fails, and whose receipts come.

use std::{collections::BTreeSet, sync::LazyLock};

use super::*;
use crate::{
    disk::{
        RealDisk,
        fake::{Dice, End, FakeDisk},
    },
    frame::{
        MOST_GAMES, OutGame, PART_BYTES,
        tests::{game, noise, pack, stem},
    },
};

const ROOM: u64 = 1 << 30;

fn owner() -> Owner {
    Owner { run: "run".parse().unwrap(), worker: "w1".parse().unwrap() }
}

fn origin(byte: u8) -> Origin {
    Origin::new([byte; 16])
}

fn open(disk: &FakeDisk) -> Result<Outbox<FakeDisk>, OutboxError> {
    Outbox::open(disk.clone(), "outbox", &owner(), ROOM, origin(1))
}

fn small(numbers: std::ops::Range<u64>) -> Vec<Packed> {
    let games: Vec<_> = numbers.map(|number| game(number, format!("yaml {number}").as_bytes(), b"arrays")).collect();
    pack(&games)
}

/// Stems of the games in a frame.
fn stems(outbox: &mut Outbox<FakeDisk>, number: u64) -> Vec<Stem> {
    let bytes = outbox.frame(number).unwrap();
    Frame::read(&bytes).unwrap().header().games.iter().map(|game| game.stem.clone()).collect()
}

fn of(numbers: std::ops::Range<u64>) -> Vec<Stem> {
    numbers.map(stem).collect()
}

#[test]
fn frames_are_numbered_on_across_restarts_and_after_all_were_deleted() {
    let disk = FakeDisk::new(0);
    let mut outbox = open(&disk).unwrap();
    assert_eq!(outbox.write("5e77", &small(0..3)).unwrap(), 1..=1);
    assert_eq!(outbox.write("5e77", &small(3..70)).unwrap(), 2..=3);
    assert!(outbox.sendable().is_empty(), "their games may be elsewhere too");
    outbox.release(2);
    assert_eq!(outbox.sendable(), 1..=2);
    drop(outbox);

    let mut outbox = open(&disk).unwrap();
    assert!(outbox.sendable().is_empty());
    assert_eq!((outbox.last(), outbox.waiting()), (3, 3));
    assert_eq!(stems(&mut outbox, 1), of(0..3));
    assert_eq!([stems(&mut outbox, 2), stems(&mut outbox, 3)].concat(), of(3..70));
    outbox.release(3);
    outbox.receipt(origin(9), 3).unwrap();
    assert_eq!(outbox.waiting(), 3, "a receipt of another outbox");
    outbox.receipt(origin(1), 2).unwrap();
    outbox.receipt(origin(1), 1).unwrap();
    assert_eq!((outbox.sendable(), outbox.waiting()), (3..=3, 1));
    outbox.receipt(origin(1), 3).unwrap();
    assert_eq!((outbox.bytes(), outbox.waiting()), (0, 0));
    drop(outbox);

    let mut outbox = Outbox::open(disk.clone(), "outbox", &owner(), ROOM, origin(2)).unwrap();
    assert_eq!(outbox.origin(), origin(1), "it is still the same outbox");
    assert_eq!(outbox.write("5e77", &small(70..71)).unwrap(), 4..=4);
    let bytes = outbox.frame(4).unwrap();
    assert_eq!(Frame::read(&bytes).unwrap().header().receipted, 3);
}

#[test]
fn the_newest_games_are_found_so_that_none_is_brought_again() {
    let disk = FakeDisk::new(0);
    let mut outbox = open(&disk).unwrap();
    outbox.write("5e77", &small(0..5)).unwrap();
    outbox.write("5e77", &small(5..9)).unwrap();
    let newest = |outbox: &mut Outbox<FakeDisk>, games| {
        let found: BTreeSet<_> = outbox.newest(games).unwrap().into_iter().collect();
        found.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(newest(&mut outbox, 4), of(5..9));
    assert_eq!(newest(&mut outbox, 5), of(0..9));
    outbox.release(2);
    outbox.receipt(origin(1), 1).unwrap();
    assert_eq!(newest(&mut outbox, 64), of(5..9));
}

#[test]
fn one_process_one_worker_one_run() {
    let disk = FakeDisk::new(0);
    let mut outbox = open(&disk).unwrap();
    let refusal = open(&disk).unwrap_err().to_string();
    assert!(refusal.contains("another process uses it"), "{refusal}");
    outbox.write("5e77", &small(0..1)).unwrap();
    drop(outbox);
    let other = Owner { worker: "w2".parse().unwrap(), ..owner() };
    let refusal = Outbox::open(disk.clone(), "outbox", &other, ROOM, origin(2)).unwrap_err().to_string();
    assert!(
        refusal.contains("it holds games of worker w1 in run run") && refusal.contains("this is worker w2"),
        "{refusal}"
    );
    let mut outbox = open(&disk).unwrap();
    outbox.release(1);
    outbox.receipt(origin(1), 1).unwrap();
    drop(outbox);
    let outbox = Outbox::open(disk, "outbox", &other, ROOM, origin(2)).unwrap();
    assert_eq!((outbox.origin(), outbox.last()), (origin(2), 0), "empty, it is another's to take");
}

#[test]
fn it_has_bounds_and_says_when_no_game_should_begin() {
    let disk = FakeDisk::new(0);
    let games = pack(&[game(1, b"yaml", &noise(10_000, 1))]);
    let mut outbox = Outbox::open(disk.clone(), "outbox", &owner(), 45_000, origin(1)).unwrap();
    for number in 1..=4 {
        assert!(!outbox.is_full());
        outbox.write("5e77", &games).unwrap();
        outbox.release(number);
    }
    assert!(outbox.is_full());
    let refusal = outbox.write("5e77", &games).unwrap_err();
    assert_eq!(refusal.io_kind(), io::ErrorKind::StorageFull);
    assert!(refusal.to_string().contains("of at most 45000 bytes; it empties when"), "{refusal}");
    outbox.receipt(origin(1), 2).unwrap();
    assert!(!outbox.is_full());
    assert_eq!(outbox.write("5e77", &games).unwrap(), 5..=5);

    // The disk may be full before.
    disk.set_room(Some(35_000));
    let refusal = outbox.write("5e77", &games).unwrap_err();
    assert_eq!(refusal.io_kind(), io::ErrorKind::StorageFull);
    assert!(disk.names("outbox").iter().all(|name| !name.ends_with(".new")), "what was written of it is gone");
    disk.set_room(None);
    assert_eq!(outbox.write("5e77", &games).unwrap(), 6..=6);
}

#[test]
fn a_receipt_for_what_was_never_sent_shows_an_older_copy() {
    let disk = FakeDisk::new(0);
    let mut outbox = open(&disk).unwrap();
    outbox.write("5e77", &small(0..1)).unwrap();
    outbox.release(1);
    let refusal = outbox.receipt(origin(1), 8).unwrap_err().to_string();
    assert!(refusal.contains("frames up to 8 of it have come to the trainer, but it knows only 1"), "{refusal}");
    assert_eq!(outbox.waiting(), 1);
    // Its next numbers are those of other games: they would be taken for repetitions, and deleted.
    assert!(outbox.sendable().is_empty());
    assert!(matches!(outbox.write("5e77", &small(1..2)), Err(OutboxError::Ahead { done: 8, last: 1, .. })));
    assert!(outbox.receipt(origin(1), 1).is_err());
    assert_eq!(outbox.waiting(), 1);
}

#[test]
fn a_receipt_does_not_delete_what_was_not_released() {
    let disk = FakeDisk::new(0);
    let mut outbox = open(&disk).unwrap();
    for number in 0..3 {
        outbox.write("5e77", &small(number..number + 1)).unwrap();
    }
    // The process before sent all three.
    drop(outbox);
    let mut outbox = open(&disk).unwrap();
    outbox.receipt(origin(1), 3).unwrap();
    assert_eq!(outbox.waiting(), 3);
    outbox.release(2);
    outbox.receipt(origin(1), 3).unwrap();
    assert_eq!((outbox.waiting(), stems(&mut outbox, 3)), (1, of(2..3)));
}

#[test]
fn a_damaged_frame_is_replaced_by_an_empty_one_and_told_of() {
    let path = |number| frame_path(Path::new("outbox"), number, FRAME);
    let disk = FakeDisk::new(0);
    let mut outbox = open(&disk).unwrap();
    for number in 0..5 {
        outbox.write("5e77", &small(number..number + 1)).unwrap();
    }
    let mut torn = disk.peek(path(2)).unwrap();
    torn.truncate(40);
    disk.damage(path(2), torn);
    let other = disk.peek(path(5)).unwrap();
    disk.damage(path(4), other);
    drop(outbox);
    disk.erase(path(3));
    let mut outbox = open(&disk).unwrap();
    let found: Vec<_> = (1..=5).map(|number| stems(&mut outbox, number)).collect();
    assert_eq!(found, [of(0..1), of(0..0), of(0..0), of(0..0), of(4..5)]);
    let mut lost: Vec<_> = outbox.take_lost().into_iter().map(|lost| (lost.number, lost.reason)).collect();
    lost.sort_unstable();
    assert_eq!(lost[1], (3, "its file is missing".to_owned()));
    assert_eq!(lost[2], (4, "its file holds another frame".to_owned()));
    assert!(lost[0].0 == 2 && lost[0].1.contains("checksum"), "{lost:?}");
    assert!(outbox.take_lost().is_empty());
}

#[test]
fn a_lost_part_takes_its_game_with_it_and_no_other() {
    let disk = FakeDisk::new(0);
    let mut outbox = open(&disk).unwrap();
    let large = pack(&[game(10, b"large", &noise(2 * PART_BYTES + 5, 1))]);
    let another = pack(&[game(11, b"large", &noise(PART_BYTES + 5, 2))]);
    outbox.write("5e77", &large).unwrap();
    outbox.write("5e77", &another).unwrap();
    outbox.write("5e77", &small(0..1)).unwrap();
    drop(outbox);
    disk.erase(frame_path(Path::new("outbox"), 2, FRAME));
    let mut outbox = open(&disk).unwrap();
    let found: Vec<_> = (1..=6).map(|number| stems(&mut outbox, number)).collect();
    let empty = || of(0..0);
    assert_eq!(found, [empty(), empty(), empty(), of(11..12), of(11..12), of(0..1)]);
}

#[test]
fn a_process_that_dies_while_it_gives_up_a_game_leaves_no_part_of_it() {
    // Parts without the others would wait at the collector for ever, and all frames behind them for their receipts.
    let large = pack(&[game(10, b"large", &noise(2 * PART_BYTES + 5, 1))]);
    for (lost, damaged) in [(1, false), (2, true), (3, true)] {
        for step in 0..40 {
            let disk = FakeDisk::new(step);
            let mut outbox = open(&disk).unwrap();
            outbox.write("5e77", &large).unwrap();
            outbox.write("5e77", &small(0..1)).unwrap();
            drop(outbox);
            let path = frame_path(Path::new("outbox"), lost, FRAME);
            if damaged {
                disk.damage(path, vec![0; 40])
            } else {
                disk.erase(path)
            }
            disk.die_at(step);
            if let Ok(mut outbox) = open(&disk) {
                drop(outbox.frame(lost));
            }
            disk.restart(if step % 2 == 0 { End::Killed } else { End::PowerCut });
            let mut outbox = open(&disk).unwrap();
            // What is lost is found when it is sent.
            (1..=4).for_each(|number| drop(outbox.frame(number).unwrap()));
            let found: Vec<_> = (1..=4).map(|number| stems(&mut outbox, number)).collect();
            assert_eq!(found, [of(0..0), of(0..0), of(0..0), of(0..1)], "frame {lost}, step {step}");
        }
    }
}

#[test]
fn frames_that_a_power_cut_brings_back_do_not_keep_another_worker_out() {
    for seed in 0..20 {
        let disk = FakeDisk::new(seed);
        let mut outbox = open(&disk).unwrap();
        for number in 0..3 {
            outbox.write("5e77", &small(number..number + 1)).unwrap();
        }
        outbox.release(3);
        outbox.receipt(origin(1), 3).unwrap();
        drop(outbox);
        disk.restart(End::PowerCut);
        let other = Owner { worker: "w2".parse().unwrap(), ..owner() };
        let mut outbox = Outbox::open(disk.clone(), "outbox", &other, ROOM, origin(2)).unwrap();
        assert_eq!((outbox.origin(), outbox.last(), outbox.bytes()), (origin(2), 0, 0), "seed {seed}");
        assert_eq!(outbox.write("5e77", &small(3..4)).unwrap(), 1..=1);
        drop(outbox);
        disk.restart(End::PowerCut);
        let mut outbox = Outbox::open(disk, "outbox", &other, ROOM, origin(3)).unwrap();
        assert_eq!((outbox.last(), stems(&mut outbox, 1)), (1, of(3..4)), "seed {seed}");
        assert!(outbox.take_lost().is_empty());
    }
}

#[test]
fn files_of_others_are_left_alone() {
    let disk = FakeDisk::with_dir(0, "outbox");
    let names = [&format!("{:020}.frame", 0), "7.frame", "+0000000000000000007.frame", "8.new", "notes.txt"];
    for name in names {
        disk.write(&Path::new("outbox").join(name), b"mine").unwrap();
    }
    let mut outbox = open(&disk).unwrap();
    assert_eq!((outbox.last(), outbox.bytes()), (0, 0));
    assert_eq!(outbox.write("5e77", &small(0..1)).unwrap(), 1..=1);
    assert!(names.iter().all(|name| disk.peek(Path::new("outbox").join(name)).unwrap() == b"mine"));
}

#[test]
fn a_lost_state_is_told_by_the_frames() {
    let disk = FakeDisk::new(0);
    let mut outbox = open(&disk).unwrap();
    for number in 0..3 {
        outbox.write("5e77", &small(number..number + 1)).unwrap();
    }
    outbox.release(3);
    outbox.receipt(origin(1), 1).unwrap();
    drop(outbox);
    for state in [None, Some(Vec::new()), Some(vec![0; 60]), Some(vec![7; 5_000])] {
        match state {
            None => disk.erase("outbox/state"),
            Some(bytes) => disk.damage("outbox/state", bytes),
        }
        let mut outbox = Outbox::open(disk.clone(), "outbox", &owner(), ROOM, origin(5)).unwrap();
        assert_eq!((outbox.origin(), outbox.receipted(), outbox.last()), (origin(1), 1, 3));
        assert_eq!(stems(&mut outbox, 2), of(1..2));
    }
}

/// What a life of an outbox does, and what it can rely on.
struct Life {
    disk: FakeDisk,
    /// Games that are to be kept, in groups, and lie in the folder until they are.
    folder: Vec<Vec<OutGame>>,
    /// What was sent under each number.
    sent: BTreeMap<u64, Vec<u8>>,
    /// Games that are no longer there: they must be in the outbox, or in a frame with a receipt.
    ended: BTreeSet<Stem>,
    receipted: BTreeSet<Stem>,
}

impl Life {
    /// `large`: with a game that takes two frames.
    fn new(seed: u64, large: bool) -> Self {
        static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| noise(PART_BYTES + 9, 1));
        let groups = [vec![0, 1], vec![2], (3..70).collect::<Vec<_>>(), vec![1_000], vec![70, 71]];
        let games = groups.into_iter().map(|group| {
            let bytes = |number: u64| if large && number == 1_000 { LARGE.clone() } else { b"arrays".to_vec() };
            group.into_iter().map(|number| game(number, b"yaml", &bytes(number))).collect()
        });
        let disk = FakeDisk::new(seed);
        Self {
            disk,
            folder: games.collect(),
            sent: BTreeMap::new(),
            ended: BTreeSet::new(),
            receipted: BTreeSet::new(),
        }
    }

    /// Opens the outbox and goes on to the end; stops when the process dies.
    fn live(&mut self) -> Result<(), OutboxError> {
        let mut outbox = open(&self.disk)?;
        assert!(outbox.sendable().is_empty());
        // What lies in the folder may be in frames.
        let newest = outbox.newest(MOST_GAMES)?.into_iter().collect();
        self.remove(&newest);
        outbox.release(outbox.last());
        self.check(&mut outbox)?;
        while let Some(group) = self.folder.first().cloned() {
            let numbers = match outbox.write("5e77", &pack(&group)) {
                Ok(numbers) => numbers,
                Err(error) if self.disk.is_dead() => return Err(error),
                // The disk failed; another attempt.
                Err(_) => continue,
            };
            self.remove(&group.into_iter().map(|game| game.stem).collect());
            outbox.release(*numbers.end());
            self.check(&mut outbox)?;
            // A receipt for all but the newest frame; should it fail, it counts as not heard, but the games are safe all the same.
            let done = outbox.last() - 1;
            for number in outbox.receipted() + 1..=done {
                let bytes = outbox.frame(number)?;
                self.receipted.extend(Frame::read(&bytes).unwrap().header().games.iter().map(|game| game.stem.clone()));
            }
            if outbox.receipt(origin(1), done).is_err() && self.disk.is_dead() {
                return Err(OutboxError::Damaged { path: PathBuf::new(), reason: "dead".to_owned() });
            }
        }
        Ok(())
    }

    fn remove(&mut self, stems: &BTreeSet<Stem>) {
        self.folder.iter_mut().for_each(|group| group.retain(|game| !stems.contains(&game.stem)));
        self.folder.retain(|group| !group.is_empty());
        self.ended.extend(stems.iter().cloned());
    }

    /// Frames keep their names and bytes, there are no gaps, and every ended game is where it belongs, once.
    fn check(&mut self, outbox: &mut Outbox<FakeDisk>) -> Result<(), OutboxError> {
        let mut found = Vec::new();
        for number in outbox.sendable() {
            let bytes = outbox.frame(number)?;
            let header = Frame::read(&bytes).unwrap().header().clone();
            let last = u64::from(header.part.unwrap_or(0)) + 1 == header.parts();
            found.extend(header.games.iter().filter(|_| last).map(|game| game.stem.clone()));
            let before = self.sent.entry(number).or_insert_with(|| bytes.clone());
            assert_eq!(*before, bytes, "frame {number} is another than it was");
        }
        let unique: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(unique.len(), found.len(), "a game is there twice");
        let all: BTreeSet<_> = unique.union(&self.receipted).cloned().collect();
        assert!(self.ended.is_subset(&all), "lost: {:?}", self.ended.difference(&all).collect::<Vec<_>>());
        assert!(unique.is_subset(&self.ended));
        Ok(())
    }
}

#[test]
fn a_process_that_dies_at_any_step_loses_no_game_and_keeps_none_twice() {
    let mut whole = Life::new(0, true);
    whole.live().unwrap();
    let steps = whole.disk.steps();
    assert!(steps > 80, "{steps}");
    for step in 0..=steps {
        for (seed, end) in [(0, End::Killed), (1, End::PowerCut), (2, End::PowerCut)] {
            let mut life = Life::new(seed * 10_000 + step, seed < 2);
            life.disk.die_at(step);
            assert!(life.live().is_ok() || life.disk.is_dead(), "step {step}");
            life.disk.restart(end);
            // The next one dies too, sooner.
            life.disk.die_at(step % 17 + 3);
            if life.live().is_err() {
                life.disk.restart(end);
            }
            life.disk.spare();
            life.live().unwrap();
            assert_eq!(life.ended.len(), 73, "step {step}");
            assert!(life.folder.is_empty());
        }
    }
}

#[test]
fn what_a_killed_process_left_is_on_the_disk_before_the_next_relies_on_it() {
    let mut whole = Life::new(0, false);
    whole.live().unwrap();
    for step in 0..=whole.disk.steps() {
        for next in 0..25 {
            let mut life = Life::new(step * 100 + next, false);
            life.disk.die_at(step);
            drop(life.live());
            life.disk.restart(End::Killed);
            life.disk.die_at(next);
            drop(life.live());
            life.disk.restart(End::PowerCut);
            life.live().unwrap();
            assert_eq!(life.ended.len(), 73, "steps {step} and {next}");
        }
    }
}

#[test]
fn a_failing_disk_loses_no_game_and_keeps_none_twice() {
    for seed in 0..100 {
        let mut life = Life::new(seed, seed % 10 == 0);
        life.disk.set_fails(6);
        let mut dice = Dice::new(seed);
        for _ in 0..1_000 {
            if dice.once_in(3) {
                life.disk.die_at(dice.below(60));
            }
            if life.live().is_ok() && life.folder.is_empty() {
                break;
            }
            life.disk.restart(dice.one_of(&[End::Killed, End::PowerCut]));
        }
        life.disk.set_fails(0);
        life.disk.restart(End::PowerCut);
        life.live().unwrap();
        assert_eq!(life.ended.len(), 73, "seed {seed}");
    }
}

#[test]
fn the_real_disk_will_do() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("outbox");
    let open = || Outbox::open(RealDisk, &path, &owner(), ROOM, origin(1));
    let mut outbox = open().unwrap();
    assert!(matches!(open(), Err(OutboxError::Busy { .. })));
    outbox.write("5e77", &small(0..3)).unwrap();
    drop(outbox);
    let mut outbox = open().unwrap();
    outbox.release(1);
    assert_eq!(Frame::read(&outbox.frame(1).unwrap()).unwrap().header().games.len(), 3);
    outbox.receipt(origin(1), 1).unwrap();
    drop(outbox);
    let mut names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, [".lock", "state"]);
    assert_eq!(open().unwrap().receipted(), 1);
}
