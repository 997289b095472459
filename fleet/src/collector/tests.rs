//! Frames into the trainer's folder, past every death and failure.

use std::{collections::BTreeMap, fs, sync::LazyLock};

use super::*;
use crate::{
    disk::fake::{Dice, End, FakeDisk},
    frame::{
        MOST_BYTES, Model, OutGame, PART_BYTES, frames,
        tests::{game, header, noise, pack},
    },
};

const READY: &str = "ready";

/// Takes all but games that say that they are bad.
fn lenient(_: &GameEntry, files: &GameFiles) -> Result<(), String> {
    if files.yaml.starts_with(b"bad") { Err("it is bad".to_owned()) } else { Ok(()) }
}

fn rules() -> Rules {
    Rules { run: "run".parse().unwrap(), settings: None, check: lenient }
}

fn open(disk: &FakeDisk) -> Result<Collector<FakeDisk>, CollectorError> {
    Ok(Collector::open(disk.clone(), READY, rules())?.expect("alone"))
}

fn name(name: &str) -> Name {
    name.parse().unwrap()
}

/// Messages of worker w1 from frame `first` on.
fn messages(first: u64, games: &[OutGame]) -> Vec<Vec<u8>> {
    frames(&Header { number: first, ..header() }, &pack(games)).into_iter().map(|frame| frame.bytes).collect()
}

fn take(collector: &mut Collector<FakeDisk>, messages: &[Vec<u8>]) -> Result<Vec<Verdict>, CollectorError> {
    let w1 = name("w1");
    let messages: Vec<_> = messages.iter().map(|bytes| Delivery { from: &w1, bytes }).collect();
    collector.take(&messages)
}

fn some_games(numbers: std::ops::Range<u64>) -> Vec<OutGame> {
    numbers
        .map(|number| game(number, format!("yaml {number}").as_bytes(), format!("arrays {number}").as_bytes()))
        .collect()
}

/// Contents of what the trainer got, by the text of its YAML file.
fn train(disk: &FakeDisk) -> Vec<String> {
    let taken = disk.take(READY);
    taken.into_iter().map(|(_, yaml, _)| String::from_utf8_lossy(&yaml).into_owned()).collect()
}

#[test]
fn games_come_to_the_trainer_under_names_of_the_usual_form() {
    let disk = FakeDisk::with_dir(0, READY);
    let mut collector = open(&disk).unwrap();
    let verdicts = take(&mut collector, &messages(1, &some_games(0..3))).unwrap();
    assert_eq!(verdicts, [Verdict::Done { games: 3, refused: 0 }]);
    let taken = disk.take(READY);
    assert_eq!(
        taken.iter().map(|(stem, ..)| stem.parse::<Stem>().unwrap().ms()).collect::<Vec<_>>(),
        [1_700_000_000_000, 1_700_000_000_001, 1_700_000_000_002]
    );
    assert_eq!(taken[2].1, b"yaml 2");
    assert_eq!(taken[2].2, b"arrays 2");
    assert_eq!(disk.names("ready/tmp/fleet"), [".lock", "ledger"]);
    assert_eq!(collector.receipts(&name("w1"))[0].done, 1);
}

#[test]
fn what_comes_again_is_a_duplicate_whatever_became_of_its_files() {
    let disk = FakeDisk::with_dir(0, READY);
    let mut collector = open(&disk).unwrap();
    let group =
        [messages(1, &some_games(0..2)), messages(2, &some_games(2..3)), messages(1, &some_games(0..2))].concat();
    let done = |games| Verdict::Done { games, refused: 0 };
    assert_eq!(take(&mut collector, &group).unwrap(), [done(2), done(1), Verdict::Duplicate]);
    assert_eq!(train(&disk).len(), 3);
    assert_eq!(take(&mut collector, &group).unwrap(), vec![Verdict::Duplicate; 3]);
    drop(collector);
    let mut collector = open(&disk).unwrap();
    assert_eq!(take(&mut collector, &group).unwrap(), vec![Verdict::Duplicate; 3]);
    assert!(train(&disk).is_empty());
    assert_eq!(collector.counts().duplicates, 3);
}

