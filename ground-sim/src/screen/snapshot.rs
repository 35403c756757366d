//! All that a screen shows, at one moment: the document of `GET /api/snapshot` (`"schema": 1`), and what the terminal draws.

use passband_proto::dict::{
    self, Answer, Apid, Beacon, Disk, Event, Housekeeping, Mode, Packet, ParametersState, ResetCause,
    Severity, Shed, UpdateState,
};
use serde::Serialize;

use super::channels::Channel;
use super::ground::Ground;
use super::log::{ShownAnswer, ShownArmed, ShownEvent};
use super::passes::ShownPasses;
use super::tables::{ShownParameter, ShownPlan, ShownScript, ShownUpload};
use super::{Latest, Model};
use crate::station::hex;
use crate::uplink::hold::ARM_MS;
use passband_flight::telemetry::Level;

/// Most events and answers that are shown.
const MOST_SHOWN: usize = 60;

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// Version of this document, now 1.
    pub schema: u32,
    /// The ground's clock, ms since 1970-01-01 UTC.
    pub now_unix_ms: u64,
    /// What the satellite says of itself; none: no beacon and no housekeeping came.
    pub satellite: Option<Satellite>,
    /// Passes and the countdown.
    pub passes: ShownPasses,
    /// How telemetry comes.
    pub telemetry: Vec<Heard>,
    /// Packets that were not shown, as their tag holds under none of the keys.
    pub refused: u64,
    /// Packets that were not shown, as they had no tag and there are keys.
    pub untagged: u64,
    /// What that means, and what to do; none: all were shown.
    pub hint: Option<String>,
    /// Channels of housekeeping.
    pub channels: Vec<Channel>,
    /// How many of them are beyond a red limit.
    pub red: usize,
    /// How many beyond a yellow one only.
    pub yellow: usize,
    /// Events, the newest first.
    pub events: Vec<ShownEvent>,
    /// Events since the last pass ended, by severity.
    pub since: Since,
    /// Answers to orders, the newest first.
    pub answers: Vec<ShownAnswer>,
    /// Orders that are armed.
    pub armed: Vec<ShownArmed>,
    /// For how long orders stay armed on board, ms; none: the satellite hasn't said so.
    pub arm_ms: Option<u64>,
    /// What comes up in pieces.
    pub uploads: Vec<ShownUpload>,
    /// Parameters that were changed, are staged or on trial.
    pub parameters: Vec<ShownParameter>,
    /// Plans on board.
    pub plans: Vec<ShownPlan>,
    /// Runs of scripts.
    pub scripts: Vec<ShownScript>,
    /// What lies on the ground.
    pub ground: Ground,
}

/// What the satellite says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Satellite {
    /// When that was received, ms since 1970-01-01 UTC.
    pub received_unix_ms: u64,
    /// The clock on board then.
    pub unix_ms: u64,
    /// How the payload works.
    pub mode: Mode,
    /// What work is left undone.
    pub shed: Shed,
    /// Starts of the daemon.
    pub boot_count: u32,
    /// Since it started, s.
    pub uptime_s: u32,
    /// Number of the newest event.
    pub last_event: u32,
    /// What only the beacon says.
    pub beacon: Option<FromBeacon>,
    /// What only housekeeping says.
    pub queue: Option<Queue>,
}

/// What only the beacon says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FromBeacon {
    /// Number of the spacecraft.
    pub spacecraft: u16,
    /// Why the daemon started.
    pub reset_cause: ResetCause,
    /// The first bytes of the commit that the program was built from, hexadecimal.
    pub git: String,
    /// Of the program's SHA-256.
    pub binary: String,
    /// Of the configuration's.
    pub configuration: String,
    /// Of the dictionary's.
    pub dictionary: String,
    /// Whether that is the dictionary that is used here.
    pub dictionary_agrees: bool,
    /// Of the parameters' that were changed.
    pub parameters: String,
    /// Whether they are on trial.
    pub parameters_state: ParametersState,
    /// How the disk does.
    pub disk: Disk,
    /// Where an update stands.
    pub update: UpdateState,
    /// How much of what comes up is there, percent.
    pub upload_percent: u8,
    /// The worst event since the last pass ended, as the satellite says.
    pub worst: Severity,
}

/// What is to go down.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Queue {
    /// Bundles that wait: alerts, suspects, routine, discard candidates.
    pub waiting: [u32; 4],
    /// Bundles that the sender has.
    pub on_link: u32,
    /// Bundles presumed down.
    pub presumed: u32,
    /// Bundles known to be down.
    pub known: u32,
    /// Alerts that nobody has heard.
    pub alerts_pending: u32,
    /// Whether the transmitter is open.
    pub transmitting: bool,
    /// The share of datagrams that the sender believes to be lost.
    pub expected_loss: f32,
}

/// How the packets of an APID come.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Heard {
    /// The packet's name.
    pub packet: &'static str,
    /// Packets so far.
    pub packets: u64,
    /// When the newest was received, ms since 1970-01-01 UTC.
    pub received_unix_ms: u64,
}

/// Events since the last pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Since {
    /// When it ended, ms since 1970-01-01 UTC; none: it isn't known, and all are counted.
    pub los_unix_ms: Option<u64>,
    /// How many, by severity.
    pub info: usize,
    /// Somebody should look at them some day.
    pub warning: usize,
    /// Something was not done.
    pub error: usize,
    /// The payload can't do its work.
    pub critical: usize,
}

