//! From settings to the agents that play by them.

use std::sync::Arc;

use selfplay_actors::game::Terms;
use selfplay_engine::{
    search::{
        Counted, FirstPlay, Growth, Gumbel, InFlight, NoiseShape, Puct, Root, RootNoise, SearchParams, Simulations,
    },
    selfplay::{Agent, Decay, NEVER_RESIGNS, OpeningSettings, PlaySettings, ResignSettings, RowSettings, SoftResign},
};

use crate::settings::{self, Opponent, SearchSettings, Settings};

/// What games are played with, and what that is called.
pub(crate) fn terms(settings: &Settings) -> Terms {
    let (settings, hash) = (Arc::new(play_settings(settings)), settings.games_hash().into());
    Terms { settings, hash, resign_below: NEVER_RESIGNS }
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
        shape: match search.noise_shape {
            settings::NoiseShape::Even => NoiseShape::Even,
            settings::NoiseShape::Shaped => NoiseShape::Shaped,
        },
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
                settings::Root::Puct => Root::Puct(puct(search)),
                settings::Root::Gumbel => Root::Gumbel(Gumbel {
                    actions: search.gumbel_m,
                    c_visit: search.gumbel_c_visit,
                    c_scale: search.gumbel_c_scale,
                    stretch: search.gumbel_rescale,
                    scale: search.gumbel_scale,
                }),
            },
            solver: search.solver,
        },
        temperature: search.temperature,
        temperature_decay: search.temperature_halflife.map(|halflife| Decay { end: search.temperature_end, halflife }),
        // Gumbel's rule plays the best of the most visited: visits choose only as long as that is asked for.
        drop_t_on_step: match search.root {
            settings::Root::Puct => search.drop_t_on_step,
            settings::Root::Gumbel => search.drop_t_on_step.or(Some(0)),
        },
        tree_reuse: search.tree_reuse,
        penalize_visited_states: search.penalize_visited_states,
        opening: OpeningSettings {
            random_plies: settings.play.opening_random_plies,
            policy_plies: settings.play.opening_policy_plies,
        },
        soft_resign: settings.play.soft_resign.then_some(SoftResign {
            value: settings.play.soft_resign_value,
            simulations: settings.play.soft_resign_simulations,
            weight: settings.play.soft_resign_weight,
        }),
        resign: settings.play.resign.then_some(ResignSettings {
            played_on: settings.play.resign_played_on,
            most_wrong: settings.play.resign_most_wrong,
        }),
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

fn puct(search: &SearchSettings) -> Puct {
    let first_play = |kind, value| match kind {
        settings::FirstPlay::Absolute => FirstPlay::Absolute(value),
        settings::FirstPlay::Reduction => FirstPlay::Reduction(value),
    };
    let below = first_play(search.fpu, search.fpu_value);
    let growth = Growth { by: search.c_puct_growth, base: search.c_puct_base };
    Puct {
        first_play: below,
        first_play_at_root: search.fpu_root.map_or(below, |kind| first_play(kind, search.fpu_root_value)),
        growth: (growth.by > 0.0).then_some(growth),
        policy_temperature: search.root_policy_temperature,
        counted: match search.n_counts {
            settings::Counted::Playouts => Counted::Playouts,
            settings::Counted::Visits => Counted::Visits,
        },
        forced_playouts: search.forced_playouts,
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
    use crate::{
        played::PlayedGame as _,
        settings::{FlagValue, Purpose, Sources, resolve},
    };

    /// What games of Connect Four are played with, by these settings.
    fn searched(own: &[(&'static str, &str)]) -> PlaySettings {
        let flag = |&(key, value): &(&'static str, &str)| FlagValue { flag: "--", key, value: value.to_owned() };
        let flags: Vec<_> = [("game.name", "connect_four")].iter().chain(own).map(flag).collect();
        let sources =
            Sources { preset: None, trainer: None, own: None, environment: &Default::default(), flags: &flags };
        play_settings(resolve(&sources, Purpose::Bench).settings())
    }

    #[test]
    fn options_of_the_search_reach_it() {
        let plain = searched(&[]);
        assert_eq!((plain.search.root, plain.temperature_decay), (Root::PUCT, None));
        assert_eq!(plain.search.noise.map(|noise| noise.shape), Some(NoiseShape::Even));
        let other = searched(&[
            ("search.fpu", "reduction"),
            ("search.fpu_value", "0.2"),
            ("search.fpu_root", "absolute"),
            ("search.fpu_root_value", "0.5"),
            ("search.c_puct_growth", "0.25"),
            ("search.c_puct_base", "500"),
            ("search.root_policy_temperature", "1.25"),
            ("search.noise_shape", "shaped"),
            ("search.n_counts", "visits"),
            ("search.forced_playouts", "2"),
            ("search.temperature_halflife", "9"),
            ("search.temperature_end", "0.25"),
        ]);
        let puct = Puct {
            first_play: FirstPlay::Reduction(0.2),
            first_play_at_root: FirstPlay::Absolute(0.5),
            growth: Some(Growth { by: 0.25, base: 500.0 }),
            policy_temperature: 1.25,
            counted: Counted::Visits,
            forced_playouts: 2.0,
        };
        assert_eq!(other.search.root, Root::Puct(puct));
        assert_eq!(other.search.noise.map(|noise| noise.shape), Some(NoiseShape::Shaped));
        assert_eq!(other.temperature_decay, Some(Decay { end: 0.25, halflife: 9.0 }));
        assert_eq!(
            other.search.root.to_string(),
            "PUCT, untried moves count their position's value - 0.2 √P, at the root 0.5, c_puct + 0.25 ln((N + 500 + 1) / 500), \
             root policy temperature 1.25, kept visits counted, playouts forced with k = 2 and pruned"
        );
        // The root does as other positions do unless it has its own.
        let PlaySettings { search, .. } = searched(&[("search.fpu_value", "-0.5")]);
        let first_play = FirstPlay::Absolute(-0.5);
        assert_eq!(search.root, Root::Puct(Puct { first_play, first_play_at_root: first_play, ..Puct::PLAIN }));
    }

    #[test]
    fn what_is_set_about_rows_reaches_games() {
        let rows = |own: &[(&'static str, &str)]| searched(own).rows;
        let plain = rows(&[]);
        assert_eq!((plain.full_share, plain.surprise), (1.0, 0.0));
        let expected = RowSettings { full_share: 0.25, cheap: Simulations::PerMove(100), surprise: 0.5 };
        let part = [("play.full_search_share", "0.25"), ("play.policy_surprise", "0.5")];
        assert_eq!(rows(&[&part[..], &[("search.mcts_n", "600")]].concat()), expected);
        assert_eq!(rows(&[&part[..], &[("search.mcts_n", "9")]].concat()).cheap, Simulations::PerMove(2));
        assert_eq!(rows(&[&part[..], &[("play.cheap_simulations", "7")]].concat()).cheap, Simulations::PerMove(7));
        assert_eq!(rows(&[&part[..], &[("search.mcts_k", "20")]].concat()).cheap, Simulations::PerLegalAction(3));
    }

    #[test]
    fn the_automatic_alpha_is_the_trainers() {
        let alpha = |size, walls| auto_alpha(Quoridor::new(size, walls, None).unwrap().typical_actions());
        assert_eq!(alpha(5, 3), 10.0 / 17.5);
        assert_eq!(alpha(9, 10), 10.0 / 65.5);
        assert_eq!(alpha(9, 0), 10.0 / 1.5);
    }
}