#[test]
fn only_one_collects() {
    let disk = FakeDisk::with_dir(0, READY);
    let first = open(&disk).unwrap();
    assert!(Collector::open(disk.clone(), READY, rules()).unwrap().is_none());
    drop(first);
    assert!(Collector::open(disk, READY, rules()).unwrap().is_some());
}

#[test]
fn a_game_in_parts_is_published_when_all_are_there_in_whatever_order() {
    let disk = FakeDisk::with_dir(0, READY);
    let large = game(1, b"large", &noise(2 * PART_BYTES + 7, 1));
    let parts = messages(1, std::slice::from_ref(&large));
    let mut collector = open(&disk).unwrap();
    assert_eq!(take(&mut collector, &parts[2..]).unwrap(), [Verdict::Part]);
    assert_eq!(take(&mut collector, &[parts[0].clone(), parts[0].clone()]).unwrap(), [Verdict::Part, Verdict::Part]);
    drop(collector);
    let mut collector = open(&disk).unwrap();
    assert!(collector.receipts(&name("w1")).is_empty());
    let verdicts = take(&mut collector, &[parts[1].clone(), parts[2].clone()]).unwrap();
    assert_eq!(verdicts, [Verdict::Done { games: 1, refused: 0 }, Verdict::Duplicate]);
    assert_eq!(collector.receipts(&name("w1"))[0].done, 3);
    let taken = disk.take(READY);
    assert!(taken.len() == 1 && taken[0].2 == large.npz);
    assert_eq!(take(&mut collector, &parts).unwrap(), vec![Verdict::Duplicate; 3]);
    assert!(disk.names("ready/tmp/fleet/parts").is_empty());
}

#[test]
fn a_part_that_our_disk_has_damaged_comes_again_and_its_game_is_not_refused() {
    let disk = FakeDisk::with_dir(0, READY);
    let parts = messages(1, &[game(1, b"large", &noise(2 * PART_BYTES + 7, 1))]);
    let mut collector = open(&disk).unwrap();
    take(&mut collector, &parts[..2]).unwrap();
    let first = format!("ready/tmp/fleet/parts/{}", disk.names("ready/tmp/fleet/parts")[0]);
    disk.damage(&first, Vec::new());
    assert_eq!(take(&mut collector, &parts[2..]).unwrap(), [Verdict::Part]);
    assert_eq!(take(&mut collector, &parts[..1]).unwrap(), [Verdict::Done { games: 1, refused: 0 }]);
    // A write of one that waits, which fails, does not tear it.
    let parts = messages(4, &[game(2, b"large too", &noise(PART_BYTES + 7, 2))]);
    take(&mut collector, &parts[..1]).unwrap();
    disk.set_room(Some(0));
    drop(take(&mut collector, &parts[..1]));
    disk.set_room(None);
    assert_eq!(take(&mut collector, &parts[1..]).unwrap(), [Verdict::Done { games: 1, refused: 0 }]);
    assert_eq!(train(&disk), ["large", "large too"]);
}

