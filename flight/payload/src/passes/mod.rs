//! Passes: when a station can hear the satellite, from uploaded contact windows, from the orbit, or from both.
//!
//! [`parse_windows`], [`parse_stations`] and [`Elements::parse`] read what the ground uploads; a [`PassPlan`] puts it
//! together and tells the passes to come. A window counts before a prediction: where the two overlap for the same
//! station, there is the window alone. With nothing uploaded the plan is empty, and all else works without it.
//!
//! Handed texts and times; never reads a file or a clock, and never opens the transmitter: that is the gate's.

mod agenda;
mod calendar;
mod elements;
mod error;
mod omm;
mod predictor;
mod site;
mod stations;
mod tle;
mod windows;

use serde::{Deserialize, Serialize};

pub use agenda::Agenda;
pub use elements::{Elements, MAX_ELEMENTS_BYTES};
pub use error::PlanError;
pub use stations::{MAX_NAME_BYTES, MAX_STATIONS, MAX_STATIONS_BYTES, Station, parse_stations};
pub use windows::{MAX_WINDOW_MS, MAX_WINDOWS, MAX_WINDOWS_BYTES, Window, parse_windows};

use crate::ordered;
use predictor::Predictor;

/// Most passes that are told at once.
pub const MAX_PASSES: usize = 100;
/// How far ahead passes are predicted, ms: 7 days.
pub const LOOK_AHEAD_MS: u64 = 7 * MS_PER_DAY;
/// What is predicted at once, ms: 6 h.
const SLICE_MS: u64 = MS_PER_DAY / 4;
const MS_PER_DAY: u64 = 86_400_000;

/// A time in which a station can hear the satellite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// Its start, ms since 1970-01-01 UTC.
    pub aos_unix_ms: u64,
    /// Its end, ms since 1970-01-01 UTC.
    pub los_unix_ms: u64,
    /// The station's name.
    pub station: String,
    /// The rate that the station takes, bit/s of UDP payload; none: the configured one.
    pub rate_bps: Option<u64>,
    /// The greatest elevation of the satellite above the station's horizon, degrees; none for a window.
    pub max_elevation_deg: Option<f64>,
    /// Where it comes from.
    pub source: Source,
    /// Whether it was predicted from elements that are older, when it begins, than they may be.
    pub stale: bool,
}

/// Where a pass comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A contact window of the ground.
    Window,
    /// The orbit.
    Predicted,
}

impl Source {
    /// The name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Predicted => "predicted",
        }
    }
}

/// What a plan is made of, as `passband passes` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStatus {
    /// Contact windows that are not over.
    pub windows: u64,
    /// Stations whose passes are predicted.
    pub stations: u64,
    /// Name of the satellite in the elements.
    pub satellite: Option<String>,
    /// When the elements hold, ms since 1970-01-01 UTC; none without elements.
    pub epoch_unix_ms: Option<u64>,
    /// Whether the elements are older now than they may be.
    pub stale: bool,
}

/// The passes to come.
#[derive(Debug, Clone, Default)]
pub struct PassPlan {
    /// Sorted by AOS.
    windows: Vec<Window>,
    predictor: Option<Predictor>,
}

impl PassPlan {
    /// A plan of windows, sorted as [`parse_windows`] returns them, and of predictions for `stations` if there are
    /// elements. Elements whose epoch is further than `max_age_ms` from a pass are used, and the pass is stale.
    ///
    /// # Errors
    /// Elements that describe no orbit.
    pub fn new(
        mut windows: Vec<Window>,
        elements: Option<&Elements>,
        stations: &[Station],
        max_age_ms: u64,
    ) -> Result<Self, PlanError> {
        ordered::sort_by_key(&mut windows, |window| window.aos_unix_ms);
        let predictor = elements.map(|e| Predictor::new(e, stations, max_age_ms)).transpose()?;
        Ok(Self { windows, predictor })
    }

    /// The passes that end after `now_unix_ms`, by their AOS: at most `count` and [`MAX_PASSES`]. Predictions reach
    /// [`LOOK_AHEAD_MS`] ahead, windows any time.
    pub fn next(&self, now_unix_ms: u64, count: usize) -> Vec<Pass> {
        let count = count.min(MAX_PASSES);
        let windows = self.windows.iter().filter(|window| window.los_unix_ms > now_unix_ms);
        let mut passes: Vec<Pass> = windows.take(count).map(Window::pass).collect();
        passes.extend(self.predicted(now_unix_ms, count));
        ordered::sort_by(&mut passes, |a, b| (a.aos_unix_ms, &a.station).cmp(&(b.aos_unix_ms, &b.station)));
        passes.truncate(count);
        passes
    }

    /// What it is made of.
    pub fn status(&self, now_unix_ms: u64) -> PlanStatus {
        let predictor = self.predictor.as_ref();
        PlanStatus {
            windows: self.windows.iter().filter(|w| w.los_unix_ms > now_unix_ms).count() as u64,
            stations: predictor.map_or(0, |p| p.sites.len() as u64),
            satellite: predictor.and_then(|p| p.name.clone()),
            epoch_unix_ms: predictor.map(|p| p.epoch_unix_us / 1000),
            stale: predictor.is_some_and(|p| p.is_stale(now_unix_ms)),
        }
    }

    /// At least `count` predictions that no window replaces, as far as there are so many; slice by slice, so that no
    /// more is searched than is asked for.
    fn predicted(&self, now_unix_ms: u64, count: usize) -> Vec<Pass> {
        let mut passes = Vec::new();
        let Some(predictor) = &self.predictor else { return passes };
        let end = now_unix_ms.saturating_add(LOOK_AHEAD_MS);
        let mut from = now_unix_ms;
        while from < end && passes.len() < count {
            let until = from.saturating_add(SLICE_MS).min(end);
            let found = predictor.passes(from, until, from == now_unix_ms);
            passes.extend(found.into_iter().filter(|pass| !self.is_replaced(pass)));
            from = until;
        }
        passes
    }

    /// Whether a window of the same station overlaps a prediction.
    fn is_replaced(&self, pass: &Pass) -> bool {
        let before = self.windows.partition_point(|window| window.aos_unix_ms < pass.los_unix_ms);
        let windows = self.windows.get(..before).unwrap_or_default();
        windows.iter().any(|w| w.los_unix_ms > pass.aos_unix_ms && w.station == pass.station)
    }
}

impl Window {
    fn pass(&self) -> Pass {
        Pass {
            aos_unix_ms: self.aos_unix_ms,
            los_unix_ms: self.los_unix_ms,
            station: self.station.clone(),
            rate_bps: self.rate_bps,
            max_elevation_deg: None,
            source: Source::Window,
            stale: false,
        }
    }
}

#[cfg(test)]
mod tests;
