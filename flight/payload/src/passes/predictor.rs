//! Predicts passes from orbital elements: SGP4, turned to Earth-fixed axes by sidereal time, watched from each station.
//!
//! The search goes over a fixed grid of [`STEP_MS`], so that it finds the same pass with the same times whenever it is
//! asked; far from a station it skips what the satellite can't cover in the time. Work is bounded by the time searched.

use libm::{cos, sin};
use sgp4::{Constants, MinutesSinceEpoch, Orbit, WGS72, iau_epoch_to_sidereal_time};

use super::elements::Elements;
use super::error::PlanError;
use super::site::{Site, elevation_deg};
use super::stations::Station;
use super::{Pass, Source};

/// The grid of the search, ms; passes shorter than this may be missed, and are left out if seen.
const STEP_MS: u64 = 20_000;
/// How exactly AOS and LOS are found, ms.
const EXACT_MS: u64 = 100;
/// The longest pass that is told as a whole, ms: 6 h.
const MAX_PASS_MS: u64 = 6 * 3_600_000;
/// How often the highest point of a pass is narrowed down, by a third each time.
const NARROWINGS: usize = 24;

/// J2000, 2000-01-01 12:00, s since 1970-01-01 UTC, and a Julian year, s.
const J2000_UNIX_S: f64 = 946_728_000.0;
const YEAR_S: f64 = 31_557_600.0;
/// Rate at which the Earth turns, rad/s (IERS Conventions 2010, table 1.2).
const EARTH_RATE: f64 = 7.292_115e-5;
/// Gravitational parameter of WGS 72, which element sets are made with, km³/s² (Hoots and Roehrich 1980).
const MU_WGS72: f64 = 398_600.8;

/// An orbit, watched from stations.
#[derive(Debug, Clone)]
pub(super) struct Predictor {
    constants: Constants,
    pub(super) epoch_unix_us: u64,
    pub(super) name: Option<String>,
    pub(super) sites: Vec<Site>,
    apogee_km: f64,
    /// The fastest that the point below the satellite moves, rad/s.
    fastest: f64,
    max_age_ms: u64,
}

impl Predictor {
    /// Elements older than `max_age_ms` when a pass begins make it stale.
    ///
    /// # Errors
    /// Elements that describe no orbit.
    pub(super) fn new(elements: &Elements, stations: &[Station], max_age_ms: u64) -> Result<Self, PlanError> {
        let constants = constants(elements)?;
        let (e, rate) =
            (elements.eccentricity, elements.mean_motion_per_day * core::f64::consts::TAU / 86_400.0);
        let axis_km = libm::cbrt(MU_WGS72 / (rate * rate));
        let at_perigee = rate * libm::sqrt((1.0 + e) / (1.0 - e)) / (1.0 - e);
        Ok(Self {
            constants,
            epoch_unix_us: elements.epoch_unix_us,
            name: elements.name.clone(),
            sites: stations.iter().cloned().map(Site::new).collect(),
            apogee_km: axis_km * (1.0 + e) * 1.01,
            fastest: at_perigee * 1.02 + EARTH_RATE,
            max_age_ms,
        })
    }

    /// The passes of every station that begin from `from_ms` up to `until_ms`, ms since 1970-01-01 UTC; with
    /// `and_current` also those that are on at `from_ms`. In no order.
    pub(super) fn passes(&self, from_ms: u64, until_ms: u64, and_current: bool) -> Vec<Pass> {
        let mut passes = Vec::new();
        for site in &self.sites {
            let mut at = from_ms / STEP_MS * STEP_MS;
            // A pass that begins in the last step is seen at the step after it.
            while at < until_ms.saturating_add(STEP_MS) {
                let here = self.earth_fixed_km(at);
                if !here.is_some_and(|here| site.clearance(here) > 0.0) {
                    at = at.saturating_add(self.skip_ms(site, here));
                    continue;
                }
                let pass = self.pass_around(site, at);
                let after = pass.as_ref().map_or(0, |pass| pass.los_unix_ms.next_multiple_of(STEP_MS));
                at = after.max(at.saturating_add(STEP_MS));
                passes.extend(pass.filter(|pass| {
                    let current = and_current && pass.aos_unix_ms < from_ms && from_ms < pass.los_unix_ms;
                    current || (from_ms..until_ms).contains(&pass.aos_unix_ms)
                }));
            }
        }
        passes
    }

    /// How old the elements are at a time, before or after their epoch, ms.
    pub(super) fn age_ms(&self, unix_ms: u64) -> u64 {
        unix_ms.abs_diff(self.epoch_unix_us / 1000)
    }

    /// Whether the elements are too old at a time to be trusted.
    pub(super) fn is_stale(&self, unix_ms: u64) -> bool {
        self.age_ms(unix_ms) > self.max_age_ms
    }

