//! `passband-ground eval`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use passband_spectral::target::Target;
use passband_spectral::triage::Params;

use super::print_json;
use crate::eval::{self, Evaluation, Settings};

/// Largest file of parameters or target, bytes.
const MAX_FILE_BYTES: u64 = 1 << 24;

/// Judge the detector on a folder of frames with truth, and fit its probabilities to them.
///
/// Each frame NAME.hdr needs NAME-truth.hdr in the folder of truth: a map of the true column in ppm·m. With
/// NAME-truth.json (sources and rates) and NAME-mask.hdr (clouds), as `passband-ground scene` writes them, there are
/// figures by rate, and hidden plumes are left out. ground-sim/EVAL.md defines every figure.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground eval frames --truth truth --out report\n  passband-ground eval train --truth truth --fit logistic.toml\n  passband-ground eval held-out --truth truth --params logistic.toml --out report\n\nExit status: 0 done, 1 some frames could not be evaluated, 2 bad usage or input."
)]
pub struct EvalArgs {
    /// The folder of frames (ENVI).
    #[arg(value_name = "FRAMES")]
    frames: PathBuf,
    /// The folder of their truth.
    #[arg(long, value_name = "DIR")]
    truth: PathBuf,
    /// Write eval.json, frames.csv, detections.csv and pictures (PNG) to this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The detector's parameters: a daemon's configuration, of which [triage.params] is read.
    #[arg(long, value_name = "FILE.toml")]
    params: Option<PathBuf>,
    /// The gas: a target file in place of the built-in methane.
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,
    /// Fit the logistic that gives probabilities to these frames, and write it to this file.
    #[arg(long, value_name = "OUT.toml")]
    fit: Option<PathBuf>,
    /// Frames to work through at once; as many as there are cores if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `passband-ground eval`.
///
/// # Errors
/// There are no frames, an input can't be read, there is too little to fit, or the results can't be written.
pub fn run(args: &EvalArgs) -> Result<ExitCode> {
    let mut params = args.params.as_deref().map_or_else(|| Ok(Params::default()), read_params)?;
    if args.fit.is_some() {
        // Then every candidate comes with its pixels, however improbable it is called today.
        params.report_probability = 0.0;
    }
    let target = args.target.as_deref().map_or_else(|| Ok(Target::ch4()), read_target)?;
    let settings = Settings { target, params, threads: args.threads.map(usize::from) };
    if let Some(out) = &args.out {
        fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} frames, {eta} to go")?;
    let bar = ProgressBar::new(0).with_style(style);
    let evaluation = eval::evaluate(&args.frames, &args.truth, &settings, &|all| {
        bar.set_length(all as u64);
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    let written = args.out.as_deref().map_or_else(|| Ok(Vec::new()), |out| write(&evaluation, out))?;
    let fitted = args.fit.as_ref().map(|_| eval::fit(&evaluation, &settings.params));
    if args.json {
        let mut document = serde_json::to_value(&evaluation.summary)?;
        if let Some(Ok(fit)) = &fitted {
            document["fit"] = fit.to_json();
        }
        print_json(&document)?;
    } else {
        say!("{}", eval::table(&evaluation.summary).trim_end());
    }
    if let Some((path, fit)) = args.fit.as_ref().zip(fitted) {
        let fit = fit?;
        let text = fit.to_toml(&settings.params)?;
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        if !args.json {
            say!("{}written to {}", eval::fit_table(&fit), path.display());
        }
    }
    if !args.json && !written.is_empty() {
        say!("\nwritten: {}", written.join(", "));
    }
    Ok(ExitCode::from(u8::from(!evaluation.summary.failures.is_empty())))
}

/// Writes all files into a folder that is there; their names.
fn write(evaluation: &Evaluation, out: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (name, bytes) in evaluation.files()? {
        let path = out.join(name);
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        names.push(path.display().to_string());
    }
    Ok(names)
}

fn read_text(path: &Path) -> Result<String> {
    let at = || path.display().to_string();
    let size = fs::metadata(path).with_context(at)?.len();
    ensure!(size <= MAX_FILE_BYTES, "{}: {size} bytes are too many", at());
    fs::read_to_string(path).with_context(at)
}

fn read_target(path: &Path) -> Result<Target> {
    Target::parse(&read_text(path)?).with_context(|| format!("target {}", path.display()))
}

/// The `[triage.params]` of a configuration; other tables are passed over.
fn read_params(path: &Path) -> Result<Params> {
    let at = || format!("parameters {}", path.display());
    let table: toml::Table = read_text(path)?.parse().with_context(at)?;
    let params = table.get("triage").and_then(|t| t.get("params"));
    let params = params.with_context(|| format!("{}: no table [triage.params] in it", at()))?;
    params.clone().try_into().with_context(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_triage_and_faults_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            read_params(&path)
        };
        let params = read("spacecraft = 7\n[triage.params.logistic]\nbias = -3.5\n").unwrap();
        assert!((params.logistic.bias + 3.5).abs() < 1e-12);
        assert!((params.alert_probability - Params::default().alert_probability).abs() < 1e-9);
        assert!(read("[downlink]\n").unwrap_err().to_string().contains("no table [triage.params]"));
        let wrong = format!("{:#}", read("[triage.params]\nno_such = 1\n").unwrap_err());
        assert!(wrong.contains("p.toml") && wrong.contains("no_such"), "{wrong}");
    }
}
