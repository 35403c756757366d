//! Shedding: what is left undone while the board is hot, or short of power, memory or time.
//!
//! | level | what is left undone |
//! | --- | --- |
//! | 0 | nothing |
//! | 1 | no full cubes: routine frames and discard candidates wait in the spool; no scrubbing |
//! | 2 | nor region cubes: suspect frames wait, too; one thread at a time looks and seals |
//! | 3 | nor triage at full rate: between two looks at frames is a pause of twice the last look |
//!
//! Nothing is lost by it. A frame that waits stays in the spool as it came; it was looked at, so that its alert, if it
//! is one, is on its way, and it is not looked at again before it may be taken. Frames that are alerts are taken at
//! once, with all their products, at every level. What is not seen to here is how much the spool can hold: while much
//! waits in it, the camera's disk fills.
//!
//! Each measure is calm, yellow or red, with some distance between begin and end of each; yellow asks for level 1, red
//! for one more after the other. Up and down goes one level at a time, after the stress or the calm has lasted.

use core::fmt;

use passband_proto::dict::EventCode;
use passband_proto::ids::Class;
use serde::{Deserialize, Serialize};

use super::{Limit, Limits, Readings, Settings};
use crate::ordered;
use crate::telemetry::{Report, Severity};

/// A measure that isn't read any more counts as it was for so long, ms.
const STALE_MS: u64 = 60_000;
/// The shortest and the longest pause between looks at level 3, ms.
const PAUSE_MS: (u64, u64) = (2_000, 300_000);

/// How much is left undone, 0 to 3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Level(u8);

impl Level {
    /// The highest.
    pub const MAX: Self = Self(3);

    /// The level of a number; of a greater one the highest.
    pub fn of(number: u8) -> Self {
        Self(number.min(Self::MAX.0))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Whether products are made of a frame of this class now.
    pub fn may_make(self, class: Class) -> bool {
        match class {
            Class::Alert => true,
            Class::Suspect => self.0 < 2,
            Class::Routine | Class::DiscardCandidate => self.0 < 1,
        }
    }

    /// Whether stored bundles are read for their own sake.
    pub fn may_scrub(self) -> bool {
        self.0 < 1
    }

    /// How many of `threads` look and seal at the same time.
    pub fn threads(self, threads: usize) -> usize {
        if self.0 < 2 { threads } else { 1 }
    }

    /// The pause after a look at a frame that took so long, ms.
    pub fn pause_ms(self, look_ms: u64) -> u64 {
        let (least, most) = PAUSE_MS;
        if self < Self::MAX { 0 } else { look_ms.saturating_mul(2).clamp(least, most) }
    }

    fn says(self) -> &'static str {
        match self.0 {
            0 => "nothing is left undone",
            1 => "no full cubes are made: routine frames and discard candidates wait in the spool",
            2 => "neither full nor region cubes are made: all frames but alerts wait in the spool",
            _ => "all frames but alerts wait in the spool, and frames are looked at more slowly",
        }
    }
}

/// What the level is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strain {
    /// Heat.
    Temperature,
    /// Power.
    Power,
    /// Little memory, or waiting for it.
    Memory,
    /// Waiting for a disk.
    Io,
    /// Waiting for a processor.
    Cpu,
}

impl fmt::Display for Strain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Temperature => "temperature",
            Self::Power => "power",
            Self::Memory => "memory",
            Self::Io => "disk stall",
            Self::Cpu => "processor stall",
        })
    }
}

/// How bad a measure is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    #[default]
    Calm,
    Yellow,
    Red,
}

/// A measure, and how it was.
#[derive(Debug, Clone, Copy)]
struct Measure {
    strain: Strain,
    name: &'static str,
    unit: &'static str,
    of: fn(&Readings) -> Option<f64>,
    limit: Limit,
    /// How far from a limit it ends.
    distance: f64,
    /// Whether little is bad.
    falling: bool,
    grade: Grade,
    value: f64,
    read_ms: u64,
}

/// The state machine that says the level.
#[derive(Debug, Clone)]
pub struct Shed {
    measures: [Measure; 6],
    enabled: bool,
    rise_ms: u64,
    fall_ms: u64,
    level: Level,
    /// Since when more, or less, than this level is asked for.
    since_ms: Option<(u64, bool)>,
}

impl Shed {
    /// By the settings; at level 0.
    pub fn new(settings: &Settings) -> Self {
        let Settings { limits, shed, rise_s, fall_s, .. } = settings;
        Self {
            measures: measures(limits),
            enabled: *shed,
            rise_ms: rise_s.saturating_mul(1000),
            fall_ms: fall_s.saturating_mul(1000),
            level: Level::default(),
            since_ms: None,
        }
    }

