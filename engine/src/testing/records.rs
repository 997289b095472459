//! Games through replay files and the journal.

use std::{io::Cursor, sync::Arc};

use ndarray::Axis;

use super::{Broken, Law, hold};
use crate::{
    evaluation::{Evaluations, Evaluator, UniformEvaluator},
    game::{Action, ActionSet, Game},
    journal::{journaled, restore_plies},
    replay::{GameArrays, GameMetadata, GameRecord, PlyRecord, ReadGame},
    search::{InFlight, Root, SearchParams, Simulations, SpareTree},
    selfplay::{Agent, OpeningSettings, PlaySettings, Progress, RowSettings, SelfPlayGame},
};

/// Plies after which a recorded game is given up; most of the laws concern single plies.
const PLIES: usize = 400;

/// Records game `number` and brings it back.
pub(super) fn check<G: Game>(game: &G, number: u64) -> Result<(), Broken> {
    let agent = if number.is_multiple_of(2) { Agent::Random } else { Agent::Search };
    let settings = Arc::new(PlaySettings {
        search: SearchParams {
            simulations: Simulations::PerMove(6),
            c_puct: 1.4,
            leaf_parallelism: 1,
            in_flight: InFlight::Losses(1),
            noise: None,
            root: Root::PUCT,
            solver: false,
        },
        temperature: 1.0,
        temperature_decay: None,
        drop_t_on_step: None,
        tree_reuse: true,
        penalize_visited_states: false,
        opening: OpeningSettings::default(),
        soft_resign: None,
        resign: None,
        rows: RowSettings::default(),
        symmetry: game.symmetries() > 1,
        agents: [agent; 2],
    });
    let begin = |plies: Vec<PlyRecord<G>>| {
        SelfPlayGame::resume(game.clone(), settings.clone(), 1, number, plies, Some(VERSION))
    };
    let mut whole = begin(Vec::new());
    let Some(record) = play(&mut whole) else { return check_journal(game, whole.plies()) };
    check_journal(game, &record.plies)?;
    check_files(game, &record)?;

    // Random players draw from the number of the ply alone, so that the second half must come out as before.
    if agent == Agent::Random {
        let half = record.plies.len() / 2;
        let played = actions(&record.plies);
        let resumed = play(&mut begin(record.plies[..half].to_vec()));
        let again = resumed.map(|record| (actions(&record.plies), record.outcome));
        hold(Law::Records, again == Some((played.clone(), record.outcome)), &played, || {
            format!("resumed after {half} plies it became {again:?}, not {:?}", record.outcome)
        })?;
    }
    Ok(())
}

/// The model version that all plies carry.
const VERSION: i64 = 3;

fn actions<G: Game>(plies: &[PlyRecord<G>]) -> Vec<Action> {
    plies.iter().map(|ply| ply.action).collect()
}

/// Plays to the end, if that comes soon enough.
fn play<G: Game>(game: &mut SelfPlayGame<G>) -> Option<GameRecord<G>> {
    let (mut leaves, mut spare, mut evaluations) = (Vec::new(), SpareTree::default(), Evaluations::default());
    while game.plies().len() < PLIES {
        leaves.clear();
        match game.advance(&mut leaves, &mut spare) {
            Progress::Finished(record) => return Some(record),
            Progress::Leaves => {
                UniformEvaluator.evaluate(&leaves, &mut evaluations).ok()?;
                game.apply(&evaluations, 1, VERSION);
            }
        }
    }
    None
}

fn check_journal<G: Game>(game: &G, plies: &[PlyRecord<G>]) -> Result<(), Broken> {
    let played = actions(plies);
    let failed = |what: String| Broken { law: Law::Records, actions: played.clone(), what };
    let kept = journaled(plies).map_err(|error| failed(format!("the journal cannot be read: {error}")))?;
    let restored = restore_plies(game, &kept).map_err(|error| failed(format!("the journal is refused: {error}")))?;
    let same = |one: &PlyRecord<G>, other: &PlyRecord<G>| {
        one.leaf.position == other.leaf.position
            && one.leaf.legal == other.leaf.legal
            && (one.player, one.action, one.model_version) == (other.player, other.action, other.model_version)
            && one.targets == other.targets
            && one.root_value == other.root_value
            && one.root_draw == other.root_draw
    };
    let differs = (0..plies.len()).find(|&ply| restored.get(ply).is_none_or(|other| !same(&plies[ply], other)));
    hold(Law::Records, differs.is_none(), &played, || format!("ply {differs:?} comes otherwise from the journal"))
}

fn check_files<G: Game>(game: &G, record: &GameRecord<G>) -> Result<(), Broken> {
    let played = actions(&record.plies);
    let failed = |what: String| Broken { law: Law::Records, actions: played.clone(), what };
    for encoding in game.encodings() {
        let arrays = GameArrays::new(record, game, encoding);
        let npz = arrays.and_then(|arrays| arrays.to_npz()).map_err(|error| failed(error.to_string()))?;
        let metadata = GameMetadata::new(record, 1, "", "");
        let yaml = metadata.to_yaml().map_err(|error| failed(error.to_string()))?;
        let read = ReadGame::read(Cursor::new(npz), &yaml).map_err(|error| failed(error.to_string()))?;

        // The files alone must tell the game again.
        let mut state = game.start();
        let mut input = vec![0.0; game.input_shape(encoding).iter().product()];
        for (ply, &action) in read.actions.iter().flatten().enumerate() {
            let legal = game.legal_actions(&state);
            let mover = game.side_to_move(&state);
            let turned = game.turn_actions(mover, &legal);
            let mask = read.action_masks.row(ply);
            let masked = (0..game.policy_size()).all(|action| mask[action] == turned.contains(action as Action));
            game.encode(encoding, &game.position(&state), &mut input);
            let encoded = read.input_arrays.index_axis(Axis(0), ply).iter().eq(&input);
            let valued = read.values[ply] == record.outcome.value_for(mover);
            hold(Law::Records, masked && encoded && valued, &played[..ply], || {
                format!("row {ply}: legal actions are right: {masked}, input: {encoded}, value: {valued}")
            })?;
            game.play(&mut state, action as Action);
        }
        let plies = read.actions.as_ref().map(|actions| actions.len());
        hold(Law::Records, read.metadata == metadata && plies == Some(played.len()), &played, || {
            format!("the files say {:?} and hold {plies:?} plies", read.metadata)
        })?;
    }
    Ok(())
}
