//! All matches of a process, with evaluators whose strength is known.

use std::{collections::HashMap, fs, path::Path, sync::Arc, time::Duration};

use selfplay_actors::{
    loader::{LoadFailure, LoadedModel, ModelSource},
    onnx::{Checksum, ModelFile},
    referee::{Entrant, Examine, Judged, Judgement, Referee as _, Worked},
    standings::Standings,
};
use selfplay_engine::{
    ActionSet as _, Evaluations, Evaluator, Leaf,
    evaluation::{EvaluateError, UniformEvaluator},
    games::tictactoe::TicTacToe,
    matches::{Mover, Seat},
    search::{InFlight, Root, SearchParams, Simulations},
};
use tempfile::TempDir;

use super::{
    bout::Terms,
    folder,
    history::Model,
    matches::Matches,
    plan::{Due, Plan},
};

/// What stands for a model of a strength.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Strength {
    /// It knows nothing, and search finds the rest.
    Good,
    /// It is sure of what is not so.
    Bad,
    /// It cannot be loaded.
    Refused,
    /// It panics when it is loaded.
    Panics,
}

/// Sure that the first of all moves is the best, so that search finds no other.
struct Stubborn;

impl Evaluator<TicTacToe> for Stubborn {
    fn evaluate(&mut self, leaves: &[Leaf<TicTacToe>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        out.clear();
        for leaf in leaves {
            let others = leaf.legal.len() - 1;
            out.push(0.0, std::iter::once(1.0).chain(std::iter::repeat_n(0.0, others)));
        }
        Ok(())
    }
}

/// Models by their contents: files of the tests' own, which are only read.
struct Models(HashMap<Checksum, Strength>);

impl ModelSource<TicTacToe> for Models {
    fn load(&mut self, model: &ModelFile) -> Result<LoadedModel<TicTacToe>, LoadFailure> {
        let evaluator: Box<dyn Evaluator<TicTacToe>> = match self.0[&model.content()] {
            Strength::Good => Box::new(UniformEvaluator),
            Strength::Bad => Box::new(Stubborn),
            Strength::Refused => return Err(LoadFailure::Refused("it answers NaN".to_owned())),
            Strength::Panics => panic!("as planned"),
        };
        Ok(LoadedModel { evaluators: vec![evaluator], encoding: Default::default(), description: String::new() })
    }
}

/// Files that differ, each of one strength.
const FILES: [(&str, Strength); 6] = [
    ("b5_const", Strength::Good),
    ("b9_const", Strength::Bad),
    ("b5w1_mlp", Strength::Good),
    ("b3w1_resnet_1x16", Strength::Bad),
    ("b5w3_resnet_2x32", Strength::Refused),
    ("b9w10_resnet_2x32", Strength::Panics),
];

fn file(place: usize) -> ModelFile {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models");
    ModelFile::read(models.join(FILES[place].0).with_extension("onnx")).unwrap()
}

/// Model number `place` under a version.
fn model(version: i64, place: usize) -> Entrant {
    Entrant { version, file: file(place) }
}

fn matches(dir: &Path, every: Option<u32>) -> Matches<TicTacToe> {
    let search = SearchParams {
        simulations: Simulations::PerMove(12),
        c_puct: 1.4,
        leaf_parallelism: 1,
        in_flight: InFlight::Visits,
        solver: false,
        noise: None,
        root: Root::PUCT,
    };
    let seat =
        Seat { mover: Mover::Search, search, tree_reuse: false, penalize_visited_states: false, open_ended: false };
    let terms = Terms { seat, opening_plies: 2, name: "tests".to_owned() };
    let plan = Plan {
        every,
        pairs: 8,
        gate_pairs: 10,
        terms,
        dir: dir.join(folder::NAME),
        gate: every.is_none(),
        moment: Duration::ZERO,
    };
    let source = Models((0..FILES.len()).map(|place| (file(place).content(), FILES[place].1)).collect());
    Matches::new(TicTacToe, Box::new(source), plan, Arc::default())
}

/// Works until nothing is left to do; what was judged.
fn play(matches: &mut Matches<TicTacToe>) -> Vec<Judgement> {
    let mut judged = Vec::new();
    loop {
        match matches.work() {
            Worked::On => {}
            Worked::Judged(Judged { verdict, .. }) => judged.push(verdict),
            Worked::Idle => return judged,
        }
    }
}

fn examine(matches: &mut Matches<TicTacToe>, candidate: Entrant, serving: Entrant) -> Vec<Judgement> {
    matches.examine(Examine { candidate, serving });
    play(matches)
}

fn lines(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("evaluation/results.jsonl")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The pairs of all matches that are over.
fn results(dir: &Path) -> Vec<serde_json::Value> {
    let line = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap();
    lines(dir).iter().map(line).filter(|line| line["line"] == "played").map(|line| line["pairs"].clone()).collect()
}

#[test]
fn every_vth_model_is_rated_and_ratings_tell_which_is_stronger() {
    let dir = TempDir::new().unwrap();
    let mut matches = matches(dir.path(), Some(2));
    for (version, place) in [(1, 1), (2, 3), (3, 0)] {
        matches.entered(model(version, place));
        assert!(play(&mut matches).is_empty());
    }
    let standings = matches.stats.standings.get().unwrap();
    let names: Vec<_> = standings.rated.iter().map(|rated| &*rated.player).collect();
    assert_eq!(names, ["uniform", "random", "1", "3"], "every second");
    let newest = standings.newest.as_ref().unwrap();
    assert!(newest.elo > standings.rated[2].elo && newest.score > Some(0.5), "{standings:?}");
    assert_eq!((newest.version, newest.against, newest.games), (3, Some(1), 48));
    assert_eq!((&standings.playing, &standings.trouble, lines(dir.path()).len()), (&None, &None, 2 + 2 + 3));
    assert_eq!(matches.stats.match_games_rating.get(), 16 * 5);
    // Both models that may play again are kept, whatever becomes of the trainer's files.
    assert_eq!(fs::read_dir(dir.path().join("evaluation/models")).unwrap().count(), 2);
}

#[test]
fn a_match_that_is_broken_off_goes_on_and_comes_to_the_same() {
    let (broken, whole) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut at_once = matches(whole.path(), Some(1));
    for (version, place) in [(1, 1), (2, 0)] {
        at_once.entered(model(version, place));
        play(&mut at_once);
    }
    let mut first = matches(broken.path(), Some(1));
    first.entered(model(1, 1));
    play(&mut first);
    first.entered(model(2, 0));
    let some_pairs =
        |matches: &Matches<TicTacToe>| matches.bout.as_ref().is_some_and(|bout| bout.score.pairs.total() > 0);
    while !some_pairs(&first) {
        assert_eq!(first.work(), Worked::On);
    }
    drop(first);
    let kept = fs::read_to_string(broken.path().join("evaluation/rating.jsonl")).unwrap();
    assert!(kept.lines().count() > 1);
    // The next process does not see these models' files: it begins with a newer one.
    let mut second = matches(broken.path(), Some(1));
    second.entered(model(2, 0));
    second.work();
    assert!(some_pairs(&second), "what was played counts");
    play(&mut second);
    assert_eq!(results(broken.path()), results(whole.path()));
    let standings = |matches: &Matches<TicTacToe>| Standings::clone(&matches.stats.standings.get().unwrap());
    assert_eq!(standings(&second), standings(&at_once));
    assert!(!broken.path().join("evaluation/rating.jsonl").exists());

    drop(second);
    let mut third = matches(broken.path(), Some(1));
    third.entered(model(2, 0));
    assert_eq!((third.work(), standings(&third)), (Worked::Idle, standings(&at_once)), "it is rated already");
}

#[test]
fn a_worse_model_is_refused_a_better_one_promoted_and_both_are_known_the_next_time() {
    let dir = TempDir::new().unwrap();
    let mut first = matches(dir.path(), None);
    let judged = examine(&mut first, model(2, 1), model(1, 0));
    let [Judgement::Refused(how)] = &judged[..] else { panic!("{judged:?}") };
    assert!(how.starts_with("it scored ") && how.ends_with("% of 20 games against model 1"), "{how}");
    let gate = first.stats.standings.get().unwrap().gate.clone().unwrap();
    assert!(gate.score < 0.5 && !gate.promoted && gate.version == 2, "{gate:?}");
    let promoted = examine(&mut first, model(3, 0), model(2, 1));
    assert!(matches!(&promoted[..], [Judgement::Promoted(_)]), "{promoted:?}");
    assert_eq!(examine(&mut first, model(4, 2), model(3, 0)).len(), 1);
    assert_eq!(first.stats.match_games_gate.get(), 60);
    assert!(first.stats.standings.get().unwrap().rated.is_empty(), "none is to be rated");
    drop(first);
    let mut second = matches(dir.path(), None);
    assert_eq!(examine(&mut second, model(9, 1), model(7, 0)).len(), 1);
    assert_eq!((second.stats.match_games_gate.get(), results(dir.path()).len()), (0, 3));
}

#[test]
fn with_a_gate_play_goes_on_with_the_model_that_served() {
    let dir = TempDir::new().unwrap();
    let mut first = matches(dir.path(), None);
    assert!(first.served_last().is_none());
    first.entered(model(1, 0));
    first.entered(model(2, 2));
    drop(first);
    assert_eq!(fs::read_dir(dir.path().join("evaluation/models")).unwrap().count(), 1);
    let mut second = matches(dir.path(), None);
    let served = second.served_last().unwrap();
    assert_eq!((served.version, served.file.content()), (2, file(2).content()));
    second.entered(served);
    assert_eq!(lines(dir.path()).len(), 2, "it is no other model");
    drop(second);
    fs::remove_dir_all(dir.path().join("evaluation/models")).unwrap();
    assert!(matches(dir.path(), None).served_last().is_none());
}

#[test]
fn matches_of_both_kinds_take_turns() {
    let dir = TempDir::new().unwrap();
    let mut matches = matches(dir.path(), Some(1));
    matches.entered(model(1, 0));
    for _ in 0..2 {
        matches.examine(Examine { candidate: model(2, 1), serving: model(1, 0) });
        matches.examine(Examine { candidate: model(2, 1), serving: model(1, 2) });
    }
    assert!(matches.is_urgent());
    assert_eq!(play(&mut matches).len(), 4);
    let kinds: Vec<_> = lines(dir.path())
        .iter()
        .filter(|line| line.contains("played"))
        .map(|line| line.contains("\"gate\":true"))
        .collect();
    assert_eq!(kinds, [true, false, true, false], "what was played before is known");
    assert!(!matches.is_urgent());
}

#[test]
fn what_cannot_be_played_is_given_up_with_a_reason() {
    let dir = TempDir::new().unwrap();
    let mut matches = matches(dir.path(), Some(1));
    let judged = examine(&mut matches, model(2, 4), model(1, 0));
    assert_eq!(judged, [Judgement::Unjudged("it answers NaN".to_owned())]);
    matches.entered(model(2, 4));
    assert!(play(&mut matches).is_empty());
    let trouble = matches.stats.standings.get().unwrap().trouble.clone().unwrap();
    assert_eq!(trouble, "model 2 against random cannot be played: it answers NaN");
    matches.entered(model(3, 0));
    play(&mut matches);
    let standings = matches.stats.standings.get().unwrap();
    assert_eq!((standings.newest.as_ref().unwrap().version, &standings.trouble), (3, &None), "others are");
}

#[test]
fn a_match_that_panics_twice_is_given_up() {
    let dir = TempDir::new().unwrap();
    let mut matches = matches(dir.path(), Some(1));
    matches.entered(model(1, 0));
    matches.examine(Examine { candidate: model(2, 5), serving: model(1, 0) });
    let mut panics = 0;
    // As the actor's supervisor does it.
    let judged = loop {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| matches.work())) {
            Ok(Worked::Judged(judged)) => break judged.verdict,
            Ok(_) => {}
            Err(_) => {
                panics += 1;
                matches.recover();
            }
        }
    };
    assert_eq!((panics, judged), (2, Judgement::Unjudged("it panicked 2 times".to_owned())));
    play(&mut matches);
    assert_eq!(matches.stats.standings.get().unwrap().newest.as_ref().unwrap().version, 1);
}

