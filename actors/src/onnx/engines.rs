//! Where TensorRT's engines are kept, and what a new version of a network takes over from the one before.
//!
//! ONNX Runtime finds an engine by the names in the graph, and takes it for whatever weights the model has. So engines are
//! kept apart by the contents of the model. What a new version of the same network does take over is TensorRT's record of how
//! long kernels take, which makes up most of the time of building: that is kept by the *structure* of the model, the graph
//! without the values of its weights. Engines that take other weights (refitting) are not used: ONNX Runtime refits only
//! from a model file, and NVIDIA documents wrong results of engines that can be refitted.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use prost::Message as _;

use super::{
    gpu::EnginePlaces,
    graph::{Attribute, Element, Graph, Model, Tensor},
    model::{Checksum, ModelFile},
};

/// Models of one structure whose engines are kept: the one in service, the one before, the next, and one to spare.
const KEPT: usize = 4;
/// Hexadecimal digits of folders' names.
const DIGITS: usize = 16;

/// The folders for `model`, which are made. What is oldest of other models of its structure is removed.
///
/// # Errors
/// When the model cannot be taken apart, or folders cannot be made.
pub(super) fn places(
    cache: &Path,
    model: &ModelFile,
    onnxruntime: &str,
    (fp16, tf32): (bool, bool),
    batches: Option<(usize, usize)>,
) -> Result<EnginePlaces, String> {
    let structure = structure(model)?;
    let circumstances = format!("{structure} {onnxruntime} {fp16} {tf32} {batches:?}");
    let timings = cache.join(short(Checksum::of(circumstances.as_bytes())));
    let engines = timings.join(short(model.content()));
    let cannot = |error: io::Error| format!("{}: {error}", timings.display());
    fs::create_dir_all(&engines).map_err(cannot)?;
    prune(&timings, &engines).map_err(cannot)?;
    Ok(EnginePlaces { engines, timings })
}

fn short(checksum: Checksum) -> String {
    checksum.to_string()[..DIGITS].to_owned()
}

/// Removes the oldest folders in `timings` until [`KEPT`] are left, among them `own`.
fn prune(timings: &Path, own: &Path) -> io::Result<()> {
    let mut others: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(timings)? {
        let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        if metadata.is_dir() && path != own {
            others.push((metadata.modified()?, path));
        }
    }
    others.sort();
    let surplus = (others.len() + 1).saturating_sub(KEPT);
    others[..surplus].iter().try_for_each(|(_, path)| fs::remove_dir_all(path))
}

/// The checksum of a model without the values of its weights and without what is written for people: the same for all
/// versions of one network.
///
/// # Errors
/// When it is no complete ONNX model.
pub(super) fn structure(model: &ModelFile) -> Result<Checksum, String> {
    let Model { ir_version, graph, opset_import, functions, .. } = model.graph()?;
    let mut bare = Model { ir_version, graph, opset_import, functions, ..Model::default() };
    if let Some(graph) = &mut bare.graph {
        strip(graph);
    }
    Ok(Checksum::of(&bare.encode_to_vec()))
}

fn strip(graph: &mut Graph) {
    graph.doc_string = None;
    graph.metadata.clear();
    graph.value_info.clear();
    graph.initializers.iter_mut().for_each(strip_tensor);
    graph.sparse_initializers.iter_mut().filter_map(|sparse| sparse.values.as_mut()).for_each(strip_tensor);
    for node in &mut graph.nodes {
        node.doc_string = None;
        node.metadata.clear();
        node.attributes.iter_mut().for_each(strip_attribute);
    }
}

fn strip_attribute(attribute: &mut Attribute) {
    attribute.tensor.iter_mut().chain(&mut attribute.tensors).for_each(strip_tensor);
    attribute.graphs_mut().for_each(strip);
}

