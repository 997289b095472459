//! What must hold between values; what a single value may be is said by the table of keys.

use selfplay_engine::games::ParameterError;

use selfplay_actors::onnx::{Device, DeviceRequest, OpenVinoDevice};

use super::keys::KEYS;
use super::kind::written;
use super::layer::{DEFAULT, default_of};
use super::mistake::Mistake;
use super::places;
use super::resolve::{Entries, PRESET};
use super::{Agent, Counted, EvaluatorKind, FirstPlay, InFlight, NoiseShape, Promote, Purpose, Root, Settings};
use crate::shipped;
use crate::token::Token;

/// Least memory of a cache, in bytes: room for a few evaluations on the largest board.
const LEAST_CACHE: u64 = 4096;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What is wrong.
    pub mistakes: Vec<Mistake>,
    /// What is not given and needed.
    pub missing: Vec<Mistake>,
    /// What was probably not meant.
    pub warnings: Vec<String>,
}

/// Checks `settings`, which `entries` explain, for `purpose`.
pub(super) fn check(settings: &Settings, entries: &Entries, purpose: Purpose) -> Found {
    let mut found = Found::default();
    check_rules(settings, entries, &mut found);
    check_search(settings, entries, &mut found);
    check_cache(settings, entries, &mut found);
    check_inference(settings, entries, &mut found);
    if purpose == Purpose::Play {
        check_inputs_and_outputs(settings, &mut found);
        places::check(settings, entries, &mut found);
        check_http(settings, entries, &mut found);
    }
    check_model(settings, entries, &mut found);
    check_precision(settings, entries, &mut found);
    warn_of_no_effect(settings, entries, &mut found);
    warn_of_surprises(settings, entries, purpose, &mut found);
    found
}

pub(super) fn missing(key: &str, remedy: &str) -> Mistake {
    Mistake::Missing { key: key.to_owned(), remedy: remedy.to_owned() }
}

fn check_rules(settings: &Settings, entries: &Entries, found: &mut Found) {
    warn_of_other_games(settings, entries, found);
    if !settings.of_quoridor() {
        let refused = settings.chosen_game().err();
        if let Some(ParameterError { game, name, allowed, .. }) =
            refused.as_ref().and_then(|error| error.downcast_ref())
        {
            found.mistakes.push(entries.refuse(&format!("{game}.{name}"), allowed.clone()));
        }
        return;
    }
    // Of a game that is misspelt nothing is missing.
    if entries.get("game.name").is_some_and(|entry| entry.value != "quoridor".into()) {
        return;
    }
    let needed = [
        ("game.board_size", "give the trainer's file with --config (quoridor.board_size), or set it in --settings"),
        ("game.max_walls", "give the trainer's file with --config (quoridor.max_walls), or set it in --settings"),
    ];
    for (key, remedy) in needed {
        if entries.get(key).is_none() {
            found.missing.push(missing(key, remedy));
        }
    }
    if settings.play.adjudicate && entries.get("game.max_walls").is_some() && settings.game.max_walls == 0 {
        let allowed = "false with game.max_walls = 0, as without walls every game is decided before it begins";
        found.mistakes.push(entries.refuse("play.adjudicate", allowed));
    }
    let room = (settings.game.board_size - 1).pow(2);
    if entries.get("game.board_size").is_some() && settings.game.max_walls > room {
        found.warnings.push(format!(
            "game.max_walls = {} is more than the {room} walls that fit on the whole board",
            settings.game.max_walls
        ));
    }
}

/// Rules of a game that is not played were probably meant for one that is.
fn warn_of_other_games(settings: &Settings, entries: &Entries, found: &mut Found) {
    let name = serde_json::json!(settings.game.name);
    for key in KEYS {
        let section = match key.path.split_once('.') {
            Some(("game", rule)) if rule != "name" => "quoridor",
            Some((section, _)) if shipped::NAMES.contains(&section) => section,
            _ => continue,
        };
        let Some(entry) = entries.get(key.path).filter(|_| name != section) else { continue };
        // A copy of all defaults means none of them, and what a command begins with was not chosen by the user.
        let untouched = default_of(key.path) == Some(unquoted(&entry.value));
        if entry.source != DEFAULT && !entry.source.starts_with(PRESET) && !untouched {
            let source = &entry.source;
            found.warnings.push(format!("{} ({source}) has no effect with game.name = {name}", key.path));
        }
    }
}

