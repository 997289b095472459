//! From settings to the agents that play by them.

use std::sync::Arc;

use selfplay_actors::game::Terms;
use selfplay_engine::{
    search::{Gumbel, InFlight, Root, RootNoise, SearchParams, Simulations},
    selfplay::{Agent, PlaySettings, RowSettings},
};

use crate::settings::{self, Opponent, Settings};

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
        alpha: search.noise_alpha.unwrap_or_else(|| auto_alpha(settings.facts().typical_actions)),
    };
    PlaySettings {
        search: SearchParams {
            simulations: search.mcts_n.map_or(Simulations::PerLegalAction(search.mcts_k), Simulations::PerMove),
            c_puct: search.c_puct,
            leaf_parallelism: settings.leaf_parallelism(),
            in_flight: match search.in_flight {
                settings::InFlight::Visits => InFlight::Visits,
                settings::InFlight::Loss => InFlight::Losses(search.virtual_loss),
            },
            noise: (noise.epsilon > 0.0).then_some(noise),
            root: match search.root {
                settings::Root::Puct => Root::Puct,
                settings::Root::Gumbel => Root::Gumbel(Gumbel {
                    actions: search.gumbel_m,
                    c_visit: search.gumbel_c_visit,
                    c_scale: search.gumbel_c_scale,
                    stretch: search.gumbel_rescale,
                    scale: search.gumbel_scale,
                }),
            },
        },
        temperature: search.temperature,
        // Gumbel's rule plays the best of the most visited: visits choose only as long as that is asked for.
        drop_t_on_step: match search.root {
            settings::Root::Puct => search.drop_t_on_step,
            settings::Root::Gumbel => search.drop_t_on_step.or(Some(0)),
        },
        tree_reuse: search.tree_reuse,
        penalize_visited_states: search.penalize_visited_states,
        rows: RowSettings {
            full_share: settings.play.full_search_share,
            cheap: cheap(settings),
            surprise: settings.play.policy_surprise,
        },
        symmetry: settings.cache.symmetry,
        agents: [agent, opponent],
    }
}

/// Simulations of a search that is not of full size.
fn cheap(settings: &Settings) -> Simulations {
    let sixth = |full: u32| (full / 6).max(1);
    match (settings.play.cheap_simulations, settings.search.mcts_n) {
        (Some(n), _) => Simulations::PerMove(n),
        (None, Some(full)) => Simulations::PerMove(sixth(full).max(2)),
        (None, None) => Simulations::PerLegalAction(sixth(settings.search.mcts_k)),
    }
}

/// AlphaZero's rule: noise gets the narrower the more actions there are.
fn auto_alpha(typical_actions: f32) -> f32 {
    10.0 / typical_actions
}

#[cfg(test)]
mod tests {
    use selfplay_engine::games::quoridor::Quoridor;

    use super::*;
    use crate::played::PlayedGame as _;

    #[test]
    fn the_automatic_alpha_is_the_trainers() {
        let alpha = |size, walls| auto_alpha(Quoridor::new(size, walls, None).unwrap().typical_actions());
        assert_eq!(alpha(5, 3), 10.0 / 17.5);
        assert_eq!(alpha(9, 10), 10.0 / 65.5);
        assert_eq!(alpha(9, 0), 10.0 / 1.5);
    }
}
