//! What matches beside play came to: lines of a file, and what can be asked of them. Plain state: no file.

use selfplay_actors::{
    onnx::ModelFile,
    standings::{Newest, Rated},
};
use selfplay_engine::rating::{Encounter, LadderError, Pairs, Tally, ratings};
use serde::{Deserialize, Serialize};

/// Models that are rated together, the newest.
const MOST_RATED: usize = 60;

/// A model, told from others by its contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Model {
    /// The trainer's number.
    pub version: i64,
    /// Its checksum.
    pub content: String,
}

impl Model {
    pub(super) fn of(version: i64, file: &ModelFile) -> Self {
        Self { version, content: file.content().to_string() }
    }
}

/// A player that never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Anchor {
    /// Search without a network. All ratings are above it.
    Uniform,
    /// Random moves.
    Random,
}

/// Who plays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Player {
    /// A model.
    Model(Model),
    /// A player that never changes.
    Anchor(Anchor),
}

impl Player {
    /// For people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Model(model) => model.version.to_string(),
            Self::Anchor(Anchor::Uniform) => "uniform".to_owned(),
            Self::Anchor(Anchor::Random) => "random".to_owned(),
        }
    }
}

/// A match of a model, from its view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fixed {
    /// It decides whether the model is promoted.
    pub gate: bool,
    /// The model.
    pub a: Model,
    /// Its opponent.
    pub b: Player,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(super) enum Line {
    /// A model is to be rated.
    Entered {
        /// When, in seconds since 1970.
        unix: u64,
        /// How matches are played: those played otherwise are not compared.
        terms: String,
        /// It.
        model: Model,
        /// The one rated before it.
        before: Option<Model>,
    },
    /// A model came into service, where none does without a match.
    Serves {
        /// When, in seconds since 1970.
        unix: u64,
        /// It.
        model: Model,
    },
    /// A match is over.
    Played {
        /// When, in seconds since 1970.
        unix: u64,
        /// How it was played.
        terms: String,
        /// Who played.
        #[serde(flatten)]
        fixed: Fixed,
        /// Pairs by the model's points: 0, ½, 1, 1½, 2.
        pairs: [u64; 5],
    },
}

/// A model that is rated, and the one rated before it.
type Entry = (Model, Option<Model>);

/// All that was played under the same terms.
#[derive(Debug)]
pub(super) struct History {
    terms: String,
    entries: Vec<Entry>,
    played: Vec<(Fixed, Pairs)>,
    /// What came into service last, under whatever terms.
    pub serving: Option<Model>,
}

impl History {
    /// Nothing yet.
    pub(super) fn new(terms: String) -> Self {
        Self { terms, entries: Vec::new(), played: Vec::new(), serving: None }
    }

    /// The line of a model that is to be rated.
    pub(super) fn entered(&self, unix: u64, model: Model, before: Option<Model>) -> Line {
        Line::Entered { unix, terms: self.terms.clone(), model, before }
    }

    /// The line of a match.
    pub(super) fn over(&self, unix: u64, fixed: Fixed, pairs: Pairs) -> Line {
        Line::Played { unix, terms: self.terms.clone(), fixed, pairs: pairs.0 }
    }

    /// Takes a line in, if it is of the same terms.
    pub(super) fn take(&mut self, line: Line) {
        match line {
            Line::Serves { model, .. } => self.serving = Some(model),
            Line::Entered { terms, model, before, .. } if terms == self.terms => self.entries.push((model, before)),
            Line::Played { terms, fixed, pairs, .. } if terms == self.terms => self.played.push((fixed, Tally(pairs))),
            _ => {}
        }
    }

    /// The model that was to be rated last.
    pub(super) fn last(&self) -> Option<&Entry> {
        self.entries.last()
    }

    /// Whether a model of these contents is or was to be rated.
    pub(super) fn knows(&self, content: &str) -> bool {
        self.entries.iter().any(|(model, _)| model.content == content)
    }

    /// What a match came to, if it was played.
    pub(super) fn pairs(&self, fixed: &Fixed) -> Option<Pairs> {
        let same = |played: &&(Fixed, Pairs)| {
            let its = &played.0;
            let opponent = match (&its.b, &fixed.b) {
                (Player::Model(one), Player::Model(other)) => one.content == other.content,
                (one, other) => one == other,
            };
            opponent && its.gate == fixed.gate && its.a.content == fixed.a.content
        };
        self.played.iter().rev().find(same).map(|(_, pairs)| *pairs)
    }

