//! The table of metrics. To add one, write it here, count it where it happens, and run the tests, which say how to
//! bring `docs/metrics.md` up to date.

use super::{
    cell::{Cell, Counter, Elapsed, Gauge, Moment},
    histogram::{Distribution, Histogram},
    metric::{Kind, Metric, Row, Unit},
    table::{bounds, cell, of_snapshot, of_stats, reading, sums, table, unit},
};

/// The sizes that batches are padded to on a GPU, and some more.
const BATCH_SIZES: &[f64] = &[
    1., 2., 4., 8., 12., 16., 24., 32., 48., 64., 96., 128., 192., 256., 384., 512., 768., 1024., 1536., 2048., 4096.,
];
const PLIES: &[f64] = &[5., 10., 15., 20., 30., 40., 50., 60., 80., 100., 120., 150., 200., 300.];
/// From waits of batches to long searches.
const MOMENTS: &[f64] = &[1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1., 2.5, 5., 10.];
/// Fine enough for quantiles.
const LATENCIES: &[f64] = &[
    2e-5, 5e-5, 1e-4, 1.5e-4, 2.5e-4, 4e-4, 6e-4, 1e-3, 1.5e-3, 2.5e-3, 4e-3, 6e-3, 1e-2, 1.5e-2, 2.5e-2, 4e-2, 6e-2,
    0.1, 0.15, 0.25, 0.5, 1., 2.5,
];
const SPANS: &[f64] = &[0.1, 0.25, 0.5, 1., 2.5, 5., 10., 20., 40., 60., 120., 300., 600., 1200., 3600.];
const NODES: &[f64] = &[25., 50., 100., 200., 400., 800., 1600., 3200., 6400., 12800., 25600., 51200.];
const NATS: &[f64] = &[0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1., 1.25, 1.5, 1.75, 2., 2.5, 3., 3.5, 4., 5.];
const SHARES: &[f64] = &[0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.];
const DEPTHS: &[f64] = &[1., 1.5, 2., 2.5, 3., 4., 5., 6., 8., 10., 12., 16., 24., 32.];
const LAGS: &[f64] = &[0., 1., 2., 3., 5., 8., 13., 21., 50.];

