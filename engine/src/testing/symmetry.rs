//! The group of symmetries, and games beside their images.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Broken, LONGEST, Law, hold, rules::Trace, view::numbers};
use crate::{
    evaluation::Leaf,
    game::{Action, ActionSet, Game},
};

/// The symmetry that does to all actions, and to `position`, what `first` and then `second` do.
fn product<G: Game>(game: &G, first: usize, second: usize, position: &G::Position) -> Option<usize> {
    let image = game.transform(second, &game.transform(first, position));
    (0..game.symmetries()).find(|&both| {
        game.transform(both, position) == image
            && (0..game.policy_size() as Action).all(|action| {
                let step = game.transform_action(first, action);
                game.transform_action(both, action) == game.transform_action(second, step)
            })
    })
}

/// That symmetries permute the actions, the first one is the identity, and products of two are among them. A finite set of
/// permutations with that property is a group.
pub(super) fn check_group<G: Game>(game: &G) -> Result<(), Broken> {
    let policy_size = game.policy_size();
    let count = game.symmetries();
    hold(Law::Group, count > 0, &[], || "there are no symmetries, not even the identity".to_owned())?;
    let start = game.position(&game.start());
    for symmetry in 0..count {
        let mut found = vec![false; policy_size];
        for action in 0..policy_size as Action {
            let image = game.transform_action(symmetry, action);
            let new = found.get_mut(usize::from(image)).is_some_and(|found| !std::mem::replace(found, true));
            hold(Law::Group, new && (symmetry > 0 || image == action), &[], || {
                format!("symmetry {symmetry} takes action {action} to {image}, which is out of range, taken or another")
            })?;
        }
        for second in 0..count {
            hold(Law::Group, product(game, symmetry, second, &start).is_some(), &[], || {
                format!("symmetries {symmetry} and {second}, one after the other, are none of the {count}")
            })?;
        }
    }
    Ok(())
}

/// That the input of an image is the input of the position with its entries moved.
fn check_entries<G: Game>(
    game: &G,
    encoding: G::Encoding,
    position: &G::Position,
    actions: &[Action],
) -> Result<(), Broken> {
    let encode = |position: &G::Position| {
        let mut out = vec![f32::NAN; game.input_shape(encoding).iter().product()];
        game.encode(encoding, position, &mut out);
        out
    };
    let input = encode(position);
    for symmetry in 0..game.symmetries() {
        let of_image = encode(&game.transform(symmetry, position));
        let mut moved = vec![f32::NAN; input.len()];
        for (entry, &number) in input.iter().enumerate() {
            let to = game.transform_entry(encoding, symmetry, entry);
            // NaN is found where nothing is moved to, or nothing else.
            if let Some(place) = moved.get_mut(to) {
                *place = number;
            }
        }
        hold(Law::Group, moved == of_image, actions, || {
            format!(
                "symmetry {symmetry} moves the input {input:?} ({}) to {moved:?}, and the image is encoded as {of_image:?}",
                game.encoding_name(encoding)
            )
        })?;
    }
    Ok(())
}

