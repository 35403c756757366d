//! The parameters that can be changed from the ground: values of the configuration file that an operator may override,
//! limits of channels, and what is done when they are broken.
//!
//! Here is what each is, never what it is at present.

use core::fmt;

use super::kind::{Field, Kind, Names, Value, names};
use super::orders::Shed;

names! {
    /// Who opens the transmitter.
    pub enum Transmit: Name8, "transmit" {
        /// The bus computer.
        Bus = 0 "bus",
        /// Only the operator.
        Manual = 1 "manual",
        /// The pass plan.
        Plan = 2 "plan",
        /// It is open always.
        Always = 3 "always",
    }
}

/// The definition of a parameter.
#[derive(Debug, PartialEq)]
pub struct ParameterDef {
    /// Which.
    pub id: ParameterId,
    /// Its kind.
    pub kind: Kind,
    /// What it says.
    pub doc: &'static str,
    /// The unit of a number.
    pub unit: &'static str,
    /// The least number.
    pub least: f64,
    /// The greatest number.
    pub most: f64,
    /// What it is unless the configuration file or an operator says otherwise.
    pub default: &'static str,
    /// Whether the daemon has to be started anew for it to count; it does that by itself.
    pub restarts: bool,
}

impl ParameterDef {
    const fn of(id: ParameterId, kind: Kind, doc: &'static str) -> Self {
        Self { id, kind, doc, unit: "", least: f64::MIN, most: f64::MAX, default: "", restarts: false }
    }

    /// The definition of a parameter.
    #[must_use]
    pub fn get(id: ParameterId) -> Option<&'static Self> {
        PARAMETERS.iter().find(|def| def.id == id)
    }

    /// Whether a value of its kind is in range.
    #[must_use]
    pub fn admits(&self, value: &Value<'_>) -> bool {
        match value {
            Value::Name(names, code) => names.name_of(*code).is_some(),
            Value::Limits(limits) => rising(limits),
            Value::Text(text) => {
                text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            }
            _ => value.number().is_some_and(|n| (self.least..=self.most).contains(&n)),
        }
    }
}

/// Red low ≤ yellow low ≤ yellow high ≤ red high, of those that there are; none infinite.
fn rising(limits: &[f32; 4]) -> bool {
    let mut last = f32::MIN;
    limits.iter().filter(|limit| !limit.is_nan()).all(|limit| {
        let fits = limit.is_finite() && *limit >= last;
        last = *limit;
        fits
    })
}

/// A text that is no value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BadValue(pub &'static ParameterDef);

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(def) = self;
        write!(f, "{}: ", def.id)?;
        match def.kind {
            Kind::Name8(names) | Kind::Name16(names) => {
                f.write_str("one of")?;
                names.values.iter().try_for_each(|value| write!(f, " {}", value.name))?;
                f.write_str(" is wanted")
            }
            Kind::Limits => f.write_str(
                "RED_LOW,YELLOW_LOW,YELLOW_HIGH,RED_HIGH is wanted, rising; - for one that there isn't",
            ),
            Kind::FixedText(len) => {
                write!(f, "less than {len} of the characters a to z, 0 to 9 and - are wanted")
            }
            _ => {
                write!(f, "a {} from {} to {}", def.kind.noun(), def.least, def.most)?;
                if !def.unit.is_empty() {
                    write!(f, " {}", def.unit)?;
                }
                f.write_str(" is wanted")
            }
        }
    }
}

impl core::error::Error for BadValue {}

