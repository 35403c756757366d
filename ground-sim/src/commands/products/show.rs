//! `passband-ground products show`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::ls::size;
use crate::catalogue::query::{Row, find, frames_of, rows};
use crate::catalogue::{Frame, frame, time};
use crate::commands::print_json;

/// Show a product, or a frame and all that came of it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  passband-ground products show permian-0412\n  passband-ground products show 5e0c12ab --out products --json\n\nExit status: 0 shown, 1 nothing of that name, 2 bad usage or input."
)]
pub(super) struct ShowArgs {
    /// A bundle's or frame's id (at least its first 4 digits), a frame's name, or a folder below OUT.
    #[arg(value_name = "ID|FRAME")]
    what: String,
    /// The folder with the products.
    #[arg(long, value_name = "DIR", default_value = "products")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ShowArgs) -> Result<ExitCode> {
    let rows = rows(&args.out)?;
    let found = find(&rows, &args.what);
    let folders = frames_of(&found).into_iter().map(|(name, id)| frame::folder(&args.out, &name, &id));
    let frames: Vec<_> = folders.filter_map(|folder| Some((Frame::read(&folder).ok()?, folder))).collect();
    if args.json {
        let frames: Vec<_> = frames.iter().map(|(frame, _)| frame).collect();
        print_json(&serde_json::json!({ "schema": 1, "products": found, "frames": frames }))?;
    } else if found.is_empty() {
        eprintln!("passband-ground products: nothing in {} is called {}", args.out.display(), args.what);
    } else {
        for row in &found {
            show_row(row, &args.out);
        }
        for (frame, folder) in &frames {
            show_frame(frame, folder);
        }
    }
    Ok(ExitCode::from(u8::from(found.is_empty())))
}

fn show_row(row: &Row, out: &std::path::Path) {
    say!("{} {}", row.product, row.id);
    let date = time::rfc3339(row.created_unix_ms);
    say!("  made     {date}, class {}, {}", row.class, size(row.bytes));
    if !row.whole {
        say!("  here     {:.1} %", row.percent);
    }
    for (what, text) in [("tasking", &row.tasking), ("reason", &row.reason)] {
        if let Some(text) = text {
            say!("  {what:<7}  {text}");
        }
    }
    say!("  in       {}", out.join(&row.path).display());
}

fn show_frame(frame: &Frame, folder: &std::path::Path) {
    say!("frame {} ({})", frame.frame, frame.frame_id);
    say!("  in       {}", folder.display());
    let gas = frame.gas.as_deref().unwrap_or("gas");
    if let (Some(plumes), Some(p)) = (frame.detections, frame.probability) {
        say!("  found    {plumes} plumes of {gas}, {:.0} % sure", p * 100.0);
    }
    for [latitude, longitude] in &frame.positions {
        say!("  plume    {latitude:.5}, {longitude:.5}");
    }
    match &frame.cube {
        None => say!("  cube     not here yet"),
        Some(cube) if cube.whole => say!("  cube     {}, {} lines, whole", cube.header, cube.lines),
        Some(cube) => {
            say!("  cube     {}, {} of {} strips", cube.header, cube.placed.len(), cube.parts);
            let missing: Vec<_> =
                cube.missing_lines.iter().map(|(from, to)| format!("{from}..{to}")).collect();
            say!("  missing  lines {} of {}", missing.join(", "), cube.lines);
        }
    }
    frame.files.iter().for_each(|name| say!("  file     {name}"));
    if let Some(fault) = &frame.fault {
        say!("  fault    {fault}");
    }
}
