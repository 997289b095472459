//! What the system counts of this process: CPU time and context switches by thread, and memory.

use std::{collections::BTreeMap, fs, path::Path};

/// What threads have spent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spent {
    /// CPU time.
    pub cpu_seconds: f64,
    /// Times that a thread gave its core away because it had nothing to do.
    pub voluntary: u64,
    /// Times that a core was taken from a thread that had.
    pub involuntary: u64,
}

impl Spent {
    fn since(self, earlier: Self) -> Self {
        Self {
            cpu_seconds: (self.cpu_seconds - earlier.cpu_seconds).max(0.0),
            voluntary: self.voluntary.saturating_sub(earlier.voluntary),
            involuntary: self.involuntary.saturating_sub(earlier.involuntary),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            voluntary: self.voluntary + other.voluntary,
            involuntary: self.involuntary + other.involuntary,
        }
    }
}

/// What threads are there for, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Games, cache and batcher.
    Play,
    /// The network.
    Inference,
    /// Everything else.
    Other,
}

impl Role {
    fn of(name: &str) -> Self {
        match name {
            "games" | "evaluation" => Self::Play,
            _ if name.starts_with("inference") => Self::Inference,
            _ => Self::Other,
        }
    }
}

/// All threads of the process at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Threads(BTreeMap<u64, (Role, Spent)>);

impl Threads {
    /// As they are now; none where the system does not say.
    pub(super) fn now() -> Self {
        let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Self::default() };
        let read = |task: fs::DirEntry| {
            let id = task.file_name().to_str()?.parse().ok()?;
            Some((id, thread(&task.path())?))
        };
        // A thread that ends meanwhile is not there.
        Self(tasks.filter_map(Result::ok).filter_map(read).collect())
    }

    /// What was spent since `earlier`; nothing of threads that have ended.
    pub(super) fn since(&self, earlier: &Self) -> Usage {
        let spent = self.0.iter().map(|(id, &(role, spent))| {
            let before = earlier.0.get(id).map_or(Spent::default(), |&(_, spent)| spent);
            (role, spent.since(before))
        });
        Usage(spent.collect())
    }
}

/// What threads have spent in a span of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage(Vec<(Role, Spent)>);

impl Usage {
    /// Those of one role.
    pub(super) fn of(&self, role: Role) -> Spent {
        self.0.iter().filter(|of| of.0 == role).fold(Spent::default(), |sum, of| sum.plus(of.1))
    }

    /// All of them.
    pub(super) fn all(&self) -> Spent {
        self.0.iter().fold(Spent::default(), |sum, of| sum.plus(of.1))
    }

    /// Whether the system said anything.
    pub(super) fn is_known(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
impl Usage {
    /// Made up: CPU seconds by role.
    pub(super) fn of_seconds(seconds: &[(Role, f64)]) -> Self {
        Self(seconds.iter().map(|&(role, cpu_seconds)| (role, Spent { cpu_seconds, ..Spent::default() })).collect())
    }
}

fn thread(task: &Path) -> Option<(Role, Spent)> {
    let read = |file| fs::read_to_string(task.join(file)).ok();
    let nanoseconds: u64 = read("schedstat")?.split_whitespace().next()?.parse().ok()?;
    let status = read("status")?;
    let count = |key| number(&status, key).unwrap_or(0);
    let spent = Spent {
        cpu_seconds: nanoseconds as f64 / 1e9,
        voluntary: count("voluntary_ctxt_switches:"),
        involuntary: count("nonvoluntary_ctxt_switches:"),
    };
    Some((Role::of(read("comm")?.trim()), spent))
}

/// The first number of the line that begins with `key`.
fn number(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Resident memory, now and at most since [`forget_peak`], in MiB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Resident {
    /// Now.
    pub now_mib: f64,
    /// At most.
    pub peak_mib: f64,
}

impl Resident {
    /// As it is now; `None` where the system does not say.
    pub(super) fn now() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let mib = |key| Some(number(&status, key)? as f64 / 1024.0);
        Some(Self { now_mib: mib("VmRSS:")?, peak_mib: mib("VmHWM:")? })
    }
}

/// From now on the peak of resident memory counts anew. Where the system does not allow that, it stays that of the process.
pub(super) fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_told_apart_by_their_names() {
        let names = ["games", "evaluation", "inference-0", "inference-12", "writer", "selfplayd"];
        let roles = names.map(Role::of);
        use Role::{Inference, Other, Play};
        assert_eq!(roles, [Play, Play, Inference, Inference, Other, Other]);
    }

    #[test]
    fn what_is_spent_between_two_moments_is_summed_by_role() {
        let spent = |cpu_seconds, voluntary| Spent { cpu_seconds, voluntary, involuntary: 1 };
        let threads =
            |list: &[(u64, Role, Spent)]| Threads(list.iter().map(|&(id, role, spent)| (id, (role, spent))).collect());
        let before =
            threads(&[(1, Role::Play, spent(1.0, 5)), (2, Role::Other, spent(1.0, 1)), (9, Role::Play, spent(7.0, 7))]);
        let after =
            threads(&[(1, Role::Play, spent(3.5, 9)), (2, Role::Other, spent(1.5, 1)), (3, Role::Play, spent(0.5, 2))]);
        let usage = after.since(&before);
        assert_eq!(usage.of(Role::Play), Spent { cpu_seconds: 3.0, voluntary: 6, involuntary: 1 });
        assert_eq!(usage.all().cpu_seconds, 3.5);
        assert_eq!(usage.of(Role::Inference), Spent::default());
        assert!(usage.is_known() && !Usage::default().is_known());
    }

    #[test]
    fn this_process_is_counted() {
        let before = Threads::now();
        let mut sum = 0.0;
        while Threads::now().since(&before).all().cpu_seconds < 0.001 {
            sum = std::hint::black_box((0..10_000).map(f64::from).sum::<f64>());
        }
        assert!(sum > 0.0);
        let Resident { now_mib, peak_mib } = Resident::now().unwrap();
        assert!(now_mib > 0.0 && peak_mib >= now_mib);
    }

    #[test]
    fn a_line_of_a_status_is_found_by_its_key() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t9\n";
        assert_eq!(number(status, "VmHWM:"), Some(2048));
        assert_eq!(number(status, "voluntary_ctxt_switches:"), Some(7));
        assert_eq!(number(status, "nonvoluntary_ctxt_switches:"), Some(9));
        assert_eq!((number(status, "VmRSS:"), number(status, "Name:")), (None, None));
    }
}
