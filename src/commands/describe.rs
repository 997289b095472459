//! `selfplayd describe`: what a trainer must know of a game.

use serde::Serialize;
use serde_json::{Map, Value};

use selfplay_engine::Action;

use crate::{cli::DescribeArgs, exit::Exit, played::PlayedGame, streams};

/// Whose view values are from.
const VALUE: &str = "the mover's view: 1 is won, 0 a draw, -1 lost; or win, draw and loss, in this order";

/// A game as a trainer needs it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Description {
    game: &'static str,
    title: String,
    rules: Map<String, Value>,
    policy_size: usize,
    policy: &'static str,
    frame: &'static str,
    value: &'static str,
    max_plies: Option<u32>,
    symmetries: usize,
    /// For each symmetry and each action of the image, the action that it comes from.
    policy_symmetries: Vec<Vec<Action>>,
    /// Ways to lay a position out, the preferred one first.
    encodings: Vec<Layout>,
}

/// A way to lay a position out.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Layout {
    name: &'static str,
    shape: Vec<usize>,
    /// One for each plane; none where there are no planes, or the game does not say.
    planes: Vec<&'static str>,
    /// For each symmetry and each entry of the image, the entry that it comes from.
    symmetries: Vec<Vec<usize>>,
}

/// Prints the description.
///
/// # Errors
/// When standard output takes nothing.
pub(crate) fn describe(game: &impl PlayedGame, args: &DescribeArgs) -> anyhow::Result<Exit> {
    let description = Description::of(game);
    let text = if args.json { serde_json::to_string(&description)? } else { description.table() };
    streams::print(&text)?;
    Ok(Exit::Clean)
}

/// The permutation that is undone by `image`.
fn sources<T: TryFrom<usize> + Clone>(length: usize, image: impl Fn(usize) -> usize) -> Vec<T> {
    let mut sources: Vec<Option<T>> = vec![None; length];
    for from in 0..length {
        sources[image(from)] = T::try_from(from).ok();
    }
    sources.into_iter().map(|from| from.expect("symmetries are permutations")).collect()
}

impl Description {
    fn of<G: PlayedGame>(game: &G) -> Self {
        let symmetries = game.symmetries();
        let typed = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
        let layout = |encoding: G::Encoding| {
            let shape = game.input_shape(encoding);
            let length = shape.iter().product();
            let of = |symmetry| sources(length, |entry| game.transform_entry(encoding, symmetry, entry));
            Layout {
                name: game.encoding_name(encoding),
                shape,
                planes: game.planes(encoding),
                symmetries: (0..symmetries).map(of).collect(),
            }
        };
        let of =
            |symmetry| sources(game.policy_size(), |action| game.transform_action(symmetry, action as Action).into());
        Self {
            game: game.name(),
            title: game.title(),
            rules: game.parameters().into_iter().map(|(name, value)| (name.to_owned(), typed(value))).collect(),
            policy_size: game.policy_size(),
            policy: game.policy_meaning(),
            frame: game.frame(),
            value: VALUE,
            max_plies: game.most_plies(),
            symmetries,
            policy_symmetries: (0..symmetries).map(of).collect(),
            encodings: game.encodings().into_iter().map(layout).collect(),
        }
    }

