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
        assert!(said.contains(&format!("play.full_search_share = {share} (env")), "{said}");
    }
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
    let [share, surprise] = &raw.warnings()[..] else { panic!("{:?}", raw.warnings()) };
    assert!(share.contains("has no effect with play.agent = \"raw\", which does not search"), "{share}");
    assert!(surprise.contains("has no effect with play.agent = \"raw\", whose policy is the network's"), "{surprise}");
}

#[test]
fn games_are_told_apart_by_what_their_rows_are_only_where_it_was_chosen() {
    let hash = |settings: &[(&str, &str)]| {
        let with = |given: Given, &(name, value): &(&str, &str)| given.env(&format!("SELFPLAYD__PLAY__{name}"), value);
        settings.iter().fold(searched(), with).settings().games_hash()
    };
    let plain = hash(&[]);
    assert_eq!(hash(&[("FULL_SEARCH_SHARE", "1"), ("CHEAP_SIMULATIONS", "7"), ("POLICY_SURPRISE", "0")]), plain);
    let others = [
        hash(&[("FULL_SEARCH_SHARE", "0.5")]),
        hash(&[("FULL_SEARCH_SHARE", "0.25")]),
        hash(&[("FULL_SEARCH_SHARE", "0.5"), ("CHEAP_SIMULATIONS", "7")]),
        hash(&[("POLICY_SURPRISE", "0.5")]),
        plain,
    ];
    assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), others.len());
}
