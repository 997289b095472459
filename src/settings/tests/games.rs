//! Which game is played, and its rules.

use super::*;
use crate::shipped::{self, AnyGame};

fn playing(game: &str) -> Given {
    given().playable().flag("--game", "game.name", game)
}

#[test]
fn every_game_is_played_by_its_name_and_needs_no_more() {
    for (name, title) in [
        ("tic_tac_toe", "tic_tac_toe"),
        ("mnk", "mnk(m=9,n=9,k=5)"),
        ("connect_four", "connect_four(rows=6,columns=7,length=4)"),
        ("othello", "othello(size=8)"),
        ("hex", "hex(size=11,swap=true)"),
        ("breakthrough", "breakthrough(rows=8,columns=8)"),
    ] {
        let settings = playing(name).settings();
        assert_eq!(settings.facts().title, title);
        let again = AnyGame::titled(title).unwrap().facts();
        assert_eq!((again.name, &*again.title), (name, title));
    }
    let settings = given().playable().trainer(TRAINER).settings();
    assert_eq!(settings.facts().title, "quoridor(board_size=5,max_walls=3,max_steps=200)");
}

#[test]
fn rules_come_from_the_section_of_the_game() {
    let own = "[game]\nname = \"mnk\"\n[mnk]\nm = 15\nn = 14\n[hex]\nsize = 5\n";
    let given = given().playable().own("mine.toml", own);
    assert_eq!(given.settings().facts().title, "mnk(m=15,n=14,k=5)");
    let unused = "hex.size (run/mine.toml) has no effect with game.name = \"mnk\"";
    assert!(given.warnings().iter().any(|warning| warning == unused), "{:?}", given.warnings());
    let given = playing("othello").trainer(TRAINER);
    let unused = "game.max_walls (run/config.yaml: quoridor.max_walls) has no effect with game.name = \"othello\"";
    assert!(given.warnings().iter().any(|warning| warning == unused), "{:?}", given.warnings());
}

#[test]
fn what_a_command_begins_with_is_not_held_against_the_user() {
    let mut given = playing("hex");
    given.preset = Some(Preset { name: "preset bench", toml: "[game]\nboard_size = 7\nmax_walls = 4" });
    assert!(!given.warnings().iter().any(|warning| warning.contains("preset bench")), "{:?}", given.warnings());
}

#[test]
fn misspelt_games_and_rules_without_sense_are_refused() {
    let said = playing("conect_four").message();
    assert!(said.contains("; did you mean \"connect_four\"?"), "{said}");
    assert!(said.starts_with("1 mistake in the settings:\n"), "and nothing of Quoridor is missing: {said}");
    assert!(!playing("chess").message().contains("did you mean"));
    for (game, variable, value, allowed) in [
        (
            "mnk",
            "SELFPLAYD__MNK__K",
            "12",
            "mnk.k = 12 (env SELFPLAYD__MNK__K): must be 2 to 9, the longer side of the board",
        ),
        ("connect_four", "SELFPLAYD__CONNECT_FOUR__LENGTH", "8", "must be 2 to 7, the longer side of the board"),
        (
            "othello",
            "SELFPLAYD__OTHELLO__SIZE",
            "5",
            "othello.size = 5 (env SELFPLAYD__OTHELLO__SIZE): must be 4, 6 or 8",
        ),
        ("hex", "SELFPLAYD__HEX__SIZE", "14", "must be a whole number from 3 to 13"),
        ("hex", "SELFPLAYD__HEX__SWAP", "maybe", "must be true or false"),
        ("breakthrough", "SELFPLAYD__BREAKTHROUGH__ROWS", "3", "must be a whole number from 4 to 8"),
    ] {
        let said = playing(game).env(variable, value).message();
        assert!(said.contains(allowed), "{said}");
    }
}

#[test]
fn every_game_has_a_preset_that_says_how_it_is_played() {
    for name in shipped::NAMES {
        let given = given().playable();
        let preset = format!("{}/configs/games/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let given = given.own("preset.toml", fs::read_to_string(preset).unwrap());
        let settings = given.settings();
        assert_eq!(settings.facts().name, name);
        assert!(settings.search.mcts_n.is_some() && settings.search.drop_t_on_step.is_some(), "{name}");
        assert_eq!(given.warnings(), [""; 0], "{name}");
    }
}

#[test]
fn the_hash_tells_games_and_their_rules_apart() {
    let hash = |given: Given| given.settings().games_hash();
    let hashes = [
        hash(given().playable().trainer(TRAINER)),
        hash(playing("hex")),
        hash(playing("hex").env("SELFPLAYD__HEX__SWAP", "false")),
        hash(playing("hex").env("SELFPLAYD__HEX__SIZE", "5")),
        hash(playing("connect_four")),
        hash(playing("mnk")),
        hash(playing("tic_tac_toe")),
    ];
    assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len(), "{hashes:?}");
    let unused = hash(playing("connect_four").env("SELFPLAYD__HEX__SIZE", "5"));
    assert_eq!(unused, hashes[4], "rules of a game that is not played");
}

#[test]
fn what_begins_and_ends_games_is_told_where_it_has_no_effect_or_no_sense() {
    let play = |settings: &str| playing("othello").own("mine.toml", format!("[play]\n{settings}\n")).warnings();
    let told = |settings: &str, warning: &str| {
        assert!(play(settings).iter().any(|said| said == warning), "{settings}: {:?}", play(settings));
    };
    told(
        "adjudicate = true",
        "play.adjudicate (run/mine.toml) has no effect as nothing is known of the endings of this game",
    );
    told("soft_resign_weight = 0.5", "play.soft_resign_weight (run/mine.toml) has no effect without play.soft_resign");
    told("resign_played_on = 0.5", "play.resign_played_on (run/mine.toml) has no effect without play.resign");
    told("resign = true\nagent = \"raw\"", "play.resign (run/mine.toml) has no effect without a search");
    assert_eq!(play("soft_resign_value = 0.9\nresign = true\nresign_played_on = 0.5"), play(""));

    let walls = |number| {
        let own = format!("[game]\nboard_size = 5\nmax_walls = {number}\nmax_steps = 60\n[play]\nadjudicate = true\n");
        given().playable().own("mine.toml", own)
    };
    let said = walls(0).message();
    let refused = "play.adjudicate = true (run/mine.toml): must be false with game.max_walls = 0, as without walls every game is \
                   decided before it begins";
    assert!(said.contains(refused), "{said}");
    assert!(walls(1).settings().play.adjudicate);
}

#[test]
fn the_hash_tells_apart_what_begins_and_ends_games_and_is_what_it_was_without() {
    let hash = |settings: &str| {
        let own = format!("[play]\n{settings}\n");
        playing("connect_four").own("mine.toml", own).settings().games_hash()
    };
    let hashes = [
        "",
        "adjudicate = true",
        "opening_random_plies = 4",
        "opening_policy_plies = 1.5",
        "soft_resign = true",
        "soft_resign = true\nsoft_resign_weight = 0.5",
        "resign = true",
        "resign = true\nresign_most_wrong = 0.01",
    ]
    .map(hash);
    assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len(), "{hashes:?}");
    assert_eq!(hash("soft_resign_weight = 0.5\nresign_most_wrong = 0.01"), hashes[0]);
    assert_eq!(playing("connect_four").settings().games_hash(), hashes[0]);
}
