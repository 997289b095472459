//! What help says, and which settings flags lead to.

use std::collections::BTreeSet;

use super::*;
use crate::settings::{KEYS, Purpose};

fn parse_from(args: &[&str]) -> Result<Cli, clap::Error> {
    let args = std::iter::once("selfplayd").chain(args.iter().copied());
    Cli::from_arg_matches(&command().try_get_matches_from(args)?)?.checked()
}

fn given(flags: &Flags) -> Vec<(&'static str, &'static str, String)> {
    flags.values.iter().map(|given| (given.flag, given.key, given.value.clone())).collect()
}

#[test]
fn the_definition_is_consistent() {
    command().debug_assert();
}

#[test]
fn help_teaches() {
    insta::assert_snapshot!(command().term_width(120).render_help());
    // As wide as clap takes a terminal to be that does not say.
    let end = format!("{GUIDE}{}", Exit::table());
    assert!(end.lines().all(|line| line.chars().count() <= 100), "{end}");
}

#[test]
fn help_of_subcommands() {
    let mut command = command().term_width(120);
    command.build();
    let mut help =
        |name: &str| command.find_subcommand_mut(name).map(|subcommand| subcommand.render_help().to_string()).unwrap();
    insta::assert_snapshot!("help_of_show", help("show"));
    insta::assert_snapshot!("help_of_fleet", help("fleet"));
    let config = help("config");
    assert!(config.contains("--leaf-parallelism <K>") && config.contains("[default: auto]"), "{config}");
    assert!(help("bench").contains("--model-path"));
}

#[test]
fn help_of_a_fleets_commands() {
    let mut command = command().term_width(120);
    command.build();
    let fleet = command.find_subcommand_mut("fleet").unwrap();
    let mut help = |name: &str| fleet.find_subcommand_mut(name).unwrap().render_help().to_string();
    insta::assert_snapshot!("help_of_fleet_init", help("init"));
    insta::assert_snapshot!("help_of_fleet_add_worker", help("add-worker"));
    for wrong in [
        &["fleet"][..],
        &["fleet", "add-worker"],
        &["fleet", "init", "--certificate", "x"],
        &["fleet", "add-worker", "W"],
    ] {
        assert_eq!(parse_from(wrong).unwrap_err().exit_code(), i32::from(Exit::Usage.code()), "{wrong:?}");
    }
}

#[test]
fn commands_list_and_take_the_flags_that_they_use_and_no_others() {
    let mut whole = command().term_width(120);
    whole.build();
    for (name, args, uses, not) in [
        ("bench", &[][..], "--games-per-process", "--output-dir"),
        ("judge", &[], "--leaf-parallelism", "--games-per-process"),
        ("tune", &[], "--leaf-parallelism", "--http-listen"),
        ("check-model", &["m.onnx"], "--device", "--seed"),
        ("convert-model", &["m.onnx", "n.onnx"], "--precision", "--games-per-process"),
    ] {
        let help = whole.find_subcommand_mut(name).unwrap().render_help().to_string();
        assert!(help.contains(uses) && help.contains("--config") && !help.contains(not), "{name}: {help}");
        let line = |flag| [&[name], args, &[flag, "1"]].concat();
        assert!(parse_from(&line(uses)).is_ok(), "{name} {uses}");
        let error = parse_from(&line(not)).unwrap_err();
        let expected = format!("{not} has no meaning for `selfplayd {name}`");
        assert!(error.to_string().contains(&expected), "{error}");
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()));
    }
    let outside = ["bench", "outside", "--no-resume", "--http-listen", "none"];
    let error = parse_from(&outside).unwrap_err().to_string();
    assert!(error.contains("--no-resume, --http-listen has no meaning for `selfplayd bench`"), "{error}");
}