table! {
    /// Games begun in this process, those that an earlier one began among them.
    Counter(Games) games_started_total { games_started; }
    /// Games of earlier processes that went on in this one.
    Counter(Games) games_resumed_total { games_resumed; }
    /// Games played to their end, by the side that won.
    Counter(Games) games_finished_total {
        games_won_first: result = "first";
        games_won_second: result = "second";
        games_drawn: result = "draw";
    }
    /// Games that left their slot: finished, rejected because the network answered with nonsense, given up after repeated
    /// failures.
    Counter(Games) games_ended_total {
        games_finished: reason = "finished";
        games_set_aside: reason = "rejected";
        games_abandoned: reason = "given_up";
    }
    /// Games that ended before the rules ended them: with the result of perfect play, or because a player resigned.
    Counter(Games) games_ended_early_total {
        games_adjudicated: reason = "adjudicated";
        games_resigned: reason = "resigned";
    }
    /// Games in which no player could resign since there is a threshold, by what would have been if one could: none would have resigned, the one that lost, one
    /// that did not lose.
    Counter(Games) games_played_on_total {
        played_on_unneeded: resigning = "none";
        played_on_right: resigning = "right";
        played_on_wrong: resigning = "wrong";
    }
    /// Games in play.
    Gauge(Games) games_active { games_active; }
    /// Games that are to be in play at once.
    Gauge(Games) games_target { games_target; }
    /// Games in play beyond 1000 plies, which may never end.
    Gauge(Games) endless_games { endless_games; }
    /// Games that were begun and wait until more may be in play at once.
    Gauge(Games) games_parked { games_parked; }
    /// Slots without a game: no model yet, no credit from the writer, too little room on the disk, paused, or nothing left to
    /// play.
    Gauge(Games) games_waiting { games_waiting; }
    /// Length of finished games.
    Histogram(Plies, PLIES) game_plies { game_plies; }
    /// Time from a game's begin, or its resumption in this process, to its end.
    Histogram(Seconds, SPANS) game_duration_seconds { game_duration; }
    /// Moves played, in all games.
    Counter(Moves) moves_total { moves; }
    /// Moves whose search ended with a proof of what the position is worth.
    Counter(Moves) proven_moves_total { proven_moves; }
    /// Time from the begin of a move's search to the choice of the move, waits for evaluations included.
    Histogram(Seconds, MOMENTS) search_duration_seconds { search_duration; }
    /// Simulations, by where the value of the leaf came from: an evaluation of its own, the cache, an evaluation in flight for
    /// another game, a game over by the rules, a game at its step limit, a leaf gathered twice at once, a position whose worth was
    /// proven before.
    Counter(Simulations) simulations_total {
        simulations_network: leaf = "network";
        simulations_cache: leaf = "cache";
        simulations_in_flight: leaf = "in_flight";
        simulations_terminal: leaf = "terminal";
        simulations_step_limit: leaf = "step_limit";
        simulations_duplicate: leaf = "duplicate";
        simulations_proven: leaf = "proven";
    }
    /// Nodes of the search tree at the end of a move's search.
    Histogram(Nodes, NODES) tree_nodes { tree_nodes; }
    /// Bytes of the search trees of all games in play.
    Gauge(Bytes) tree_bytes { tree_bytes; }
    /// Visits of roots that were kept from the search of the move before.
    Counter(Visits) reused_visits_total { reused_visits; }
    /// Entropy of the search's policy, per move.
    Histogram(Nats, NATS) root_entropy_nats { root_entropy; }
    /// Share of the most visited move, per move.
    Histogram(Ratio, SHARES) root_top_move_share { root_top_move_share; }
    /// Mean plies between root and leaf, per move.
    Histogram(Plies, DEPTHS) search_depth_plies { search_depth; }
    /// Distinct games, by their moves, among those counted in version_games.
    Gauge(Games) distinct_games { distinct_games; }
    /// Distinct openings (8 plies) of those games.
    Gauge(Games) distinct_openings { distinct_openings; }
    /// Finished games that began under the model version in service.
    Gauge(Games) version_games { version_games; }
    /// Finished games whose moves were those of an earlier game of the same model version.
    Counter(Games) duplicate_games_total { duplicate_games; }

    /// Requests for evaluations, each of the leaves of one gather; repetitions among them.
    Counter(Requests) evaluation_requests_total { evaluation_requests; }
    /// Leaves asked as their mirror images: those of which that comes first in the order of positions.
    Counter(Leaves) mirrored_leaves_total { mirrored_leaves; }
    /// Requests that games wait for.
    Gauge(Requests) requests_in_flight { requests_in_flight; }
    /// Positions given to the network, by what came of it: an evaluation, a failure of the batch, numbers that are not finite,
    /// or nothing because the part that held it failed.
    Counter(Leaves) evaluations_total {
        evaluations: outcome = "ok";
        evaluations_failed: outcome = "error";
        evaluations_flawed: outcome = "nan";
        evaluations_lost: outcome = "lost";
    }
    /// Values outside [-1, 1] that the network gave, and that were clamped.
    Counter(Leaves) values_clamped_total { values_clamped; }
    /// Requests that were lost or failed and were made again.
    Counter(Requests) retries_total { retries; }
    /// Positions that wait for an inference thread.
    Gauge(Leaves) queue_leaves { queue_leaves; }
    /// Time that the first position of a batch waited for a thread.
    Histogram(Seconds, MOMENTS) batch_wait_seconds { batch_wait; }
    /// Batches, by why they left: full, the first position had waited long enough, a thread was idle, or games are drained.
    Counter(Batches) batches_total {
        batches_full: reason = "full";
        batches_timer: reason = "timer";
        batches_idle_device: reason = "idle_device";
        batches_drain: reason = "drain";
    }
    /// Positions per batch.
    Histogram(Leaves, BATCH_SIZES) batch_size { batch_size; }
    /// Rows that were added to batches to bring them to a size that the device is prepared for.
    Counter(Leaves) padding_rows_total { padding_rows; }
    /// Time that inference threads spent on batches, summed over threads: positions into planes, the network, its output into
    /// priors.
    Elapsed(Seconds) inference_seconds_total {
        encode_ns: stage = "encode";
        infer_ns: stage = "infer";
        decode_ns: stage = "decode";
    }
    /// Inference threads.
    Gauge(Threads) inference_threads { inference_threads; }

    /// Leaves answered by the cache: known, unknown, or being evaluated for another request when they were looked up.
    Counter(Leaves) cache_lookups_total {
        cache_hits: result = "hit";
        cache_misses: result = "miss";
        cache_in_flight_hits: result = "in_flight";
    }
    /// Evaluations in the cache.
    Gauge(Entries) cache_entries { cache_entries; }
    /// Bytes of the cache, by an estimate that is within 5%.
    Gauge(Bytes) cache_bytes { cache_bytes; }
    /// Most bytes of the cache.
    Gauge(Bytes) cache_capacity_bytes { cache_capacity; }
    /// Most evaluations in the cache; 0: as many as fit into its memory.
    Gauge(Entries) cache_capacity_entries { cache_capacity_entries; }
    /// Evaluations that left the cache for others: by the model in service, or by an earlier one.
    Counter(Entries) cache_evictions_total {
        cache_evicted_full: reason = "full";
        cache_evicted_stale: reason = "stale";
    }

    /// Version of the model in service, the trainer's number.
    Gauge(Versions) model_version { model_version; }
    /// Models taken into service so far, those taken back into service among them.
    Gauge(Models) model_generation { model_generation; }
    /// When the model in service came into service; 0 before the first.
    Moment(Seconds) model_served_timestamp_seconds { model_served; }
    /// Models taken into service, refused by a check, or taken out of service because of what they answered.
    Counter(Models) model_reloads_total {
        models_loaded: outcome = "served";
        models_refused: outcome = "refused";
        models_withdrawn: outcome = "withdrawn";
    }
    /// Looks for a model, by what was found: nothing, the model that serves, one that is read when play is resumed, one that came
    /// into service, one that is held back until its match is over, one that is not complete, one that was refused, or a latest.yaml (or directory) that cannot be read.
    Counter(Count) model_looks_total {
        looks_nothing: outcome = "nothing";
        looks_unchanged: outcome = "unchanged";
        looks_on_resume: outcome = "on_resume";
        looks_served: outcome = "served";
        looks_held: outcome = "held";
        looks_incomplete: outcome = "incomplete";
        looks_refused: outcome = "refused";
        looks_unreadable: outcome = "unreadable";
    }
    /// Time spent on new models: reading, checking, warming up, and changing over (summed over inference threads).
    Elapsed(Seconds) model_reload_seconds_total {
        reload_read_ns: phase = "read";
        reload_check_ns: phase = "check";
        reload_warm_ns: phase = "warm";
        reload_swap_ns: phase = "swap";
    }
    /// Alarms over new models, by what may be wrong: policies or values far from those of the model that served, logits much larger than
    /// those of earlier models, policies that are one-hot everywhere.
    Counter(Count) model_alarms_total {
        alarms_policy_jump: reason = "policy_jump";
        alarms_value_jump: reason = "value_jump";
        alarms_logit_jump: reason = "logit_jump";
        alarms_one_hot: reason = "one_hot";
    }
    /// By how many versions the model that played a position was behind the one in service when the game was written, per
    /// position.
    Histogram(Versions, LAGS) model_lag_versions { model_lag; }
    /// Games of matches beside play, by what they are for: to rate models, or to find out whether a model may serve.
    Counter(Games) match_games_total {
        match_games_rating: purpose = "rating";
        match_games_gate: purpose = "gate";
    }
    /// CPU time of those matches; time, where a GPU computes.
    Elapsed(Seconds) match_seconds_total { match_ns; }
    /// New models with promote = "gate", by what became of them: promoted, as they did not lose their match; refused, as they did;
    /// passed over, as a newer one came while they waited; taken without a match, as none could be played.
    Counter(Models) promotions_total {
        gate_promoted: outcome = "promoted";
        gate_refused: outcome = "refused";
        gate_passed_over: outcome = "passed_over";
        gate_unjudged: outcome = "unjudged";
    }
    /// New models that are held back until their match is over.
    Gauge(Models) promotions_waiting { gate_waiting; }

    /// Finished games that wait for the disk.
    Gauge(Games) writer_queue_games { writer_queue; }
    /// Games that may start before another is written.
    Gauge(Games) writer_credits { writer_credits; }
    /// Games written for the trainer.
    Counter(Games) games_written_total { games_written; }
    /// Positions in them.
    Counter(Plies) positions_written_total { positions_written; }
    /// Bytes in them.
    Counter(Bytes) written_bytes_total { bytes_written; }
    /// Time that one group of games took to be written and synchronised, or to fail.
    Histogram(Seconds, MOMENTS) write_seconds { write_duration; }
    /// Failed attempts to write games: no room, no permission, a directory that is not there, or anything else.
    Counter(Count) write_errors_total {
        write_errors_no_space: class = "no_space";
        write_errors_permission: class = "permission";
        write_errors_missing: class = "missing";
        write_errors_other: class = "other";
    }
    /// Free bytes where games are written.
    Gauge(Bytes) disk_free_bytes { disk_free; }
    /// Free bytes below which no game starts.
    Gauge(Bytes) disk_floor_bytes { disk_floor; }
    /// Bytes of the journal of games in play.
    Gauge(Bytes) journal_bytes { journal_bytes; }
    /// Games kept from the trainer: the network's numbers for a position were not finite, or the game cannot be written.
    Counter(Games) games_rejected_total {
        games_rejected: reason = "non_finite";
        games_unfit: reason = "unfit";
    }
    /// Finished games without a policy target, all of whose searches were cheap ones: there is nothing in them for a trainer to sample, so they
    /// are not written.
    Counter(Games) games_without_targets_total { games_without_targets; }
    /// Finished games that went to the spool directory.
    Counter(Games) games_spooled_total { games_spooled; }

    /// Threads of this process, by what they do.
    Gauge(Threads) threads {
        threads_games: role = "games";
        threads_evaluation: role = "evaluation";
        threads_inference: role = "inference";
        threads_writer: role = "writer";
        threads_loader: role = "loader";
    }
    /// When a batch was last evaluated or a move last played.
    Moment(Seconds) last_progress_timestamp_seconds { last_progress; }
    /// HTTP requests refused: they showed a wrong token, needed one and showed none, or wanted to control without a token from
    /// another machine or through a proxy.
    Counter(Requests) http_refused_total {
        http_wrong_token: reason = "wrong_token";
        http_no_token: reason = "no_token";
        http_not_local: reason = "not_local";
    }
    /// Whether play is paused.
    Gauge(Switch) paused { paused; }
    /// Whether no new games start because the process is about to end.
    Gauge(Switch) draining { draining; }

    elsewhere {
        /// Time of threads by what they do and what they spend it on, summed over threads.
        Counter(Seconds) "selfplayd_thread_seconds_total" ["role", "activity"];
        /// Time that inference threads were idle, summed over threads: nothing to evaluate, a model being swapped in, or paused.
        Counter(Seconds) "selfplayd_device_idle_seconds_total" ["cause"];
        /// What holds the process back: 1 for the one that does.
        Gauge(Switch) "selfplayd_bottleneck" ["kind"];
        /// Restarts of actors and threads, by the row of the table of children and by the reason.
        Counter(Count) "selfplayd_restarts_total" ["child", "reason"];
        /// Games of batch mode; 0 in continuous mode, which has no end.
        Gauge(Games) "selfplayd_batch_games" [];
        /// How long the rest of them will take at the speed of the last minute; NaN while that is not known.
        Gauge(Seconds) "selfplayd_batch_left_seconds" [];
        /// How long the model in service has served; 0 before the first.
        Gauge(Seconds) "selfplayd_model_age_seconds" [];
        /// Mean Kullback-Leibler divergence of the newest model's policies from those of the model that served before it, over legal actions of
        /// the probe positions; NaN where none did.
        Gauge(Nats) "selfplayd_model_policy_kl_nats" [];
        /// Mean distance of its values from those of the model that served before it; NaN where none did.
        Gauge(Ratio) "selfplayd_model_value_change" [];
        /// Its largest logit of a legal action, whatever its sign; NaN before the first model and without a network.
        Gauge(Count) "selfplayd_model_largest_logit" [];
        /// Mean entropy of its policies there, as a share of that of equal chances; NaN likewise.
        Gauge(Ratio) "selfplayd_model_entropy_share" [];
        /// Share of those positions in which one move has at least 99% of the policy; NaN likewise.
        Gauge(Ratio) "selfplayd_model_one_hot_share" [];
        /// Version of the model that matches beside play rated last; NaN before the first.
        Gauge(Versions) "selfplayd_match_version" [];
        /// Its rating above a search without a network; NaN before the first.
        Gauge(Elo) "selfplayd_match_elo" [];
        /// Half of the 95% interval of that rating; NaN before the first.
        Gauge(Elo) "selfplayd_match_elo_margin" [];
        /// Its score against the model rated before it; NaN before there is one.
        Gauge(Ratio) "selfplayd_match_score" [];
        /// Newest of the model versions that the figures below are of: the newest ones up to the one in service that have two hundred
        /// finished games together, of all daemons of the output directory; NaN before the first game. So is what no game tells yet.
        Gauge(Versions) "selfplayd_learning_version" [];
        /// Finished games that these figures are of.
        Gauge(Games) "selfplayd_learning_games" [];
        /// Mean length of these games.
        Gauge(Plies) "selfplayd_learning_plies" [];
        /// Share of these games by result.
        Gauge(Ratio) "selfplayd_learning_result_share" ["result"];
        /// Share of these games that ended at the step limit.
        Gauge(Ratio) "selfplayd_learning_step_limit_share" [];
        /// Share of these games that were played before by the same version, move by move.
        Gauge(Ratio) "selfplayd_learning_repeated_games_share" [];
        /// Share of these games whose first eight plies were.
        Gauge(Ratio) "selfplayd_learning_repeated_openings_share" [];
        /// Share of their searched plies with a search of full size.
        Gauge(Ratio) "selfplayd_learning_full_search_share" [];
        /// Mean plies between root and leaf of their searches.
        Gauge(Plies) "selfplayd_learning_depth_plies" [];
        /// Mean entropy of their policy targets, as a share of that of equal chances.
        Gauge(Ratio) "selfplayd_learning_entropy_share" [];
        /// Share of their policy targets in which one move has at least 99%.
        Gauge(Ratio) "selfplayd_learning_one_hot_share" [];
        /// Mean Kullback-Leibler divergence of their policy targets from the network's policy: what the search adds.
        Gauge(Nats) "selfplayd_learning_policy_kl_nats" [];
        /// Mean squared error of the search's values against the results of the games.
        Gauge(Ratio) "selfplayd_learning_value_error" [];
        /// Mean squared error of the network's own values.
        Gauge(Ratio) "selfplayd_learning_raw_value_error" [];
        /// Mean squared error of always saying the mean result of the side to move: who does no better has learned nothing of positions.
        Gauge(Ratio) "selfplayd_learning_guess_error" [];
        /// Mean distance between values of the search and what came of them, in ten bins.
        Gauge(Ratio) "selfplayd_learning_calibration_error" [];
        /// What is wrong with the last games as data for training: 1 for what holds.
        Gauge(Switch) "selfplayd_data_verdict" ["kind"];
        /// How long ago the trainer wrote its figures (trainer.json beside the models); NaN where it never did. So are the others below
        /// where it does not say them.
        Gauge(Seconds) "selfplayd_trainer_age_seconds" [];
        /// What the trainer does: 1 for the state that it says.
        Gauge(Switch) "selfplayd_trainer_state" ["state"];
        /// Version of the model that the trainer published last.
        Gauge(Versions) "selfplayd_trainer_version" [];
        /// Gradient steps of the trainer so far.
        Gauge(Count) "selfplayd_trainer_step" [];
        /// What the trainer minimises.
        Gauge(Count) "selfplayd_trainer_loss" [];
        /// The part of the trainer's loss that is of policies.
        Gauge(Count) "selfplayd_trainer_policy_loss" [];
        /// The part of the trainer's loss that is of values.
        Gauge(Count) "selfplayd_trainer_value_loss" [];
        /// The trainer's learning rate.
        Gauge(Count) "selfplayd_trainer_learning_rate" [];
        /// Length of the trainer's last gradient.
        Gauge(Count) "selfplayd_trainer_gradient_norm" [];
        /// Rows that the trainer draws from.
        Gauge(Count) "selfplayd_trainer_window_rows" [];
        /// Rows that the trainer ever took.
        Gauge(Count) "selfplayd_trainer_rows" [];
        /// Samples that the trainer trains on per second.
        Gauge(Count) "selfplayd_trainer_samples_per_second" [];
        /// How often the trainer has sampled each row so far, on average.
        Gauge(Count) "selfplayd_trainer_samples_per_row" [];
        /// How long this process has run.
        Gauge(Seconds) "selfplayd_up_seconds" [];
        /// What was asked to run the network, what does, and what it computes with there: known with the first model.
        Gauge(Info) "selfplayd_execution_provider_info" ["requested", "actual", "precision"];
        /// Inference threads by what was asked for and the device that they run on.
        Gauge(Threads) "selfplayd_device_threads" ["requested", "actual"];
        /// Of a worker of a fleet, as all that follow with this beginning: whether it is connected to the fleet's server.
        Gauge(Switch) "selfplayd_fleet_connected" [];
        /// How often a connection to the fleet's server came about.
        Counter(Count) "selfplayd_fleet_connections_total" [];
        /// How often the fleet's server refused this worker's key, or did not allow something.
        Counter(Count) "selfplayd_fleet_refused_total" ["reason"];
        /// Frames of games in the outbox that the trainer does not have yet.
        Gauge(Count) "selfplayd_fleet_outbox_frames" [];
        /// Bytes of them.
        Gauge(Bytes) "selfplayd_fleet_outbox_bytes" [];
        /// Most bytes that there may be: then no new games start.
        Gauge(Bytes) "selfplayd_fleet_outbox_most_bytes" [];
        /// For how long the oldest of them has waited.
        Gauge(Seconds) "selfplayd_fleet_outbox_oldest_seconds" [];
        /// Frames sent, those that were sent again as well.
        Counter(Count) "selfplayd_fleet_frames_sent_total" [];
        /// Answers of the fleet's server to frames: stored, stored before, or not stored.
        Counter(Count) "selfplayd_fleet_frames_answered_total" ["outcome"];
        /// Frames that the fleet's server lost after it had stored them; they are sent again.
        Counter(Count) "selfplayd_fleet_frames_lost_by_broker_total" [];
        /// Frames of the outbox that this disk lost: their games are gone.
        Counter(Count) "selfplayd_fleet_frames_lost_by_disk_total" [];
        /// Finished games that were taken into the outbox, moved aside because they cannot be sent, or refused by the trainer's side.
        Counter(Games) "selfplayd_fleet_games_total" ["outcome"];
        /// Newest model of the run, as far as this worker knows.
        Gauge(Versions) "selfplayd_fleet_model_newest" [];
        /// Model that this worker is to play with.
        Gauge(Versions) "selfplayd_fleet_model_named" [];
        /// Models fetched.
        Counter(Models) "selfplayd_fleet_models_fetched_total" [];
        /// Bytes of them.
        Counter(Bytes) "selfplayd_fleet_model_fetched_bytes_total" [];
        /// How long the last one took.
        Gauge(Seconds) "selfplayd_fleet_model_fetch_seconds" [];
        /// Why no new games start, 1 for the reason that holds: the outbox is full or cannot be used, or the settings are not the trainer's.
        Gauge(Switch) "selfplayd_fleet_blocked" ["reason"];
        /// How often the thread that does all this began anew after a panic.
        Counter(Count) "selfplayd_fleet_restarts_total" [];
        /// Lines of the log (stderr), of traces and the summary (stdout) that could not be written: the stream is gone, full, or
        /// takes nothing.
        Counter(Count) "selfplayd_lost_lines_total" ["stream"];
        /// Version of this program.
        Gauge(Info) "selfplayd_build_info" ["version"];
        /// What this process plays for: the run's name, where its games go, and where its models come from.
        Gauge(Info) "selfplayd_run_info" ["name", "rules", "output_dir", "model_source"];
        /// Hash of the settings that determine games, as recorded with every game.
        Gauge(Info) "selfplayd_settings_info" ["hash"];
        /// CPU time of the process, user and system.
        Counter(Seconds) "process_cpu_seconds_total" [];
        /// Open file descriptors.
        Gauge(Count) "process_open_fds" [];
        /// Most file descriptors that the process may have open.
        Gauge(Count) "process_max_fds" [];
        /// Virtual memory.
        Gauge(Bytes) "process_virtual_memory_bytes" [];
        /// Most virtual memory that the process may have; 0 for no limit.
        Gauge(Bytes) "process_virtual_memory_max_bytes" [];
        /// Resident memory.
        Gauge(Bytes) "process_resident_memory_bytes" [];
        /// When the process started, in seconds since 1970.
        Gauge(Seconds) "process_start_time_seconds" [];
        /// Threads of the process as the system counts them.
        Gauge(Threads) "process_threads" [];
    }
    internal {
        /// Nanoseconds spent on gathering leaves, up to the next request or the end of the game; this and the next two by samples.
        Elapsed(Seconds) gather_ns;
        /// Nanoseconds spent on taking evaluations into trees.
        Elapsed(Seconds) apply_ns;
        /// Nanoseconds spent on looking up leaves in the cache.
        Elapsed(Seconds) lookup_ns;
        /// Nanoseconds spent on answering games from finished batches.
        Elapsed(Seconds) post_processing_ns;
        /// Time from a request for evaluations to its answer, by samples.
        Histogram(Seconds, LATENCIES) ticket_latency;
        /// Nodes of the search trees of all games in play.
        Gauge(Nodes) nodes_in_play;
        /// Batches that failed.
        Counter(Batches) batch_errors;
        /// Restarts of all children, failed batches included.
        Counter(Count) restarts;
        /// Milliseconds by [`monotonic_ms`](super::monotonic_ms) at which the model in service came into service; 0 before the first.
        Gauge(Count) model_served_at;
        /// 1 while the model in service is on probation, else 0.
        Gauge(Switch) on_probation;
        /// 1 while a model is checked and made ready, else 0.
        Gauge(Switch) loading;
        /// Nanoseconds spent on that, for models refused at that point too.
        Elapsed(Seconds) loading_ns;
    }
}

impl Snapshot {
    /// Games that were begun and have not ended: in play, or parked.
    #[must_use]
    pub fn games_unfinished(&self) -> u64 {
        self.games_started.saturating_sub(self.games_ended_total())
    }

    /// Finished games that the writer is done with.
    #[must_use]
    pub fn games_settled(&self) -> u64 {
        self.games_written + self.games_unfit + self.games_without_targets + self.games_spooled
    }

    /// Games in play.
    #[must_use]
    pub fn games_in_play(&self) -> u64 {
        self.games_unfinished().saturating_sub(self.games_parked.try_into().unwrap_or(0))
    }

    /// Plies of finished games.
    #[must_use]
    pub fn plies(&self) -> u64 {
        // Exact as long as there are fewer than 2^53.
        self.game_plies.sum() as u64
    }

    /// Positions per batch.
    #[must_use]
    pub fn mean_batch(&self) -> f64 {
        self.batch_size.mean()
    }
}
