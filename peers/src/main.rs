//! `passband-peers`: other file transfers over the losses and passes that Passband is measured over.
//!
//! Run by `passband-ground bench transfer`: takes a [`Scenario`] as JSON, prints one line of JSON
//! ([`Figures`]) for each peer. Each peer is the real thing, set up as well as it can be; where a setting
//! of its own would end it (a timer that runs on between passes, say) and can be turned off, it is, and the
//! figures say so.

use std::io::Write;

use anyhow::{Context, Result};
use passband_ground::bench::transfer::scenario::{Figures, Scenario};

mod cfdp_rs;
mod flute_rs;
mod uftp;

fn main() -> Result<()> {
    let text = std::env::args().nth(1).context("usage: passband-peers SCENARIO (JSON)")?;
    let scenario: Scenario = serde_json::from_str(&text).context("reading the scenario")?;
    let dir = tempfile::Builder::new().prefix("passband-peers-").tempdir()?;
    let file = passband_ground::bench::transfer::real::random_file(dir.path(), scenario.file_bytes, scenario.seed)?;
    let content = std::fs::read(&file)?;
    flute_rs::measure(&scenario, &content, &mut print)?;
    cfdp_rs::measure(&scenario, &file, &content, dir.path(), &mut print)?;
    uftp::measure(&scenario, &file, &content, dir.path(), &mut print)
}

fn print(figures: &Figures) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::to_string(figures)?)?;
    Ok(out.flush()?)
}