#[test]
fn bad_games_are_kept_with_the_reason_and_spoil_no_other() {
    let disk = FakeDisk::with_dir(0, READY);
    let mut collector = open(&disk).unwrap();
    let games = [game(1, b"good", b"1"), game(2, b"bad", b"2"), game(3, b"good too", b"3")];
    let verdicts = take(&mut collector, &messages(1, &games)).unwrap();
    assert_eq!(verdicts, [Verdict::Done { games: 2, refused: 1 }]);
    assert_eq!(train(&disk), ["good", "good too"]);
    let receipt = &collector.receipts(&name("w1"))[0];
    assert_eq!((receipt.done, receipt.refused), (1, 1));
    assert!(receipt.reason.as_ref().unwrap().ends_with("it is bad"), "{receipt:?}");
    let kept = disk.names("ready/tmp/fleet/rejected");
    assert_eq!(kept.len(), 2, "{kept:?}");
    let reason = disk.peek(Path::new("ready/tmp/fleet/rejected").join(&kept[1])).unwrap();
    assert_eq!(String::from_utf8_lossy(&reason), "game game_1700000000002_0002_77-0000abcd: it is bad");
    // Each has its reason.
    take(&mut collector, &messages(2, &[game(4, b"bad", b"4"), game(5, b"bad", b"5")])).unwrap();
    let kept = disk.names("ready/tmp/fleet/rejected");
    let reasons = disk.peek(Path::new("ready/tmp/fleet/rejected").join(&kept[3])).unwrap();
    assert_eq!(String::from_utf8_lossy(&reasons).lines().count(), 2, "{kept:?}");
}

#[test]
fn a_reason_is_short_whatever_a_stranger_wrote() {
    let long: Check = |_, _| Err("\u{fffd}".repeat(60_000));
    let disk = FakeDisk::with_dir(0, READY);
    let mut collector = Collector::open(disk, READY, Rules { check: long, ..rules() }).unwrap().unwrap();
    take(&mut collector, &messages(1, &some_games(0..1))).unwrap();
    let receipt = collector.receipts(&name("w1")).remove(0);
    assert!(receipt.refused == 1 && receipt.reason.unwrap().len() < 2_000);
}

#[test]
fn what_is_refused_is_kept_once_though_the_disk_fails_after_it() {
    let disk = FakeDisk::with_dir(0, READY);
    let mut collector = open(&disk).unwrap();
    let group = messages(1, &[game(1, b"bad", b"1"), game(2, b"good", &noise(5_000, 1))]);
    disk.set_room(Some(6_000));
    (0..3).for_each(|_| drop(take(&mut collector, &group).unwrap_err()));
    disk.set_room(None);
    take(&mut collector, &group).unwrap();
    let kept = Rejects::open(&disk, Path::new("ready/tmp/fleet")).unwrap();
    assert_eq!(format!("{:?}", collector.rejects), format!("{kept:?}"), "what is counted is what is there");
}

#[test]
fn an_outbox_with_too_many_gaps_closes_them_and_makes_no_more() {
    let disk = FakeDisk::with_dir(0, READY);
    let mut collector = open(&disk).unwrap();
    take(&mut collector, &messages(1, &some_games(0..1))).unwrap();
    let (&origin, known) = collector.book().origins().next().unwrap();
    let mut known = known.clone();
    for number in 2..=MOST_GAPS as u64 + 1 {
        known.done.insert(2 * number, 2 * number);
    }
    collector.ledger.take(vec![Entry::Known(origin, known)]).unwrap();
    let frame = |number| messages(number, &some_games(number..number + 1));
    let verdicts = take(&mut collector, &[frame(900_001), frame(2)].concat()).unwrap();
    assert!(matches!(&verdicts[0], Verdict::Refused(reason) if reason.contains("too far")), "{verdicts:?}");
    assert_eq!(verdicts[1], Verdict::Done { games: 1, refused: 0 });
    assert_eq!(collector.receipts(&name("w1"))[0].done, 2);
}

