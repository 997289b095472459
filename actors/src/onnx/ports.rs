//! Which of a model's inputs and outputs are used, and what its numbers for the outcome mean.

use std::fmt;

use selfplay_engine::evaluation::Worth;

/// Names of the output with the policy's logits, the best one first.
pub(super) const POLICY_NAMES: [&str; 10] = [
    "policy_logits",
    "policy",
    "policy_output",
    "output_policy",
    "policy_head",
    "/output/policy",
    "pi_logits",
    "pi",
    "p_logits",
    "p",
];

/// Names of the output with the value, the best one first; what it holds its shape tells.
pub(super) const VALUE_NAMES: [&str; 6] = ["value", "value_output", "output_value", "value_head", "/output/value", "v"];

/// What may stand before and behind the letters of an output that says win, draw and loss by its name.
const BEFORE: [&str; 4] = ["/output/", "output_", "value_", ""];
const BEHIND: [&str; 4] = ["_logits", "_output", "_head", ""];

/// What a network says of the outcome of a position, from the view of the side to move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Head {
    /// The expected outcome: one number from −1, lost, to 1, won.
    #[default]
    Scalar,
    /// Logits of a win, a draw and a loss, which stand at these places of three.
    WinDrawLoss([usize; 3]),
}

impl Head {
    /// Win, draw, loss in this order: what three numbers are that are called a value.
    pub(super) const IN_ORDER: Self = Self::WinDrawLoss([0, 1, 2]);

    /// What the name of an output says of its order: `wdl`, `ldw`, …
    fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let bare = BEFORE.iter().flat_map(|before| BEHIND.iter().map(move |behind| (before, behind)));
        let letters = bare
            .filter_map(|(before, behind)| name.strip_prefix(before)?.strip_suffix(behind))
            .find(|letters| letters.len() == 3)?;
        let place = |letter| letters.find(letter);
        Some(Self::WinDrawLoss([place('w')?, place('d')?, place('l')?]))
    }

    /// Numbers of one position.
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Scalar => 1,
            Self::WinDrawLoss(_) => 3,
        }
    }

    /// What one position's numbers mean.
    pub(super) fn worth(self, numbers: &[f32]) -> Worth {
        match self {
            Self::Scalar => numbers[0].into(),
            Self::WinDrawLoss(places) => Worth::win_draw_loss(places.map(|place| numbers[place])),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::WinDrawLoss(places) = self else { return f.pad("value") };
        let mut words = [""; 3];
        for (&place, word) in places.iter().zip(["win", "draw", "loss"]) {
            words[place] = word;
        }
        f.pad(&words.join(", "))
    }
}

/// The names of what is used of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) input: String,
    pub(super) policy: String,
    pub(super) value: String,
    pub(super) head: Head,
}

impl Ports {
    /// Whether the port of this name is used.
    pub(super) fn contains(&self, name: &str) -> bool {
        [&self.input, &self.policy, &self.value].into_iter().any(|used| used == name)
    }
}

/// The first of `names` that an output has, by the output's own spelling.
pub(super) fn find<'a>(outputs: impl Iterator<Item = &'a str> + Clone, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| outputs.clone().find(|output| output.eq_ignore_ascii_case(name)))
}

/// The output that says by its name that it holds win, draw and loss, and in which order.
pub(super) fn find_win_draw_loss<'a>(mut outputs: impl Iterator<Item = &'a str>) -> Option<(&'a str, Head)> {
    outputs.find_map(|output| Some((output, Head::named(output)?)))
}

/// All names, for people.
pub(super) fn names_text() -> String {
    let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    format!(
        "one input, an output for the policy ({}) and one for the value ({}, or `wdl`, `ldw` and so on for win, draw and loss)",
        quoted(&POLICY_NAMES),
        quoted(&VALUE_NAMES)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_the_list_counts_whatever_its_case_and_place() {
        let found = |outputs: &[&'static str]| find(outputs.iter().copied(), &POLICY_NAMES);
        assert_eq!(found(&["value", "P", "Policy"]), Some("Policy"));
        assert_eq!(found(&["policy", "policy_logits"]), Some("policy_logits"), "not what is most likely probabilities");
        assert_eq!(found(&["aux_policy", "policies", "value"]), None);
    }

    #[test]
    fn three_letters_tell_an_order() {
        for (name, places, words) in [
            ("wdl", [0, 1, 2], "win, draw, loss"),
            ("WDL_logits", [0, 1, 2], "win, draw, loss"),
            ("/output/wdl", [0, 1, 2], "win, draw, loss"),
            ("ldw", [2, 1, 0], "loss, draw, win"),
            ("value_wld", [0, 2, 1], "win, loss, draw"),
            ("output_dlw_head", [2, 0, 1], "draw, loss, win"),
        ] {
            let (_, head) = find_win_draw_loss([name].into_iter()).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((head, head.to_string().as_str()), (Head::WinDrawLoss(places), words), "{name}");
        }
        for other in ["value", "wwl", "world", "w", "", "dl", "old", "wdl2", "aux_wdl"] {
            assert_eq!(find_win_draw_loss([other].into_iter()), None, "{other}");
        }
    }

    #[test]
    fn numbers_are_taken_from_where_they_stand() {
        let [win, draw, loss] = [5f32.ln(), 3f32.ln(), 2f32.ln()];
        let expected = Head::IN_ORDER.worth(&[win, draw, loss]);
        assert!((expected.value - 0.3).abs() < 1e-6 && (expected.draw.or_nan() - 0.3).abs() < 1e-6, "{expected:?}");
        assert_eq!(Head::WinDrawLoss([2, 1, 0]).worth(&[loss, draw, win]), expected);
        assert_eq!(Head::WinDrawLoss([2, 0, 1]).worth(&[draw, loss, win]), expected);
        assert_eq!(Head::Scalar.worth(&[0.25]), 0.25.into());
    }
}
