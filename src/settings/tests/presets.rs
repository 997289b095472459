//! Settings that come with the program.

use super::*;

#[test]
fn presets_are_settings() {
    let files = |folder: &str| fs::read_dir(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for entry in files("configs").chain(files("configs/search")) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(FileFormat::Toml.parse(None, &text).is_ok(), "{}", path.display());
        let mut given = given().playable().trainer(TRAINER);
        given.own = Some(path);
        given.settings();
        let mut warnings = given.warnings();
        // The defaults have no limit of steps.
        warnings.retain(|warning| !warning.contains("play.seed") && !warning.contains("game.max_steps"));
        assert_eq!(warnings, [""; 0]);
    }
}

#[test]
fn the_best_search_holds_where_no_trainer_asks_for_another() {
    let key = "search.solver";
    let alone = given().playable().flag("--game", "game.name", "tic_tac_toe");
    assert_eq!((alone.settings().search.solver, alone.source(key)), (true, "preset search/best".to_owned()));
    let trainers = given().playable().trainer(TRAINER);
    assert_eq!((trainers.settings().search.solver, trainers.source(key)), (false, "default".to_owned()));
    let own = alone.own("own.toml", "[search]\nsolver = false");
    assert_eq!((own.settings().search.solver, own.source(key)), (false, "run/own.toml".to_owned()));
}
