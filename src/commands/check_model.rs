//! `selfplayd check-model`: everything a model is checked for before it may serve, without playing.

use selfplay_actors::onnx::{self, Agreement, LoadError, ModelFile, ModelReport, PortReport, StepOutcome};

use crate::{
    cli::CheckModelArgs,
    daemon::evaluation::{Prepared, prepare_onnx},
    exit::{Exit, failed},
    played::PlayedGame,
    settings::Settings,
    streams,
};

/// Checks and prints: [`Exit::Clean`] for a model that may serve, [`Exit::Refused`] for another.
///
/// # Errors
/// When the settings, ONNX Runtime or the device cannot be used, so that nothing is known of the model.
pub(crate) fn check_model(game: &impl PlayedGame, args: &CheckModelArgs, settings: &Settings) -> anyhow::Result<Exit> {
    let Prepared { runtime, load: options, provider: _ } = prepare_onnx(settings, game)?;
    let mut report = ModelReport::new(&args.file);
    let file = ModelFile::check(&args.file, args.sha256.as_deref(), &options.limits, &mut report);
    let checked = file
        .map_err(LoadError::from)
        .and_then(|model| onnx::check_model(&runtime, game, &model, &options, &mut report));
    if let Err(LoadError::Device(error)) = checked {
        return Err(failed(error));
    }
    let report = report.skipping_the_rest("an earlier step refused the model");
    let text = if args.json { serde_json::to_string(&report)? } else { table(&report) };
    streams::print(&text)?;
    Ok(if report.accepted() { Exit::Clean } else { Exit::Refused })
}

/// The report for people.
pub(crate) fn table(report: &ModelReport) -> String {
    let mut lines = vec![report.path.display().to_string()];
    let ran_on = report.provider.as_ref().map(|provider| match report.computes {
        Some(precision) => format!("{provider} in {precision}"),
        None => provider.clone(),
    });
    let known = [("sha256", &report.sha256), ("input", &report.encoding), ("ran on", &ran_on)];
    lines.extend(known.into_iter().filter_map(|(name, value)| Some(format!("{name:<14} {}", value.as_ref()?))));
    if !report.ports.is_empty() {
        lines.extend([String::new(), ports_table(&report.ports)]);
    }
    if let Some(agreement) = &report.precision {
        lines.extend([String::new(), agreement_table(agreement)]);
    }
    lines.push(String::new());
    lines.push(format!("{:<14} {:<8} {:>8}  ", "step", "result", "seconds"));
    for step in &report.steps {
        let (result, detail) = match &step.outcome {
            StepOutcome::Passed(detail) => ("passed", detail),
            StepOutcome::Warned(warning) => ("WARNING", warning),
            StepOutcome::Refused(reason) => ("REFUSED", reason),
            StepOutcome::Skipped(why) => ("skipped", why),
        };
        lines.push(format!("{:<14} {result:<8} {:>8.3}  {detail}", step.step, step.seconds));
    }
    let verdict = match (report.accepted(), report.warnings().count()) {
        (false, _) => "refused: it must not serve".to_owned(),
        (true, 0) => "accepted: it may serve".to_owned(),
        (true, 1) => "accepted: it may serve, but see the warning".to_owned(),
        (true, many) => format!("accepted: it may serve, but see the {many} warnings"),
    };
    lines.extend([String::new(), verdict]);
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// Inputs and outputs, and what they are used for.
fn ports_table(ports: &[PortReport]) -> String {
    let heading = ["port", "name", "shape", "type", "used as"];
    let row = |port: &PortReport| {
        let PortReport { port, name, shape, element, used_as } = port.clone();
        [port.to_owned(), name, shape, element, used_as]
    };
    let rows: Vec<_> = std::iter::once(heading.map(str::to_owned)).chain(ports.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [14, width(1), width(2), width(3), 0];
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join(" ")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// How far a converted model is from the file.
fn agreement_table(agreement: &Agreement) -> String {
    let Agreement { positions, .. } = agreement;
    let row = |name: &str, mean: f64, max: f64| format!("{name:<34} {mean:>10.2e} {max:>10.2e}");
    let draws = agreement.draw_error_mean.zip(agreement.draw_error_max);
    let mut lines = vec![
        format!("{:<34} {:>10} {:>10}", format!("{} against fp32", agreement.name()), "mean", "max"),
        row("policy KL, nats", agreement.policy_kl_mean, agreement.policy_kl_max),
        row("value error", agreement.value_error_mean, agreement.value_error_max),
    ];
    lines.extend(draws.map(|(mean, max)| row("draw error", mean, max)));
    lines.push(format!("{:<34} {positions:>10}", "positions"));
    lines.join("\n")
}
