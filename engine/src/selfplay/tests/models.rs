//! What a change of the model does to a game.

use super::*;

/// A game driven one question at a time; there is always one that waits for its answer.
struct Driven {
    rules: Quoridor,
    game: SelfPlayGame<Quoridor>,
    spare: SpareTree<Quoridor>,
    leaves: Vec<crate::Leaf<Quoridor>>,
}

impl Driven {
    fn new() -> Self {
        let rules = quoridor();
        let settings = PlaySettings { search: sequential(), ..settings() };
        let game = SelfPlayGame::new(rules, Arc::new(settings), 1, 3);
        let mut driven = Self { rules, game, spare: SpareTree::default(), leaves: Vec::new() };
        driven.ask();
        driven
    }

    /// Asks the next question; the number of leaves and completed plies.
    fn ask(&mut self) -> (usize, usize) {
        self.leaves.clear();
        let progress = self.game.advance(&mut self.leaves, &mut self.spare);
        assert!(matches!(progress, Progress::Leaves));
        (self.leaves.len(), self.game.plies().len())
    }

    /// Answers the question and asks the next.
    fn answer(&mut self, generation: u64) -> (usize, usize) {
        self.game.apply(&evaluate(&self.rules, generation, &self.leaves), generation, version(generation));
        self.ask()
    }

    /// Answers with one model until `plies` plies are complete and the first question of the next is asked.
    fn until(&mut self, plies: usize, generation: u64) {
        while self.game.plies().len() < plies {
            self.answer(generation);
        }
    }

    /// Answers with one model until the game is over.
    fn finish(mut self, generation: u64) -> GameRecord<Quoridor> {
        self.game.apply(&evaluate(&self.rules, generation, &self.leaves), generation, version(generation));
        finish(&self.rules, self.game, generation)
    }

    /// The same game from its completed plies on, with a tree of its own.
    fn resumed(&self, generation: u64) -> Vec<String> {
        let settings = Arc::new(PlaySettings { search: sequential(), ..settings() });
        let plies = self.game.plies().to_vec();
        let game = SelfPlayGame::resume(self.rules, settings, 1, 3, plies, self.game.first_version());
        text(&finish(&self.rules, game, generation).plies)
    }
}