/// Whole numbers stay: they are shapes, axes and places.
fn strip_tensor(tensor: &mut Tensor) {
    tensor.doc_string = None;
    tensor.metadata.clear();
    if matches!(tensor.element(), Element::I32 | Element::I64 | Element::Bool) {
        return;
    }
    *tensor = Tensor {
        name: tensor.name.take(),
        dims: std::mem::take(&mut tensor.dims),
        data_type: tensor.data_type,
        ..Tensor::default()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(name: &str) -> ModelFile {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/models").join(name);
        ModelFile::read(path).unwrap()
    }

    /// The same model after `change`.
    fn changed(model: &ModelFile, change: impl FnOnce(&mut Graph)) -> ModelFile {
        let mut whole = model.graph().unwrap();
        change(whole.graph.as_mut().unwrap());
        model.with_graph(&whole).unwrap()
    }

    /// As after another epoch of training.
    fn trained(model: &ModelFile, by: f32) -> ModelFile {
        changed(model, |graph| {
            for tensor in graph.initializers.iter_mut().filter(|tensor| tensor.element() == Element::F32) {
                let numbers: Vec<f32> = tensor.floats().unwrap().iter().map(|number| number + by).collect();
                *tensor = Tensor::of_f32(tensor.name(), &tensor.dims, &numbers);
            }
        })
    }

    #[test]
    fn versions_of_one_network_have_one_structure() {
        let first = shipped("b5w3_resnet_2x32.onnx");
        let second = trained(&first, 0.25);
        assert_ne!(first.content(), second.content());
        assert_eq!(structure(&first).unwrap(), structure(&second).unwrap());
        let commented = changed(&first, |graph| {
            graph.doc_string = Some("exported on a Monday".to_owned());
            graph.nodes[0].doc_string = Some("line 7".to_owned());
        });
        assert_eq!(structure(&first).unwrap(), structure(&commented).unwrap());
    }

    #[test]
    fn other_networks_have_another_structure() {
        let small = shipped("b9w10_resnet_2x32.onnx");
        let deep = shipped("b9w10_resnet_6x32.onnx");
        let board = shipped("b5w3_resnet_2x32.onnx");
        let renamed = changed(&small, |graph| graph.nodes[0].outputs[0].push('x'));
        let reshaped = changed(&small, |graph| {
            graph.initializers.push(Tensor::of_i64("shape", &[1], &[1]));
        });
        let reshaped_otherwise = changed(&small, |graph| {
            graph.initializers.push(Tensor::of_i64("shape", &[1], &[2]));
        });
        let all =
            [&small, &deep, &board, &renamed, &reshaped, &reshaped_otherwise].map(|model| structure(model).unwrap());
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
    }

    #[test]
    fn engines_are_kept_by_contents_and_timings_by_structure() {
        let cache = tempfile::tempdir().unwrap();
        let first = shipped("b5w3_resnet_2x32.onnx");
        let batches = Some((1, 64));
        let places_of =
            |model: &ModelFile, numbers, batches| places(cache.path(), model, "1.31.1", numbers, batches).unwrap();
        let usual = (false, true);
        let kept = places_of(&first, usual, batches);
        assert!(kept.engines.is_dir() && kept.engines.starts_with(&kept.timings));
        assert_eq!(places_of(&first, usual, batches), kept, "another start finds it again");
        let next = places_of(&trained(&first, 0.5), usual, batches);
        assert_eq!(next.timings, kept.timings);
        assert_ne!(next.engines, kept.engines);
        let others = [places_of(&first, (true, true), batches), places_of(&first, usual, Some((1, 128)))];
        assert!(others.iter().all(|other| other.timings != kept.timings));
        let newer = places(cache.path(), &first, "1.32.0", usual, batches).unwrap();
        assert_ne!(newer.timings, kept.timings);
    }

    #[test]
    fn engines_of_the_oldest_models_are_removed() {
        let cache = tempfile::tempdir().unwrap();
        let model = shipped("tiny.onnx");
        let (mut made, start) = (Vec::new(), SystemTime::now() - std::time::Duration::from_secs(100));
        for version in 0..6_u8 {
            let model = trained(&model, f32::from(version));
            let EnginePlaces { engines, timings } =
                places(cache.path(), &model, "1.31.1", (false, true), None).unwrap();
            fs::write(timings.join("kernels.timing"), "").unwrap();
            fs::write(engines.join("a.engine"), "").unwrap();
            let then = start + std::time::Duration::from_secs(version.into());
            fs::File::open(&engines).unwrap().set_modified(then).unwrap();
            made.push((engines, timings));
        }
        let there: Vec<bool> = made.iter().map(|(engines, _)| engines.is_dir()).collect();
        assert_eq!(there, [false, false, true, true, true, true]);
        assert!(made[0].1.join("kernels.timing").is_file());
    }
}