#[test]
fn messages_of_strangers_are_refused_with_a_word() {
    let disk = FakeDisk::with_dir(0, READY);
    let settings = Some(["5e77".to_owned()].into());
    let mut collector = Collector::open(disk.clone(), READY, Rules { settings, ..rules() }).unwrap().unwrap();
    let of = |header: Header| frames(&header, &pack(&some_games(0..1)))[0].bytes.clone();
    let one = |collector: &mut Collector<FakeDisk>, from: &str, bytes: &[u8]| {
        collector.take(&[Delivery { from: &name(from), bytes }]).unwrap().remove(0)
    };
    let refused = |verdict: Verdict, word: &str| match verdict {
        Verdict::Refused(reason) => assert!(reason.contains(word), "{reason}"),
        other => panic!("{word}: {other:?}"),
    };
    refused(one(&mut collector, "w1", b"GET / HTTP/1.1\r\n\r\n"), "does not begin as one does");
    refused(one(&mut collector, "w2", &of(header())), "worker w2 sent a frame of worker w1");
    assert_eq!(one(&mut collector, "w1", &of(header())), Verdict::Done { games: 1, refused: 0 });
    let w2 = || Header { worker: name("w2"), ..header() };
    refused(one(&mut collector, "w2", &of(w2())), "has the number of outbox");
    let mut bits = [7; 16];
    bits[15] = 8;
    refused(one(&mut collector, "w2", &of(Header { origin: Origin::new(bits), ..w2() })), "has the number of outbox");
    refused(one(&mut collector, "w1", &of(Header { number: 1 << 40, ..header() })), "is too far from 1");
    // These can be named in the ledger: their worker gets a receipt, and the word with it.
    let other_run = of(Header { run: name("other"), number: 2, ..header() });
    assert_eq!(one(&mut collector, "w1", &other_run), Verdict::Done { games: 0, refused: 1 });
    let other_settings = of(Header { settings_hash: "dead".to_owned(), number: 3, ..header() });
    assert_eq!(one(&mut collector, "w1", &other_settings), Verdict::Done { games: 0, refused: 1 });
    let receipt = &collector.receipts(&name("w1"))[0];
    assert_eq!((receipt.done, receipt.refused), (3, 2));
    assert!(receipt.reason.as_ref().unwrap().contains("settings dead, and those of this run are 5e77"), "{receipt:?}");
    assert!(one(&mut collector, "w1", &vec![0; MOST_BYTES + 1]) != Verdict::Duplicate);
    assert_eq!(train(&disk).len(), 1);
    assert_eq!(collector.counts().messages_refused, 6);
}

#[test]
fn a_full_disk_stops_it_and_loses_nothing() {
    let disk = FakeDisk::with_dir(0, READY);
    let mut collector = open(&disk).unwrap();
    take(&mut collector, &messages(1, &some_games(0..1))).unwrap();
    let group = messages(2, &[game(1, b"large", &noise(5_000, 1)), game(2, b"small", b"x")]);
    for room in (200..6_000).step_by(61) {
        disk.set_room(Some(room));
        if take(&mut collector, &group).is_ok() {
            break;
        }
    }
    disk.set_room(None);
    let verdicts = take(&mut collector, &group).unwrap();
    assert!(matches!(verdicts[..], [Verdict::Done { games: 2, .. } | Verdict::Duplicate]), "{verdicts:?}");
    assert_eq!(train(&disk), ["yaml 0", "large", "small"]);
}

/// What is sent: small frames, a bad game, a game in parts; in groups.
static SENT: LazyLock<Vec<Vec<Vec<u8>>>> = LazyLock::new(|| {
    let parts = messages(4, &[game(50, b"large", &noise(PART_BYTES + 7, 1))]);
    vec![
        [messages(1, &some_games(0..2)), messages(2, &some_games(2..3))].concat(),
        [messages(3, &[game(10, b"bad", b"x"), game(11, b"good", b"x")]), parts[1..].to_vec()].concat(),
        [messages(1, &some_games(0..2)), parts[..1].to_vec()].concat(),
        messages(6, &some_games(20..21)),
    ]
});

const EXPECTED: [&str; 6] = ["good", "large", "yaml 0", "yaml 1", "yaml 2", "yaml 20"];

/// Opens and takes everything; stops at the first failure.
fn live(disk: &FakeDisk, trains: bool, got: &mut Vec<String>) -> Result<(), CollectorError> {
    live_through(disk, &SENT, trains, got)
}

