//! What the ground's screens show: the read model behind `serve` and `console`.
//!
//! ```text
//! telemetry packets ──▶ Model ──▶ Snapshot ──▶ web page (JSON), terminal
//! symbol store, OUT ──▶ Ground ──▲
//! pass plan, now ─────────────▲
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | [`channels`] | each channel's newest value, its limits as they are in force, and where it stands |
//! | [`log`] | events and answers, each once, the newest kept |
//! | [`tables`] | the newest packet of each parameter, upload, plan and script |
//! | [`passes`] | what is on, what comes, and how long it is until then |
//! | [`ground`] | what lies on the ground's disk: bundles filling up, the link, alerts, quicklooks, detections |
//! | [`snapshot`] | all of it at one moment, as JSON (`"schema": 1`) |
//! | [`draft`] | words that an operator types, against the dictionary |
//! | [`feed`] | the threads that fill a model: telemetry over UDP, an archive, the disk |
//!
//! The model is handed packets and times; it never reads a clock, opens a socket or holds a key. Only [`ground`] reads
//! files and only [`feed`] has threads. Nothing here sends anything anywhere.
//!
//! All that is kept is bounded: what a forger of packets could make grow has a most.

pub mod channels;
pub mod draft;
pub mod feed;
pub mod ground;
pub mod log;
pub mod passes;
pub mod snapshot;
pub mod tables;

#[cfg(test)]
pub(crate) mod tests;

pub use draft::Draft;
pub use feed::{Feed, Sources};
pub use ground::Ground;
pub use passes::Countdown;
pub use snapshot::Snapshot;

use std::collections::BTreeMap;

use passband_flight::passes::PassPlan;
use passband_proto::dict::{
    Answer, Beacon, Event, Housekeeping, Packet, PacketDef, Parameter, Plan, Script, Upload,
};
use passband_proto::packet::{MIN_PACKET_BYTES, TelemetryPacket};

use channels::Channels;
use log::{Answers, Events};
use passes::Passes;
use tables::Tables;

/// How long the packets of an APID are, bytes: what a reader of streams asks.
#[must_use]
pub fn packet_bytes(apid: u16) -> Option<usize> {
    PacketDef::of(apid).map(|def| def.data_bytes() + MIN_PACKET_BYTES)
}

/// The newest packet of an APID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// When it was received, ms since 1970-01-01 UTC.
    pub received_unix_ms: u64,
    /// The time that it says, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// Packets of the APID so far.
    pub packets: u64,
}

/// What is known of the satellite.
#[derive(Debug)]
pub struct Model {
    latest: BTreeMap<u16, Latest>,
    beacon: Option<Beacon>,
    housekeeping: Option<Housekeeping>,
    channels: Channels,
    events: Events,
    answers: Answers,
    tables: Tables,
    passes: Passes,
}

impl Model {
    /// One that knows of nothing but the passes to come.
    #[must_use]
    pub fn new(plan: PassPlan) -> Self {
        Self {
            latest: BTreeMap::new(),
            beacon: None,
            housekeeping: None,
            channels: Channels::default(),
            events: Events::default(),
            answers: Answers::default(),
            tables: Tables::default(),
            passes: Passes::new(plan),
        }
    }

    /// For how long orders stay armed on board, ms, if the satellite said so.
    #[must_use]
    pub fn arm_ms(&self) -> Option<u64> {
        self.tables.arm_ms()
    }

    /// The spacecraft whose beacon came last.
    #[must_use]
    pub fn spacecraft(&self) -> Option<u16> {
        self.beacon.as_ref().map(|beacon| beacon.spacecraft)
    }

    /// Takes a packet that was received at a time, ms since 1970-01-01 UTC; whether the dictionary knows it. One that is
    /// older than what is shown changes nothing but the lists in which it has a place of its own.
    pub fn take(&mut self, packet: &TelemetryPacket<'_>, received_unix_ms: u64) -> bool {
        let (apid, unix_ms, data) = (packet.apid(), packet.time().to_unix_ms(), packet.data());
        let Some(def) = PacketDef::of(apid).filter(|def| def.data_bytes() == data.len()) else {
            return false;
        };
        let first = Latest { received_unix_ms, unix_ms, packets: 0 };
        let latest = self.latest.entry(apid).or_insert(first);
        latest.packets += 1;
        // A board whose clock was set back is believed again once what it says was received later.
        let newer =
            received_unix_ms >= latest.received_unix_ms && !is_replay(latest, unix_ms, received_unix_ms);
        if newer {
            (latest.received_unix_ms, latest.unix_ms) = (received_unix_ms, unix_ms);
        }
        self.list(apid, data, unix_ms);
        if newer {
            self.show(def, data, unix_ms);
        }
        true
    }

    /// The passes to come are these from now on.
    pub fn set_plan(&mut self, plan: PassPlan) {
        self.passes = Passes::new(plan);
    }

    /// What has a number of its own.
    fn list(&mut self, apid: u16, data: &[u8], unix_ms: u64) {
        match apid {
            _ if apid == Event::DEF.apid => Event::read(data).into_iter().for_each(|e| self.events.take(&e)),
            _ if apid == Answer::DEF.apid => {
                Answer::read(data).into_iter().for_each(|a| self.answers.take(&a));
            }
            _ if apid == Parameter::DEF.apid => {
                if let Some(parameter) = Parameter::read(data) {
                    self.channels.set_limits(&parameter);
                    self.tables.parameter(&parameter, unix_ms);
                }
            }
            _ if apid == Upload::DEF.apid => {
                Upload::read(data).into_iter().for_each(|upload| self.tables.upload(&upload, unix_ms));
            }
            _ if apid == Plan::DEF.apid => {
                Plan::read(data).into_iter().for_each(|plan| self.tables.plan(&plan, unix_ms));
            }
            _ if apid == Script::DEF.apid => {
                Script::read(data).into_iter().for_each(|script| self.tables.script(&script, unix_ms));
            }
            _ => {}
        }
    }

    /// What only the newest packet says.
    fn show(&mut self, def: &'static PacketDef, data: &[u8], unix_ms: u64) {
        if def.apid == Beacon::DEF.apid {
            self.beacon = Beacon::read(data).or(self.beacon.take());
        } else if def.apid == Housekeeping::DEF.apid {
            self.housekeeping = Housekeeping::read(data).or(self.housekeeping.take());
            self.channels.take(def, data, unix_ms);
        }
    }
}

/// A packet that says an older time within a minute of a newer one's receipt came late; after that it is the board's clock.
fn is_replay(latest: &Latest, unix_ms: u64, received_unix_ms: u64) -> bool {
    const LATE_MS: u64 = 60_000;
    unix_ms < latest.unix_ms && received_unix_ms - latest.received_unix_ms < LATE_MS
}