    /// For people.
    fn table(&self) -> String {
        let row = |name: &str, text: &str| format!("{name:<14} {text}").trim_end().to_owned();
        let plies = self.max_plies.map_or("no limit".to_owned(), |plies| format!("at most {plies}"));
        let mut lines = vec![
            self.title.clone(),
            row("policy", &format!("{} actions: {}", self.policy_size, self.policy)),
            row("board", self.frame),
            row("value", self.value),
            row("plies", &plies),
            row("symmetries", &self.symmetries.to_string()),
        ];
        for Layout { name, shape, planes, .. } in &self.encodings {
            lines.push(String::new());
            lines.push(row("input", &format!("{shape:?}, called {name}")));
            lines.extend(planes.iter().enumerate().map(|(number, plane)| row(&format!("  plane {number}"), plane)));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use selfplay_engine::{
        ActionSet,
        games::{
            breakthrough::Breakthrough, connect_four::ConnectFour, hex::Hex, mnk::Mnk, othello::Othello,
            quoridor::Quoridor, tictactoe::TicTacToe,
        },
    };

    use super::*;

    fn moved<T: Copy>(from: &[T], sources: impl IntoIterator<Item = usize>) -> Vec<T> {
        sources.into_iter().map(|source| from[source]).collect()
    }

    /// Plays at random, and moves inputs and legal actions as the description says; plies of the longest game.
    fn check<G: PlayedGame>(game: &G, games: u64) -> u32 {
        let described = Description::of(game);
        let json: Value = serde_json::from_str(&serde_json::to_string(&described).unwrap()).unwrap();
        assert_eq!(json["encodings"][0]["shape"][0], json["encodings"][0]["planes"].as_array().unwrap().len());
        assert_eq!(described.policy_symmetries.len(), game.symmetries());
        let mut longest = 0;
        for seed in 0..games {
            let (mut rng, mut state) = (StdRng::seed_from_u64(seed), game.start());
            while game.outcome(&state).is_none() {
                let legal = game.legal_actions(&state);
                if legal.is_empty() {
                    break;
                }
                let (position, turned) = (game.position(&state), game.turn_actions(game.side_to_move(&state), &legal));
                let mask = |actions: &G::Actions| {
                    (0..game.policy_size()).map(|action| actions.contains(action as Action)).collect::<Vec<_>>()
                };
                for symmetry in 0..game.symmetries() {
                    let image = game.transform(symmetry, &position);
                    let of_image = mask(&game.transform_actions(symmetry, &turned));
                    let policy = described.policy_symmetries[symmetry].iter().map(|&action| action.into());
                    assert_eq!(moved(&mask(&turned), policy), of_image, "{}", described.title);
                    for (encoding, layout) in game.encodings().into_iter().zip(&described.encodings) {
                        let encode = |position: &G::Position| {
                            let mut out = vec![f32::NAN; layout.shape.iter().product()];
                            game.encode(encoding, position, &mut out);
                            out
                        };
                        let input = moved(&encode(&position), layout.symmetries[symmetry].iter().copied());
                        assert_eq!(input, encode(&image), "{} by {symmetry}", described.title);
                    }
                }
                game.play(&mut state, legal.nth(rng.random_range(0..legal.len())));
            }
            longest = longest.max(game.ply(&state));
            let most = described.max_plies.expect("games of these rules end");
            assert!(longest <= most, "{}: {longest} plies, and {most} is said to be the most", described.title);
        }
        longest
    }

    #[test]
    fn symmetries_as_data_are_those_of_the_games_and_no_game_is_longer_than_is_said() {
        // Of boards that are filled the longest games are found.
        assert_eq!(check(&TicTacToe, 40), 9);
        assert_eq!(check(&Mnk::new(4, 3, 3).unwrap(), 200), 12);
        assert_eq!(check(&Mnk::new(5, 5, 5).unwrap(), 10), 25);
        assert_eq!(check(&ConnectFour::new(4, 5, 4).unwrap(), 40), 20);
        for game in [(4, false), (6, false), (3, true)] {
            check(&Hex::new(game.0, game.1).unwrap(), 60);
        }
        for size in [4, 6, 8] {
            check(&Othello::new(size).unwrap(), 10);
        }
        for (rows, columns) in [(4, 4), (8, 8), (5, 7)] {
            check(&Breakthrough::new(rows, columns).unwrap(), 10);
        }
        assert_eq!(check(&Quoridor::new(5, 3, Some(30)).unwrap(), 10), 30);
        check(&Quoridor::new(4, 2, Some(60)).unwrap(), 10);
        assert_eq!(Description::of(&Quoridor::new(5, 3, None).unwrap()).max_plies, None);
    }

    #[test]
    fn people_read_a_table() {
        insta::assert_snapshot!(Description::of(&Hex::new(3, true).unwrap()).table());
    }

    #[test]
    fn what_games_say_of_themselves_is_what_formats_md_says() {
        let formats = include_str!("../../docs/formats.md");
        let row = |head: &str, name: &str| {
            let (_, table) = formats.split_once(head).unwrap_or_else(|| panic!("no table {head:?}"));
            let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
            rows.filter(|row| row.contains(name)).collect::<Vec<_>>().join("\n")
        };
        let check = |description: Description| {
            let name = format!("`{}`", description.game);
            let about = row("| game | parameters |", &name);
            assert!(about.contains(&format!("| {} | {} |", description.policy, description.frame)), "{about}");
            assert!(about.contains(&format!("| {}", description.symmetries)), "{about}");
            let planes = row("| game | input |", &name);
            assert!(planes.contains(&format!("| {} |", description.encodings[0].planes.join("; "))), "{planes}");
        };
        check(Description::of(&TicTacToe));
        check(Description::of(&Mnk::new(9, 9, 5).unwrap()));
        check(Description::of(&ConnectFour::default()));
        check(Description::of(&Othello::new(8).unwrap()));
        check(Description::of(&Hex::new(5, false).unwrap()));
        check(Description::of(&Hex::new(5, true).unwrap()));
        check(Description::of(&Breakthrough::new(8, 8).unwrap()));
        let quoridor = Description::of(&Quoridor::new(5, 3, None).unwrap());
        for (number, plane) in quoridor.encodings[0].planes.iter().enumerate() {
            let row = row("| plane | |", &format!("| {number} | "));
            assert!(row.starts_with(&format!("| {number} | {plane}")), "{row}");
        }
        let (actions, _) = formats.split_once("| action | index |").unwrap().1.split_once("\n\n").unwrap();
        for meaning in quoridor.policy.split("; ") {
            let (what, index) = meaning.rsplit_once(": ").unwrap();
            let found = actions
                .lines()
                .any(|row| row.starts_with(&format!("| {what}")) && row.ends_with(&format!("| {index} |")));
            assert!(found, "{meaning}");
        }
    }
}
