//! What accounts say at one moment or over a span of time.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Activity, Role, ledger::Spent};

/// Nanoseconds per activity, summed over the threads of each role, and those of play as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// By role, in the order of [`Role::ALL`]: how many threads, and what they spent.
    roles: [(u32, Spent); Role::ALL.len()],
    play: Spent,
}

/// How the threads of a role divide their time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoleShares {
    /// What they are there for.
    pub role: Role,
    /// How many there are.
    pub count: u32,
    /// Share of their time per activity, by its name; what has no share is left out. They add up to 1, or there are none.
    pub shares: BTreeMap<&'static str, f64>,
}

impl Times {
    /// Of play, and no threads.
    pub(super) fn new(play: Spent) -> Self {
        Self { play, ..Self::default() }
    }

    pub(super) fn add(&mut self, role: Role, spent: Spent) {
        let (threads, total) = &mut self.roles[role as usize];
        *threads += 1;
        total.iter_mut().zip(spent).for_each(|(total, spent)| *total += spent);
    }

    /// What was spent since `earlier`; numbers of threads are those of now.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let difference = |now: &Spent, then: &Spent| {
            let mut spent = *now;
            spent.iter_mut().zip(then).for_each(|(now, then)| *now = now.saturating_sub(*then));
            spent
        };
        let mut since = *self;
        for ((_, spent), (_, before)) in since.roles.iter_mut().zip(&earlier.roles) {
            *spent = difference(spent, before);
        }
        since.play = difference(&self.play, &earlier.play);
        since
    }

    /// Threads of a role.
    #[must_use]
    pub fn threads(&self, role: Role) -> u32 {
        self.roles[role as usize].0
    }

    /// Seconds that the threads of a role spent on an activity, in all.
    #[must_use]
    pub fn seconds(&self, role: Role, activity: Activity) -> f64 {
        self.roles[role as usize].1[activity as usize] as f64 / 1e9
    }

    /// Share of the time of a role's threads, 0 to 1; 0 where there are none.
    #[must_use]
    pub fn share(&self, role: Role, activity: Activity) -> f64 {
        share(&self.roles[role as usize].1, activity)
    }

    /// Share of the time of play as a whole, 0 to 1: [`Activity::Working`] while games may go on and start, else what keeps
    /// them from it.
    #[must_use]
    pub fn play_share(&self, activity: Activity) -> f64 {
        share(&self.play, activity)
    }

    /// How the threads of each role that has any divide their time.
    #[must_use]
    pub fn shares(&self) -> Vec<RoleShares> {
        let roles = Role::ALL.into_iter().filter(|&role| self.threads(role) > 0);
        let of = |role| {
            let shares = Activity::ALL.into_iter().map(|activity| (activity.name(), self.share(role, activity)));
            RoleShares { role, count: self.threads(role), shares: shares.filter(|&(_, share)| share > 0.0).collect() }
        };
        roles.map(of).collect()
    }

    /// Of one thread of each of the roles given, and of play as a whole, in seconds.
    #[cfg(test)]
    pub(crate) fn of(threads: &[(Role, &[(Activity, f64)])], play: &[(Activity, f64)]) -> Self {
        let spent = |seconds: &[(Activity, f64)]| {
            let mut spent = Spent::default();
            seconds.iter().for_each(|&(activity, seconds)| spent[activity as usize] += (seconds * 1e9) as u64);
            spent
        };
        let mut times = Self::new(spent(play));
        threads.iter().for_each(|&(role, seconds)| times.add(role, spent(seconds)));
        times
    }
}

fn share(spent: &Spent, activity: Activity) -> f64 {
    spent[activity as usize] as f64 / spent.iter().sum::<u64>().max(1) as f64
}