macro_rules! parameters {
    ($(
        $(#[doc = $doc:literal])+
        $id:ident = $code:literal $name:literal: $ty:ty = { $($key:ident: $value:expr),* $(,)? },
    )+) => {
        names! {
            /// The parameters.
            pub enum ParameterId: Name16, "parameter" {
                $($(#[doc = $doc])+ $id = $code $name,)+
            }
        }

        /// All parameters, by their codes.
        pub const PARAMETERS: &[ParameterDef] = &[$(ParameterDef {
            $($key: $value,)*
            ..ParameterDef::of(ParameterId::$id, <$ty as Field>::KIND, concat!($($doc,)+))
        },)+];
    };
}

type PlanName = super::kind::FixedText<24>;

parameters! {
    /// A frame with a plume at least this probable is an alert.
    AlertProbability = 0x0101 "triage.alert_probability": f32 = {
        least: 0.0, most: 1.0, default: "0.98", restarts: true,
    },
    /// A frame with a plume at least this probable is a suspect.
    SuspectProbability = 0x0102 "triage.suspect_probability": f32 = {
        least: 0.0, most: 1.0, default: "0.4", restarts: true,
    },
    /// A frame with more cloud than this, and no plume, is a discard candidate.
    DiscardCloud = 0x0103 "triage.discard_cloud": f32 = { least: 0.0, most: 1.0, default: "0.7", restarts: true },
    /// Threads that look at a frame at the same time.
    TriageThreads = 0x0104 "triage.threads": u32 = { least: 1.0, most: 64.0, default: "1", restarts: true },
    /// The wind, where a frame's header doesn't say it; 0: not known.
    Wind = 0x0105 "triage.wind": f32 = { unit: "m/s", most: 100.0, least: 0.0, default: "0", restarts: true },

    /// The fast link's rate of UDP payload.
    DownlinkRate = 0x0201 "downlink.rate": u64 = {
        unit: "bit/s", least: 1_000.0, most: 1e10, default: "40000000", restarts: true,
    },
    /// The share of datagrams believed to be lost, before any report.
    ExpectedLoss = 0x0202 "downlink.expected_loss": f32 = { least: 0.0, most: 0.95, default: "0.2", restarts: true },
    /// Who opens the transmitter.
    TransmitBy = 0x0203 "downlink.transmit": Transmit = { default: "bus", restarts: true },

    /// Most alert messages in any minute.
    AlertsPerMinute = 0x0301 "alerts.per_minute": u32 = { least: 1.0, most: 600.0, default: "6", restarts: true },
    /// When an alert that nobody acknowledged is given up.
    AlertsStale = 0x0302 "alerts.stale": u32 = {
        unit: "s", least: 601.0, most: 2_592_000.0, default: "86400", restarts: true,
    },
    /// A newer alert so near stands in the place of an older one; 0: never.
    AlertsSameSite = 0x0303 "alerts.same_site": u32 = {
        unit: "m", least: 0.0, most: 100_000.0, default: "500", restarts: true,
    },

    /// The share of the bytes sent that what is overdue gets ahead of its turn.
    OverdueShare = 0x0401 "queue.overdue_share": f32 = { least: 0.0, most: 0.5, default: "0.05", restarts: true },
    /// What all sealed bundles together may take.
    StoreQuota = 0x0402 "store.quota": u64 = {
        unit: "B", least: 1_048_576.0, most: 1_125_899_906_842_624.0, default: "68719476736", restarts: true,
    },
    /// How fast stored bundles are read to see whether they still are what was written; 0: never.
    ScrubRate = 0x0403 "store.scrub_rate": u64 = {
        unit: "B/s", least: 0.0, most: 1_099_511_627_776.0, default: "2000000", restarts: true,
    },
    /// How often housekeeping and the log are made a bundle.
    NotesEvery = 0x0404 "products.notes": u32 = {
        unit: "s", least: 60.0, most: 604_800.0, default: "5400", restarts: true,
    },

    /// How often the beacon is sent; 0: never.
    BeaconEvery = 0x0501 "telemetry.beacon": u32 = { unit: "s", least: 0.0, most: 86_400.0, default: "30" },
    /// How often housekeeping is sent; 0: never.
    HousekeepingEvery = 0x0502 "telemetry.housekeeping": u32 = {
        unit: "s", least: 0.0, most: 86_400.0, default: "60",
    },
    /// The most telemetry that is sent, headers of lower layers not counted.
    TelemetryRate = 0x0503 "telemetry.rate": u32 = {
        unit: "bit/s", least: 300.0, most: 10_000_000.0, default: "4800",
    },
    /// The least severe event that is sent as a packet of its own.
    EventSeverity = 0x0504 "telemetry.events": super::events::Severity = { default: "warning" },

    /// The longest time between arming and firing.
    ArmFor = 0x0601 "command.arm": u32 = { unit: "s", least: 5.0, most: 3_600.0, default: "60" },
    /// How often an answer that nobody acknowledged is sent again.
    AnswerEvery = 0x0602 "command.answer": u32 = { unit: "s", least: 1.0, most: 3_600.0, default: "10" },
    /// The least work that is left undone.
    ShedAlways = 0x0701 "health.shed": Shed = { default: "automatic" },

    /// Limits of the board's temperature, °C.
    TemperatureLimits = 0x1001 "limits.temperature": [f32; 4] = { unit: "degC", default: "-25,-15,75,88" },
    /// Limits of the power that the board takes, W.
    PowerLimits = 0x1002 "limits.power": [f32; 4] = { unit: "W", default: "-,-,25,30" },
    /// Limits of the memory that is left, MiB.
    MemoryLimits = 0x1003 "limits.memory_free": [f32; 4] = { unit: "MiB", default: "128,256,-,-" },
    /// Limits of the room that is left on the disk, MiB.
    DiskLimits = 0x1004 "limits.disk_free": [f32; 4] = { unit: "MiB", default: "256,1024,-,-" },
    /// Limits of the time since the last frame was taken, s.
    FrameAgeLimits = 0x1005 "limits.frame_age": [f32; 4] = { unit: "s", default: "-,-,-,-" },
    /// Limits of the alerts that wait to be heard.
    AlertLimits = 0x1006 "limits.alerts_pending": [f32; 4] = { default: "-,-,20,100" },
    /// Limits of frames of the uplink refused in the last minute.
    RefusedLimits = 0x1007 "limits.uplink_refused": [f32; 4] = { unit: "/min", default: "-,-,20,1000" },

    /// The plan that is started when the board's temperature is red; empty: none.
    TemperatureAction = 0x1101 "actions.temperature": PlanName = {},
    /// The plan that is started when the board's power is red; empty: none.
    PowerAction = 0x1102 "actions.power": PlanName = {},
    /// The plan that is started when memory is red; empty: none.
    MemoryAction = 0x1103 "actions.memory_free": PlanName = {},
    /// The plan that is started when the disk is red; empty: none.
    DiskAction = 0x1104 "actions.disk_free": PlanName = {},
    /// The plan that is started when no frame was taken for long; empty: none.
    FrameAgeAction = 0x1105 "actions.frame_age": PlanName = {},
    /// The plan that is started when too many alerts wait; empty: none.
    AlertAction = 0x1106 "actions.alerts_pending": PlanName = {},
    /// The plan that is started when too much of the uplink is refused; empty: none.
    RefusedAction = 0x1107 "actions.uplink_refused": PlanName = {},
}

/// The names of all parameters.
pub const PARAMETER_NAMES: &Names = ParameterId::NAMES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_whole() {
        for (id, def) in ParameterId::ALL.iter().zip(PARAMETERS) {
            assert_eq!(*id, def.id);
            assert!(def.doc.trim().ends_with('.') && def.least <= def.most, "{id}");
            assert!(def.kind.fixed_bytes().is_some(), "{id}: a parameter's packet has a fixed size");
        }
        assert_eq!(ParameterDef::get(ParameterId::Wind).unwrap().unit, "m/s");
    }

    #[test]
    fn limits_rise_and_names_are_plain() {
        let limits = ParameterDef::get(ParameterId::PowerLimits).unwrap();
        let nan = f32::NAN;
        for (value, admitted) in [
            ([nan, nan, 1.0, 2.0], true),
            ([nan; 4], true),
            ([3.0, 2.0, nan, nan], false),
            ([1.0, nan, nan, 0.5], false),
            ([nan, nan, nan, f32::INFINITY], false),
        ] {
            assert_eq!(limits.admits(&Value::Limits(value)), admitted, "{value:?}");
        }
        let action = ParameterDef::get(ParameterId::PowerAction).unwrap();
        assert!(action.admits(&Value::Text("cool-down")) && !action.admits(&Value::Text("a b")));
        let rate = ParameterDef::get(ParameterId::DownlinkRate).unwrap();
        assert_eq!(
            BadValue(rate).to_string(),
            "downlink.rate: a whole number from 1000 to 10000000000 bit/s is wanted"
        );
    }
}
