//! Games for the tests of this crate.

use std::{fs, path::PathBuf, sync::Arc};

use selfplay_engine::{
    Action, Outcome,
    evaluation::{Evaluations, Evaluator as _, HashEvaluator, HashPriors},
    games::{
        quoridor::{Quoridor, QuoridorEncoding},
        tictactoe::TicTacToe,
    },
    matches::{MatchGame, Mover, Seat},
    replay::{GameArrays, GameMetadata, GameRecord},
    search::{InFlight, Root, SearchParams, Simulations, SpareTree},
    selfplay::{Agent, OpeningSettings, PlaySettings, Progress, RowSettings, SelfPlayGame},
    solve::Class,
};
use tempfile::TempDir;

/// The seed of all of them.
pub(crate) const SEED: u64 = 3;

/// Quoridor 5×5 with two walls, at most 30 plies.
pub(crate) fn rules() -> Quoridor {
    Quoridor::new(5, 2, Some(30)).unwrap()
}

const SEARCH: SearchParams = SearchParams {
    simulations: Simulations::PerMove(16),
    c_puct: 1.0,
    leaf_parallelism: 1,
    in_flight: InFlight::Losses(0),
    noise: None,
    root: Root::PUCT,
    solver: false,
};

/// Game `index` of a match between two solvers, of which `opening` actions were its opening.
pub(crate) fn match_game(index: u64, actions: &[Action], opening: usize, outcome: Outcome) -> GameRecord<TicTacToe> {
    let seat = Seat {
        mover: Mover::Solver,
        search: SEARCH,
        tree_reuse: false,
        penalize_visited_states: false,
        open_ended: false,
    };
    let mut game = MatchGame::new(TicTacToe, [seat; 2], &actions[..opening], SEED, index / 2);
    let mut spare = SpareTree::default();
    actions[opening..].iter().for_each(|&action| game.choose(&[action], Class::Draw, &mut spare));
    game.into_record(index, outcome)
}

/// Game `index`: the first player searches, the second moves at random.
pub(crate) fn played(index: u64) -> GameRecord<Quoridor> {
    let settings = PlaySettings {
        search: SEARCH,
        temperature: 1.0,
        temperature_decay: None,
        drop_t_on_step: None,
        tree_reuse: false,
        penalize_visited_states: false,
        opening: OpeningSettings::default(),
        soft_resign: None,
        resign: None,
        rows: RowSettings::default(),
        symmetry: false,
        agents: [Agent::Search, Agent::Random],
    };
    let mut evaluator = HashEvaluator::new(rules(), QuoridorEncoding::Resnet, HashPriors::Ratio, 0);
    let mut game = SelfPlayGame::new(rules(), Arc::new(settings), SEED, index);
    let (mut leaves, mut spare) = (Vec::new(), SpareTree::default());
    loop {
        leaves.clear();
        match game.advance(&mut leaves, &mut spare) {
            Progress::Finished(record) => return record,
            Progress::Leaves => {
                let mut evaluations = Evaluations::default();
                evaluator.evaluate(&leaves, &mut evaluations).unwrap();
                game.apply(&evaluations, 1, 7);
            }
        }
    }
}

/// Games as files.
pub(crate) struct Games {
    /// Where they are.
    pub dir: TempDir,
    /// Their archives: `game_0000.npz` and so on.
    pub archives: Vec<PathBuf>,
}

/// Writes so many games.
pub(crate) fn write_games(count: u64) -> Games {
    let dir = TempDir::new().unwrap();
    let write = |index| {
        let (record, path) = (played(index), dir.path().join(format!("game_{index:04}.npz")));
        let arrays = GameArrays::new(&record, &rules(), QuoridorEncoding::Resnet).unwrap();
        fs::write(&path, arrays.to_npz().unwrap()).unwrap();
        let metadata = GameMetadata::new(&record, 1, "0123456789abcdef", "0.1.0");
        fs::write(path.with_extension("yaml"), metadata.to_yaml().unwrap()).unwrap();
        path
    };
    let archives = (0..count).map(write).collect();
    Games { dir, archives }
}