/// A value as [`default_of`] has it.
fn unquoted(value: &config::ValueKind) -> String {
    written(value).trim_matches('"').to_owned()
}

fn check_search(settings: &Settings, entries: &Entries, found: &mut Found) {
    let search = &settings.search;
    if search.forced_playouts > 0.0 && search.root == Root::Gumbel {
        let allowed = "0 with search.root = \"gumbel\", which divides its simulations itself";
        found.mistakes.push(entries.refuse("search.forced_playouts", allowed));
    }
    let Some(simulations) = search.mcts_n.filter(|_| settings.play.agent == Agent::Search) else {
        return;
    };
    if simulations < 2 {
        let allowed = "at least 2, as with fewer simulations no move gets a visit";
        found.mistakes.push(entries.refuse("search.mcts_n", allowed));
    } else if search.leaf_parallelism.is_some_and(|leaves| leaves > simulations) {
        let allowed = format!("at most search.mcts_n, which is {simulations}");
        found.mistakes.push(entries.refuse("search.leaf_parallelism", allowed));
    }
    let cheap = settings.play.cheap_simulations.filter(|_| settings.play.full_search_share < 1.0);
    if simulations >= 2 && cheap.is_some_and(|cheap| cheap >= simulations) {
        let allowed = format!("fewer than search.mcts_n, which is {simulations}");
        found.mistakes.push(entries.refuse("play.cheap_simulations", allowed));
    }
}

fn check_cache(settings: &Settings, entries: &Entries, found: &mut Found) {
    if (1..LEAST_CACHE).contains(&settings.cache.max_bytes) {
        let allowed =
            format!("0, for no cache, or at least {LEAST_CACHE} bytes, as less is too small for any evaluation");
        found.mistakes.push(entries.refuse("cache.max_bytes", allowed));
    }
}

fn check_inference(settings: &Settings, entries: &Entries, found: &mut Found) {
    let Some(buckets) = &settings.inference.batch_buckets else { return };
    if let Some(batch) = settings.inference.eval_batch_size.filter(|&batch| buckets.largest() < batch as usize) {
        let allowed = format!("batch sizes up to inference.eval_batch_size, which is {batch}");
        found.mistakes.push(entries.refuse("inference.batch_buckets", allowed));
    }
}

fn check_inputs_and_outputs(settings: &Settings, found: &mut Found) {
    if settings.output.dir.is_none() {
        found.missing.push(missing("output.dir", "say where finished games go with --output-dir"));
    }
    if settings.daemon.continuous {
        if settings.model.latest_yaml.is_none() && settings.model.source.is_none() {
            let remedy = "continuous mode follows the trainer's latest.yaml: name it with --latest-model-yaml, or what \
                          to follow instead with --model-source";
            found.missing.push(missing("model.latest_yaml", remedy));
        }
    } else if settings.model.path.is_none() && settings.inference.evaluator == EvaluatorKind::Onnx {
        let remedy = "batch mode plays with one model: name it with --model-path, or choose --continuous, or an \
                      evaluator without a model (--evaluator uniform or hash)";
        found.missing.push(missing("model.path", remedy));
    }
}

fn check_model(settings: &Settings, entries: &Entries, found: &mut Found) {
    let model = &settings.model;
    if model.latest_yaml.is_some() && model.source.is_some() {
        let allowed = "\"none\" beside model.latest_yaml, as only one of the two can be followed";
        found.mistakes.push(entries.refuse("model.source", allowed));
    }
    let empty = |roots: &std::path::PathBuf| std::env::split_paths(roots).all(|root| root.as_os_str().is_empty());
    if model.allowed_roots.as_ref().is_some_and(empty) {
        let allowed = "directories separated by colons, or \"none\" for any";
        found.mistakes.push(entries.refuse("model.allowed_roots", allowed));
    }
}

