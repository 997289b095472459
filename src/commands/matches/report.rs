//! What a match came to, for people and for programs.

use selfplay_engine::rating::{EloScale, Games, Sprt, Verdict};
use serde::Serialize;

use super::contest::{MatchPlan, MatchResult, Searched};
use crate::{commands::bench::text::table, matches::score::Score};

/// A sequential test of two differences in Elo.
pub(super) fn sprt([elo0, elo1]: [f64; 2]) -> anyhow::Result<Sprt> {
    Ok(Sprt::new(elo0, elo1, EloScale::Logistic)?)
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    /// All games were played.
    Complete,
    /// There were fewer openings than pairs to play.
    OutOfOpenings,
    /// The test accepted that A is stronger.
    Accepted,
    /// The test rejected it.
    Rejected,
    /// A signal.
    Interrupted,
}

/// Counts of games from A's view.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Counts {
    pub won: u64,
    pub drawn: u64,
    pub lost: u64,
}

impl Counts {
    fn of(&Games { 0: [lost, drawn, won] }: &Games) -> Self {
        Self { won, drawn, lost }
    }

    fn row(&self, name: &str) -> Vec<String> {
        let Self { won, drawn, lost } = self;
        let total = won + drawn + lost;
        let score = if total == 0 { 0.0 } else { 50.0 * (2 * won + drawn) as f64 / total as f64 };
        let numbers = [total, *won, *drawn, *lost].map(|number| number.to_string());
        std::iter::once(name.to_owned()).chain(numbers).chain([format!("{score:.1}%")]).collect()
    }
}

/// Elo with its interval, and how sure it is that A is the stronger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Strength {
    pub elo: f64,
    /// The 95% interval.
    pub interval: [f64; 2],
    /// Likelihood that A is the stronger, from 0 to 1.
    pub superiority: f64,
}

/// What the sequential test says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Test {
    pub elo: [f64; 2],
    /// Log-likelihood ratio.
    pub llr: f64,
    pub bounds: [f64; 2],
}

/// A match.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Report {
    /// A and B, as they were named.
    pub players: [String; 2],
    pub game: String,
    pub seed: u64,
    /// Where openings came from.
    pub openings: String,
    pub ending: Ending,
    /// Games that A began, and those that B began.
    pub a_began: Counts,
    pub b_began: Counts,
    /// Pairs in which A got 0, ½, 1, 1½ and 2 points.
    pub pairs: [u64; 5],
    pub strength: Option<Strength>,
    pub sprt: Option<Test>,
    pub mean_plies: f64,
    /// Milliseconds that A and B had for a move, where that is how long they searched.
    pub move_ms: [Option<u64>; 2],
    /// Simulations of a move of A and of B, in games that were played now; nothing for those who do not search.
    pub simulations_per_move: [Option<f64>; 2],
    /// Positions that were evaluated.
    pub evaluations: u64,
    pub seconds: f64,
}

