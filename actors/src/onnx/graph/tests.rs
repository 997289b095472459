//! Graphs of real models, read and written.

use std::path::Path;

use super::{super::model::WeightFile, *};

fn models() -> Vec<ModelFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/models");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let onnx = entries.filter(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    let bytes = |path: std::path::PathBuf| ModelFile::from_bytes(&path, std::fs::read(&path).unwrap()).unwrap();
    onnx.map(bytes).collect()
}

#[test]
fn what_is_not_changed_is_written_as_it_was_read() {
    let models = models();
    assert!(models.len() > 20);
    for model in models {
        if model.path().ends_with("bad_external_data.onnx") {
            continue;
        }
        let again = model.with_graph(&model.graph().unwrap()).unwrap();
        assert_eq!((again.path(), again.checksum()), (model.path(), model.checksum()));
    }
}

#[test]
fn weights_in_other_files_are_brought_in() {
    let entry = |key: &str, value: &str| Entry { key: Some(key.to_owned()), value: Some(value.to_owned()) };
    let tensor = Tensor {
        external_data: vec![entry("location", "w.data"), entry("offset", "4")],
        data_location: Some(EXTERNAL),
        raw_data: None,
        ..Tensor::of_f32("w", &[2], &[0.0, 0.0])
    };
    let graph = Graph { initializers: vec![tensor], ..Graph::default() };
    let bytes = Model { graph: Some(graph), ..Model::default() }.encode_to_vec();
    let with = |floats: &[f32]| {
        let bytes = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
        vec![WeightFile { location: "w.data".to_owned(), bytes }]
    };
    let model = |weights| ModelFile::with_weights("m.onnx".into(), bytes.clone().into(), weights).graph();
    let read = model(with(&[1.0, 2.0, 3.0])).unwrap().graph.unwrap();
    let weight = read.initializer("w").unwrap();
    assert_eq!((weight.floats().unwrap(), weight.external_data.len(), weight.data_location), (vec![2.0, 3.0], 0, None));
    assert_eq!(model(with(&[1.0])).unwrap_err(), "tensor `w` needs 8 bytes of `w.data`, which is too short");
    assert_eq!(model(Vec::new()).unwrap_err(), "tensor `w` is in `w.data`, which was not read");
}

#[test]
fn what_is_no_model_is_no_graph() {
    let read = |bytes: &[u8]| ModelFile::from_bytes("m.onnx", bytes).unwrap().graph();
    assert!(read(b"PK\x03\x04 this is no network").is_err());
    assert_eq!(read(&[8, 10]).unwrap_err(), "it holds no graph");
}
