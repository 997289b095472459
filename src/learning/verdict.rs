//! Whether games are worth training on: a judgement in words of the figures of the last games, with the setting to change. Pure.

use serde::{Deserialize, Serialize};

use super::figures::VersionFigures;

/// Games of which fewer say nothing.
const FEWEST_GAMES: u64 = 100;
/// The same of policy targets and values.
const FEWEST_PLIES: u64 = 1000;
/// Share of openings that repeat others at which games teach the same again and again.
const REPEATED_OPENINGS: f64 = 0.5;
/// The same of whole games; more than a few are a sign of too little variety.
const REPEATED_GAMES: f64 = 0.05;
/// Share of games that one side may win.
const ONE_SIDED: f64 = 0.95;
/// Share of games that may be drawn.
const DRAWN: f64 = 0.95;
/// Share of games that may end at the step limit.
const STEP_LIMIT: f64 = 0.3;
/// Share of targets that may be one-hot.
const ONE_HOT: f64 = 0.9;
/// Divergence of targets from the network's policy, in nats, below which they teach nothing new: a share of 50% moves by 5 points at most.
const SAME_POLICY: f64 = 0.005;
/// Error of values, as a share of that of guessing, from which on they say nothing.
const GUESSING: f64 = 0.97;
/// The same from which on they mislead.
const MISLEADING: f64 = 1.15;
/// Error of guessing below which there is nothing to learn of results.
const NO_RESULTS: f64 = 0.02;
/// Mean distance of values from results at which they are badly calibrated.
const CALIBRATION: f64 = 0.25;

/// Something about the games that a user should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// What it is about.
    pub kind: VerdictKind,
    /// What was seen, in words and figures.
    pub statement: String,
    /// What to do about it.
    pub advice: String,
}

/// What a [`Verdict`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VerdictKind {
    /// Games are the same.
    RepeatedGames,
    /// They begin the same.
    RepeatedOpenings,
    /// One side wins nearly all.
    OneSided,
    /// Nearly all are drawn.
    Drawn,
    /// They are broken off.
    StepLimit,
    /// Policy targets name one move.
    OneHot,
    /// Policy targets are what the network says anyway.
    SamePolicy,
    /// The network's values are no better than guessing.
    ValuesSayNothing,
    /// They are worse.
    ValuesMislead,
    /// The search's values are not what comes of them.
    Calibration,
}

impl VerdictKind {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::RepeatedGames,
        Self::RepeatedOpenings,
        Self::OneSided,
        Self::Drawn,
        Self::StepLimit,
        Self::OneHot,
        Self::SamePolicy,
        Self::ValuesSayNothing,
        Self::ValuesMislead,
        Self::Calibration,
    ];

    /// As in metrics and status.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RepeatedGames => "repeated_games",
            Self::RepeatedOpenings => "repeated_openings",
            Self::OneSided => "one_sided",
            Self::Drawn => "drawn",
            Self::StepLimit => "step_limit",
            Self::OneHot => "one_hot",
            Self::SamePolicy => "same_policy",
            Self::ValuesSayNothing => "values_say_nothing",
            Self::ValuesMislead => "values_mislead",
            Self::Calibration => "calibration",
        }
    }
}

/// Settings that advice depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Played {
    /// Moves are found by Gumbel's search, which has no noise and no temperature after the opening.
    pub gumbel: bool,
    /// Most random plies at the begin of a game.
    pub opening_random_plies: u32,
    /// Whether games are ended where their result is known.
    pub adjudicate: bool,
}

