//! `passband-ground products`.

mod ls;
mod show;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::print_json;
use crate::catalogue::{Catalogue, Frame, frame, joined, query};

/// List, search and look at what came down.
///
/// `receive`, `recover` and `open` keep a catalogue in OUT: a list of products, each frame in one place
/// (OUT/frames) with its cube as ENVI and its detections as GeoJSON, and all frames as a STAC catalogue.
/// ground-sim/PRODUCTS.md describes the files and the JSON.
#[derive(Debug, Args)]
pub struct ProductsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ls(ls::LsArgs),
    Show(show::ShowArgs),
    /// Make the catalogue anew from what lies in OUT.
    #[command(after_help = "Exit status: 0 all taken in, 1 some could not be, 2 bad usage or input.")]
    Index {
        /// The folder with the products.
        #[arg(value_name = "OUT")]
        out: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// All detections in one GeoJSON document (RFC 7946), for QGIS or a web map.
    #[command(after_help = "Exit status: 0 written, 1 no frame is there, 2 bad usage or input.")]
    Geojson {
        /// The folder with the products.
        #[arg(value_name = "OUT")]
        out: PathBuf,
        /// Only of frames whose name fits; * is any characters, ? one.
        #[arg(long, value_name = "GLOB")]
        frame: Option<String>,
        /// Write it to this file instead of standard output.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

/// Runs `passband-ground products`.
///
/// # Errors
/// A folder or file can't be used.
pub fn run(args: &ProductsArgs) -> Result<ExitCode> {
    match &args.command {
        Command::Ls(args) => ls::run(args),
        Command::Show(args) => show::run(args),
        Command::Index { out, json } => index(out, *json),
        Command::Geojson { out, frame, to } => geojson(out, frame.as_deref(), to.as_deref()),
    }
}

fn index(out: &Path, json: bool) -> Result<ExitCode> {
    let index = Catalogue::new(out).index()?;
    if json {
        let mut document = serde_json::to_value(&index)?;
        document["schema"] = 1.into();
        print_json(&document)?;
    } else {
        index.faults.iter().for_each(|fault| eprintln!("passband-ground products: {fault}"));
        say!(
            "{} products of {} frames, {} with a whole cube",
            index.products,
            index.frames,
            index.whole_cubes
        );
    }
    Ok(ExitCode::from(u8::from(!index.faults.is_empty())))
}

fn geojson(out: &Path, glob: Option<&str>, to: Option<&Path>) -> Result<ExitCode> {
    let mut collections = Vec::new();
    for folder in frame::folders(out)? {
        let asked = |glob: &str| Frame::read(&folder).is_ok_and(|frame| query::glob_fits(glob, &frame.frame));
        if glob.is_none_or(asked) {
            let path = folder.join("detections.geojson");
            let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let collection: Value =
                serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
            collections.push(collection);
        }
    }
    let frames = collections.len();
    let mut text = serde_json::to_vec_pretty(&joined(collections))?;
    text.push(b'\n');
    match to {
        Some(path) => fs::write(path, &text).with_context(|| format!("writing {}", path.display()))?,
        None => std::io::stdout().write_all(&text).context("writing to standard output")?,
    }
    Ok(ExitCode::from(u8::from(frames == 0)))
}
