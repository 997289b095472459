//! Ledgers that were torn, damaged, not written, or written too often.

use super::*;
use crate::disk::fake::{End, FakeDisk};

const DIR: &str = "fleet";

fn open(disk: &FakeDisk) -> Result<Ledger<FakeDisk>, LedgerError> {
    Ledger::open(disk.clone(), Path::new(DIR))
}

fn origin(byte: u8) -> Origin {
    Origin::new([byte; 16])
}

fn publishing(byte: u8, number: u64) -> Publishing {
    let stem = format!("game_1700000000000_{:04}_1-00000001", number * 64).parse().unwrap();
    Publishing {
        origin: origin(byte),
        worker: "w1".parse().unwrap(),
        first: number,
        last: number,
        receipted: 0,
        files: vec![stem],
        refused: 0,
        reason: None,
    }
}

fn take(ledger: &mut Ledger<FakeDisk>, number: u64) -> Result<(), LedgerError> {
    ledger.take(vec![Entry::Publishing(publishing(1, number))])?;
    ledger.take(vec![Entry::Done { origin: origin(1), first: number }])
}

fn done(ledger: &Ledger<FakeDisk>) -> u64 {
    ledger.book().known(origin(1)).map_or(0, |known| known.done.contiguous())
}

#[test]
fn what_was_taken_is_there_at_the_next_start() {
    let disk = FakeDisk::with_dir(0, DIR);
    let mut ledger = open(&disk).unwrap();
    for number in [1, 2, 4] {
        take(&mut ledger, number).unwrap();
    }
    ledger.take(vec![Entry::Publishing(publishing(1, 7)), Entry::Publishing(publishing(2, 1))]).unwrap();
    let known =
        |ledger: &Ledger<FakeDisk>| (1..=8).map(|number| ledger.book().contains(origin(1), number)).collect::<Vec<_>>();
    assert_eq!(known(&ledger), [true, true, false, true, false, false, true, false]);
    let again = open(&disk).unwrap();
    assert_eq!(again.book(), ledger.book());
    assert_eq!(again.book().publishing().count(), 2);
    let receipt = &again.receipts(&"w1".parse().unwrap())[0];
    assert_eq!((receipt.origin, receipt.done, receipt.refused), (origin(1), 2, 0));
    assert!(again.receipts(&"w2".parse().unwrap()).is_empty());
}

#[test]
fn a_ledger_that_was_restored_learns_from_workers_what_it_forgot() {
    let disk = FakeDisk::with_dir(0, DIR);
    let mut ledger = open(&disk).unwrap();
    take(&mut ledger, 1).unwrap();
    let late = Publishing { receipted: 8, reason: Some("bad".to_owned()), refused: 2, ..publishing(1, 9) };
    ledger.take(vec![Entry::Publishing(late)]).unwrap();
    assert_eq!(done(&ledger), 1);
    ledger.take(vec![Entry::Done { origin: origin(1), first: 9 }]).unwrap();
    let known = ledger.book().known(origin(1)).unwrap();
    assert_eq!((known.done.contiguous(), known.forgotten, known.games, known.refused), (9, 7, 2, 2));
    assert_eq!(known.reason.as_deref(), Some("bad"));
}

#[test]
fn a_torn_end_is_cut_off_and_damage_before_it_is_refused() {
    let disk = FakeDisk::with_dir(0, DIR);
    let mut ledger = open(&disk).unwrap();
    (1..=5).for_each(|number| take(&mut ledger, number).unwrap());
    let whole = disk.peek("fleet/ledger").unwrap();
    for cut in 0..whole.len() {
        disk.damage("fleet/ledger", whole[..cut].to_vec());
        let Ok(mut torn) = open(&disk) else {
            assert!(cut < MAGIC.len());
            continue;
        };
        assert!(done(&torn) <= 5);
        let next = done(&torn) + 1;
        take(&mut torn, next).unwrap();
        assert_eq!(open(&disk).unwrap().book(), torn.book(), "cut at {cut}");
    }
    let last = whole.len() - group(&[Entry::Done { origin: origin(1), first: 5 }]).len();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        disk.damage("fleet/ledger", damaged);
        match open(&disk) {
            Ok(ledger) => assert!(at >= last && done(&ledger) == 4, "byte {at}"),
            Err(error) => assert!(at < last && error.to_string().contains("restore it from a backup"), "{error}"),
        }
    }
    disk.damage("fleet/ledger", [whole, vec![0; 300]].concat());
    assert_eq!(done(&open(&disk).unwrap()), 5, "zeros at the end are what a power cut leaves");
}

