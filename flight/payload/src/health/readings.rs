//! Readings: what the sensors and the kernel say of the board and of this process. Each is there or not; what can't be
//! true is refused and counted, so that a broken sensor neither sheds work nor hides a fire.

pub mod parse;

use serde::{Deserialize, Serialize};

/// What was read at one time. None of it has to be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Readings {
    /// The hottest zone, °C.
    pub temperature_c: Option<f64>,
    /// The board's power, W: the largest of the power sensors, which is the whole board's where there is one for it.
    pub power_w: Option<f64>,
    /// Memory that is available, percent of all (`MemAvailable` of `MemTotal`).
    pub memory_available_percent: Option<f64>,
    /// Time in which all work waited for memory, percent over 10 s (PSI `full`); without PSI guessed from the direct
    /// reclaims since the last reading, 10 ms each.
    pub memory_stall_percent: Option<f64>,
    /// Time in which all work waited for a disk, percent over 10 s (PSI `full`); none without PSI.
    pub io_stall_percent: Option<f64>,
    /// Time in which some work waited for a processor, percent over 10 s (PSI `some`); without PSI how far the load
    /// over a minute is above the number of processors, percent of it.
    pub cpu_stall_percent: Option<f64>,
    /// Memory of this process, bytes (`RSS`).
    pub process_bytes: Option<u64>,
    /// Processor time of this process since it began, ms.
    pub process_cpu_ms: Option<u64>,
    /// Readings that were refused since the start: they can't be true.
    pub refused: u64,
}

/// A kind of sensor, and what it may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gauge {
    /// Millidegrees Celsius.
    Temperature,
    /// Microwatts (hwmon).
    Power,
    /// Milliwatts (the INA3221 driver of NVIDIA's 4.9 kernel).
    PowerMilli,
    /// Millivolts.
    Voltage,
    /// Milliamperes.
    Current,
}

impl Gauge {
    /// The reading in °C, W, V or A; `None`: no number, or it can't be true. Electronics in orbit are between -90 and
    /// 150 °C, a payload takes less than 10 kW, 1 kV and 1 kA.
    pub fn read(self, text: &str) -> Option<f64> {
        let raw: i64 = text.trim().parse().ok()?;
        let (unit, least, most) = match self {
            Self::Temperature => (1e3, -90.0, 150.0),
            Self::Power => (1e6, 0.0, 1e4),
            Self::PowerMilli => (1e3, 0.0, 1e4),
            Self::Voltage | Self::Current => (1e3, -1e3, 1e3),
        };
        let value = raw as f64 / unit;
        (least..=most).contains(&value).then_some(value)
    }
}

impl Readings {
    /// Takes a temperature or a power: the highest counts.
    pub fn take(&mut self, gauge: Gauge, text: &str) {
        let Some(value) = gauge.read(text) else {
            self.refused = self.refused.saturating_add(1);
            return;
        };
        let held = match gauge {
            Gauge::Temperature => &mut self.temperature_c,
            Gauge::Power | Gauge::PowerMilli => &mut self.power_w,
            Gauge::Voltage | Gauge::Current => return,
        };
        *held = Some(held.map_or(value, |held| held.max(value)));
    }

    /// Takes a percentage.
    pub fn percent(&mut self, value: Option<f64>) -> Option<f64> {
        let value = value?;
        if (0.0..=100.0).contains(&value) {
            return Some(value);
        }
        self.refused = self.refused.saturating_add(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_true_is_refused_and_counted_and_the_highest_counts() {
        let mut readings = Readings::default();
        for text in ["41500", "-273000", "1000000000", "", "warm", "55250\n", "-5000"] {
            readings.take(Gauge::Temperature, text);
        }
        assert_eq!((readings.temperature_c, readings.refused), (Some(55.25), 4));
        readings.take(Gauge::Power, "7500000");
        readings.take(Gauge::PowerMilli, "12250");
        readings.take(Gauge::Power, "-1");
        readings.take(Gauge::Power, "99999999999999999999");
        assert_eq!((readings.power_w, readings.refused), (Some(12.25), 6));
        assert_eq!(readings.percent(Some(f64::NAN)), None);
        assert_eq!((readings.percent(Some(40.0)), readings.percent(None)), (Some(40.0), None));
        assert_eq!(readings.refused, 7);
        assert_eq!(Gauge::Voltage.read("5012"), Some(5.012));
    }
}
