//! One fault each. Every test ends with all games played to their end and the books in balance.

use std::{collections::BTreeSet, fs, time::Duration};

use crate::{
    books::{Books, identity},
    config::Config,
    ingest::{Identity, Ingest},
    models::{Kind, Mangled, Models},
    session::{Ended, Launch, Session, Signal},
    site::Site,
    wait::{self, pause},
};

/// Games that take about a second, so that some are in play when something happens.
const CONFIG: Config = Config { simulations: 200, games: 6, ..Config::QUICK };

/// A training run with one good model, and all that is known about it.
struct Run {
    site: Site,
    models: Models,
    ingest: Ingest,
    books: Books,
}

impl Run {
    fn new() -> Self {
        Self::on(Site::new(CONFIG, false))
    }

    fn on(site: Site) -> Self {
        let mut models = Models::new(&site);
        models.publish(Kind::Good);
        Self { site, models, ingest: Ingest::new(), books: Books::default() }
    }

    fn start(&mut self, launch: &Launch) -> Session {
        launch.start(&mut self.site, &self.models)
    }

    fn ingest(&mut self) {
        self.ingest.round(&self.site, &self.models);
    }

    /// Takes games until there are `more`, while `daemon` goes on.
    fn takes(&mut self, more: usize, daemon: &mut Session) {
        let enough = self.ingest.taken().len() + more;
        self.takes_until(&format!("{more} more games"), daemon, |run, _| run.ingest.taken().len() >= enough);
    }

    /// Takes games until something is true, while `daemon` goes on.
    fn takes_until(&mut self, what: &str, daemon: &mut Session, is_true: impl Fn(&Self, &Session) -> bool) {
        wait::until(what, || {
            self.ingest();
            if let Some(ended) = daemon.ended() {
                panic!("it ended, and there was no {what}:\n{}", ended.log.tail());
            }
            is_true(self, daemon).then_some(())
        });
    }

    /// Takes games until `daemon` has ended, and enters what it did.
    fn takes_to_the_end(&mut self, mut daemon: Session) -> Ended {
        let ended = wait::until("the end of a daemon", || {
            self.ingest();
            daemon.ended()
        });
        self.ingest();
        self.books.enter(&ended);
        ended
    }

    /// Plays all unfinished games to their end with a daemon without faults, and checks the books. Returns all games taken.
    fn ends_in_peace(mut self) -> BTreeSet<Identity> {
        let version = self.models.publish(Kind::Good);
        let mut last = self.start(&Launch::plain());
        last.resumes_all();
        last.signal(Signal::TERM);
        let ended = self.takes_to_the_end(last).exited_with(0);
        assert!(ended.log.saying("model in service").any(|line| line["version"] == version), "{}", ended.log.tail());
        assert_eq!(self.site.leftovers(), [""; 0]);
        assert_eq!(self.site.processes(), [0; 0]);
        self.books.balance(&self.ingest);
        self.ingest.taken().keys().copied().collect()
    }
}

#[test]
fn games_of_killed_daemons_go_on_exactly_once() {
    let mut run = Run::new();
    for _ in 0..3 {
        // Two that share the directory, and both want what dead ones left.
        let mut daemons = [(); 2].map(|()| run.start(&Launch::plain()));
        run.takes(4, &mut daemons[0]);
        for daemon in daemons {
            run.books.enter(&daemon.kill());
        }
    }
    assert!(run.books.resumed() > 0, "killed in the middle of games, and none went on");
    run.ends_in_peace();
}

#[test]
fn sigterm_keeps_games_that_outlast_the_grace_period() {
    let mut run = Run::new();
    for _ in 0..3 {
        let mut daemon = run.start(&Launch::plain().grace(0.1));
        daemon.resumes_all();
        run.takes(2, &mut daemon);
        let ended = daemon.terminate().exited_with(0);
        let unfinished = ended.log.saying("account of all games").next().unwrap()["games_unfinished"].as_u64().unwrap();
        assert!(unfinished > 0, "none was in play: {}", ended.log.tail());
        run.books.enter(&ended);
    }
    assert!(run.books.resumed() > 0);
    run.ends_in_peace();
}

#[test]
fn games_that_a_short_life_does_not_resume_wait_for_the_next() {
    let mut run = Run::new();
    let mut daemon = run.start(&Launch::plain());
    run.takes(2, &mut daemon);
    run.books.enter(&daemon.kill());
    let mut short = run.start(&Launch::plain().setting("play.games_per_process", "1").grace(0.0));
    short.says("game resumed");
    let ended = short.terminate().exited_with(0);
    let waiting = ended.log.saying("account of all games").next().unwrap()["games_waiting"].as_u64().unwrap();
    assert!(waiting > 0, "all were resumed one after the other: {}", ended.log.tail());
    run.books.enter(&ended);
    run.ends_in_peace();
}