impl Report {
    pub(super) fn new(
        players: [String; 2],
        game: String,
        plan: &MatchPlan,
        outcome: &MatchResult,
    ) -> anyhow::Result<Self> {
        let &MatchPlan { seed, ref openings, sprt: test, .. } = plan;
        let &MatchResult { ref score, ending, move_times, searched, evaluations, seconds } = outcome;
        let strength = score.pairs.elo().zip(score.pairs.superiority()).map(|(elo, superiority)| Strength {
            elo: elo.value,
            interval: [elo.low, elo.high],
            superiority,
        });
        let test = test.map(|elo| {
            let sprt = sprt(elo)?;
            anyhow::Ok(Test { elo, llr: sprt.llr(&score.pairs), bounds: sprt.bounds() })
        });
        Ok(Self {
            players,
            game,
            seed,
            openings: openings.to_string(),
            ending,
            a_began: Counts::of(&score.games[0]),
            b_began: Counts::of(&score.games[1]),
            pairs: score.pairs.0,
            strength,
            sprt: test.transpose()?,
            mean_plies: score.mean_plies(),
            move_ms: move_times.map(|time| time.map(|time| time.as_millis() as u64)),
            simulations_per_move: searched.map(Searched::simulations_per_move),
            evaluations,
            seconds,
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let [a, b] = &self.players;
        let Self { game, openings, seed, pairs, .. } = self;
        let head = ["", "games", "A won", "drawn", "B won", "A's score"].map(str::to_owned).to_vec();
        let (first, second) = (&self.a_began, &self.b_began);
        let all =
            Counts { won: first.won + second.won, drawn: first.drawn + second.drawn, lost: first.lost + second.lost };
        let rows = [head, first.row("A began"), second.row("B began"), all.row("all")];
        let [none, half, one, more, both] = pairs;
        let mut lines = vec![
            format!("A  {a}"),
            format!("B  {b}"),
            format!("{game}, {openings}, each played twice, seed {seed}"),
            String::new(),
            table(&rows),
            String::new(),
            format!("pairs by A's points: 0: {none}, ½: {half}, 1: {one}, 1½: {more}, 2: {both}"),
        ];
        if let Some(Strength { elo, interval: [low, high], superiority }) = &self.strength {
            let sure = 100.0 * superiority;
            lines.push(format!(
                "A − B: {elo:+.1} Elo, 95% interval {low:+.1} to {high:+.1}; A is the stronger with {sure:.1}%"
            ));
        }
        if let Some(Test { elo: [elo0, elo1], llr, bounds: [low, high] }) = &self.sprt {
            lines.push(format!(
                "SPRT of {elo0} against {elo1} Elo: LLR {llr:.2}, between {low:.2} and {high:.2} it is open"
            ));
        }
        if self.move_ms.iter().any(Option::is_some) {
            let [a, b] = self.move_ms.map(|ms| ms.map_or_else(|| "none".to_owned(), |ms| format!("{ms} ms")));
            let reached = |mean: Option<f64>| mean.map_or_else(|| "none".to_owned(), |mean| format!("{mean:.0}"));
            let [of_a, of_b] = self.simulations_per_move.map(reached);
            lines.push(format!(
                "time for a move: A {a}, B {b}; simulations of a move: A {of_a}, B {of_b}. They depend on this machine and on what else it \
                 does: played again, games differ"
            ));
        }
        lines.push(match self.ending {
            Ending::Complete => "all games were played".to_owned(),
            Ending::OutOfOpenings => {
                "there were no more openings: give more --opening-plies or a longer file".to_owned()
            }
            Ending::Accepted => "accepted: A is stronger".to_owned(),
            Ending::Rejected => "rejected: A is not stronger by as much".to_owned(),
            Ending::Interrupted => "interrupted: what was played so far; with --record it goes on from here".to_owned(),
        });
        lines.join("\n")
    }
}

/// What a test allows to say, if there is one.
pub(super) fn verdict(sprt: Option<&Sprt>, score: &Score) -> Option<Ending> {
    match sprt?.verdict(&score.pairs) {
        Verdict::Accepted => Some(Ending::Accepted),
        Verdict::Rejected => Some(Ending::Rejected),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::solve::Class;

    use super::*;
    use crate::matches::openings::Source;

    #[test]
    fn a_match_is_told_to_people() {
        let mut score = Score::default();
        for (results, times) in [
            ([Class::Win, Class::Win], 15),
            ([Class::Win, Class::Draw], 55),
            ([Class::Win, Class::Loss], 100),
            ([Class::Draw, Class::Loss], 40),
            ([Class::Loss, Class::Loss], 10),
        ] {
            (0..times).for_each(|_| score.count(results, 60));
        }
        assert_eq!(score.line(), "A won 185, drew 95, lost 160, Elo +20 ± 22");
        let players = ["new.onnx".to_owned(), "old.onnx:mcts_n=50".to_owned()];
        let game = "connect_four(rows=6,columns=7,length=4)".to_owned();
        let plan = MatchPlan { pairs: 220, openings: Source::Random { plies: 4 }, seed: 0, sprt: Some([0.0, 10.0]) };
        let mut outcome = MatchResult {
            score,
            ending: Ending::Complete,
            move_times: [None; 2],
            searched: [Searched::default(); 2],
            evaluations: 1,
            seconds: 1.0,
        };
        let report = |outcome: &MatchResult| Report::new(players.clone(), game.clone(), &plan, outcome).unwrap().text();
        insta::assert_snapshot!(report(&outcome));
        outcome.move_times[0] = Some(std::time::Duration::from_millis(50));
        let timed = report(&outcome);
        let line =
            "\ntime for a move: A 50 ms, B none; simulations of a move: A none, B none. They depend on this machine";
        assert!(timed.contains(line), "{timed}");
    }
}
