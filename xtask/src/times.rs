//! The time of the processor that processes and their threads have taken.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::Context as _;

/// The time of all threads of a process, by their names; of those that are there. Linux keeps it in nanoseconds.
pub(crate) fn of_threads(pid: u32) -> anyhow::Result<BTreeMap<String, Duration>> {
    let listed = fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is not there"))?;
    let mut times = BTreeMap::<String, Duration>::new();
    for thread in listed.filter_map(|entry| Some(entry.ok()?.path())) {
        // One that has ended meanwhile has neither.
        let (Ok(name), Ok(told)) =
            (fs::read_to_string(thread.join("comm")), fs::read_to_string(thread.join("schedstat")))
        else {
            continue;
        };
        let nanoseconds = told.split_whitespace().next().and_then(|number| number.parse().ok());
        let time = Duration::from_nanos(nanoseconds.context("the system does not tell the time of threads")?);
        *times.entry(name.trim_end().to_owned()).or_default() += time;
    }
    Ok(times)
}

/// How many of its ticks are a second to Linux, wherever it tells times to programs.
const TICKS: u64 = 100;

/// The time of a process, with that of threads which have ended.
pub(crate) fn of_process(pid: u32) -> anyhow::Result<Duration> {
    let told =
        fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is not there"))?;
    // Its name, in parentheses, may hold anything. Times as a program and in the system's calls are fields 12 and 13 behind it.
    let fields = told.rsplit_once(") ").map(|(_, fields)| fields.split(' ').skip(11).take(2));
    let ticks = fields.and_then(|fields| fields.map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>());
    Ok(Duration::from_millis(ticks.context("the system does not tell the time of a process")? * 1000 / TICKS))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{of_process, of_threads};

    #[test]
    fn the_time_of_a_thread_is_told_by_its_name() {
        let (tell, told) = std::sync::mpsc::channel();
        let (_keep, end) = std::sync::mpsc::channel::<()>();
        let busy = move || {
            // Its own time, however busy the machine is.
            let begun = Instant::now();
            let mut state = 1_u64;
            while of_threads(std::process::id()).unwrap().get("busy").is_none_or(|time| time.as_millis() < 20) {
                (0..100_000_u64).for_each(|step| state = std::hint::black_box(state.wrapping_mul(3) + step));
                assert!(begun.elapsed() < Duration::from_secs(120), "no time passes");
            }
            tell.send(()).unwrap();
            end.recv().ok();
        };
        std::thread::Builder::new().name("busy".to_owned()).spawn(busy).unwrap();
        told.recv().unwrap();
        let times = of_threads(std::process::id()).unwrap();
        assert!(times["busy"] >= Duration::from_millis(20), "{times:?}");
        // Told in ticks.
        assert!(of_process(std::process::id()).unwrap() + Duration::from_millis(20) >= times["busy"]);
    }
}
