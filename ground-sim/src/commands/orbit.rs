//! What passes are known by: contact windows, or elements and stations, in the files that the satellite takes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use passband_flight::passes::{
    Elements, MAX_ELEMENTS_BYTES, MAX_STATIONS_BYTES, MAX_WINDOWS_BYTES, PassPlan, parse_stations,
    parse_windows,
};

const MS_PER_DAY: u64 = 86_400_000;

/// The files.
#[derive(Debug, Clone, Default, Args)]
pub struct OrbitArgs {
    /// Contact windows, as the satellite takes them.
    #[arg(long, value_name = "FILE")]
    windows: Option<PathBuf>,
    /// Elements of the orbit: a TLE, or an OMM as JSON or KVN. SGP4 predicts passes of them.
    #[arg(long, value_name = "FILE", requires = "stations")]
    elements: Option<PathBuf>,
    /// Stations (TOML), as the satellite takes them.
    #[arg(long, value_name = "FILE")]
    stations: Option<PathBuf>,
    /// Elements are too old after so many days, as the satellite's `passes.max_age_days` says; passes of them are still shown, and
    /// marked.
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    max_age_days: u64,
}

impl OrbitArgs {
    /// The passes to come; without any file there are none.
    ///
    /// # Errors
    /// A file can't be read, or what stands in it not be used.
    pub fn plan(&self) -> Result<PassPlan> {
        let windows = parsed(self.windows.as_deref(), MAX_WINDOWS_BYTES, parse_windows)?;
        let elements = parsed(self.elements.as_deref(), MAX_ELEMENTS_BYTES, Elements::parse)?;
        let stations = parsed(self.stations.as_deref(), MAX_STATIONS_BYTES, parse_stations)?;
        let age_ms = self.max_age_days.saturating_mul(MS_PER_DAY);
        let plan = PassPlan::new(
            windows.unwrap_or_default(),
            elements.as_ref(),
            &stations.unwrap_or_default(),
            age_ms,
        );
        plan.map_err(|e| anyhow::anyhow!("{e}")).context("the orbit")
    }
}

fn parsed<T, E: std::fmt::Display>(
    path: Option<&Path>,
    most: u64,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>> {
    let Some(path) = path else { return Ok(None) };
    let name = || path.display().to_string();
    let mut text = String::new();
    let mut file = File::open(path).with_context(name)?.take(most + 1);
    file.read_to_string(&mut text).with_context(name)?;
    ensure!(text.len() as u64 <= most, "{}: more than {most} bytes", name());
    parse(&text).map(Some).map_err(|e| anyhow::anyhow!("{}: {e}", name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_what_is_wrong_with_them_is_said() {
        let dir = tempfile::tempdir().unwrap();
        assert!(OrbitArgs::default().plan().unwrap().next(0, 1).is_empty());
        let path = dir.path().join("stations.toml");
        std::fs::write(&path, "[[station]]\nname = 3\n").unwrap();
        let args = OrbitArgs { stations: Some(path.clone()), ..OrbitArgs::default() };
        assert!(format!("{:#}", args.plan().unwrap_err()).contains("stations.toml"));
        std::fs::write(&path, "#".repeat(70_000)).unwrap();
        assert!(format!("{:#}", args.plan().unwrap_err()).contains("more than"));
    }
}
