//! What a plan says, after its text and before its bytes.
//!
//! Values only: what may stand in them is said by [`Plan::check`].

use serde::{Deserialize, Serialize};

/// A plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its name, `[a-z0-9-]{1,24}`.
    pub name: String,
    /// Its version, from 1; for people, who number them as they like.
    pub version: u32,
    /// The [digest](super::Orders::dictionary_digest) of the dictionary that its orders were made by.
    pub dictionary: [u8; 4],
    /// What becomes of it when the board starts anew while it runs.
    pub reboot: OnReboot,
    /// What becomes of entries bound to the wall clock that are late.
    pub late: Late,
    /// Names of the stations that entries speak of, in the order in which they come up.
    pub stations: Vec<String>,
    /// Names of the plans that entries start, likewise.
    pub plans: Vec<String>,
    /// The orders, each once, likewise.
    pub orders: Vec<Vec<u8>>,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// What becomes of a running plan when the board starts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnReboot {
    /// It goes on where it was.
    Continue,
    /// It ends.
    Abort,
    /// It begins from its first entry.
    Restart,
}

/// What becomes of an entry at a UTC time or at a pass that is late, by a jump of the clock or because the board was
/// off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// It runs if it is at most so late, ms.
    pub within_ms: u32,
    /// If it is later.
    pub otherwise: Giving,
}

/// What an entry gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Giving {
    /// Itself, and what follows from it.
    Skip,
    /// The whole plan.
    Abort,
}

/// One order and when it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name in the plan, `[a-z][a-z0-9-]{0,23}`, unique.
    pub label: Option<String>,
    /// When it is due.
    pub trigger: Trigger,
    /// How often.
    pub repeat: Repeat,
    /// What it waits for once it is due.
    pub wait: Option<Wait>,
    /// What is done when its order fails.
    pub failure: OnFailure,
    /// After when it isn't run any more.
    pub not_after: Option<NotAfter>,
    /// What is done.
    pub action: Action,
}

/// When an entry is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trigger {
    /// At a time.
    At {
        /// ms since 1970-01-01 UTC.
        unix_ms: u64,
    },
    /// A span of steady time after the plan was started.
    Start {
        /// The span, ms.
        after_ms: u32,
    },
    /// A span of steady time after an entry before it has ended.
    Entry {
        /// The other's place in [`Plan::entries`], below its own. It has a label.
        entry: u16,
        /// The span, ms.
        after_ms: u32,
    },
    /// At the start or end of a pass.
    Pass {
        /// Which of the two.
        edge: Edge,
        /// The station's place in [`Plan::stations`]; none: any.
        station: Option<u16>,
        /// From there, ms; negative: before.
        offset_ms: i32,
    },
    /// When something comes true: an event or a channel; never a pass.
    When(Condition),
}

/// The start or the end of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Edge {
    /// Acquisition of signal.
    Aos,
    /// Loss of signal.
    Los,
}

/// What can come true.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Condition {
    /// A channel of telemetry compares to a value, without a break for a time.
    Channel {
        /// Its number.
        channel: u16,
        /// How the channel's value, on the left, is compared.
        compare: Compare,
        /// With what; finite.
        value: f64,
        /// For how long, ms; 0: once.
        for_ms: u32,
    },
    /// An event happens.
    Event {
        /// Its number; none: any.
        event: Option<u16>,
        /// How bad it is at least.
        severity: Severity,
    },
    /// A station can hear the satellite, or none of those meant can.
    Pass {
        /// Its place in [`Plan::stations`]; none: any.
        station: Option<u16>,
        /// Whether there is to be a pass.
        on: bool,
    },
}

/// A comparison of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compare {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    Other,
}

/// How bad an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody should look at it some day.
    Warning,
    /// Something was not done.
    Error,
    /// The payload can't do its work.
    Critical,
}

/// How often an entry runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Repeat {
    /// Once.
    Once,
    /// At the same distances; of entries at a time or after the start.
    Every {
        /// The distance, ms.
        every_ms: u32,
        /// How often in all.
        times: u32,
    },
    /// Each time that it comes true; of entries at a pass, an event or a channel.
    Each {
        /// How often at most; none: to the end of the plan.
        times: Option<u32>,
    },
}

/// What an entry waits for once it is due.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// For this.
    pub condition: Condition,
    /// For so long at most, ms.
    pub up_to_ms: u32,
    /// And if it doesn't come true in that time.
    pub otherwise: OnTimeout,
}

/// What an entry does that has waited in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnTimeout {
    /// It is skipped, and what follows from it.
    Skip,
    /// It ends the plan.
    Abort,
    /// It runs all the same.
    Run,
}

/// What is done when an order fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// The plan goes on as if it had been done.
    Continue,
    /// The plan ends.
    Abort,
    /// The order is tried again.
    Retry {
        /// So often, besides the first time.
        times: u8,
        /// At this distance, ms.
        every_ms: u32,
        /// Whether the plan ends if it never was done; if not it goes on.
        abort: bool,
    },
}

/// After when an entry isn't run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAfter {
    /// A time, ms since 1970-01-01 UTC.
    Unix(u64),
    /// A span of steady time since it was due, ms.
    Due(u32),
}

/// What an entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The order at this place of [`Plan::orders`].
    Order(u16),
    /// Starts the plan at this place of [`Plan::plans`], and has ended when that has.
    Start(u16),
}

impl Plan {
    /// An entry.
    pub fn entry(&self, entry: u16) -> Option<&Entry> {
        self.entries.get(usize::from(entry))
    }

    /// The bytes of an order.
    pub fn order(&self, order: u16) -> Option<&[u8]> {
        self.orders.get(usize::from(order)).map(Vec::as_slice)
    }

    /// The name of a station.
    pub fn station(&self, station: u16) -> Option<&str> {
        self.stations.get(usize::from(station)).map(String::as_str)
    }

    /// The place of the entry with a label.
    pub fn find(&self, label: &str) -> Option<u16> {
        let place = self.entries.iter().position(|entry| entry.label.as_deref() == Some(label))?;
        u16::try_from(place).ok()
    }
}

impl Default for Late {
    /// Two minutes, then skipped.
    fn default() -> Self {
        Self { within_ms: 120_000, otherwise: Giving::Skip }
    }
}

impl Edge {
    /// Its word in a plan.
    pub fn word(self) -> &'static str {
        match self {
            Self::Aos => "aos",
            Self::Los => "los",
        }
    }
}

impl Compare {
    /// All comparisons.
    pub const ALL: [Self; 6] =
        [Self::Less, Self::AtMost, Self::More, Self::AtLeast, Self::Equal, Self::Other];

    /// How it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Equal => "==",
            Self::Other => "!=",
        }
    }

    /// Whether it is true of a channel's value and that of a condition; false of what isn't a number.
    #[expect(clippy::float_cmp, reason = "who writes == means it: of counters and states")]
    pub fn holds(self, channel: f64, value: f64) -> bool {
        match self {
            Self::Less => channel < value,
            Self::AtMost => channel <= value,
            Self::More => channel > value,
            Self::AtLeast => channel >= value,
            Self::Equal => channel == value,
            Self::Other => channel != value && !channel.is_nan(),
        }
    }
}

impl Severity {
    /// All of them, the mildest first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl Repeat {
    /// How often an entry runs at most; none: no end.
    pub fn times(self) -> Option<u32> {
        match self {
            Self::Once => Some(1),
            Self::Every { times, .. } => Some(times),
            Self::Each { times } => times,
        }
    }
}
