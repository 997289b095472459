//! What is said about options of the search.

use super::*;

#[test]
fn options_of_the_search_are_refused_outside_of_their_ranges() {
    for (key, value, allowed) in [
        ("FPU", "parent", r#""absolute" or "reduction""#),
        ("FPU_VALUE", "-1.5", "a number from -1 to 1"),
        ("FPU_ROOT", "other", r#""absolute" or "reduction", or "same""#),
        ("FPU_ROOT_VALUE", "2", "a number from -1 to 1"),
        ("C_PUCT_GROWTH", "-1", "a number from 0 to 1000"),
        ("C_PUCT_BASE", "0", "a number above 0, at most 1000000000"),
        ("ROOT_POLICY_TEMPERATURE", "0", "a number from 0.1 to 10"),
        ("NOISE_SHAPE", "round", r#""even" or "shaped""#),
        ("TEMPERATURE_HALFLIFE", "0", "a number above 0, at most 1000000, or \"none\""),
        ("TEMPERATURE_END", "-1", "a number from 0 to 100"),
        ("N_COUNTS", "both", r#""playouts" or "visits""#),
    ] {
        let given = given().playable().trainer(TRAINER).env(&format!("SELFPLAYD__SEARCH__{key}"), value);
        let message = given.message();
        let said = only(&message);
        assert!(said.starts_with(&format!("search.{} = ", key.to_ascii_lowercase())), "{said}");
        assert!(said.contains(allowed), "{said}");
    }
}

#[test]
fn options_of_the_search_that_count_for_nothing_are_told() {
    let warnings = |pairs: &[(&str, &str)]| {
        let given = given().playable().trainer(TRAINER);
        let set = |given: Given, &(name, value): &(&str, &str)| given.env(&format!("SELFPLAYD__SEARCH__{name}"), value);
        pairs.iter().fold(given, set).warnings()
    };
    for (idle, used) in [
        (&[("C_PUCT_BASE", "500")][..], &[("C_PUCT_BASE", "500"), ("C_PUCT_GROWTH", "1")][..]),
        (&[("FPU_ROOT_VALUE", "0.2")], &[("FPU_ROOT_VALUE", "0.2"), ("FPU_ROOT", "absolute")]),
        (&[("TEMPERATURE_END", "0.5")], &[("TEMPERATURE_END", "0.5"), ("TEMPERATURE_HALFLIFE", "9")]),
        (&[("NOISE_SHAPE", "shaped"), ("NOISE_EPSILON", "0")], &[("NOISE_SHAPE", "shaped")]),
        (&[("N_COUNTS", "visits"), ("TREE_REUSE", "false")], &[("N_COUNTS", "visits"), ("TREE_REUSE", "true")]),
    ] {
        let [warning] = &warnings(idle)[..] else { panic!("{idle:?}: {:?}", warnings(idle)) };
        assert!(warning.starts_with(&format!("search.{} (env", idle[0].0.to_ascii_lowercase())), "{warning}");
        assert_eq!(warnings(used), [""; 0], "{used:?}");
    }
    assert_eq!(warnings(&[("C_PUCT_BASE", "19652"), ("FPU_ROOT_VALUE", "0"), ("TEMPERATURE_END", "0.15")]), [""; 0]);
}

#[test]
fn virtual_losses_that_count_for_nothing_are_told() {
    let warned = |leaves: &str, in_flight: &str, losses: Option<&str>| {
        let given = given().playable().trainer(TRAINER);
        let given =
            given.env("SELFPLAYD__SEARCH__LEAF_PARALLELISM", leaves).env("SELFPLAYD__SEARCH__IN_FLIGHT", in_flight);
        let given =
            losses.into_iter().fold(given, |given, losses| given.env("SELFPLAYD__SEARCH__VIRTUAL_LOSS", losses));
        given
            .warnings()
            .iter()
            .any(|warning| warning.starts_with("search.virtual_loss (env SELFPLAYD__SEARCH__VIRTUAL_LOSS) has no"))
    };
    assert!(warned("8", "visits", Some("1")));
    assert!(!warned("8", "loss", Some("1")) && !warned("8", "visits", None) && !warned("1", "visits", Some("1")));
}
