//! `[health]` of the configuration, every number with its range.

use std::path::PathBuf;

use serde::Deserialize;

/// `[health]`: check-ins, sensors, what is left undone under stress, safe mode.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The watchdog's device; default none: no watchdog is fed.
    pub watchdog: Option<PathBuf>,
    /// A task that hasn't checked in for so long is stuck, 5 to 3,600 s; default 60: a disk may take
    /// half a minute to give up.
    pub deadline_s: u64,
    /// How slowly a frame may be worked on before that is stuck, bytes/s, 1,000 to 1 GiB/s; default
    /// 1,000,000.
    pub frame_bytes_per_s: u64,
    /// How often sensors are read, 1 to 3,600 s; default 5.
    pub sensors_s: u64,
    /// Whether work is left undone under stress; default true.
    pub shed: bool,
    /// Stress lasts so long before more is left undone, 0 to 3,600 s; default 10.
    pub rise_s: u64,
    /// Calm lasts so long before more is done again, 0 to 86,400 s; default 60.
    pub fall_s: u64,
    /// From where on work is left undone.
    pub limits: Limits,
    /// A start that has run so long is a good one, 10 to 3,600 s; default 120.
    pub well_s: u64,
    /// So many starts that failed in a row lead to safe mode, 0 (never) to 100; default 3.
    pub safe_after: u32,
}

/// `[health.limits]`: from where on work is left undone. A limit of 0 is never reached.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The hottest zone, °C, 0 to 150; default 80 and 90.
    pub temperature_c: Limit,
    /// The board's power, W, 0 to 10,000; default 0 and 0: not looked at.
    pub power_w: Limit,
    /// Memory that is available, percent of all, falling, 0 to 100; default 15 and 7.
    pub memory_available_percent: Limit,
    /// Time in which all work waited for memory, percent, 0 to 100; default 10 and 30.
    pub memory_stall_percent: Limit,
    /// Time in which all work waited for a disk, percent, 0 to 100; default 50 and 90.
    pub io_stall_percent: Limit,
    /// Time in which some work waited for a processor, percent, 0 to 100; default 95 and 0: triage alone makes others
    /// wait, so that it never asks for more than the first step.
    pub cpu_stall_percent: Limit,
}

/// Two steps of one measure.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Full cubes are left.
    pub yellow: f64,
    /// More is left, step by step.
    pub red: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            watchdog: None,
            deadline_s: 60,
            frame_bytes_per_s: 1_000_000,
            sensors_s: 5,
            shed: true,
            rise_s: 10,
            fall_s: 60,
            limits: Limits::default(),
            well_s: 120,
            safe_after: 3,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let limit = |yellow, red| Limit { yellow, red };
        Self {
            temperature_c: limit(80.0, 90.0),
            power_w: limit(0.0, 0.0),
            memory_available_percent: limit(15.0, 7.0),
            memory_stall_percent: limit(10.0, 30.0),
            io_stall_percent: limit(50.0, 90.0),
            cpu_stall_percent: limit(95.0, 0.0),
        }
    }
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfRange {
    /// The table that it stands in.
    pub section: &'static str,
    /// Its name.
    pub field: &'static str,
    /// What is wrong.
    pub what: String,
}

impl Settings {
    /// Whether every number is in its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let within = |field, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            let what = format!("{value} is out of range: must be {least} to {most}");
            Err(OutOfRange { section: "health", field, what })
        };
        within("deadline_s", self.deadline_s, 5, 3_600)?;
        within("frame_bytes_per_s", self.frame_bytes_per_s, 1_000, 1 << 30)?;
        within("sensors_s", self.sensors_s, 1, 3_600)?;
        within("rise_s", self.rise_s, 0, 3_600)?;
        within("fall_s", self.fall_s, 0, 86_400)?;
        within("well_s", self.well_s, 10, 3_600)?;
        within("safe_after", self.safe_after.into(), 0, 100)?;
        self.limits.check()
    }
}

impl Limits {
    fn check(&self) -> Result<(), OutOfRange> {
        let rising = |field, limit: Limit, most: f64| {
            let ordered = limit.yellow <= limit.red || limit.red <= 0.0;
            limit.check(field, most, ordered, "yellow is above red")
        };
        rising("temperature_c", self.temperature_c, 150.0)?;
        rising("power_w", self.power_w, 10_000.0)?;
        rising("memory_stall_percent", self.memory_stall_percent, 100.0)?;
        rising("io_stall_percent", self.io_stall_percent, 100.0)?;
        rising("cpu_stall_percent", self.cpu_stall_percent, 100.0)?;
        let memory = self.memory_available_percent;
        let ordered = memory.yellow >= memory.red;
        memory.check("memory_available_percent", 100.0, ordered, "yellow is below red")
    }
}

impl Limit {
    fn check(self, field: &'static str, most: f64, ordered: bool, order: &str) -> Result<(), OutOfRange> {
        let fault = |what| Err(OutOfRange { section: "health.limits", field, what });
        for value in [self.yellow, self.red] {
            if !(0.0..=most).contains(&value) {
                return fault(format!("{value} is out of range: must be 0 to {most}"));
            }
        }
        if ordered { Ok(()) } else { fault(order.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range_and_what_is_not_is_named() {
        assert_eq!(Settings::default().check(), Ok(()));
        let field = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().unwrap_err().field
        };
        assert_eq!(field(|s| s.deadline_s = 4), "deadline_s");
        assert_eq!(field(|s| s.frame_bytes_per_s = 0), "frame_bytes_per_s");
        assert_eq!(field(|s| s.sensors_s = 0), "sensors_s");
        assert_eq!(field(|s| s.fall_s = 86_401), "fall_s");
        assert_eq!(field(|s| s.well_s = 9), "well_s");
        assert_eq!(field(|s| s.safe_after = 101), "safe_after");
        assert_eq!(field(|s| s.limits.temperature_c.red = f64::NAN), "temperature_c");
        assert_eq!(field(|s| s.limits.temperature_c.yellow = 91.0), "temperature_c");
        assert_eq!(field(|s| s.limits.memory_available_percent.red = 16.0), "memory_available_percent");
        assert_eq!(field(|s| s.limits.power_w.red = 1e9), "power_w");
    }
}
