//! What the store costs: how long a start takes with 100,000 bundles, and what is written for what is stored.
//!
//! `cargo run --release -p passband-flight --features faults --example store [FOLDER]`: the files of the starts are made
//! in FOLDER, or in the folder for temporary files.

use std::path::PathBuf;

use passband_flight::faults::measure::{fill, kill, start, wear};

fn main() -> Result<(), String> {
    let state = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let state = state.join(format!("passband-store-{}", std::process::id()));
    fill(&state, 50_000)?;
    for (after, killed) in [("in order", false), ("in order", false), ("kill -9", true), ("kill -9", true)] {
        if killed {
            kill(&state)?;
        }
        let start = start(&state)?;
        println!(
            "start with {} bundles after {after}: {:.0} ms (open {:.0}, recover {:.0}, line up {:.0})",
            start.bundles,
            start.total_ms(),
            start.open_ms,
            start.recover_ms,
            start.line_up_ms
        );
    }
    std::fs::remove_dir_all(&state).map_err(|e| e.to_string())?;
    for (mib, frames) in [(1, 16), (16, 4), (256, 1)] {
        let wear = wear(mib << 20, frames)?;
        println!(
            "{frames} frames of {mib} MiB: {} bytes written for {} stored, {:.4} a byte; {} of marks for {} sent",
            wear.written_bytes,
            wear.stored_bytes,
            wear.per_stored_byte(),
            wear.mark_bytes,
            wear.sent_bytes
        );
    }
    Ok(())
}