impl Model {
    /// What is shown at a time, ms since 1970-01-01 UTC, with what lies on the ground.
    pub fn snapshot(&mut self, now_unix_ms: u64, ground: Ground) -> Snapshot {
        let passes = self.passes.at(now_unix_ms);
        let level = |wanted: Level| self.channels.shown().iter().filter(|c| c.level == Some(wanted)).count();
        let since = passes.last_los_unix_ms;
        let [info, warning, error, critical] = self.events.count_since(since.unwrap_or(0));
        Snapshot {
            schema: 1,
            now_unix_ms,
            satellite: self.satellite(),
            telemetry: self.latest.iter().filter_map(|(apid, latest)| heard(*apid, latest)).collect(),
            refused: 0,
            untagged: 0,
            hint: None,
            red: level(Level::Red),
            yellow: level(Level::Yellow),
            channels: self.channels.shown().to_vec(),
            events: self.events.newest().take(MOST_SHOWN).cloned().collect(),
            since: Since { los_unix_ms: since, info, warning, error, critical },
            answers: self.answers.newest().into_iter().take(MOST_SHOWN).cloned().collect(),
            armed: self
                .answers
                .armed(now_unix_ms, self.tables.arm_ms().unwrap_or(ARM_MS), self.begun_unix_ms())
                .collect(),
            arm_ms: self.tables.arm_ms(),
            uploads: self.tables.uploads().cloned().collect(),
            parameters: self.tables.parameters().cloned().collect(),
            plans: self.tables.plans().cloned().collect(),
            scripts: self.tables.scripts().cloned().collect(),
            passes,
            ground,
        }
    }

    /// When the satellite's software started, by its clock, ms since 1970-01-01 UTC; the beacon tells it in whole seconds.
    fn begun_unix_ms(&self) -> u64 {
        let beacon = self.beacon.as_ref().zip(self.latest.get(&Beacon::DEF.apid));
        beacon.map_or(0, |(beacon, latest)| {
            latest.unix_ms.saturating_sub((u64::from(beacon.uptime) + 1) * 1000)
        })
    }

    /// Whichever of beacon and housekeeping was received last says what both say.
    fn satellite(&self) -> Option<Satellite> {
        let at = |apid: u16| self.latest.get(&apid);
        let (beacon, housekeeping) = (at(Beacon::DEF.apid), at(Housekeeping::DEF.apid));
        let from_beacon = self.beacon.as_ref().zip(beacon).map(|(b, at)| of_beacon(b, at));
        let from_housekeeping =
            self.housekeeping.as_ref().zip(housekeeping).map(|(h, at)| of_housekeeping(h, at));
        let newest =
            [from_beacon, from_housekeeping].into_iter().flatten().max_by_key(|s| s.received_unix_ms)?;
        let (beacon, queue) = (self.beacon.as_ref().map(beacon_only), self.housekeeping.as_ref().map(queue));
        Some(Satellite { beacon, queue, ..newest })
    }
}

fn of_beacon(beacon: &Beacon, at: &Latest) -> Satellite {
    Satellite {
        received_unix_ms: at.received_unix_ms,
        unix_ms: at.unix_ms,
        mode: beacon.mode,
        shed: beacon.shed,
        boot_count: beacon.boot_count,
        uptime_s: beacon.uptime,
        last_event: beacon.last_event,
        beacon: None,
        queue: None,
    }
}

fn of_housekeeping(housekeeping: &Housekeeping, at: &Latest) -> Satellite {
    Satellite {
        received_unix_ms: at.received_unix_ms,
        unix_ms: at.unix_ms,
        mode: housekeeping.mode,
        shed: housekeeping.shed,
        boot_count: housekeeping.boot_count,
        uptime_s: housekeeping.uptime,
        last_event: housekeeping.last_event,
        beacon: None,
        queue: None,
    }
}

fn beacon_only(beacon: &Beacon) -> FromBeacon {
    FromBeacon {
        spacecraft: beacon.spacecraft,
        reset_cause: beacon.reset_cause,
        git: hex(&beacon.git),
        binary: hex(&beacon.binary),
        configuration: hex(&beacon.configuration),
        dictionary: hex(&beacon.dictionary),
        dictionary_agrees: dict::digest().starts_with(&beacon.dictionary),
        parameters: hex(&beacon.parameters),
        parameters_state: beacon.parameters_state,
        disk: beacon.disk,
        update: beacon.update,
        upload_percent: beacon.upload,
        worst: beacon.worst,
    }
}

fn queue(housekeeping: &Housekeeping) -> Queue {
    let h = housekeeping;
    Queue {
        waiting: [h.waiting_alert, h.waiting_suspect, h.waiting_routine, h.waiting_discard],
        on_link: h.on_link,
        presumed: h.presumed,
        known: h.known,
        alerts_pending: h.alerts_pending,
        transmitting: h.transmitting != 0,
        expected_loss: if h.expected_loss.is_finite() { h.expected_loss } else { 0.0 },
    }
}

fn heard(apid: u16, latest: &Latest) -> Option<Heard> {
    let packet = Apid::from_code(apid)?.name();
    Some(Heard { packet, packets: latest.packets, received_unix_ms: latest.received_unix_ms })
}

/// The APIDs whose every packet a screen wants, not only the newest.
#[must_use]
pub fn listed(apid: u16) -> bool {
    [Event::DEF.apid, Answer::DEF.apid].contains(&apid)
}