#[test]
fn what_is_wrong_with_values_of_flags_is_said_with_all_other_mistakes() {
    let line = "config --num-games -5 --seed abc --grace-seconds=-0.5 --p2 me --games-per-process many";
    let cli = parse_from(&line.split(' ').collect::<Vec<_>>()).unwrap();
    let Some(Command::Config(flags)) = cli.command else { panic!("not config: {cli:?}") };
    let error = flags.resolve(Purpose::Play, None).refuse_mistakes().unwrap_err();
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn numbers_of_commands_say_what_they_may_be() {
    for (args, expected) in [
        (&["bench", "--seconds", "-3"][..], "'-3' for '--seconds <S>': must be a number above 0, at most 3600"),
        (&["bench", "--rounds", "x"], "'x' for '--rounds <N>': must be a whole number from 1 to 100"),
        (&["tune", "--minutes", "nan"], "'nan' for '--minutes <T>': must be a number above 0, at most 1440"),
        (&["show", "x", "--ply", "-1"], "'-1' for '--ply <N>': must be a whole number from 0"),
    ] {
        let error = parse_from(args).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A section that no heading names would have no flags.
#[test]
fn every_flag_of_the_table_is_one_of_the_command() {
    let command = command();
    let defined: BTreeSet<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    for flag in KEYS.iter().filter_map(|key| key.flag) {
        assert!(defined.contains(flag.long.trim_start_matches('-')), "{}", flag.long);
    }
}

#[test]
fn flags_not_given_set_nothing() {
    assert_eq!(given(&parse_from(&[]).unwrap().flags), []);
}

#[test]
fn the_trainers_launch_line() {
    let line = "--config r/config.yaml --output-dir r/replay_buffers/ready --continuous \
                --latest-model-yaml r/models/latest.yaml --shutdown-file r/.shutdown";
    let cli = parse_from(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
    assert!(cli.command.is_none());
    assert_eq!(cli.flags.files.config, Some(PathBuf::from("r/config.yaml")));
    let expected = [
        ("--latest-model-yaml", "model.latest_yaml", "r/models/latest.yaml"),
        ("--output-dir", "output.dir", "r/replay_buffers/ready"),
        ("--continuous", "daemon.continuous", "true"),
        ("--shutdown-file", "daemon.shutdown_file", "r/.shutdown"),
    ];
    assert_eq!(given(&cli.flags), expected.map(|(flag, key, value)| (flag, key, value.to_owned())));
}

#[test]
fn switches_set_what_they_say() {
    let cli = parse_from(&["--no-tree-reuse", "--use-raw-onnx-agent", "--p2", "random"]).unwrap();
    let expected = [
        ("--no-tree-reuse", "search.tree_reuse", "false"),
        ("--p2", "play.p2", "random"),
        ("--use-raw-onnx-agent", "play.agent", "raw"),
    ];
    assert_eq!(given(&cli.flags), expected.map(|(flag, key, value)| (flag, key, value.to_owned())));
}

#[test]
fn subcommands_take_settings() {
    let cli = parse_from(&["config", "--config", "x.yaml", "--seed", "3"]).unwrap();
    let Some(Command::Config(flags)) = cli.command else { panic!("not config: {cli:?}") };
    assert_eq!(given(&flags), [("--seed", "play.seed", "3".to_owned())]);

    let cli = parse_from(&["bench", "--json", "--seconds", "2.5", "--model-path", "m.onnx"]).unwrap();
    let Some(Command::Bench(bench)) = cli.command else { panic!("not bench: {cli:?}") };
    assert!(bench.output.json && bench.seconds == 2.5);
    assert_eq!(given(&bench.flags), [("--model-path", "model.path", "m.onnx".to_owned())]);
}

#[test]
fn a_model_is_checked_and_swaps_are_measured_with_the_settings_of_play() {
    let cli = parse_from(&["check-model", "m.onnx", "--json", "--config", "x.yaml", "--device", "cpu"]).unwrap();
    let Some(Command::CheckModel(check)) = cli.command else { panic!("not check-model: {cli:?}") };
    assert!(check.json && check.file == std::path::Path::new("m.onnx") && check.sha256.is_none());
    assert_eq!(given(&check.flags), [("--device", "inference.device", "cpu".to_owned())]);

    let cli = parse_from(&["bench", "swap", "--every", "0.5", "--model-path", "m.onnx"]).unwrap();
    let Some(Command::Bench(bench)) = cli.command else { panic!("not bench: {cli:?}") };
    let Some(BenchWhat::Swap(swap)) = bench.what else { panic!("not swap: {bench:?}") };
    assert_eq!((swap.every, swap.swaps), (0.5, 10));
    assert_eq!(given(&swap.flags), [("--model-path", "model.path", "m.onnx".to_owned())]);
    assert!(parse_from(&["bench", "--rounds", "2", "swap"]).is_err());
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for args in [&["--num-games"][..], &["bench", "--seconds", "x"], &["--seed", "3", "config"], &["show"], &["--nope"]]
    {
        let error = parse_from(args).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{args:?}");
    }
}
