//! From settings to the rules, and to the agents that play by them.

use std::sync::Arc;

use selfplay_actors::game::Terms;
use selfplay_engine::{
    games::quoridor::Quoridor,
    search::{RootNoise, SearchParams, Simulations},
    selfplay::{Agent, PlaySettings},
};

use crate::{
    exit::failed,
    settings::{self, Opponent, Settings},
};

/// The rules of the settings.
pub(crate) fn rules(settings: &Settings) -> anyhow::Result<Quoridor> {
    let game = &settings.game;
    Quoridor::new(game.board_size.into(), game.max_walls.into(), game.max_steps).map_err(failed)
}

/// What games are played with, and what that is called.
pub(crate) fn terms(settings: &Settings) -> Terms {
    Terms { settings: Arc::new(play_settings(settings)), hash: settings.games_hash().into() }
}

/// How games are played.
fn play_settings(settings: &Settings) -> PlaySettings {
    let search = &settings.search;
    let agent = match settings.play.agent {
        settings::Agent::Search => Agent::Search,
        settings::Agent::Raw => Agent::Raw,
    };
    let opponent = match settings.play.p2 {
        Opponent::Same => agent,
        Opponent::Random => Agent::Random,
    };
    let noise = RootNoise {
        epsilon: search.noise_epsilon,
        alpha: search
            .noise_alpha
            .unwrap_or_else(|| auto_alpha(settings.game.board_size.into(), settings.game.max_walls.into())),
    };
    PlaySettings {
        search: SearchParams {
            simulations: search.mcts_n.map_or(Simulations::PerLegalAction(search.mcts_k), Simulations::PerMove),
            c_puct: search.c_puct,
            leaf_parallelism: settings.leaf_parallelism(),
            virtual_loss: search.virtual_loss,
            noise: (noise.epsilon > 0.0).then_some(noise),
        },
        temperature: search.temperature,
        drop_t_on_step: search.drop_t_on_step,
        tree_reuse: search.tree_reuse,
        penalize_visited_states: search.penalize_visited_states,
        symmetry: settings.cache.symmetry,
        agents: [agent, opponent],
    }
}

/// 10 / mean(3, W), where W is the number of wall actions of an empty board (contract of the trainer): 3 pawn moves and W walls
/// are the extremes of a typical number of legal actions.
fn auto_alpha(board_size: u32, max_walls: u32) -> f32 {
    let walls = if max_walls == 0 { 0 } else { 2 * (board_size - 1).pow(2) };
    10.0 / ((3 + walls) as f32 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_automatic_alpha_is_the_trainers() {
        assert_eq!(auto_alpha(5, 3), 10.0 / 17.5);
        assert_eq!(auto_alpha(9, 10), 10.0 / 65.5);
        assert_eq!(auto_alpha(9, 0), 10.0 / 1.5);
    }
}
