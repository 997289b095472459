//! Which plies teach a policy.

use super::*;

fn searched() -> Given {
    given().playable().trainer("quoridor: {board_size: 5, max_walls: 1, max_steps: 50}\nalphazero: {mcts_n: 300}")
}

#[test]
fn a_cheap_search_is_one_that_is_cheaper() {
    let part = || searched().flag("--full-search-share", "play.full_search_share", "0.25");
    assert_eq!(part().warnings(), [""; 0]);
    let cheap = |n: &str| part().env("SELFPLAYD__PLAY__CHEAP_SIMULATIONS", n);
    assert_eq!(cheap("299").settings().play.cheap_simulations, Some(299));
    let refused = "play.cheap_simulations = 300 (env SELFPLAYD__PLAY__CHEAP_SIMULATIONS): must be fewer than search.mcts_n, which is 300";
    assert!(cheap("300").message().contains(refused), "{}", cheap("300").message());
    assert!(cheap("1").message().contains("play.cheap_simulations = 1"), "{}", cheap("1").message());
    for share in ["0", "1.5", "-1"] {
        let said = searched().env("SELFPLAYD__PLAY__FULL_SEARCH_SHARE", share).message();
        assert!(said.contains("play.full_search_share = ") && said.contains("must be a number above 0"), "{said}");
    }
}

#[test]
fn nothing_is_forced_on_gumbels_rule() {
    let forced = || searched().env("SELFPLAYD__SEARCH__FORCED_PLAYOUTS", "2");
    assert_eq!(forced().warnings(), [""; 0]);
    let said = forced().flag("--root", "search.root", "gumbel").message();
    let refused = "search.forced_playouts = 2.0 (env SELFPLAYD__SEARCH__FORCED_PLAYOUTS): must be 0 with search.root = \"gumbel\", which divides its simulations itself";
    assert!(said.contains(refused), "{said}");
}

#[test]
fn what_has_no_effect_on_rows_is_said() {
    let unused = searched().env("SELFPLAYD__PLAY__CHEAP_SIMULATIONS", "20");
    let expected = "play.cheap_simulations (env SELFPLAYD__PLAY__CHEAP_SIMULATIONS) has no effect while play.full_search_share is 1";
    assert_eq!(unused.warnings(), [expected]);
    let raw = searched()
        .env("SELFPLAYD__PLAY__AGENT", "raw")
        .env("SELFPLAYD__PLAY__FULL_SEARCH_SHARE", "0.5")
        .env("SELFPLAYD__PLAY__POLICY_SURPRISE", "0.5");
    let raw = raw.env("SELFPLAYD__SEARCH__FORCED_PLAYOUTS", "2");
    let [share, surprise, forced] = &raw.warnings()[..] else { panic!("{:?}", raw.warnings()) };
    assert!(share.contains("has no effect with play.agent = \"raw\", which does not search"), "{share}");
    assert!(forced.contains("search.forced_playouts"), "{forced}");
    assert!(surprise.contains("has no effect with play.agent = \"raw\", whose policy is the network's"), "{surprise}");
}

#[test]
fn games_are_told_apart_by_what_their_rows_are_only_where_it_was_chosen() {
    let hash = |settings: &[(&str, &str)]| {
        let with = |given: Given, &(name, value): &(&str, &str)| given.env(&format!("SELFPLAYD__{name}"), value);
        settings.iter().fold(searched(), with).settings().games_hash()
    };
    let plain = hash(&[]);
    assert_eq!(
        hash(&[
            ("PLAY__FULL_SEARCH_SHARE", "1"),
            ("PLAY__CHEAP_SIMULATIONS", "7"),
            ("PLAY__POLICY_SURPRISE", "0"),
            ("SEARCH__FORCED_PLAYOUTS", "0")
        ]),
        plain
    );
    let others = [
        hash(&[("PLAY__FULL_SEARCH_SHARE", "0.5")]),
        hash(&[("PLAY__FULL_SEARCH_SHARE", "0.25")]),
        hash(&[("PLAY__FULL_SEARCH_SHARE", "0.5"), ("PLAY__CHEAP_SIMULATIONS", "7")]),
        hash(&[("PLAY__POLICY_SURPRISE", "0.5")]),
        hash(&[("SEARCH__FORCED_PLAYOUTS", "2")]),
        plain,
    ];
    assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), others.len());
}
