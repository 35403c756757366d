//! Passes: which is on, which come, how long it is until AOS or LOS, and when the last one ended.
//!
//! The prediction is the satellite's own (`passband_flight::passes`): SGP4 with the constants of WGS 72, named explicitly,
//! as element sets are made with them. The AFSPC-compatible mode of SGP4 (Vallado and others, AIAA 2006-6753, sections
//! III and IV) differs from it in two places only: the expression for sidereal time at the epoch, and how the Lyddane
//! modification is chosen. Both belong to the deep-space part, for periods from 225 min on, whose elements aren't
//! taken at all. So for every orbit that is shown the two give the same positions; what makes 240 m in a week is WGS 84 in
//! the place of WGS 72.

use passband_flight::passes::{Pass, PassPlan};
use serde::Serialize;

/// Passes that are shown.
const SHOWN: usize = 8;
/// How far back the end of the last pass is looked for, ms: a day.
const BACK_MS: u64 = 86_400_000;
/// The plan is asked again after so long, ms.
const REFRESH_MS: u64 = 600_000;

/// The passes of a plan.
#[derive(Debug)]
pub struct Passes {
    plan: PassPlan,
    ahead: Vec<Pass>,
    last_los_unix_ms: Option<u64>,
    asked_unix_ms: Option<u64>,
}

/// How long it is until something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "to")]
pub enum Countdown {
    /// Until a pass begins.
    Aos {
        /// The station.
        station: String,
        /// How long, ms.
        ms: u64,
        /// When, ms since 1970-01-01 UTC.
        unix_ms: u64,
    },
    /// Until the pass that is on ends.
    Los {
        /// The station.
        station: String,
        /// How long, ms.
        ms: u64,
        /// When, ms since 1970-01-01 UTC.
        unix_ms: u64,
    },
    /// No pass is known to come.
    None,
}

/// Passes at a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownPasses {
    /// How long it is until AOS or LOS.
    pub countdown: Countdown,
    /// Those that aren't over, by their AOS.
    pub ahead: Vec<Pass>,
    /// When the last one ended, ms since 1970-01-01 UTC; none: none did within a day.
    pub last_los_unix_ms: Option<u64>,
    /// What the plan is made of: satellite, epoch of its elements, whether they are too old.
    pub plan: passband_flight::passes::PlanStatus,
}

impl Passes {
    /// Those of a plan.
    #[must_use]
    pub fn new(plan: PassPlan) -> Self {
        Self { plan, ahead: Vec::new(), last_los_unix_ms: None, asked_unix_ms: None }
    }

    /// What is shown at a time, ms since 1970-01-01 UTC, which may jump.
    pub fn at(&mut self, now_unix_ms: u64) -> ShownPasses {
        let over = self.ahead.first().is_some_and(|pass| pass.los_unix_ms <= now_unix_ms);
        let age = self.asked_unix_ms.and_then(|asked| now_unix_ms.checked_sub(asked));
        if over || age.is_none_or(|age| age >= REFRESH_MS) {
            self.ask(now_unix_ms);
        }
        ShownPasses {
            countdown: countdown(&self.ahead, now_unix_ms),
            ahead: self.ahead.clone(),
            last_los_unix_ms: self.last_los_unix_ms,
            plan: self.plan.status(now_unix_ms),
        }
    }

    fn ask(&mut self, now_unix_ms: u64) {
        self.asked_unix_ms = Some(now_unix_ms);
        self.ahead = self.plan.next(now_unix_ms, SHOWN);
        let before = self.plan.next(now_unix_ms.saturating_sub(BACK_MS), passband_flight::passes::MAX_PASSES);
        let ended = before.iter().map(|pass| pass.los_unix_ms).filter(|los| *los <= now_unix_ms).max();
        // Windows of the past may be gone from the plan; what was seen to end counts still.
        self.last_los_unix_ms = ended.max(self.last_los_unix_ms.filter(|los| *los <= now_unix_ms));
    }
}

fn countdown(ahead: &[Pass], now_unix_ms: u64) -> Countdown {
    if let Some(pass) = ahead.iter().find(|pass| (pass.aos_unix_ms..pass.los_unix_ms).contains(&now_unix_ms))
    {
        let (station, unix_ms) = (pass.station.clone(), pass.los_unix_ms);
        return Countdown::Los { station, ms: unix_ms - now_unix_ms, unix_ms };
    }
    ahead.iter().find(|pass| pass.aos_unix_ms > now_unix_ms).map_or(Countdown::None, |pass| {
        let (station, unix_ms) = (pass.station.clone(), pass.aos_unix_ms);
        Countdown::Aos { station, ms: unix_ms - now_unix_ms, unix_ms }
    })
}

