//! `selfplayd convert-model`: the file that the daemon makes of a model when it loads it in another precision.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use selfplay_actors::onnx::{self, LoadError, ModelFile, ModelReport, Precision, PrecisionRequest};

use crate::{
    cli::ConvertModelArgs,
    commands::check_model::table,
    daemon::evaluation::{Prepared, prepare_onnx},
    exit::{Exit, failed},
    played::PlayedGame,
    settings::Settings,
    streams,
};

/// Checks, converts, writes and prints: [`Exit::Clean`] when the converted model was written, [`Exit::Refused`] when it was not
/// because it must not serve.
///
/// # Errors
/// When the settings, ONNX Runtime or the device cannot be used, or the file cannot be written.
pub(crate) fn convert_model(
    game: &impl PlayedGame,
    args: &ConvertModelArgs,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let precision = settings.inference.precision;
    if !matches!(precision, PrecisionRequest::Only(Precision::Int8 | Precision::Fp16)) {
        bail!("{precision} models are those that the trainer writes: choose --precision int8 or fp16");
    }
    let Prepared { runtime, load: options, provider: _ } = prepare_onnx(settings, game)?;
    let mut report = ModelReport::new(&args.file);
    let file = ModelFile::check(&args.file, None, &options.limits, &mut report);
    let checked = file
        .map_err(LoadError::from)
        .and_then(|model| onnx::check_model(&runtime, game, &model, &options, &mut report));
    let report = report.skipping_the_rest("an earlier step refused the model");
    match checked {
        Err(LoadError::Device(error)) => return Err(failed(error)),
        Err(LoadError::Model(_)) => {}
        Ok(loaded) => {
            let out = &args.out;
            replace(out, loaded.model.bytes()).with_context(|| format!("failed to write {}", out.display()))?;
        }
    }
    let text = if args.json { serde_json::to_string(&report)? } else { table(&report) };
    streams::print(&text)?;
    Ok(if report.accepted() { Exit::Clean } else { Exit::Refused })
}

/// Puts `bytes` at `path` in one step, so that a daemon that follows the directory never sees part of a model.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    let part = path.with_file_name(hidden);
    let written = File::create(&part)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        drop(fs::remove_file(&part));
    }
    written
}