/// What is known without a model and without ONNX Runtime: what this machine and a device that was named cannot do.
fn check_precision(settings: &Settings, entries: &Entries, found: &mut Found) {
    let devices = match settings.inference.device.0 {
        // Rules out no more than what none of them has.
        DeviceRequest::Auto => vec![Device::OpenVino(OpenVinoDevice::Cpu), Device::Cpu],
        DeviceRequest::Cpu => vec![Device::Cpu],
        DeviceRequest::OpenVino(on) => vec![Device::OpenVino(on)],
        DeviceRequest::Gpus(accelerator, _) => vec![accelerator.device(0)],
    };
    let possible = |device| settings.inference.precision.on(device).map(drop);
    if devices.iter().all(|&device| possible(device).is_err())
        && let Some(Err(reason)) = devices.last().map(|&device| possible(device))
    {
        let device = &settings.inference.device;
        let allowed = format!("a precision that inference.device = \"{device}\" can have: {reason}");
        found.mistakes.push(entries.refuse("inference.precision", allowed));
    }
}

fn check_http(settings: &Settings, entries: &Entries, found: &mut Found) {
    /// Longest path of a Unix socket, in bytes: what the system's structure holds, with a zero at its end.
    const LONGEST_SOCKET: usize = 107;
    let http = &settings.http;
    let off_loopback = http.listen.as_ref().is_some_and(|listen| listen.off_loopback().next().is_some());
    match &http.token_file {
        None if off_loopback => {
            let allowed = "an address of this machine only, such as \"127.0.0.1:9466\", unless http.token_file says who \
                           may control the daemon; metrics alone may be served anywhere by http.metrics_listen";
            found.mistakes.push(entries.refuse("http.listen", allowed));
        }
        None if http.token_for_reads => {
            let allowed = "false, unless http.token_file says which token readers must show";
            found.mistakes.push(entries.refuse("http.token_for_reads", allowed));
        }
        None => {}
        Some(file) => {
            if let Err(reason) = Token::read(file) {
                found.mistakes.push(entries.refuse("http.token_file", format!("a file with a token, but it {reason}")));
            }
        }
    }
    if http.socket.as_ref().is_some_and(|socket| socket.as_os_str().len() > LONGEST_SOCKET) {
        let allowed = format!("a path of at most {LONGEST_SOCKET} bytes, as sockets have no longer ones");
        found.mistakes.push(entries.refuse("http.socket", allowed));
    }
}