    /// The next match of the model that was to be rated last, but for those that are `given_up`.
    pub(super) fn next(&self, given_up: impl Fn(&Fixed) -> bool) -> Option<Fixed> {
        let (model, before) = self.last()?;
        let anchors = [Anchor::Uniform, Anchor::Random].map(Player::Anchor);
        before
            .clone()
            .map(Player::Model)
            .into_iter()
            .chain(anchors)
            .map(|b| Fixed { gate: false, a: model.clone(), b })
            .find(|fixed| self.pairs(fixed).is_none() && !given_up(fixed))
    }

    /// The ratings of the last models and of those that never change, and how the last one that is rated does.
    pub(super) fn ratings(&self) -> (Vec<Rated>, Option<Newest>) {
        let skipped = self.entries.len().saturating_sub(MOST_RATED);
        let models = self.entries[skipped..].iter().map(|(model, _)| Player::Model(model.clone()));
        let anchors = [Anchor::Uniform, Anchor::Random].map(Player::Anchor);
        let mut players: Vec<Player> = anchors.into_iter().chain(models).collect();
        loop {
            let encounters: Vec<_> = self.played.iter().filter_map(|played| encounter(&players, played)).collect();
            match ratings(players.len(), &encounters, 0) {
                Ok(ratings) => {
                    let games = |number: usize| {
                        let of_it = encounters.iter().filter(move |encounter| encounter.players.contains(&number));
                        of_it.map(|encounter| 2 * encounter.pairs.total()).sum()
                    };
                    let rated: Vec<_> = players
                        .iter()
                        .zip(ratings)
                        .enumerate()
                        .map(|(number, (player, rating))| Rated {
                            player: player.name(),
                            version: match player {
                                Player::Model(model) => Some(model.version),
                                Player::Anchor(_) => None,
                            },
                            elo: rating.elo,
                            margin: rating.margin,
                            games: games(number),
                        })
                        .collect();
                    let newest = self.newest(&players, &rated);
                    return (if rated.len() > 1 { rated } else { Vec::new() }, newest);
                }
                // Whoever has not met anyone yet.
                Err(LadderError::Apart { players: apart, .. }) => {
                    let mut number = 0..;
                    players.retain(|_| !number.next().is_some_and(|number| apart.contains(&number)));
                }
                Err(error @ LadderError::Players { .. }) => {
                    tracing::error!(%error, "models cannot be rated");
                    return (Vec::new(), None);
                }
            }
        }
    }

    fn newest(&self, players: &[Player], rated: &[Rated]) -> Option<Newest> {
        let (Some(Player::Model(model)), Some(rated)) = (players.last(), rated.last()) else { return None };
        let (_, before) = self.entries.iter().rev().find(|(entry, _)| entry == model)?;
        let against = |before: &Model| Fixed { gate: false, a: model.clone(), b: Player::Model(before.clone()) };
        let score = before.as_ref().and_then(|before| self.pairs(&against(before))?.score());
        Some(Newest {
            version: model.version,
            elo: rated.elo,
            margin: rated.margin,
            games: rated.games,
            against: before.as_ref().filter(|_| score.is_some()).map(|before| before.version),
            score,
        })
    }
}

