//! Limits of channels: green, yellow or red, told once when it changes.
//!
//! A value is judged against four limits. What is beyond one stays beyond it until the value is inside by a margin
//! (hysteresis): a tenth of the distance between the yellow and the red limit of that side, or 2 % of the limit where
//! there is only one. A channel changes its level when three of its last five values say so (persistence), so that
//! neither noise about a limit nor a single wrong value makes an event or starts a plan. A value that isn't known (NaN;
//! of whole numbers the greatest) doesn't count. The checks are those of ECSS-E-ST-70-41C, 6.12, with delta checks left
//! out.
//!
//! Never acts: what is to be done is an output.

use std::collections::VecDeque;

use passband_proto::dict::{EventCode, FieldDef, Housekeeping, Kind, Packet, ParameterId, Severity, Value};
use serde::{Deserialize, Serialize};

use super::{Report, Settings};

/// Values that are remembered.
const LAST: usize = 5;
/// Of these so many have to say it.
const OF_LAST: usize = 3;

/// Where a channel stands against its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Within them.
    Green,
    /// Beyond a yellow one.
    Yellow,
    /// Beyond a red one.
    Red,
}

impl Level {
    /// The name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// What a channel that changed its level asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The event.
    pub report: Report,
    /// The plan to start, if the channel is red now and a plan is named for it.
    pub start_plan: Option<String>,
}

/// Watches every channel that has limits.
#[derive(Debug, Clone)]
pub struct Limits(Vec<Watch>);

impl Default for Limits {
    fn default() -> Self {
        Self(Housekeeping::DEF.fields.iter().filter_map(Watch::new).collect())
    }
}

impl Limits {
    /// Takes the channels of one moment, to be called at even distances; what has changed by it.
    pub fn take(&mut self, channels: &Housekeeping, settings: &Settings) -> Vec<Outcome> {
        let mut out = Vec::new();
        channels.visit(&mut |field, value| {
            if let Some(watch) = self.0.iter_mut().find(|watch| watch.field.name == field.name) {
                out.extend(watch.take(&value, settings));
            }
        });
        out
    }

    /// Where a channel stands; none: it has no limits.
    pub fn level(&self, channel: &str) -> Option<Level> {
        self.0.iter().find(|watch| watch.field.name == channel).map(|watch| watch.level)
    }

    /// How many channels are red, and how many yellow.
    pub fn beyond(&self) -> (usize, usize) {
        let count = |level| self.0.iter().filter(|watch| watch.level == level).count();
        (count(Level::Red), count(Level::Yellow))
    }
}

#[derive(Debug, Clone)]
struct Watch {
    field: &'static FieldDef,
    limits: ParameterId,
    level: Level,
    /// What the last values say, the newest last.
    judged: VecDeque<Level>,
    /// The limits that they were judged by, as bits: NaN is no limit, and equal to itself here.
    by: [u32; 4],
}

impl Watch {
    fn new(field: &'static FieldDef) -> Option<Self> {
        let (level, judged) = (Level::Green, VecDeque::with_capacity(LAST));
        Some(Self { field, limits: field.limits?, level, judged, by: [0; 4] })
    }

    fn take(&mut self, value: &Value<'_>, settings: &Settings) -> Option<Outcome> {
        let limits = settings.limits(self.limits);
        let by = limits.map(f32::to_bits);
        if std::mem::replace(&mut self.by, by) != by {
            // What was judged by other limits says nothing of these.
            self.judged.clear();
        }
        let value = known(self.field.kind, value)?;
        if self.judged.len() >= LAST {
            self.judged.pop_front();
        }
        self.judged.push_back(judge(value, limits.map(f64::from), self.level));
        let level = self.due()?;
        let outcome = self.outcome(level, value, limits.map(f64::from), settings);
        self.level = level;
        Some(outcome)
    }

    /// The level that it is to change to.
    fn due(&self) -> Option<Level> {
        let enough = |says: &dyn Fn(Level) -> bool| {
            self.judged.iter().filter(|level| says(**level)).count() >= OF_LAST
        };
        let worse = [Level::Red, Level::Yellow].into_iter().filter(|level| *level > self.level);
        let better = [Level::Green, Level::Yellow].into_iter().filter(|level| *level < self.level);
        worse
            .into_iter()
            .find(|level| enough(&|judged| judged >= *level))
            .or_else(|| better.into_iter().find(|level| enough(&|judged| judged <= *level)))
    }