/// A time to wait as `1 d 02:03:04`, `02:03:04` or `03:04`.
#[must_use]
pub fn clock(ms: u64) -> String {
    let s = ms / 1000;
    let (days, hours, minutes, seconds) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{seconds:02}"),
        (0, _) => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        _ => format!("{days} d {hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_flight::passes::{Elements, Window, parse_stations};

    fn window(station: &str, aos_s: u64, los_s: u64) -> Window {
        let (aos_unix_ms, los_unix_ms) = (aos_s * 1000, los_s * 1000);
        Window { station: station.into(), aos_unix_ms, los_unix_ms, rate_bps: None }
    }

    #[test]
    fn the_countdown_goes_to_aos_then_to_los_then_to_the_next_pass() {
        let windows = vec![window("Kiruna", 1000, 1300), window("Awarua", 5000, 5400)];
        let mut passes = Passes::new(PassPlan::new(windows, None, &[], 0).unwrap());
        let mut at = |s: u64| passes.at(s * 1000);
        let aos = |station: &str, ms, unix_ms| Countdown::Aos { station: station.into(), ms, unix_ms };
        assert_eq!(at(900).countdown, aos("Kiruna", 100_000, 1_000_000));
        assert_eq!(at(900).last_los_unix_ms, None);
        let los = Countdown::Los { station: "Kiruna".into(), ms: 1000, unix_ms: 1_300_000 };
        assert_eq!(at(1299).countdown, los);
        assert_eq!(at(1300).countdown, aos("Awarua", 3_700_000, 5_000_000));
        assert_eq!(at(1300).last_los_unix_ms, Some(1_300_000));
        assert_eq!(at(5400).countdown, Countdown::None);
        assert_eq!(at(950).countdown, aos("Kiruna", 50_000, 1_000_000), "a clock that is set back");
    }

    /// Elements of a polar orbit at 550 km, made up.
    const OMM: &str = r#"{"OBJECT_NAME":"TEST","EPOCH":"2026-11-29T00:00:00","MEAN_MOTION":15.05,
        "ECCENTRICITY":0.001,"INCLINATION":97.6,"RA_OF_ASC_NODE":30.0,"ARG_OF_PERICENTER":80.0,"MEAN_ANOMALY":10.0,
        "BSTAR":0.0001}"#;

    #[test]
    fn passes_come_from_elements_and_stations_too() {
        let elements = Elements::parse(OMM).unwrap();
        let list = "[[station]]\nname = \"Svalbard\"\nlatitude_deg = 78.23\nlongitude_deg = 15.39\n";
        let stations = parse_stations(list).unwrap();
        let plan = PassPlan::new(Vec::new(), Some(&elements), &stations, 7 * 86_400_000).unwrap();
        let mut passes = Passes::new(plan);
        let shown = passes.at(1_795_910_400_000 + 43_200_000);
        assert_eq!(shown.ahead.len(), SHOWN);
        assert!(shown.ahead.iter().all(|pass| pass.max_elevation_deg.is_some_and(|e| e >= 5.0)));
        assert!(shown.last_los_unix_ms.is_some(), "a polar orbit passes Svalbard every time");
        assert_eq!(shown.plan.satellite.as_deref(), Some("TEST"));
    }

    #[test]
    fn the_afspc_compatible_mode_gives_the_same_positions_below_deep_space() {
        use sgp4::{Constants, MinutesSinceEpoch, Orbit, WGS72, WGS84};
        let of = |geopotential, sidereal: fn(f64) -> f64| {
            let orbit =
                Orbit::from_kozai_elements(&geopotential, 1.703, 0.52, 0.001, 1.4, 0.17, 0.065_668).unwrap();
            Constants::new(geopotential, sidereal, 26.9, 1e-4, orbit).unwrap()
        };
        let ours = of(WGS72, sgp4::iau_epoch_to_sidereal_time);
        let afspc = of(WGS72, sgp4::afspc_epoch_to_sidereal_time);
        let wgs84 = of(WGS84, sgp4::iau_epoch_to_sidereal_time);
        let mut furthest = 0.0_f64;
        for minutes in (0..10_080).step_by(37) {
            let at = MinutesSinceEpoch(f64::from(minutes));
            let place = ours.propagate(at).unwrap().position;
            let same = afspc.propagate_afspc_compatibility_mode(at).unwrap().position;
            assert_eq!(place.map(f64::to_bits), same.map(f64::to_bits));
            let other = wgs84.propagate(at).unwrap().position;
            let far = place.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            furthest = furthest.max(far);
        }
        assert!((0.05..1.0).contains(&furthest), "km between WGS 72 and WGS 84: {furthest}");
    }

    #[test]
    fn clocks_are_short() {
        assert_eq!(clock(61_999), "01:01");
        assert_eq!(clock(3_600_000), "01:00:00");
        assert_eq!(clock(90_061_000), "1 d 01:01:01");
    }
}
