//! The table of settings: what each may be, the flag that sets it, the trainer's names for it, and whether it may change while games are
//! played. Meaning and default of each are told in `configs/default.toml`; its field is in [`super::Settings`].

use super::{
    key::{Key, Scope, key},
    kind::Kind,
};

/// No name of a key, ours or the trainer's, has as many bytes.
const LONGEST_NAME: usize = 100;

/// Every key, in the order of `configs/default.toml`.
pub(crate) const KEYS: &[Key] = &[
    key("run.name", Kind::Name).open("auto").trainer(&["run_id"]),
    key("game.name", Kind::Game)
        .flag("--game", "NAME", "Which game is played; its rules are settings")
        .of(Scope::Game),
    key("game.board_size", Kind::Int(3, 9)).trainer(&["quoridor.board_size"]),
    key("game.max_walls", Kind::Int(0, 64)).trainer(&["quoridor.max_walls"]),
    key("game.max_steps", Kind::Int(1, u32::MAX as i64)).open("none").open_number(-1).trainer(&["quoridor.max_steps"]),
    key("mnk.m", Kind::Int(2, 19)),
    key("mnk.n", Kind::Int(2, 19)),
    key("mnk.k", Kind::Int(2, 19)),
    key("connect_four.rows", Kind::Int(2, 8)),
    key("connect_four.columns", Kind::Int(2, 8)),
    key("connect_four.length", Kind::Int(2, 8)),
    key("othello.size", Kind::Int(4, 8)),
    key("hex.size", Kind::Int(3, 13)),
    key("hex.swap", Kind::Flag),
    key("breakthrough.rows", Kind::Int(4, 8)),
    key("breakthrough.columns", Kind::Int(4, 8)),
    key("network.type", Kind::Choice(&["resnet", "mlp"])).trainer(&["alphazero.network.type"]),
    // More simulations than these would overflow the indices of a search tree.
    key("search.mcts_n", Kind::Int(0, 10_000_000)).open("none").trainer(&["alphazero.mcts_n"]),
    key("search.mcts_k", Kind::Int(1, 40_000)).trainer(&["alphazero.mcts_k"]),
    key("search.root", Kind::Choice(&["puct", "gumbel"]))
        .flag(
            "--root",
            "NAME",
            "How moves are searched: PUCT with visits as policy, or Gumbel's sequential halving with improved policies",
        )
        .of(Scope::Search),
    key("search.gumbel_m", Kind::Int(1, 1024))
        .flag(
            "--gumbel-m",
            "M",
            "Most actions that --root gumbel draws; half as many as simulations at most lets halving begin",
        )
        .of(Scope::Search),
    key("search.gumbel_c_visit", Kind::Real(0.0, 10_000.0)),
    key("search.gumbel_c_scale", Kind::Positive(1000.0)),
    key("search.gumbel_rescale", Kind::Flag),
    key("search.gumbel_scale", Kind::Real(0.0, 10.0)),
    key("search.c_puct", Kind::Positive(1000.0)).trainer(&["alphazero.mcts_c_puct"]),
    key("search.c_puct_growth", Kind::Real(0.0, 1000.0)),
    key("search.c_puct_base", Kind::Positive(1e9)),
    key("search.fpu", Kind::Choice(&["absolute", "reduction"]))
        .flag(
            "--fpu",
            "NAME",
            "What moves without visits count for: --fpu-value itself, or less than their position the more was visited",
        )
        .of(Scope::Search),
    key("search.fpu_value", Kind::Real(-1.0, 1.0))
        .flag("--fpu-value", "X", "The value that --fpu takes, or its factor")
        .of(Scope::Search),
    key("search.fpu_root", Kind::Choice(&["absolute", "reduction"])).open("same"),
    key("search.fpu_root_value", Kind::Real(-1.0, 1.0)),
    key("search.root_policy_temperature", Kind::Real(0.1, 10.0))
        .flag("--root-policy-temperature", "T", "The root's priors become P^(1/T) before noise")
        .of(Scope::Search),
    key("search.forced_playouts", Kind::Real(0.0, 100.0)),
    key("search.noise_epsilon", Kind::Real(0.0, 1.0))
        .trainer(&["alphazero.mcts_noise_epsilon", "self_play.alphazero.mcts_noise_epsilon"])
        .live(),
    key("search.noise_alpha", Kind::Positive(1000.0))
        .open("auto")
        .trainer(&["alphazero.mcts_noise_alpha", "self_play.alphazero.mcts_noise_alpha"])
        .live(),
    key("search.noise_shape", Kind::Choice(&["even", "shaped"])).flag(
        "--noise-shape",
        "NAME",
        "How noise at the root is shared out: evenly, or half of it to moves whose priors stand out",
    ),
    key("search.temperature", Kind::Real(0.0, 100.0))
        .trainer(&["alphazero.temperature", "self_play.alphazero.temperature"])
        .live(),
    key("search.drop_t_on_step", Kind::Int(0, u32::MAX as i64))
        .open("none")
        .trainer(&["alphazero.drop_t_on_step", "self_play.alphazero.drop_t_on_step"]),
    key("search.temperature_halflife", Kind::Positive(1e6)).open("none").flag(
        "--temperature-halflife",
        "PLIES",
        "Plies in which the temperature goes half of the way to search.temperature_end",
    ),
    key("search.temperature_end", Kind::Real(0.0, 100.0)),
    key("search.penalize_visited_states", Kind::Flag).trainer(&["alphazero.penalize_visited_states"]),
    key("search.leaf_parallelism", Kind::Int(1, 1024))
        .open("auto")
        .trainer(&["self_play.leaf_parallelism"])
        .flag(
            "--leaf-parallelism",
            "K",
            "Leaves gathered from one tree before waiting for their evaluations; more than 1 \
             cost strength",
        )
        .of(Scope::Search),
    key("search.in_flight", Kind::Choice(&["visits", "loss"]))
        .flag(
            "--in-flight",
            "NAME",
            "What a gathered path counts for until its evaluation arrives: a visit, or lost games",
        )
        .of(Scope::Search),
    key("search.virtual_loss", Kind::Int(0, 1000))
        .trainer(&["self_play.virtual_loss"])
        .flag(
            "--virtual-loss",
            "N",
            "Losses counted along a gathered path until its evaluation arrives, with --in-flight loss",
        )
        .of(Scope::Search),
    key("search.n_counts", Kind::Choice(&["playouts", "visits"])).flag(
        "--n-counts",
        "NAME",
        "What the simulations of a move count: new ones, or the visits of a kept subtree as well",
    ),
    key("search.tree_reuse", Kind::Flag).trainer(&["self_play.enable_tree_reuse"]).switch(
        "--no-tree-reuse",
        "false",
        "Search each move from an empty tree, instead of keeping the chosen move's subtree",
    ),
    key("search.solver", Kind::Flag)
        .switch("--solver", "true", "Prove wins, losses and draws by the finished games that the search comes to")
        .of(Scope::Search),
    key("play.games_per_process", Kind::Int(1, 65_536))
        .open("auto")
        .trainer(&["self_play.parallel_games", "self_play.games_per_process"])
        .live()
        .flag("--games-per-process", "N", r#"Games in play at once: a number or "auto""#),
    key("play.num_games", Kind::Int(1, i64::MAX))
        .flag("--num-games", "N", "Games to play (batch mode)")
        .of(Scope::Daemon),
    key("play.processes", Kind::Int(1, 1024)).trainer(&["self_play.num_workers", "self_play.num_processes"]),
    key("play.threads", Kind::Int(1, 1024)).open("auto").trainer(&["self_play.mcts_worker_threads"]).flag(
        "--mcts-worker-threads",
        "N",
        r#"Threads that advance games: a number or "auto""#,
    ),
    key("play.seed", Kind::Int(0, i64::MAX))
        .open("random")
        .flag("--seed", "N", "Seed of all random choices; with a seed, a game is the same from run to run")
        .of(Scope::Search),
    key("play.p2", Kind::Choice(&["same", "random"])).flag(
        "--p2",
        "PLAYER",
        "Who plays the second player: the same agent, or random moves as a baseline",
    ),
    key("play.agent", Kind::Choice(&["search", "raw"])).switch(
        "--use-raw-onnx-agent",
        "raw",
        "Play the most likely move of the network's policy without search, as a baseline",
    ),
    key("play.full_search_share", Kind::Positive(1.0)).flag(
        "--full-search-share",
        "P",
        "Share of moves with a search of full size; the others are cheap and no policy targets",
    ),
    key("play.cheap_simulations", Kind::Int(2, 10_000_000)).open("auto"),
    key("play.policy_surprise", Kind::Real(0.0, 1.0)),
    key("play.opening_random_plies", Kind::Int(0, 1000)),
    key("play.opening_policy_plies", Kind::Real(0.0, 1000.0)),
    key("play.adjudicate", Kind::Flag),
    key("play.soft_resign", Kind::Flag),
    key("play.soft_resign_value", Kind::Real(0.0, 0.99)),
    key("play.soft_resign_simulations", Kind::Int(2, 10_000_000)),
    key("play.soft_resign_weight", Kind::Real(0.0, 1.0)),
    key("play.resign", Kind::Flag),
    key("play.resign_played_on", Kind::Real(0.01, 1.0)),
    key("play.resign_most_wrong", Kind::Real(0.0, 1.0)),
    key("play.trace", Kind::Flag).switch("--trace", "true", "Log every move with its search").of(Scope::Daemon),
    key("inference.evaluator", Kind::Choice(&["onnx", "uniform", "hash"]))
        .flag("--evaluator", "NAME", "What evaluates positions: the model, or a deterministic evaluator for tests")
        .of(Scope::Search),
    key("inference.device", Kind::Device)
        .flag(
            "--device",
            "DEVICE",
            "Where the network runs: auto, cpu, openvino, openvino:gpu, cuda, cuda:N, cuda:0,1, \
             cuda:all, or tensorrt likewise",
        )
        .of(Scope::Model),
    key("inference.threads", Kind::Int(1, 256))
        .open("auto")
        .flag("--inference-threads", "N", r#"Inference threads, each with its own session: a number or "auto""#)
        .of(Scope::Model),
    key("inference.eval_batch_size", Kind::Int(1, 65_536))
        .open("auto")
        .trainer(&["self_play.eval_batch_size"])
        .flag("--eval-batch-size", "N", r#"Most positions in one network call: a number or "auto""#)
        .of(Scope::Model),
    key("inference.eval_max_wait_ms", Kind::Real(0.0, 60_000.0)).trainer(&["self_play.eval_max_wait_ms"]).live().flag(
        "--eval-max-wait-ms",
        "MS",
        "Longest wait for a fuller batch, in milliseconds, fractions allowed",
    ),
    key("inference.ort_library", Kind::Path).open("none"),
    key("inference.precision", Kind::Choice(&["auto", "fp32", "int8", "bf16", "fp16"]))
        .flag("--precision", "NAME", "What the network computes with: models are converted when they are loaded")
        .of(Scope::Model),
    key("inference.precision_max_kl", Kind::Real(0.0, 10.0)),
    key("inference.precision_max_value_error", Kind::Real(0.0, 2.0)),
    key("inference.hang_seconds", Kind::Positive(86_400.0)).open("none"),
    key("inference.batch_buckets", Kind::Buckets).open("auto"),
    key("inference.input", Kind::Choice(&["auto", "planes", "packed"])),
    key("inference.gpu_memory", Kind::Bytes).open("none"),
    key("inference.tf32", Kind::Flag),
    key("inference.channels_last", Kind::Flag),
    key("inference.cuda_graphs", Kind::Flag).open("auto"),
    key("inference.tensorrt_cache_dir", Kind::Path).open("none"),
    key("cache.max_bytes", Kind::Bytes).flag(
        "--eval-cache-max-bytes",
        "SIZE",
        "Memory for cached evaluations: bytes, or a size such as \"256MiB\"; 0 for no cache",
    ),
    key("cache.max_entries", Kind::Int(0, i64::MAX)).open("none").trainer(&["self_play.eval_cache_max_size"]).flag(
        "--eval-cache-max-size",
        "N",
        "Most cached evaluations: a number, 0 for no cache, or \"none\" for a bound in bytes \
         only",
    ),
    key("cache.symmetry", Kind::Flag),
    key("memory.max_bytes", Kind::Bytes).open("auto").flag(
        "--memory-max-bytes",
        "SIZE",
        "Memory that the process keeps within: bytes, or a size such as \"8GiB\"; \"auto\": \
         four fifths of what there is",
    ),
    key("model.path", Kind::Path)
        .open("none")
        .flag("--model-path", "FILE", "The ONNX model (batch mode)")
        .alias("model")
        .of(Scope::Search),
    key("model.version", Kind::Int(0, u32::MAX as i64))
        .flag("--model-version", "N", "Model version recorded with the games (batch mode)")
        .of(Scope::Daemon),
    key("model.latest_yaml", Kind::Path)
        .open("none")
        .flag("--latest-model-yaml", "FILE", "The trainer's latest.yaml (continuous mode)")
        .of(Scope::Daemon),
    key("model.source", Kind::Path)
        .open("none")
        .flag(
            "--model-source",
            "PATH",
            "What to follow instead (continuous mode): a directory's newest .onnx, one .onnx \
             file, or a latest.yaml",
        )
        .of(Scope::Daemon),
    key("model.newest_by", Kind::Choice(&["name", "time"])),
    key("model.poll_ms", Kind::Int(10, 500)),
    key("model.allowed_roots", Kind::Path).open("none"),
    key("model.max_bytes", Kind::Bytes),
    key("model.agreement_tolerance", Kind::Positive(2.0)),
    key("model.strict", Kind::Flag),
    key("model.probation_evaluations", Kind::Int(0, i64::MAX)),
    key("model.max_nonfinite_rate", Kind::Real(0.0, 1.0)),
    key("model.load_seconds", Kind::Positive(86_400.0)).open("none"),
    key("evaluation.every_versions", Kind::Int(1, u32::MAX as i64))
        .open("none")
        .flag(
            "--evaluate-every",
            "V",
            "Rate every V-th model by matches beside play, to see whether it learns: a number, or \"none\"",
        )
        .of(Scope::Daemon),
    key("evaluation.share", Kind::Positive(1.0)),
    key("evaluation.games", Kind::Int(2, 1_000_000)),
    key("evaluation.simulations", Kind::Int(2, 10_000_000)),
    key("evaluation.opening_plies", Kind::Int(0, 1000)),
    key("evaluation.promote", Kind::Choice(&["always", "gate"]))
        .flag(
            "--promote",
            "NAME",
            "When a new model serves: always at once, or (gate) once it has not lost a match against the one that serves",
        )
        .of(Scope::Daemon),
    key("evaluation.gate_games", Kind::Int(2, 1_000_000)),
    key("evaluation.gate_share", Kind::Positive(1.0)),
    key("output.dir", Kind::Path)
        .open("none")
        .flag("--output-dir", "DIR", "Where finished games go: the trainer's replay_buffers/ready")
        .of(Scope::Daemon),
    key("output.spool_dir", Kind::Path)
        .open("none")
        .flag("--spool-dir", "DIR", "Where finished games go at the end if the output directory does not take them")
        .of(Scope::Daemon),
    key("output.min_free", Kind::Bytes).open("auto"),
    key("output.writer_deadline_seconds", Kind::Real(0.0, 31_536_000.0))
        .flag("--writer-deadline", "SECONDS", "Seconds that writing may fail before the process ends")
        .of(Scope::Daemon),
    key("output.max_rejected", Kind::Int(0, 1_000_000)),
    key("fleet.servers", Kind::Servers)
        .open("none")
        .flag(
            "--fleet",
            "URL",
            "Play for a trainer elsewhere: its NATS servers, such as tls://trainer.example.org:4222, separated by commas",
        )
        .of(Scope::Daemon),
    key("fleet.credentials", Kind::Path)
        .open("none")
        .flag("--credentials", "FILE", "The worker's file, as `selfplayd fleet add-worker` wrote it")
        .of(Scope::Daemon),
    key("fleet.dir", Kind::Path)
        .open("auto")
        .flag(
            "--fleet-dir",
            "DIR",
            "Where a worker keeps games that wait for the trainer, and models; \"auto\": selfplayd-NAME, by the worker's name",
        )
        .of(Scope::Daemon),
    key("fleet.max_outbox_bytes", Kind::Bytes),
    key("journal.enabled", Kind::Flag),
    key("journal.resume", Kind::Flag)
        .switch(
            "--no-resume",
            "false",
            "Discard the games that earlier processes left unfinished, instead of going on with \
             them",
        )
        .of(Scope::Daemon),
    key("journal.sync_ms", Kind::Int(1, 60_000)),
    key("daemon.continuous", Kind::Flag)
        .switch("--continuous", "true", "Play until told to stop, following the trainer's models")
        .of(Scope::Daemon),
    key("daemon.shutdown_file", Kind::Path)
        .open("none")
        .flag("--shutdown-file", "FILE", "Stop once this file exists")
        .of(Scope::Daemon),
    key("daemon.grace_seconds", Kind::Real(0.0, 86_400.0))
        .flag(
            "--grace-seconds",
            "SECONDS",
            "Seconds for running games to end after a stop; games that take longer go on at the \
             next start",
        )
        .alias("drain-deadline")
        .of(Scope::Daemon),
    key("daemon.pause_unload_after_seconds", Kind::Real(0.0, 31_536_000.0))
        .open("none")
        .flag(
            "--pause-unload-after",
            "SECONDS",
            "Seconds of a pause after which the model is dropped to free the device: a number, \
             or \"none\" for never",
        )
        .of(Scope::Daemon),
    key("daemon.exit_with_parent", Kind::Flag),
    key("metrics.profile_counters", Kind::Flag)
        .switch(
            "--profile-counters",
            "true",
            "Log batches, items, mean batch, share of time in inference and waits every 5 s",
        )
        .of(Scope::Daemon),
    key("metrics.dir", Kind::Path)
        .open("none")
        .flag(
            "--metrics-dir",
            "DIR",
            "Write one JSON record per model version here: simulations, terminal share, depth, \
             entropy",
        )
        .of(Scope::Daemon),
    key("http.listen", Kind::Addresses)
        .open("none")
        .flag(
            "--http-listen",
            "ADDRESS",
            "Where status, control, metrics and the page are served: IP:PORT, or \"none\"",
        )
        .of(Scope::Daemon),
    key("http.metrics_listen", Kind::Addresses)
        .open("none")
        .flag("--http-metrics-listen", "ADDRESS", "Where only metrics and health are served as well: IP:PORT")
        .of(Scope::Daemon),
    key("http.socket", Kind::Path)
        .open("none")
        .flag("--http-socket", "PATH", "A Unix socket where everything is served as well, open to this user only")
        .of(Scope::Daemon),
    key("http.token_file", Kind::Path)
        .open("none")
        .flag(
            "--http-token-file",
            "FILE",
            "A file with the token that callers over TCP must show to control the daemon",
        )
        .of(Scope::Daemon),
    key("http.token_for_reads", Kind::Flag),
    key("http.allowed_hosts", Kind::HostNames).open("none"),
    key("log.format", Kind::Choice(&["human", "json"]))
        .flag("--log-format", "FORMAT", "How log lines look, on standard error")
        .of(Scope::Game),
    key("log.level", Kind::LogLevel)
        .live()
        .flag("--log-level", "LEVEL", "Least severe level shown, also per module: \"info,selfplay_actors=debug\"")
        .of(Scope::Game),
];

/// The key of this name.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The key that was most likely meant by `path`, if any is near.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    nearest_of(path, KEYS.iter().map(|key| key.path))
}

/// The name that is nearly `wanted`, if any is.
pub(super) fn most_like<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const NEARLY: f64 = 0.75;
    if wanted.len() > LONGEST_NAME {
        return None;
    }
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&wanted.to_ascii_lowercase(), name);
    let best = names.map(|name| (likeness(name), name)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= NEARLY).then_some(best.1)
}

/// The name most like `wanted`. A name that is right but in the wrong section counts as near.
pub(super) fn nearest_of<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing takes time and memory in proportion to the length, and nothing is near to a text like that.
    if wanted.len() > LONGEST_NAME {
        return None;
    }
    let parts = |name: &'_ str| name.rsplit_once('.').map(|(section, key)| (section.to_owned(), key.to_owned()));
    let (section, key) = parts(wanted).unwrap_or_default();
    let likeness = |name: &str| match parts(name) {
        Some((_, its_key)) if its_key == key => 0.9,
        // A section is none of its keys, however short they are.
        Some((its_section, _)) if its_section == wanted => 0.0,
        Some((its_section, its_key)) if its_section == section => {
            strsim::normalized_damerau_levenshtein(&key, &its_key)
        }
        _ => strsim::normalized_damerau_levenshtein(wanted, name),
    };
    names
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