#[test]
fn models_that_come_faster_than_matches_are_passed_over_for_the_newest() {
    let dir = TempDir::new().unwrap();
    let mut matches = matches(dir.path(), Some(1));
    for (version, place) in [(1, 0), (2, 1), (3, 2)] {
        matches.entered(model(version, place));
    }
    play(&mut matches);
    let standings = matches.stats.standings.get().unwrap();
    assert_eq!((standings.rated.len(), standings.newest.as_ref().unwrap().version), (3, 3));
}

#[test]
fn without_a_folder_models_are_rated_and_that_nothing_is_kept_is_said() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("evaluation"), "a file").unwrap();
    let mut matches = matches(dir.path(), Some(1));
    matches.entered(model(1, 0));
    play(&mut matches);
    let standings = matches.stats.standings.get().unwrap();
    assert_eq!(standings.newest.as_ref().unwrap().version, 1);
    assert!(standings.trouble.as_ref().unwrap().starts_with("results of matches are not kept: "), "{standings:?}");
}

#[test]
fn of_two_processes_one_rates_and_both_judge() {
    let dir = TempDir::new().unwrap();
    let (mut first, mut second) = (matches(dir.path(), Some(1)), matches(dir.path(), Some(1)));
    first.entered(model(1, 0));
    second.entered(model(1, 0));
    play(&mut first);
    assert_eq!(second.work(), Worked::Idle);
    assert!(second.stats.standings.get().unwrap().trouble.as_ref().unwrap().contains("another daemon"));
    let verdicts = [&mut first, &mut second].map(|matches| examine(matches, model(2, 1), model(1, 0)));
    assert_eq!(verdicts[0], verdicts[1], "as the games are the same");
    drop(first);
    second.entered(model(3, 2));
    play(&mut second);
    assert_eq!(second.stats.standings.get().unwrap().newest.as_ref().unwrap().against, Some(1), "it goes on");
}

#[test]
fn a_model_is_due_by_its_version_or_by_how_many_came() {
    let of = |version: i64| Model { version, content: version.to_string() };
    let mut due = Due::default();
    let all: Vec<_> = (1..=9).filter(|&version| due.is(&of(version), 4)).collect();
    assert_eq!(all, [1, 5, 9]);
    let seen = [3, 10, 11, 30];
    let mut due = Due::default();
    assert_eq!(seen.map(|version| due.is(&of(version), 5)), [true, true, false, true], "some are never seen");
    // One file that changes, and an idle touch.
    let changes = ["a", "b", "b", "b", "c", "d"];
    let mut due = Due::default();
    let is = changes.map(|content| due.is(&Model { version: 7, content: content.to_owned() }, 2));
    assert_eq!(is, [true, false, false, false, true, false]);
}
