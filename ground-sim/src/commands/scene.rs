//! `passband-ground scene`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use passband_proto::bundle::safe_name;

use super::{parse_share, print_json};
use crate::scene::{SceneParams, demo_set, generate, write_scene};

/// Make synthetic frames (ENVI, BIL u16) with mixed ground, clouds, noise, striping and a methane plume.
///
/// The data file is written aside and renamed, the header last, as a camera does: --out may be the camera
/// spool of a running daemon. The same options give the same bytes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground scene --out frames --name leak --plume 6000 --clouds 10% --seed 7 --truth truth\n  passband-ground scene --out frames --set"
)]
pub struct SceneArgs {
    /// The folder to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the frame.
    #[arg(long, default_value = "scene")]
    name: String,
    /// Methane column at the plume's source, ppm·m; no plume if not given.
    #[arg(long, value_name = "PPM_M")]
    plume: Option<f64>,
    /// Share of the frame under cloud.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    clouds: f64,
    /// Pixels across track.
    #[arg(long, default_value_t = 128)]
    samples: usize,
    /// Pixels along track.
    #[arg(long, default_value_t = 160)]
    lines: usize,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Make the demo's four frames instead (strong plume, weak plume, clear, cloudy).
    #[arg(long)]
    set: bool,
    /// Also write the true methane column of each frame to this folder.
    #[arg(long, value_name = "DIR")]
    truth: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `passband-ground scene`.
///
/// # Errors
/// Parameters out of range, or the files can't be written.
pub fn run(args: &SceneArgs) -> Result<ExitCode> {
    ensure!(safe_name(&args.name), "'{}' can't be the name of a file", args.name);
    let scenes = if args.set {
        demo_set(args.seed)
    } else {
        let params = SceneParams {
            samples: args.samples,
            lines: args.lines,
            seed: args.seed,
            plume_ppm_m: args.plume,
            cloud_fraction: args.clouds,
            ..SceneParams::default()
        };
        vec![(args.name.clone(), params)]
    };
    let mut made = Vec::new();
    for (name, params) in scenes {
        let scene = generate(&params)?;
        write_scene(&args.out, &name, &scene, args.truth.as_deref())
            .with_context(|| format!("writing the scene {name} to {}", args.out.display()))?;
        let header = args.out.join(format!("{name}.hdr"));
        if !args.json {
            let h = &scene.header;
            say!("{}: {} lines, {} samples, {} bands", header.display(), h.lines, h.samples, h.bands);
        }
        made.push(header);
    }
    if args.json {
        print_json(&serde_json::json!({ "schema": 1, "frames": made }))?;
    }
    Ok(ExitCode::SUCCESS)
}