/// What there is to say of the last games.
pub(crate) fn judge(figures: &VersionFigures, played: Played) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut say = |kind, statement: String, advice: String| verdicts.push(Verdict { kind, statement, advice });
    let at_least = |share: Option<f64>, most: f64| share.filter(|&share| share >= most);
    let variety = if played.gumbel {
        "raise play.opening_random_plies or play.opening_policy_plies, or let search.drop_t_on_step come later"
    } else {
        "raise play.opening_random_plies or play.opening_policy_plies, search.noise_epsilon, or search.root_policy_temperature above 1"
    };
    if figures.told_apart >= FEWEST_GAMES {
        if let Some(share) = at_least(figures.repeated_games, REPEATED_GAMES) {
            say(
                VerdictKind::RepeatedGames,
                format!("games repeat each other: {} were played before, move by move", percent(share)),
                format!("{variety}; daemons that share a directory need seeds of their own"),
            );
        }
        if let Some(share) = at_least(figures.repeated_openings, REPEATED_OPENINGS) {
            let now = played.opening_random_plies;
            say(
                VerdictKind::RepeatedOpenings,
                format!("games begin alike: {} of openings (8 plies) are equal to earlier ones", percent(share)),
                format!("{variety} (play.opening_random_plies is {now})"),
            );
        }
    }
    if figures.games >= FEWEST_GAMES {
        let sides = [("first", figures.first_share), ("second", figures.second_share)];
        for (side, share) in sides {
            if let Some(share) = at_least(share, ONE_SIDED) {
                say(
                    VerdictKind::OneSided,
                    format!(
                        "the {side} player wins {} of games: values learn who moves, and little of positions",
                        percent(share)
                    ),
                    "raise play.opening_random_plies, so that games begin from positions that either side can win"
                        .to_owned(),
                );
            }
        }
        let limited = at_least(figures.step_limit_share, STEP_LIMIT);
        if let Some(share) = limited {
            let adjudicate = if played.adjudicate { "" } else { ", or set play.adjudicate where it knows the game" };
            say(
                VerdictKind::StepLimit,
                format!("games end by the step limit: {} of them, as draws that nobody earned", percent(share)),
                format!(
                    "raise the game's max_steps{adjudicate}; while the first models learn the rules this passes by itself"
                ),
            );
        }
        if let Some(share) = at_least(figures.draw_share, DRAWN).filter(|_| limited.is_none()) {
            say(
                VerdictKind::Drawn,
                format!("{} of games are drawn: there is little to learn from results", percent(share)),
                "raise play.opening_random_plies, so that games begin from positions that are not balanced".to_owned(),
            );
        }
    }
    if figures.targets >= FEWEST_PLIES {
        if let Some(share) = at_least(figures.one_hot_share, ONE_HOT) {
            let advice = if played.gumbel {
                "lower search.gumbel_c_scale, or check the size of the network's logits"
            } else {
                "raise search.noise_epsilon or search.root_policy_temperature, and check the size of the network's logits"
            };
            say(
                VerdictKind::OneHot,
                format!("policies are nearly one-hot: one move has 99% or more of {} of targets", percent(share)),
                advice.to_owned(),
            );
        }
        if let Some(kl) = figures.policy_kl.filter(|&kl| kl < SAME_POLICY) {
            say(
                VerdictKind::SamePolicy,
                format!("targets equal what the network says anyway (KL {kl:.4} nats): the search adds nothing"),
                "raise search.mcts_n (or mcts_k); where play has converged, this is the end of what it can teach"
                    .to_owned(),
            );
        }
    }
    if figures.values >= FEWEST_PLIES {
        let guess = figures.guess_error.filter(|&guess| guess > NO_RESULTS);
        match figures.raw_value_error.zip(guess).map(|(error, guess)| (error, guess, error / guess)) {
            Some((error, guess, share)) if share >= MISLEADING => say(
                VerdictKind::ValuesMislead,
                format!("the network's values mislead: their squared error is {error:.2}, that of guessing {guess:.2}"),
                "check that the trainer's value targets are from the view of the side to move, and that the exported value is; a value head that is far too \
                 sure of itself wants a larger window or fewer samples per row"
                    .to_owned(),
            ),
            Some((error, guess, share)) if share >= GUESSING => say(
                VerdictKind::ValuesSayNothing,
                format!("the network's values say nothing: their squared error is {error:.2}, as large as that of guessing ({guess:.2})"),
                "the first models are like that; if later ones are, check the value targets and their weight in the trainer's loss".to_owned(),
            ),
            _ => {}
        }
        if let Some(distance) = at_least(figures.calibration_error, CALIBRATION) {
            say(
                VerdictKind::Calibration,
                format!("values by the search are {distance:.2} away from what comes of them, on average"),
                "look at the calibration curve on the page: values too far from 0 want a larger window or fewer samples per row, wrong signs a look at the \
                 value targets"
                    .to_owned(),
            );
        }
    }
    verdicts
}

fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYED: Played = Played { gumbel: false, opening_random_plies: 0, adjudicate: false };

    /// Games that teach well.
    fn good() -> VersionFigures {
        VersionFigures {
            games: 500,
            told_apart: 500,
            targets: 10_000,
            values: 10_000,
            first_share: Some(0.55),
            second_share: Some(0.35),
            draw_share: Some(0.1),
            step_limit_share: Some(0.02),
            repeated_games: Some(0.001),
            repeated_openings: Some(0.1),
            one_hot_share: Some(0.2),
            policy_kl: Some(0.2),
            value_error: Some(0.4),
            raw_value_error: Some(0.5),
            guess_error: Some(0.9),
            calibration_error: Some(0.05),
            ..VersionFigures::default()
        }
    }

    #[test]
    fn good_games_are_praised_by_silence_and_few_games_are_not_judged() {
        assert_eq!(judge(&good(), PLAYED), []);
        assert_eq!(judge(&VersionFigures::default(), PLAYED), []);
        let few = VersionFigures {
            games: 50,
            told_apart: 50,
            targets: 500,
            values: 500,
            first_share: Some(1.0),
            repeated_games: Some(1.0),
            repeated_openings: Some(1.0),
            one_hot_share: Some(1.0),
            policy_kl: Some(0.0),
            raw_value_error: Some(2.0),
            calibration_error: Some(1.0),
            ..good()
        };
        assert_eq!(judge(&few, PLAYED), []);
    }

    #[test]
    fn each_fault_is_told_alone_with_the_setting_to_change() {
        use VerdictKind as Kind;
        let good = good();
        for (kind, figures, statement, advice) in [
            (
                Kind::RepeatedGames,
                VersionFigures { repeated_games: Some(0.12), ..good.clone() },
                "12% were played before",
                "play.opening_random_plies",
            ),
            (
                Kind::RepeatedOpenings,
                VersionFigures { repeated_openings: Some(0.62), ..good.clone() },
                "62% of openings",
                "play.opening_random_plies is 0",
            ),
            (
                Kind::OneSided,
                VersionFigures { first_share: Some(0.97), ..good.clone() },
                "the first player wins 97%",
                "play.opening_random_plies",
            ),
            (
                Kind::OneSided,
                VersionFigures { second_share: Some(0.99), ..good.clone() },
                "the second player wins 99%",
                "play.opening_random_plies",
            ),
            (
                Kind::StepLimit,
                VersionFigures { step_limit_share: Some(0.97), draw_share: Some(0.97), ..good.clone() },
                "games end by the step limit: 97%",
                "max_steps, or set play.adjudicate",
            ),
            (
                Kind::Drawn,
                VersionFigures { draw_share: Some(0.98), ..good.clone() },
                "98% of games are drawn",
                "play.opening_random_plies",
            ),
            (
                Kind::OneHot,
                VersionFigures { one_hot_share: Some(0.93), ..good.clone() },
                "nearly one-hot",
                "search.noise_epsilon",
            ),
            (
                Kind::SamePolicy,
                VersionFigures { policy_kl: Some(0.001), ..good.clone() },
                "the search adds nothing",
                "search.mcts_n",
            ),
            (
                Kind::ValuesSayNothing,
                VersionFigures { raw_value_error: Some(0.9), ..good.clone() },
                "error is 0.90, as large as that of guessing (0.90)",
                "value targets",
            ),
            (
                Kind::ValuesMislead,
                VersionFigures { raw_value_error: Some(1.4), ..good.clone() },
                "values mislead",
                "the side to move",
            ),
            (
                Kind::Calibration,
                VersionFigures { calibration_error: Some(0.3), ..good.clone() },
                "0.30 away",
                "calibration curve",
            ),
        ] {
            let verdicts = judge(&figures, PLAYED);
            assert_eq!(verdicts.iter().map(|verdict| verdict.kind).collect::<Vec<_>>(), [kind]);
            assert!(verdicts[0].statement.contains(statement), "{verdicts:?}");
            assert!(verdicts[0].advice.contains(advice), "{verdicts:?}");
        }
    }

    #[test]
    fn advice_names_no_setting_that_has_no_effect() {
        let figures = VersionFigures { repeated_games: Some(0.5), one_hot_share: Some(1.0), ..good() };
        for verdict in judge(&figures, Played { gumbel: true, ..PLAYED }) {
            assert!(
                !verdict.advice.contains("noise_epsilon") && !verdict.advice.contains("root_policy_temperature"),
                "{verdict:?}"
            );
        }
        let limited = VersionFigures { step_limit_share: Some(0.5), ..good() };
        assert!(!judge(&limited, Played { adjudicate: true, ..PLAYED })[0].advice.contains("play.adjudicate"));
    }

    #[test]
    fn results_that_are_always_the_same_are_no_fault_of_the_values() {
        let drawn = VersionFigures { raw_value_error: Some(0.01), guess_error: Some(0.0), ..good() };
        assert_eq!(judge(&drawn, PLAYED), []);
    }

    #[test]
    fn names_are_those_of_the_status() {
        for kind in VerdictKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