/// Plays until all of `faults` have come, each once, then goes on for some games, and ends in peace.
fn survives(faults: &[&str]) -> Ended {
    let mut run = Run::new();
    let mut daemon = run.start(&Launch::plain().faults(&faults.join(",")));
    let came = |_: &Run, daemon: &Session| daemon.log().saying("fault injected").count() >= faults.len();
    run.takes_until("all of the faults", &mut daemon, came);
    run.takes(3, &mut daemon);
    daemon.signal(Signal::TERM);
    let ended = run.takes_to_the_end(daemon);
    run.ends_in_peace();
    ended
}

#[test]
fn panics_of_game_actors() {
    survives(&["game=panic@9", "game=panic@100", "game=panic@1000"]).exited_with(0);
}

#[test]
fn panics_of_the_cache() {
    survives(&["cache=panic@5", "cache=panic@500", "cache=panic@800"]).exited_with(0);
}

#[test]
fn panics_of_the_batcher() {
    survives(&["batcher=panic@5", "batcher=panic@500", "batcher=panic@501"]).exited_with(0);
}

#[test]
fn panics_of_the_writer() {
    survives(&["writer=panic@1", "writer=panic@5", "writer=panic@6"]).exited_with(0);
}

#[test]
fn a_game_over_which_the_writer_panics_is_set_aside() {
    let ended = survives(&["format=panic@2"]).exited_with(70);
    assert_eq!(ended.log.saying("game set aside: it breaks the replay format").count(), 1);
}

#[test]
fn panics_of_the_loader() {
    survives(&["loader=panic@1", "loader=panic@4", "loader=panic@5"]).exited_with(0);
}

#[test]
fn panics_of_inference_threads() {
    survives(&["thread=panic@20", "thread=panic@200", "thread=panic@201"]).exited_with(0);
}

#[test]
fn panics_and_errors_of_the_network() {
    survives(&["inference=panic@50", "inference=panic@51", "evaluator=error@100", "evaluator=error@400"])
        .exited_with(0);
}

#[test]
fn answers_that_are_no_numbers() {
    // After its probation a model is allowed some.
    let mut run = Run::new();
    let launch = Launch::plain().setting("model.probation_evaluations", "0");
    let mut daemon = run.start(&launch.faults("evaluator=nan@3000,evaluator=nan@3001,evaluator=nan@6000"));
    let came = |_: &Run, daemon: &Session| daemon.log().saying("fault injected").count() >= 3;
    run.takes_until("answers that are no numbers", &mut daemon, came);
    run.takes(3, &mut daemon);
    daemon.signal(Signal::TERM);
    run.takes_to_the_end(daemon).exited_with(0);
    run.ends_in_peace();
}

#[test]
fn a_child_that_keeps_panicking_ends_the_process_and_the_games_go_on() {
    let mut run = Run::new();
    let daemon = run.start(&Launch::plain().faults("cache=panic/100"));
    run.takes_to_the_end(daemon).exited_with(70);
    run.ends_in_peace();
}

#[test]
fn a_call_that_hangs_ends_the_process_and_its_games_go_on() {
    let mut run = Run::new();
    let daemon = run.start(&Launch::plain().faults("inference=hang@300").setting("inference.hang_seconds", "5"));
    let ended = run.takes_to_the_end(daemon).exited_with(70);
    assert!(ended.log.has_injections());
    assert!(ended.log.lines.iter().any(|line| line.to_string().contains("inference-")), "{}", ended.log.tail());
    run.ends_in_peace();
}

#[test]
fn a_loader_that_hangs_ends_the_process_and_the_games_go_on() {
    let mut run = Run::new();
    // Long enough for a model that loads on a busy machine.
    let daemon = run.start(&Launch::plain().faults("loader=hang@9").setting("model.load_seconds", "10"));
    let ended = run.takes_to_the_end(daemon).exited_with(70);
    assert!(ended.log.has_injections());
    assert!(ended.log.lines.iter().any(|line| line.to_string().contains("model loader")), "{}", ended.log.tail());
    run.ends_in_peace();
}

#[test]
fn a_process_that_was_suspended_does_not_hang() {
    let mut run = Run::new();
    let mut daemon = run.start(&Launch::plain().setting("inference.hang_seconds", "5"));
    run.takes(1, &mut daemon);
    for _ in 0..2 {
        daemon.signal(Signal::STOP);
        pause(Duration::from_millis(2500));
        daemon.signal(Signal::CONT);
        run.takes(2, &mut daemon);
    }
    daemon.signal(Signal::TERM);
    run.takes_to_the_end(daemon).exited_with(0);
    run.ends_in_peace();
}

#[test]
fn a_full_disk() {
    let mut site = Site::new(CONFIG, true);
    if site.disk().is_none() {
        return;
    }
    let mut run = Run::on(site);
    let mut daemon = run.start(&Launch::plain().setting("output.min_free", "0"));
    run.takes(2, &mut daemon);
    run.site.disk().unwrap().fill();
    daemon.says("cannot write games");
    run.ingest();
    run.site.disk().unwrap().empty();
    run.takes(CONFIG.games as usize + 3, &mut daemon);
    daemon.signal(Signal::TERM);
    run.takes_to_the_end(daemon).exited_with(0);
    run.ends_in_peace();
}