    /// One that waits for nothing.
    #[cfg(test)]
    pub(crate) fn hasty(self) -> Self {
        Self { rise_ms: 0, fall_ms: 0, ..self }
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// What strains the board now, the worst first.
    pub fn strains(&self) -> Vec<Strain> {
        let mut strained: Vec<_> = self.measures.iter().filter(|m| m.grade > Grade::Calm).collect();
        ordered::sort_by_key(&mut strained, |m| (core::cmp::Reverse(m.grade), m.strain));
        let mut out = Vec::new();
        for measure in strained {
            if !out.contains(&measure.strain) {
                out.push(measure.strain);
            }
        }
        out
    }

    /// Takes readings; what there is to tell if the level changes.
    pub fn take(&mut self, now_ms: u64, readings: &Readings) -> Option<Report> {
        for measure in &mut self.measures {
            measure.take(now_ms, readings);
        }
        if !self.enabled {
            return None;
        }
        let worst = self.measures.iter().map(|m| m.grade).max().unwrap_or_default();
        let wanted = match worst {
            Grade::Calm => Level(0),
            Grade::Yellow => Level(1),
            Grade::Red => Level::MAX,
        };
        if wanted == self.level {
            self.since_ms = None;
            return None;
        }
        let up = wanted > self.level;
        let since_ms = match self.since_ms {
            Some((since_ms, was_up)) if was_up == up => since_ms,
            _ => now_ms,
        };
        self.since_ms = Some((since_ms, up));
        let lasts_ms = if up { self.rise_ms } else { self.fall_ms };
        if now_ms.saturating_sub(since_ms) < lasts_ms {
            return None;
        }
        self.since_ms = Some((now_ms, up));
        self.level = Level(if up { self.level.0.saturating_add(1) } else { self.level.0.saturating_sub(1) });
        Some(self.report(up))
    }

    fn report(&self, up: bool) -> Report {
        let causes = self.measures.iter().filter(|m| m.grade > Grade::Calm).map(Measure::text);
        let causes = causes.collect::<Vec<_>>().join(", ");
        let why = if causes.is_empty() { "the board is calm again".to_owned() } else { causes };
        let severity = match (up, self.level.0) {
            (false, _) => Severity::Info,
            (true, 0 | 1) => Severity::Warning,
            (true, _) => Severity::Error,
        };
        let text = format!("load level {} of 3: {}; {why}", self.level.0, self.level.says());
        Report { severity, code: EventCode::LoadLevel, text }
    }
}

fn measures(limits: &Limits) -> [Measure; 6] {
    let measure = |strain, name, unit, of, limit, distance| Measure {
        strain,
        name,
        unit,
        of,
        limit,
        distance,
        falling: false,
        grade: Grade::Calm,
        value: 0.0,
        read_ms: 0,
    };
    let share = |limit: Limit| 0.1 * limit.yellow;
    let memory = limits.memory_available_percent;
    let available =
        measure(Strain::Memory, "memory available", "%", |r| r.memory_available_percent, memory, 3.0);
    [
        measure(Strain::Temperature, "temperature", " °C", |r| r.temperature_c, limits.temperature_c, 5.0),
        measure(Strain::Power, "power", " W", |r| r.power_w, limits.power_w, share(limits.power_w)),
        Measure { falling: true, ..available },
        measure(
            Strain::Memory,
            "memory stall",
            "%",
            |r| r.memory_stall_percent,
            limits.memory_stall_percent,
            3.0,
        ),
        measure(Strain::Io, "disk stall", "%", |r| r.io_stall_percent, limits.io_stall_percent, 10.0),
        measure(Strain::Cpu, "processor stall", "%", |r| r.cpu_stall_percent, limits.cpu_stall_percent, 10.0),
    ]
}

impl Measure {
    fn take(&mut self, now_ms: u64, readings: &Readings) {
        let Some(value) = (self.of)(readings) else {
            if now_ms.saturating_sub(self.read_ms) >= STALE_MS {
                self.grade = Grade::Calm;
            }
            return;
        };
        (self.value, self.read_ms) = (value, now_ms);
        self.grade = match () {
            () if self.reaches(value, self.limit.red, self.grade >= Grade::Red) => Grade::Red,
            () if self.reaches(value, self.limit.yellow, self.grade >= Grade::Yellow) => Grade::Yellow,
            () => Grade::Calm,
        };
    }

    /// Whether a value reaches a limit; if it `did` before, the limit is nearer.
    fn reaches(&self, value: f64, limit: f64, did: bool) -> bool {
        let distance = if did { self.distance } else { 0.0 };
        let reached = if self.falling { value <= limit + distance } else { value >= limit - distance };
        limit > 0.0 && reached
    }