#[test]
fn after_an_append_that_failed_it_is_written_afresh() {
    let disk = FakeDisk::with_dir(0, DIR);
    let mut ledger = open(&disk).unwrap();
    take(&mut ledger, 1).unwrap();
    disk.set_room(Some(disk.peek("fleet/ledger").unwrap().len() as u64 + 20));
    assert!(take(&mut ledger, 2).is_err());
    assert!(ledger.length.is_none() && ledger.book().publishing().next().is_none());
    assert!(take(&mut ledger, 2).unwrap_err().to_string().contains("could not be written"));
    disk.set_room(None);
    ledger.tend().unwrap();
    take(&mut ledger, 2).unwrap();
    assert_eq!((done(&open(&disk).unwrap()), done(&ledger)), (2, 2));
}

#[test]
fn whatever_is_written_can_be_read() {
    let disk = FakeDisk::with_dir(0, DIR);
    let mut ledger = open(&disk).unwrap();
    // One outbox with as many gaps as it may have takes some hundred kilobytes; this is many of them.
    let mut done = Intervals::default();
    for number in 5_000_000..5_080_000 {
        done.insert(2 * number, 2 * number);
    }
    let worker = "w1".parse().unwrap();
    let known = Known { worker, done, games: 1, refused: 0, reason: None, forgotten: 0 };
    ledger.take((0..40).map(|byte| Entry::Known(origin(byte), known.clone())).collect()).unwrap();
    assert!(open(&disk).unwrap().book() == ledger.book(), "as it was appended");
    ledger.rewrite().unwrap();
    assert!(open(&disk).unwrap().book() == ledger.book(), "as it was written afresh");
}

#[test]
fn it_does_not_grow_for_ever() {
    let disk = FakeDisk::with_dir(0, DIR);
    let mut ledger = open(&disk).unwrap();
    ledger.long_bytes = 2_000;
    let mut longest = 0;
    for number in 1..=200 {
        take(&mut ledger, number).unwrap();
        ledger.tend().unwrap();
        longest = longest.max(disk.peek("fleet/ledger").unwrap().len());
    }
    assert!(longest < 3_000, "{longest}");
    assert_eq!((done(&open(&disk).unwrap()), done(&ledger)), (200, 200));
}

#[test]
fn a_process_that_dies_at_any_step_leaves_all_or_nothing_of_a_group() {
    let live = |disk: &FakeDisk| -> Result<(), (u64, LedgerError)> {
        let mut ledger = open(disk).map_err(|error| (0, error))?;
        ledger.long_bytes = 300;
        for number in 1..=12 {
            ledger.tend().map_err(|error| (number - 1, error))?;
            take(&mut ledger, number).map_err(|error| (number - 1, error))?;
        }
        Ok(())
    };
    let whole = FakeDisk::with_dir(0, DIR);
    live(&whole).map_err(|(_, error)| error).unwrap();
    for step in 0..whole.steps() {
        for (seed, end) in [(step, End::Killed), (step, End::PowerCut), (step + 1_000, End::PowerCut)] {
            let disk = FakeDisk::with_dir(seed, DIR);
            disk.die_at(step);
            let (sure, _) = live(&disk).unwrap_err();
            disk.restart(end);
            let ledger = open(&disk).unwrap();
            assert!((sure..=sure + 1).contains(&done(&ledger)), "step {step}: {} of {sure}", done(&ledger));
            assert!(ledger.book().publishing().count() <= 1);
        }
    }
}