#[test]
fn a_game_set_aside_without_room_to_note_it_is_played_on_once() {
    // The disk is full long before the first game is over.
    let mut site = Site::new(Config { simulations: 2000, ..CONFIG }, true);
    if site.disk().is_none() {
        return;
    }
    let mut run = Run::on(site);
    let mut daemon = run.start(&Launch::plain().setting("output.min_free", "0").faults("format=panic@1"));
    let begun = |daemon: &Session| daemon.log().saying("game begun").count() == CONFIG.games as usize;
    run.takes_until("all games begun", &mut daemon, |_, daemon| begun(daemon));
    run.site.disk().unwrap().fill();
    daemon.told.starved = true;
    daemon.says("the journal cannot be kept");
    daemon.says("game set aside: it breaks the replay format");
    let killed = daemon.kill();
    run.site.disk().unwrap().empty();
    let set_aside = killed.log.saying("game set aside: it breaks the replay format").map(identity).next().unwrap();
    run.books.enter(&killed);
    let taken = run.ends_in_peace();
    assert!(taken.contains(&set_aside), "it was not played on: {set_aside:?}");
}

#[test]
fn a_directory_that_goes_away_and_comes_back() {
    let mut run = Run::new();
    let mut daemon = run.start(&Launch::plain());
    run.takes(2, &mut daemon);
    run.site.take_directory();
    daemon.says("cannot write games");
    run.site.give_directory_back();
    run.takes(CONFIG.games as usize + 3, &mut daemon);
    daemon.signal(Signal::TERM);
    run.takes_to_the_end(daemon).exited_with(0);
    run.ends_in_peace();
}

#[test]
fn games_whose_journal_cannot_be_kept_are_said_to_be_lost() {
    let mut run = Run::new();
    // Games long enough that some are in play when it ends, however fast the machine.
    let mut daemon = run.start(&Launch::plain().setting("search.mcts_n", "2000").grace(0.0));
    run.takes(2, &mut daemon);
    run.site.take_directory();
    daemon.says("the journal cannot be kept");
    daemon.told.starved = true;
    let ended = daemon.terminate().exited_with(74);
    let lost =
        ended.log.lines.iter().filter(|line| line.to_string().contains("unfinished games are lost with the journal"));
    assert!(lost.map(|line| line["games"].as_u64().unwrap()).sum::<u64>() > 0, "{}", ended.log.tail());
    run.site.give_directory_back();
    run.books.enter(&ended);
    run.ends_in_peace();
}

#[test]
fn a_temporary_directory_that_is_removed() {
    let mut run = Run::new();
    let mut daemon = run.start(&Launch::plain());
    run.takes(2, &mut daemon);
    // While it is worked in, it may not be empty for long enough.
    let tmp = run.site.ready().join("tmp");
    wait::until("the removal of tmp", || (fs::remove_dir_all(&tmp).is_ok()).then_some(()));
    run.takes(CONFIG.games as usize + 3, &mut daemon);
    // What is in play by now is kept anew.
    run.books.enter(&daemon.kill());
    run.ends_in_peace();
}

#[test]
fn bad_models_of_every_kind() {
    let mut run = Run::new();
    let mut daemon = run.start(&Launch::plain());
    run.takes(1, &mut daemon);
    for kind in Kind::BAD.into_iter().chain([Kind::OtherLayout]) {
        let version = run.models.publish(kind);
        // What may be a part of a model is waited for, and that is said.
        let level = if kind.is_a_part() { "WARN" } else { "ERROR" };
        let said = |line: &serde_json::Value| line["version"] == version && line["level"] == level;
        let is_said = |_: &Run, daemon: &Session| daemon.log().lines.iter().any(said);
        run.takes_until(&format!("a word about {kind:?}"), &mut daemon, is_said);
        run.takes(1, &mut daemon);
    }
    for how in Mangled::ALL {
        run.models.mangle(how);
        run.takes(2, &mut daemon);
    }
    let version = run.models.publish(Kind::Constant);
    let serves =
        |_: &Run, daemon: &Session| daemon.log().saying("model in service").any(|line| line["version"] == version);
    run.takes_until("good model", &mut daemon, serves);
    daemon.signal(Signal::TERM);
    run.takes_to_the_end(daemon).exited_with(0);
    run.ends_in_peace();
}

#[test]
fn faults_that_cannot_be_read_are_refused() {
    let mut run = Run::new();
    let daemon = run.start(&Launch::plain().faults("cash=panic/3"));
    let ended = daemon.wait().exited_with(78);
    assert!(ended.log.others.iter().any(|line| line.contains("\"cash=panic/3\" names no point")), "{:?}", ended.log);
}