    fn outcome(&self, level: Level, value: f64, limits: [f64; 4], settings: &Settings) -> Outcome {
        let FieldDef { name, unit, .. } = self.field;
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let is = format!("{name} is {}{unit}", short(value));
        let (severity, code, text) = match level {
            Level::Green => (Severity::Info, EventCode::LimitClear, format!("{is}: within its limits again")),
            Level::Yellow => {
                (Severity::Warning, EventCode::LimitYellow, is + &beyond("yellow", value, limits, &unit))
            }
            Level::Red => (Severity::Error, EventCode::LimitRed, is + &beyond("red", value, limits, &unit)),
        };
        let plan = settings.plan(self.limits).filter(|_| level == Level::Red);
        Outcome { report: Report { severity, code, text }, start_plan: plan.map(str::to_owned) }
    }
}

/// The number that a value is, if it is known.
pub(crate) fn known(kind: Kind, value: &Value<'_>) -> Option<f64> {
    let unknown = kind == Kind::U32 && *value == Value::Unsigned(u32::MAX.into());
    value.number().filter(|n| !n.is_nan() && !unknown)
}

/// What one value says of a channel that is held at a level.
fn judge(value: f64, [red_low, yellow_low, yellow_high, red_high]: [f64; 4], held: Level) -> Level {
    let margin = |limit: f64, other: f64, level: Level| match (held >= level, other.is_nan()) {
        (false, _) => 0.0,
        (true, false) => (limit - other).abs() / 10.0,
        (true, true) => limit.abs() / 50.0,
    };
    let below = |limit: f64, other: f64, level| value < limit + margin(limit, other, level);
    let above = |limit: f64, other: f64, level| value > limit - margin(limit, other, level);
    // No limit is NaN, and nothing is below or above that.
    if below(red_low, yellow_low, Level::Red) || above(red_high, yellow_high, Level::Red) {
        Level::Red
    } else if below(yellow_low, red_low, Level::Yellow) || above(yellow_high, red_high, Level::Yellow) {
        Level::Yellow
    } else {
        Level::Green
    }
}

/// Which limit of a colour a value is beyond, or near.
fn beyond(
    colour: &str,
    value: f64,
    [red_low, yellow_low, yellow_high, red_high]: [f64; 4],
    unit: &str,
) -> String {
    let (low, high) = if colour == "red" { (red_low, red_high) } else { (yellow_low, yellow_high) };
    let nearer_low = high.is_nan() || (!low.is_nan() && (value - low).abs() < (value - high).abs());
    let (side, limit) = if nearer_low { ("below", low) } else { ("above", high) };
    format!(": {side} its {colour} limit of {}{unit}", short(limit))
}