fn live_through(
    disk: &FakeDisk,
    groups: &[Vec<Vec<u8>>],
    trains: bool,
    got: &mut Vec<String>,
) -> Result<(), CollectorError> {
    let mut collector = open(disk)?;
    for group in groups {
        let done =
            |collector: &Collector<FakeDisk>| collector.receipts(&name("w1")).first().map_or(0, |receipt| receipt.done);
        let before = done(&collector);
        take(&mut collector, group)?;
        assert!(done(&collector) >= before);
        if trains {
            got.extend(train(disk));
        }
    }
    Ok(())
}

#[test]
fn a_process_that_dies_at_any_step_shows_every_game_once() {
    let whole = FakeDisk::with_dir(0, READY);
    live(&whole, false, &mut Vec::new()).unwrap();
    for step in 0..=whole.steps() {
        for (seed, end) in [(0, End::Killed), (1, End::PowerCut), (2, End::PowerCut)] {
            let trains = (step + seed) % 2 == 0;
            let disk = FakeDisk::with_dir(seed * 100_000 + step, READY);
            let mut got = Vec::new();
            disk.die_at(step);
            drop(live(&disk, trains, &mut got));
            if trains {
                got.extend(train(&disk));
            }
            disk.restart(end);
            // The next one dies too, while it finishes what the first has begun.
            disk.die_at(step % 29 + 2);
            drop(live(&disk, trains, &mut got));
            disk.restart(end);
            if trains {
                got.extend(train(&disk));
            }
            live(&disk, trains, &mut got).unwrap();
            got.extend(train(&disk));
            got.sort_unstable();
            assert_eq!(got, EXPECTED, "step {step}, {end:?}, seed {seed}");
            assert_eq!(disk.names("ready/tmp/fleet"), [".lock", "ledger"]);
        }
    }
}

#[test]
fn what_a_killed_process_left_is_on_the_disk_before_the_next_relies_on_it() {
    // A kill leaves what was written but not synchronised for the next process to read; then the power is cut.
    let groups = [messages(1, &some_games(0..2)), messages(2, &some_games(2..3))];
    let whole = FakeDisk::with_dir(0, READY);
    live_through(&whole, &groups, false, &mut Vec::new()).unwrap();
    for step in 0..=whole.steps() {
        for next in 0..40 {
            let disk = FakeDisk::with_dir(step * 100 + next, READY);
            let mut got = Vec::new();
            disk.die_at(step);
            drop(live_through(&disk, &groups, true, &mut got));
            disk.restart(End::Killed);
            disk.die_at(next);
            drop(live_through(&disk, &groups, true, &mut got));
            got.extend(train(&disk));
            disk.restart(End::PowerCut);
            live_through(&disk, &groups, true, &mut got).unwrap();
            got.sort_unstable();
            assert_eq!(got, ["yaml 0", "yaml 1", "yaml 2"], "steps {step} and {next}");
        }
    }
}

#[test]
fn a_failing_disk_shows_every_game_once() {
    for seed in 0..200 {
        let disk = FakeDisk::with_dir(seed, READY);
        let mut dice = Dice::new(seed);
        let mut got = Vec::new();
        for round in 0.. {
            disk.set_fails(if round < 12 { 8 } else { 0 });
            if dice.once_in(3) {
                disk.die_at(dice.below(80));
            }
            if let Ok(mut collector) = open(&disk) {
                for _ in 0..12 {
                    // A call that failed is made again, or others come first.
                    drop(take(&mut collector, &SENT[dice.below(SENT.len() as u64) as usize]));
                    if dice.once_in(2) {
                        got.extend(train(&disk));
                    }
                }
            }
            let ends = disk.is_dead();
            disk.restart(if ends { dice.one_of(&[End::Killed, End::PowerCut]) } else { End::Killed });
            if round > 12 && live(&disk, true, &mut got).is_ok() {
                break;
            }
        }
        got.sort_unstable();
        assert_eq!(got, EXPECTED, "seed {seed}");
    }
}

