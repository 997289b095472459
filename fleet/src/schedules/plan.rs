//! What a history is about: how many take part, and what goes wrong.

use crate::{disk::fake::Dice, memory::Faults};

/// Follows from the seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) workers: usize,
    /// Times that faults begin and everything comes to rest again.
    pub(super) acts: u64,
    /// Games of each worker in each act.
    pub(super) games: u64,
    /// Steps of an act before it comes to rest.
    pub(super) steps: u64,
    /// Whether there is a game that takes several frames.
    pub(super) large: bool,
    pub(super) faults: Faults,
    /// Once in so many steps a process dies; 0: never.
    pub(super) deaths: u64,
    /// Once in so many steps something befalls the broker.
    pub(super) disasters: u64,
    /// Once in so many changes a disk fails.
    pub(super) disk_fails: u64,
    /// Once in so many steps the trainer's disk becomes full, or has room again.
    pub(super) floods: u64,
    /// How likely each kind of step is: worker, broker, collector, trainer.
    pub(super) weights: [u64; 4],
}

impl Plan {
    pub(super) fn roll(dice: &mut Dice) -> Self {
        let faulty = !dice.once_in(5);
        let mut rate = |often: u64| if faulty && dice.once_in(2) { often } else { 0 };
        let faults = Faults { loses: rate(10), repeats: rate(10), reorders: rate(4), room: rate(1_500) as usize };
        let (deaths, disasters, disk_fails, floods) = (rate(25), rate(60), rate(30), rate(50));
        Self {
            workers: 1 + dice.below(3) as usize,
            acts: 1 + dice.below(3),
            games: 1 + dice.below(12),
            steps: 50 + dice.below(250),
            large: dice.once_in(60),
            faults,
            deaths,
            disasters,
            disk_fails,
            floods,
            weights: std::array::from_fn(|_| dice.one_of(&[1, 4, 12])),
        }
    }
}