fn warn_of_no_effect(settings: &Settings, entries: &Entries, found: &mut Found) {
    let continuous = settings.daemon.continuous;
    let chosen = |key: &str| entries.is_chosen(key);
    // A copy of all defaults means none of them.
    let other = |key: &str| entries.get(key).is_some_and(|entry| default_of(key) != Some(unquoted(&entry.value)));
    let visits_in_flight = settings.leaf_parallelism() > 1 && settings.search.in_flight == InFlight::Visits;
    let search = &settings.search;
    let changed = |key: &str| {
        let entry = entries.get(key).filter(|_| chosen(key));
        entry.is_some_and(|entry| default_of(key) != Some(written(&entry.value).trim_matches('"').to_owned()))
    };
    let play = &settings.play;
    let unknown = settings.chosen_game().is_ok_and(|game| !game.facts().adjudicates);
    let (soft, hard) = ("without play.soft_resign", "without play.resign");
    let no_effect = [
        ("fleet.credentials", settings.fleet.servers.is_none() && changed("fleet.credentials"), "without --fleet"),
        ("fleet.dir", settings.fleet.servers.is_none() && changed("fleet.dir"), "without --fleet"),
        (
            "fleet.max_outbox_bytes",
            settings.fleet.servers.is_none() && changed("fleet.max_outbox_bytes"),
            "without --fleet",
        ),
        ("play.adjudicate", play.adjudicate && unknown, "as nothing is known of the endings of this game"),
        ("play.soft_resign", play.soft_resign && play.agent == Agent::Raw, "without a search"),
        ("play.soft_resign_value", !play.soft_resign && changed("play.soft_resign_value"), soft),
        ("play.soft_resign_simulations", !play.soft_resign && changed("play.soft_resign_simulations"), soft),
        ("play.soft_resign_weight", !play.soft_resign && changed("play.soft_resign_weight"), soft),
        ("play.resign", play.resign && play.agent == Agent::Raw, "without a search"),
        ("play.resign_played_on", !play.resign && changed("play.resign_played_on"), hard),
        ("play.resign_most_wrong", !play.resign && changed("play.resign_most_wrong"), hard),
        ("play.num_games", continuous && chosen("play.num_games"), "in continuous mode"),
        ("model.path", continuous && settings.model.path.is_some(), "in continuous mode, which follows new models"),
        ("model.version", continuous && chosen("model.version"), "in continuous mode, which follows new models"),
        ("model.latest_yaml", !continuous && settings.model.latest_yaml.is_some(), "without --continuous"),
        ("model.source", !continuous && settings.model.source.is_some(), "without --continuous"),
        (
            "evaluation.every_versions",
            !continuous && settings.evaluation.every_versions.is_some(),
            "without --continuous, as there is one model",
        ),
        (
            "evaluation.promote",
            !continuous && settings.evaluation.promote == Promote::Gate,
            "without --continuous, as there is one model",
        ),
        ("search.mcts_k", settings.search.mcts_n.is_some() && chosen("search.mcts_k"), "beside search.mcts_n"),
        (
            "play.cheap_simulations",
            settings.play.full_search_share == 1.0 && settings.play.cheap_simulations.is_some(),
            "while play.full_search_share is 1",
        ),
        (
            "play.full_search_share",
            settings.play.full_search_share < 1.0 && settings.play.agent == Agent::Raw,
            "with play.agent = \"raw\", which does not search",
        ),
        (
            "play.policy_surprise",
            settings.play.policy_surprise > 0.0 && settings.play.agent == Agent::Raw,
            "with play.agent = \"raw\", whose policy is the network's",
        ),
        (
            "search.forced_playouts",
            search.forced_playouts > 0.0 && settings.play.agent == Agent::Raw,
            "with play.agent = \"raw\", which does not search",
        ),
        (
            "search.c_puct_base",
            search.c_puct_growth == 0.0 && other("search.c_puct_base"),
            "while search.c_puct_growth is 0",
        ),
        (
            "search.fpu_root_value",
            search.fpu_root.is_none() && other("search.fpu_root_value"),
            "with search.fpu_root = \"same\"",
        ),
        (
            "search.noise_shape",
            search.noise_epsilon == 0.0 && search.noise_shape != NoiseShape::Even,
            "without noise (search.noise_epsilon = 0)",
        ),
        (
            "search.temperature_end",
            search.temperature_halflife.is_none() && other("search.temperature_end"),
            "without search.temperature_halflife",
        ),
        (
            "search.n_counts",
            !search.tree_reuse && search.n_counts == Counted::Visits,
            "with search.tree_reuse = false, as nothing is kept",
        ),
        (
            "search.virtual_loss",
            visits_in_flight && chosen("search.virtual_loss"),
            "with search.in_flight = \"visits\", which is stronger than \"loss\"",
        ),
    ];
    for (key, applies, when) in no_effect {
        if applies {
            let source = entries.get(key).map_or("", |entry| entry.source.as_str());
            found.warnings.push(format!("{key} ({source}) has no effect {when}"));
        }
    }
}