/// A match as an encounter of two of these players.
fn encounter(players: &[Player], (fixed, pairs): &(Fixed, Pairs)) -> Option<Encounter> {
    let place = |wanted: &Player| players.iter().position(|player| player == wanted);
    let (one, other) = (place(&Player::Model(fixed.a.clone()))?, place(&fixed.b)?);
    (!fixed.gate && pairs.total() > 0).then_some(Encounter { players: [one, other], pairs: *pairs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(version: i64) -> Model {
        Model { version, content: format!("{version:064}") }
    }

    fn history() -> History {
        History::new("terms".to_owned())
    }

    fn enter(history: &mut History, version: i64, before: Option<i64>) {
        history.take(history.entered(1, model(version), before.map(model)));
    }

    /// Plays all that is to be played; a newer model wins some more.
    fn play(history: &mut History) -> Vec<String> {
        let mut played = Vec::new();
        while let Some(fixed) = history.next(|_| false) {
            played.push(format!("{} {}", fixed.a.version, fixed.b.name()));
            let pairs = match fixed.b {
                Player::Model(_) => [1, 2, 4, 5, 8],
                Player::Anchor(Anchor::Uniform) => [2, 3, 10, 3, 2],
                Player::Anchor(Anchor::Random) => [0, 0, 0, 1, 19],
            };
            history.take(history.over(2, fixed, Tally(pairs)));
        }
        played
    }

    #[test]
    fn each_model_plays_the_one_before_and_those_that_never_change_once() {
        let mut history = history();
        assert!(history.next(|_| false).is_none() && history.ratings() == (Vec::new(), None));
        enter(&mut history, 5, None);
        assert_eq!(play(&mut history), ["5 uniform", "5 random"]);
        enter(&mut history, 10, Some(5));
        assert_eq!(play(&mut history), ["10 5", "10 uniform", "10 random"]);
        assert!(history.knows(&model(5).content) && !history.knows(&model(6).content));
        enter(&mut history, 15, Some(10));
        let next = history.next(|fixed| fixed.b == Player::Model(model(10)));
        assert_eq!(next.unwrap().b, Player::Anchor(Anchor::Uniform), "what is given up is not played");
    }

    #[test]
    fn ratings_are_of_all_that_have_played() {
        let mut history = history();
        enter(&mut history, 5, None);
        play(&mut history);
        enter(&mut history, 10, Some(5));
        let (rated, newest) = history.ratings();
        assert_eq!(rated.iter().map(|rated| &*rated.player).collect::<Vec<_>>(), ["uniform", "random", "5"]);
        let newest = newest.unwrap();
        assert_eq!((newest.version, newest.against, newest.score, newest.games), (5, None, None, 80));
        play(&mut history);
        let (rated, newest) = history.ratings();
        assert_eq!((rated[0].elo, rated[0].margin, rated[3].version), (0.0, 0.0, Some(10)));
        assert!(rated[1].elo < -200.0 && rated[3].elo > rated[2].elo, "{rated:?}");
        let newest = newest.unwrap();
        assert_eq!((newest.version, newest.against, newest.games), (10, Some(5), 120));
        assert!((newest.score.unwrap() - 0.7125).abs() < 1e-9, "{newest:?}");
    }

    #[test]
    fn what_is_rated_at_once_is_bounded() {
        let mut history = history();
        for version in 0..100 {
            enter(&mut history, version, (version > 0).then_some(version - 1));
            play(&mut history);
        }
        assert_eq!(history.ratings().0.len(), MOST_RATED + 2);
    }

    #[test]
    fn lines_can_be_read_again_and_other_terms_do_not_count() {
        let mut history = history();
        let fixed = Fixed { gate: true, a: model(5), b: Player::Model(model(4)) };
        let lines =
            [history.entered(7, model(5), Some(model(4))), history.over(8, fixed.clone(), Tally([1, 0, 2, 0, 3]))];
        let text = lines.clone().map(|line| serde_json::to_string(&line).unwrap());
        assert!(text[1].contains(r#""line":"played""#) && text[1].contains(r#""gate":true"#), "{}", text[1]);
        for (text, line) in text.iter().zip(&lines) {
            assert_eq!(serde_json::from_str::<Line>(text).unwrap(), *line);
        }
        let anchor = Fixed { b: Player::Anchor(Anchor::Random), ..fixed.clone() };
        let line = serde_json::to_string(&history.over(9, anchor, Tally::default())).unwrap();
        assert!(line.contains(r#""b":"random""#) && serde_json::from_str::<Line>(&line).is_ok(), "{line}");
        lines.into_iter().for_each(|line| history.take(line));
        assert_eq!(history.pairs(&fixed), Some(Tally([1, 0, 2, 0, 3])));
        assert_eq!(history.pairs(&Fixed { gate: false, ..fixed.clone() }), None);
        let mut other = History::new("other".to_owned());
        other.take(history.over(8, fixed.clone(), Tally::default()));
        assert_eq!(other.pairs(&fixed), None);
    }
}