/// The group, seen at one position and its legal actions.
pub(super) fn check_positions<G: Game>(game: &G, trace: &Trace<G>, ply: usize) -> Result<(), Broken> {
    let (state, actions) = (&trace.states[ply], trace.before(ply));
    let count = game.symmetries();
    let position = game.position(state);
    hold(Law::Group, game.transform(0, &position) == position, actions, || {
        format!("symmetry 0 takes {position:?} to {:?}", game.transform(0, &position))
    })?;
    // All pairs in turn: at one ply this, at another that.
    let pair = ply * 7 % (count * count);
    let (first, second) = (pair / count, pair % count);
    hold(Law::Group, product(game, first, second, &position).is_some(), actions, || {
        format!("symmetries {first} and {second}, one after the other, are none of the {count} for {position:?}")
    })?;
    for encoding in game.encodings() {
        check_entries(game, encoding, &position, actions)?;
    }
    let Some(legal) = trace.legal.get(ply) else { return Ok(()) };
    let leaf = Leaf::new(game, state, legal);
    let least = leaf.canonical(game).0;
    for symmetry in 0..count {
        let transform = |action| game.transform_action(symmetry, action);
        let (images, one_by_one) = (game.transform_actions(symmetry, &leaf.legal), leaf.legal.map(transform));
        hold(Law::Group, images == one_by_one, actions, || {
            format!("symmetry {symmetry} takes legal actions to {images:?} together, to {one_by_one:?} one by one")
        })?;
        // As prior of an image, the number of the action whose image it is.
        let mut priors = vec![0.0; leaf.legal.len()];
        leaf.legal.iter().for_each(|action| priors[images.rank(transform(action))] = f32::from(action));
        game.transform_priors(symmetry, &leaf.legal, &mut priors);
        hold(Law::Group, priors == numbers(&leaf.legal), actions, || {
            format!("symmetry {symmetry} brings priors of actions {:?} to {priors:?}", numbers(&leaf.legal))
        })?;
        let image = Leaf::<G> { position: game.transform(symmetry, &leaf.position), legal: images };
        let of_image = image.canonical(game).0;
        hold(Law::Group, of_image.position == least.position, actions, || {
            let (one, other) = (least.position, of_image.position);
            format!("the least image of {position:?} is {one:?}, and that of its image {symmetry} is {other:?}")
        })?;
    }
    Ok(())
}

/// Plays `playouts` random games from the first start and their images from the second.
pub(super) fn check_images<G: Game>(
    game: &G,
    symmetry: usize,
    [start, image_start]: [&G::State; 2],
    playouts: usize,
) -> Result<(), Broken> {
    for number in 0..playouts {
        let mut rng = ChaCha8Rng::seed_from_u64(!(number as u64));
        let (mut state, mut image) = (start.clone(), image_start.clone());
        let mut actions = Vec::new();
        while actions.len() < LONGEST {
            let (outcome, of_image) = (game.outcome(&state), game.outcome(&image));
            hold(Law::Symmetry, outcome == of_image, &actions, || {
                format!("the result is {outcome:?}, and that of the image by symmetry {symmetry} is {of_image:?}")
            })?;
            // Where the board is turned for one of the players, the same symmetry may have another number for each.
            let (position, target) = (game.position(&state), game.position(&image));
            let numbers = (symmetry..game.symmetries()).chain(0..symmetry);
            let candidates = numbers.filter(|&number| game.transform(number, &position) == target);
            let candidates: Vec<usize> = if actions.is_empty() {
                candidates.filter(|&number| number == symmetry).collect()
            } else {
                candidates.collect()
            };
            hold(Law::Symmetry, !candidates.is_empty(), &actions, || {
                format!("{target:?} follows from the image by symmetry {symmetry}, and is no image of {position:?}")
            })?;
            if outcome.is_some() {
                break;
            }
            let (legal, legal_of_image) = (game.legal_actions(&state), game.legal_actions(&image));
            let (leaf, leaf_of_image) = (Leaf::new(game, &state, &legal), Leaf::new(game, &image, &legal_of_image));
            let found = candidates
                .into_iter()
                .find(|&number| game.transform_actions(number, &leaf.legal) == leaf_of_image.legal);
            hold(Law::Symmetry, found.is_some(), &actions, || {
                let (one, other) = (leaf.legal, leaf_of_image.legal);
                format!("legal actions are {one:?}, and {other:?} of the image by symmetry {symmetry}")
            })?;
            let Some(number) = found.filter(|_| !legal.is_empty()) else { break };
            let action = legal.nth(rng.random_range(0..legal.len()));
            let (mover, mover_of_image) = (game.side_to_move(&state), game.side_to_move(&image));
            let in_image = game.transform_action(number, game.turn_action(mover, action));
            game.play(&mut image, game.turn_action(mover_of_image, in_image));
            game.play(&mut state, action);
            actions.push(action);
        }
    }
    Ok(())
}