    /// The pass that is on at a time of the grid; `None` for one that is too short or too long.
    fn pass_around(&self, site: &Site, at_ms: u64) -> Option<Pass> {
        let mut before = at_ms;
        while self.is_up(site, before) {
            before = before.checked_sub(STEP_MS).filter(|t| at_ms.saturating_sub(*t) <= MAX_PASS_MS)?;
        }
        let aos = self.crossing(site, before, before.checked_add(STEP_MS)?);
        let mut after = at_ms;
        while self.is_up(site, after) {
            after = after.checked_add(STEP_MS).filter(|t| t.saturating_sub(aos) <= MAX_PASS_MS)?;
        }
        let los = self.crossing(site, after.saturating_sub(STEP_MS), after);
        (los.saturating_sub(aos) >= STEP_MS).then(|| Pass {
            aos_unix_ms: aos,
            los_unix_ms: los,
            station: site.station.name.clone(),
            rate_bps: site.station.rate_bps,
            max_elevation_deg: Some(elevation_deg(self.highest(site, aos, los))),
            source: Source::Predicted,
            stale: self.is_stale(aos),
        })
    }

    /// When the satellite crosses the station's least elevation between two times, by bisection.
    fn crossing(&self, site: &Site, mut from: u64, mut until: u64) -> u64 {
        let before = self.is_up(site, from);
        while until.saturating_sub(from) > EXACT_MS {
            let middle = from.midpoint(until);
            if self.is_up(site, middle) == before { from = middle } else { until = middle }
        }
        from.midpoint(until)
    }

    /// The sine of the highest elevation between two times, between which it rises and then falls.
    fn highest(&self, site: &Site, mut from: u64, mut until: u64) -> f64 {
        let sine = |at| self.earth_fixed_km(at).map_or(-1.0, |here| site.sin_elevation(here));
        for _ in 0..NARROWINGS {
            let third = until.saturating_sub(from) / 3;
            let (left, right) = (from.saturating_add(third), until.saturating_sub(third));
            if sine(left) < sine(right) { from = left } else { until = right }
        }
        sine(from.midpoint(until))
    }

    fn is_up(&self, site: &Site, at_ms: u64) -> bool {
        self.earth_fixed_km(at_ms).is_some_and(|here| site.clearance(here) > 0.0)
    }

    /// For how long there can be no pass: whole steps, at least one.
    fn skip_ms(&self, site: &Site, here: Option<[f64; 3]>) -> u64 {
        let Some(here) = here else { return 60 * STEP_MS };
        let seconds = site.excess_rad(here, self.apogee_km) / self.fastest;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float's cast saturates"
        )]
        let steps = (seconds * 1000.0 / STEP_MS as f64) as u64;
        steps.clamp(1, 360) * STEP_MS
    }

    /// The satellite, Earth-fixed, km; `None` where SGP4 finds that there is no orbit any more.
    ///
    /// From the true equator and mean equinox of date about its pole by mean sidereal time (Vallado 2013, section
    /// 3.7; the expression of 1982, equation 3-47), with UTC in the place of UT1.
    fn earth_fixed_km(&self, unix_ms: u64) -> Option<[f64; 3]> {
        let since_min = (unix_ms as f64 - self.epoch_unix_us as f64 / 1000.0) / 60_000.0;
        let [x, y, z] = self.constants.propagate(MinutesSinceEpoch(since_min)).ok()?.position;
        let turned = iau_epoch_to_sidereal_time((unix_ms as f64 / 1000.0 - J2000_UNIX_S) / YEAR_S);
        let (sine, cosine) = (sin(turned), cos(turned));
        let place = [x * cosine + y * sine, y * cosine - x * sine, z];
        place.iter().all(|c| c.is_finite()).then_some(place)
    }
}

/// What SGP4 works out of elements once, with the constants of WGS 72 that element sets are made with (Vallado and
/// others, Revisiting Spacetrack Report #3, AIAA 2006-6753, section III.D).
///
/// # Errors
/// Elements that describe no orbit.
pub(super) fn constants(elements: &Elements) -> Result<Constants, PlanError> {
    let epoch_years = (elements.epoch_unix_us as f64 / 1e6 - J2000_UNIX_S) / YEAR_S;
    let orbit = Orbit::from_kozai_elements(
        &WGS72,
        elements.inclination_deg.to_radians(),
        elements.raan_deg.to_radians(),
        elements.eccentricity,
        elements.perigee_deg.to_radians(),
        elements.mean_anomaly_deg.to_radians(),
        elements.mean_motion_per_day * (core::f64::consts::PI / 720.0),
    )
    .map_err(|e| PlanError::whole(e.to_string()))?;
    Constants::new(WGS72, iau_epoch_to_sidereal_time, epoch_years, elements.bstar, orbit)
        .map_err(|e| PlanError::whole(e.to_string()))
}