#[test]
fn a_folder_restored_from_an_older_copy_goes_on() {
    let disk = FakeDisk::with_dir(0, READY);
    let mut collector = open(&disk).unwrap();
    take(&mut collector, &messages(1, &some_games(0..1))).unwrap();
    drop(collector);
    let backup = disk.backup();
    disk.restart(End::Killed);
    let mut collector = open(&disk).unwrap();
    for number in 2..6 {
        take(&mut collector, &messages(number, &some_games(number..number + 1))).unwrap();
    }
    drop(collector);
    disk.restore(&backup);
    disk.restart(End::Killed);
    let mut collector = open(&disk).unwrap();
    assert_eq!(collector.receipts(&name("w1"))[0].done, 1);
    // The worker has receipts up to 4: it sends what it still has, and says so in what it makes next.
    let next = Header { number: 6, receipted: 4, ..header() };
    let next = frames(&next, &pack(&some_games(6..7))).remove(0).bytes;
    take(&mut collector, &[messages(5, &some_games(5..6)).remove(0), next]).unwrap();
    assert_eq!(collector.receipts(&name("w1"))[0].done, 6);
    assert_eq!(collector.book().origins().next().unwrap().1.forgotten, 3);
    assert_eq!(train(&disk), ["yaml 0", "yaml 5", "yaml 6"]);
}

/// A game that a trainer's own producer wrote, and one of ours.
fn real() -> OutGame {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/golden/golden_01_b5w1_n25_hash");
    let [yaml, npz] = ["yaml", "npz"].map(|ending| fs::read(format!("{golden}.{ending}")).unwrap());
    let text = std::str::from_utf8(&yaml).unwrap();
    let version = selfplay_engine::replay::GameMetadata::from_yaml(text).unwrap().model_version;
    OutGame { model: Model { version, sha256: [0; 32] }, ..game(1, &yaml, &npz) }
}

fn strictly(change: impl FnOnce(&mut OutGame)) -> Result<(), String> {
    let mut game = real();
    change(&mut game);
    let packed = pack(std::slice::from_ref(&game)).remove(0);
    check_game(&packed.entry, &GameFiles { yaml: game.yaml, npz: game.npz })
}

#[test]
fn games_are_read_as_the_trainer_reads_them() {
    assert_eq!(strictly(|_| {}), Ok(()));
    let refused = |change: fn(&mut OutGame), word: &str| {
        let reason = strictly(change).unwrap_err();
        assert!(reason.contains(word), "{reason}");
    };
    refused(|game| game.npz.truncate(game.npz.len() / 2), "archive");
    refused(|game| game.yaml = vec![0xff], "no text");
    refused(|game| game.yaml = b"game_length: 3".to_vec(), "read a game's metadata");
    refused(|game| game.model.version += 1, "is said to be of model");
    refused(
        |game| {
            let text = String::from_utf8(game.yaml.clone()).unwrap();
            game.yaml = text.replace("game_length: ", "game_length: 1").into_bytes();
        },
        "use array input_arrays: its shape is",
    );
}

#[test]
fn every_file_of_a_ledger_s_game_has_the_yaml_file_first() {
    // `FakeDisk::take` dies, as the trainer does, of an archive without its YAML file; here at every step, under all that can happen.
    let whole = FakeDisk::with_dir(0, READY);
    live(&whole, false, &mut Vec::new()).unwrap();
    let mut seen = BTreeMap::new();
    for step in 0..whole.steps() {
        let disk = FakeDisk::with_dir(step, READY);
        disk.die_at(step);
        drop(live(&disk, false, &mut Vec::new()));
        *seen.entry(train(&disk).len()).or_insert(0) += 1;
    }
    assert!(seen.len() > 4, "{seen:?}");
}
