//! `--trace`: every ply as it is played.

use selfplay_actors::game::{GameHook, each_ply};
use selfplay_engine::{game::Notation, replay::PlyRecord};

use crate::streams;

/// Prints who played what, what the search thought of it, and the board after it.
pub(crate) fn print_ply<G: Notation>(game: G) -> GameHook<G> {
    each_ply(move |index, plies: &[PlyRecord<G>]| {
        let Some(last) = plies.last() else { return };
        let mut state = game.start();
        plies.iter().for_each(|ply| game.play(&mut state, ply.action));
        let text = format!(
            "game {index}, ply {}: player {} plays {} (value {:+.3}, {} visits)\n{}\n",
            plies.len() - 1,
            last.player.index() + 1,
            game.action_name(last.action),
            last.root_value,
            last.targets.iter().map(|target| target.visits).sum::<u32>(),
            game.draw(&state),
        );
        streams::out().put(text);
    })
}