fn warn_of_surprises(settings: &Settings, entries: &Entries, purpose: Purpose, found: &mut Found) {
    let searches = settings.play.agent == Agent::Search && settings.search.mcts_n.is_none();
    if searches && !entries.is_chosen("search.mcts_n") && !entries.is_chosen("search.mcts_k") {
        let per_action = settings.search.mcts_k;
        found.warnings.push(format!(
            "nothing says how many simulations a move gets, so it gets {per_action} for each legal action: set \
             alphazero.mcts_n in the trainer's file, or search.mcts_n"
        ));
    }
    if purpose == Purpose::Play && settings.of_quoridor() && settings.game.max_steps.is_none() {
        found.warnings.push(
            "game.max_steps = \"none\": a game has no limit, and some may never end, such as those of players that walk to \
             and fro; set quoridor.max_steps in the trainer's file, or game.max_steps in --settings"
                .to_owned(),
        );
    }
    if settings.play.seed.is_some() && settings.play.processes > 1 {
        let source = entries.get("play.seed").map_or("", |entry| entry.source.as_str());
        found.warnings.push(format!(
            "play.seed ({source}) is the same for all {} processes: each will play the same games",
            settings.play.processes
        ));
    }
    warn_of_many_leaves(settings, entries, found);
    warn_of_gumbel(settings, entries, found);
}

/// What is stated and has no effect with Gumbel's rule, and a number of actions that leaves nothing to halve.
fn warn_of_gumbel(settings: &Settings, entries: &Entries, found: &mut Found) {
    let search = &settings.search;
    if search.root != Root::Gumbel || settings.play.agent != Agent::Search {
        return;
    }
    let (selection, draws) = ("it selects by rules of its own", "Gumbel draws take the place of noise");
    for (key, asked, instead) in [
        ("search.tree_reuse", search.tree_reuse, "each move is searched from a fresh tree"),
        ("search.noise_epsilon", search.noise_epsilon > 0.0, draws),
        ("search.noise_shape", search.noise_shape != NoiseShape::Even, draws),
        ("search.c_puct_growth", search.c_puct_growth > 0.0, selection),
        ("search.fpu", search.fpu != FirstPlay::Absolute, selection),
        ("search.fpu_value", search.fpu_value != 0.0, selection),
        ("search.fpu_root", search.fpu_root.is_some(), selection),
        ("search.root_policy_temperature", search.root_policy_temperature != 1.0, draws),
        ("search.n_counts", search.n_counts == Counted::Visits, "each move is searched from a fresh tree"),
    ] {
        let Some(entry) = entries.get(key).filter(|entry| asked && entry.source != DEFAULT) else { continue };
        found.warnings.push(format!("{key} ({}) has no effect with search.root = \"gumbel\": {instead}", entry.source));
    }
    let (simulations, drawn) = (search.usual_simulations(), search.gumbel_m);
    if simulations < 2 * drawn {
        found.warnings.push(format!(
            "search.gumbel_m = {drawn} leaves little to halve of {simulations} simulations: set it to {} at most",
            (simulations / 2).max(1)
        ));
    }
}

/// A number of leaves that is stated is obeyed; but what it costs is said.
fn warn_of_many_leaves(settings: &Settings, entries: &Entries, found: &mut Found) {
    let search = &settings.search;
    let Some(leaves) = search.leaf_parallelism.filter(|&leaves| leaves > search.harmless_leaves()) else { return };
    // Actions of a round of Gumbel's do not depend on each other.
    if settings.play.agent != Agent::Search || search.root == Root::Gumbel {
        return;
    }
    let source = entries.get("search.leaf_parallelism").map_or("", |entry| entry.source.as_str());
    let (lost, instead) = match search.in_flight {
        InFlight::Visits => ("at 70 simulations of Connect Four 8 lost 15 Elo to 1", ""),
        InFlight::Loss => (
            "with lost games in flight 8 lost 102 Elo to 1 at 100 simulations of 5x5 Quoridor, 16 lost 275",
            "; or set search.in_flight to \"visits\", which costs far less",
        ),
    };
    found.warnings.push(format!(
        "search.leaf_parallelism = {leaves} ({source}) costs strength: of the {} simulations of a move up to {leaves} at a time are \
         chosen before their results are known ({lost}): leave it out, or set it to \"auto\", and let more games fill the \
         batches{instead}",
        search.usual_simulations()
    ));
}