/// A number with three places at most, and none that are zero.
fn short(x: f64) -> String {
    let text = format!("{x:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Sample;
    use proptest::prelude::*;

    fn power(watts: f32) -> Housekeeping {
        let mut sample = Sample::default();
        sample.others.readings.power_w = Some(watts);
        sample.housekeeping()
    }

    /// The codes that powers give, one after another; limits 25 and 30 W.
    fn codes(limits: &mut Limits, settings: &Settings, watts: &[f32]) -> Vec<EventCode> {
        watts.iter().flat_map(|w| limits.take(&power(*w), settings)).map(|o| o.report.code).collect()
    }

    #[test]
    fn a_level_is_reached_when_three_of_five_say_so_and_is_told_once() {
        use EventCode::{LimitClear, LimitRed, LimitYellow};
        let (mut limits, settings) = (Limits::default(), Settings::default());
        assert_eq!(codes(&mut limits, &settings, &[40.0, 40.0, 20.0, 20.0, 20.0, 40.0, 20.0]), []);
        assert_eq!(codes(&mut limits, &settings, &[20.0; 5]), []);
        assert_eq!(codes(&mut limits, &settings, &[26.0; 9]), [LimitYellow]);
        assert_eq!(codes(&mut limits, &settings, &[31.0, 20.0, 31.0, 20.0, 31.0, 31.0]), [LimitRed]);
        assert_eq!((limits.level("power"), limits.beyond()), (Some(Level::Red), (1, 0)));
        assert_eq!(codes(&mut limits, &settings, &[20.0; 9]), [LimitClear]);
        assert_eq!(codes(&mut limits, &settings, &[99.0; 9]), [LimitRed], "past yellow at once");
        assert_eq!(codes(&mut limits, &settings, &[27.0; 9]), [LimitYellow]);
        assert_eq!((limits.level("mode"), limits.beyond()), (None, (0, 1)));
    }

    #[test]
    fn a_value_that_hovers_about_a_limit_does_not_chatter() {
        let (mut limits, settings) = (Limits::default(), Settings::default());
        let hovering: Vec<f32> = (0..200).map(|i| if i / 4 % 2 == 0 { 25.3 } else { 24.6 }).collect();
        assert_eq!(codes(&mut limits, &settings, &hovering), [EventCode::LimitYellow]);
        assert_eq!(codes(&mut limits, &settings, &[24.4; 3]), [EventCode::LimitClear], "half a watt inside");
    }

    #[test]
    fn what_is_not_known_does_not_count() {
        let (mut limits, settings) = (Limits::default(), Settings::default());
        assert_eq!(codes(&mut limits, &settings, &[99.0, 99.0]), []);
        assert_eq!(codes(&mut limits, &settings, &[f32::NAN; 20]), []);
        assert_eq!(codes(&mut limits, &settings, &[99.0]), [EventCode::LimitRed]);
        let mut settings = Settings::default();
        settings.set(ParameterId::FrameAgeLimits, &Value::Limits([f32::NAN, f32::NAN, 10.0, 20.0]));
        let none = Sample::default().housekeeping();
        assert!((0..9).all(|_| limits.take(&none, &settings).is_empty()), "no frame was taken yet");
    }

    #[test]
    fn red_starts_the_plan_that_is_named_and_says_what_is_wrong() {
        let (mut limits, mut settings) = (Limits::default(), Settings::default());
        settings.set(ParameterId::PowerAction, &Value::Text("cool"));
        let all: Vec<_> = (0..3).flat_map(|_| limits.take(&power(26.5), &settings)).collect();
        assert_eq!(all[0].start_plan, None);
        assert_eq!(all[0].report.text, "power is 26.5 W: above its yellow limit of 25 W");
        let all: Vec<_> = (0..5).flat_map(|_| limits.take(&power(31.25), &settings)).collect();
        assert_eq!((all.len(), all[0].start_plan.as_deref()), (1, Some("cool")));
        assert_eq!(all[0].report.text, "power is 31.25 W: above its red limit of 30 W");
        let mut low = Sample { free_disk_bytes: Some(300 << 20), ..Sample::default() };
        let mut text = |sample: &Sample| {
            let all: Vec<_> = (0..3).flat_map(|_| limits.take(&sample.housekeeping(), &settings)).collect();
            all[0].report.text.clone()
        };
        assert_eq!(text(&low), "disk_free is 300 MiB: below its yellow limit of 1024 MiB");
        low.free_disk_bytes = Some(0);
        assert_eq!(text(&low), "disk_free is 0 MiB: below its red limit of 256 MiB");
    }

    #[test]
    fn other_limits_count_from_the_next_values_on() {
        let (mut limits, mut settings) = (Limits::default(), Settings::default());
        assert_eq!(codes(&mut limits, &settings, &[40.0; 5]), [EventCode::LimitRed]);
        settings.set(ParameterId::PowerLimits, &Value::Limits([f32::NAN; 4]));
        assert_eq!(codes(&mut limits, &settings, &[40.0; 2]), []);
        assert_eq!(codes(&mut limits, &settings, &[40.0; 2]), [EventCode::LimitClear]);
    }

    proptest! {
        /// Noise of less than the margin about any value changes the level once at most.
        #[test]
        fn noise_below_the_margin_never_chatters(
            middle in 20.0_f32..35.0,
            noise in prop::collection::vec(-0.24_f32..0.24, 20..80),
        ) {
            let (mut limits, settings) = (Limits::default(), Settings::default());
            let watts: Vec<f32> = noise.iter().map(|n| middle + n).collect();
            prop_assert!(codes(&mut limits, &settings, &watts).len() <= 1 + usize::from(middle > 29.0));
        }
    }
}