    fn text(&self) -> String {
        format!("{} {:.1}{}", self.name, self.value, self.unit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hot(temperature_c: f64) -> Readings {
        Readings { temperature_c: Some(temperature_c), ..Readings::default() }
    }

    /// Takes a reading every second; the levels that were told of, with the second.
    fn run(shed: &mut Shed, from_s: u64, to_s: u64, readings: &Readings) -> Vec<(u64, u8)> {
        let told = |s: u64| shed.take(s * 1000, readings).map(|_| (s, shed.level().number()));
        (from_s..=to_s).filter_map(told).collect()
    }

    #[test]
    fn red_goes_up_step_by_step_and_calm_goes_down_slowly() {
        let mut shed = Shed::new(&Settings::default());
        assert_eq!(run(&mut shed, 0, 100, &hot(95.0)), [(10, 1), (20, 2), (30, 3)]);
        assert_eq!(shed.strains(), [Strain::Temperature]);
        assert_eq!(run(&mut shed, 101, 200, &hot(86.0)), [], "not yet 5 degrees below red");
        assert_eq!(run(&mut shed, 201, 400, &hot(84.0)), [(261, 2), (321, 1)], "yellow holds level 1");
        assert_eq!(run(&mut shed, 401, 500, &hot(76.0)), [], "not yet 5 degrees below yellow");
        assert_eq!(run(&mut shed, 501, 700, &hot(60.0)), [(561, 0)]);
    }

    #[test]
    fn a_short_peak_does_nothing_and_a_sensor_that_is_gone_counts_for_a_minute() {
        let mut shed = Shed::new(&Settings::default());
        assert_eq!(run(&mut shed, 0, 8, &hot(99.0)), []);
        assert_eq!(run(&mut shed, 9, 40, &hot(50.0)), []);
        assert_eq!(run(&mut shed, 41, 51, &hot(82.0)), [(51, 1)]);
        assert_eq!(run(&mut shed, 52, 400, &Readings::default()), [(171, 0)], "60 s stale, 60 s calm");
    }

    #[test]
    fn each_measure_counts_and_a_limit_of_0_does_not() {
        let level = |readings: Readings| {
            let mut shed = Shed::new(&Settings::default());
            run(&mut shed, 0, 100, &readings);
            (shed.level().number(), shed.strains())
        };
        let none = Readings::default();
        assert_eq!(level(Readings { power_w: Some(900.0), ..none }), (0, vec![]));
        assert_eq!(level(Readings { cpu_stall_percent: Some(100.0), ..none }), (1, vec![Strain::Cpu]));
        assert_eq!(level(Readings { io_stall_percent: Some(90.0), ..none }), (3, vec![Strain::Io]));
        assert_eq!(
            level(Readings { memory_available_percent: Some(15.0), ..none }),
            (1, vec![Strain::Memory])
        );
        let both =
            Readings { memory_available_percent: Some(3.0), memory_stall_percent: Some(12.0), ..hot(81.0) };
        assert_eq!(level(both), (3, vec![Strain::Memory, Strain::Temperature]));
    }

    #[test]
    fn switched_off_it_stays_at_0_and_still_says_what_strains() {
        let mut shed = Shed::new(&Settings { shed: false, ..Settings::default() });
        assert_eq!(run(&mut shed, 0, 100, &hot(99.0)), []);
        assert_eq!((shed.level(), shed.strains()), (Level(0), vec![Strain::Temperature]));
    }

    #[test]
    fn alerts_are_made_at_every_level_and_the_least_valuable_waits_first() {
        let made = |level| Class::ALL.map(|class| Level(level).may_make(class));
        assert_eq!(Class::ALL, [Class::Alert, Class::Suspect, Class::Routine, Class::DiscardCandidate]);
        assert_eq!(made(0), [true; 4]);
        assert_eq!(made(1), [true, true, false, false]);
        assert_eq!([made(2), made(3)], [[true, false, false, false]; 2]);
        assert_eq!([2, 3].map(|l| Level(l).pause_ms(9_000)), [0, 18_000]);
        assert_eq!(Level(3).pause_ms(u64::MAX), 300_000);
        assert_eq!([1, 2].map(|l| Level(l).threads(4)), [4, 1]);
    }

    proptest! {
        #[test]
        fn the_level_moves_by_one_and_never_faster_than_it_may(
            temperatures in proptest::collection::vec(prop_oneof![Just(20.0), Just(82.0), Just(120.0)], 1..400),
        ) {
            let mut shed = Shed::new(&Settings::default());
            let (mut last, mut moved_s) = (0, None::<usize>);
            for (s, temperature) in temperatures.iter().enumerate() {
                let told = shed.take(s as u64 * 1000, &hot(*temperature));
                let level = shed.level().number();
                prop_assert_eq!(told.is_some(), level != last);
                if level != last {
                    prop_assert!(level.abs_diff(last) == 1 && level <= 3);
                    prop_assert!(moved_s.is_none_or(|before| s - before >= 10));
                    moved_s = Some(s);
                }
                last = level;
            }
        }
    }
}