#[test]
fn a_tree_with_values_of_two_models_is_dropped_at_the_next_move() {
    let mut driven = Driven::new();
    driven.until(2, 1);
    assert!(driven.game.tree_size().nodes > 1, "a subtree was kept");
    driven.answer(1);
    // The new model answers in the middle of ply 2.
    driven.until(3, 2);
    assert_eq!(driven.game.plies()[2].model_version, 20);
    assert_eq!(driven.game.plies()[1].model_version, 10);
    assert_eq!(driven.game.plies().iter().map(|ply| ply.notes.mixed).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(driven.game.tree_size().nodes, 1);
    assert_eq!(driven.game.first_version(), Some(10));

    let expected = driven.resumed(2);
    let record = driven.finish(2);
    assert_eq!(text(&record.plies), expected);
    assert_eq!(record.model_version, 10);
}

#[test]
fn a_kept_tree_is_not_mixed_with_a_new_model_s_values() {
    let mut driven = Driven::new();
    driven.until(2, 1);
    let kept = driven.game.tree_size().nodes;
    assert!(kept > 1);
    // The first answer of this move comes from another model: the move starts again, from the root.
    assert_eq!(driven.answer(2), (1, 2));
    assert_eq!(driven.game.tree_size().nodes, 1);

    let expected = driven.resumed(2);
    let record = driven.finish(2);
    assert_eq!(text(&record.plies), expected);
    assert_eq!(record.plies[2].model_version, 20);
}

#[test]
fn the_model_of_the_first_answer_is_the_game_s() {
    let mut driven = Driven::new();
    assert_eq!(driven.game.first_version(), None);
    driven.answer(4);
    assert_eq!(driven.game.first_version(), Some(40));
    // A new model within the first move changes nothing of that.
    driven.until(1, 5);
    assert_eq!(driven.game.first_version(), Some(40));
    assert_eq!(driven.game.plies()[0].model_version, 50);
}

#[test]
fn the_same_model_keeps_the_tree() {
    let mut driven = Driven::new();
    driven.until(1, 1);
    let visits: u32 = driven.game.plies()[0].targets.iter().map(|target| target.visits).sum();
    assert_eq!(visits, N - 1);
    driven.until(2, 1);
    let visits: u32 = driven.game.plies()[1].targets.iter().map(|target| target.visits).sum();
    assert!(visits >= N, "all {N} simulations are new, and some were kept: {visits}");
    assert_eq!(driven.game.counts().total() / u64::from(N), 2);
}

#[test]
fn a_resumed_game_remembers_the_model_of_its_last_ply() {
    let rules = quoridor();
    let settings = Arc::new(PlaySettings { agents: [Agent::Random; 2], ..settings() });
    let mut plies = play(&rules, &settings, 1).plies;
    plies.truncate(2);
    plies[1].model_version = 20;
    let record = finish(&rules, SelfPlayGame::resume(rules, settings, 1, 3, plies, Some(10)), 2);
    assert_eq!((record.plies[2].model_version, record.model_version), (20, 10));
}

/// As [`evaluate`]; models of odd generations say how likely a draw is.
fn evaluate_with_draws(generation: u64, leaves: &[crate::Leaf<TicTacToe>]) -> Evaluations {
    let plain = evaluate(&TicTacToe, generation, leaves);
    let mut evaluations = Evaluations::default();
    for evaluation in plain.iter() {
        let draw = if generation % 2 == 1 { DrawChance::new(0.25) } else { DrawChance::UNKNOWN };
        evaluations.push(Worth { value: evaluation.value, draw }, evaluation.priors.iter().copied());
    }
    evaluations
}

/// A game in which the model changes at each of `changes`, given as plies, from generation 1 to 2 and so on: in the middle of the
/// ply's search, or before it.
fn play_with_draws(settings: PlaySettings, changes: &[usize], in_mid_search: bool) -> GameRecord<TicTacToe> {
    let mut game = SelfPlayGame::new(TicTacToe, Arc::new(settings), 1, 3);
    let (mut leaves, mut spare, mut asked) = (Vec::new(), SpareTree::default(), (0, 0));
    loop {
        leaves.clear();
        match game.advance(&mut leaves, &mut spare) {
            Progress::Finished(record) => return record,
            Progress::Leaves => {
                let ply = game.plies().len();
                asked = (ply, if ply == asked.0 { asked.1 + 1 } else { 0 });
                let begun = !in_mid_search || asked.1 > 2;
                let passed = changes.iter().filter(|&&change| change < ply || change == ply && begun).count();
                let generation = 1 + passed as u64;
                game.apply(&evaluate_with_draws(generation, &leaves), generation, version(generation));
            }
        }
    }
}

/// Of each ply whether it is known how likely a draw was.
fn known(record: &GameRecord<TicTacToe>) -> Vec<bool> {
    record.plies.iter().map(|ply| ply.root_draw.known().is_some()).collect()
}

#[test]
fn plies_tell_how_likely_a_draw_is_where_all_their_evaluations_do() {
    let settings = || PlaySettings { search: sequential(), ..settings() };
    let all = play_with_draws(settings(), &[], false);
    assert!(all.says_draws() && known(&all).iter().all(|&known| known));
    assert!(all.plies.iter().all(|ply| ply.root_draw.known().is_some_and(|draw| (0.0..=1.0).contains(&draw))));
    for tree_reuse in [false, true] {
        let settings = || PlaySettings { tree_reuse, ..settings() };
        // Plies 2 and 3 are those of a model without a word on draws.
        let swapped = known(&play_with_draws(settings(), &[2, 4], false));
        let expected: Vec<_> = (0..swapped.len()).map(|ply| ply != 2 && ply != 3).collect();
        assert_eq!(swapped, expected);
        // In the middle of plies 2 and 4 both have a say.
        let swapped = known(&play_with_draws(settings(), &[2, 4], true));
        let expected: Vec<_> = (0..swapped.len()).map(|ply| !(2..=4).contains(&ply)).collect();
        assert_eq!(swapped, expected);
    }
    let none = finish(&TicTacToe, SelfPlayGame::new(TicTacToe, Arc::new(settings()), 1, 3), 1);
    assert!(!none.says_draws());
}

#[test]
fn draws_change_nothing_else_and_agents_without_search_say_what_they_know() {
    let settings = |agents| PlaySettings { search: sequential(), agents, ..settings() };
    let searching = settings([Agent::Search; 2]);
    let with = play_with_draws(searching.clone(), &[], false);
    let without = finish(&TicTacToe, SelfPlayGame::new(TicTacToe, Arc::new(searching), 1, 3), 1);
    let silent = |record: &GameRecord<TicTacToe>| {
        let mut plies = record.plies.clone();
        plies.iter_mut().for_each(|ply| ply.root_draw = DrawChance::UNKNOWN);
        text(&plies)
    };
    assert_eq!(silent(&with), silent(&without));

    let others = play_with_draws(settings([Agent::Raw, Agent::Random]), &[], false);
    for ply in &others.plies {
        let expected = if ply.player == crate::Player::First { Some(0.25) } else { None };
        assert_eq!(ply.root_draw.known(), expected);
    }
}
