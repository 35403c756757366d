//! The telemetry thread: looks at everything once a second, holds channels against their limits, keeps the black box
//! and the last saved state, and sends packets. A thread of its own, since it writes files, and neither the link nor the
//! operator may wait for a disk.
//!
//! It writes past the disk's health: a few KB that find room must not say that a full disk isn't full, nor a sync that
//! takes long that it is slow.
//!
//! Events are followed in the catalogue by their numbers, whoever made them, so that none is left out and none told
//! twice. Packets are sent as UDP datagrams, one each, never waited for.
//!
//! A disk that never answers would end all of that, in safe mode too: the thread checks in, and the process ends when it
//! doesn't.

mod ahead;
mod keep;
mod link;
mod look;

pub(crate) use self::keep::channels;

use std::sync::Arc;
use std::time::Duration;

use passband_proto::dict::{Event as EventPacket, EventCode, FixedText, Packet, Time};
use passband_proto::keyring::KeyRing;
use passband_proto::keys::TagKey;

use self::link::Link;
use self::look::Look;
use super::desk::Latest;
use super::shared::Shared;
use crate::adapters::blackbox::Recorder;
use crate::adapters::disk::{Disk, LinuxDisk};
use crate::adapters::last::load;
use crate::adapters::os::own_digest;
use crate::digest::{Progress, Tally};
use crate::health::Task;
use crate::store::{MAX_EVENTS_READ, StoreError};
use crate::telemetry::{BlackBox, ClockWatch, Due, Event, Limits, Record, Report, Severity, Writing};

/// How often everything is looked at, ms.
const LOOK_MS: u64 = 1_000;
/// How often the last state is saved, ms.
const SAVE_MS: u64 = 60_000;
/// How soon after another it is saved at an event that asks for it, ms.
const SAVE_SOON_MS: u64 = 5_000;
/// Most events that are told after a start as if they were new.
const MAX_RETOLD: u64 = 200;
/// So long a look with all that it writes may take before the thread is stuck, ms: a slow disk is waited for.
const LOOKING_MS: u64 = 300_000;
/// The least severe event that asks for it.
const SAVED_AT: Severity = Severity::Error;

/// The thread.
pub(crate) struct Telemetry {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    link: Option<Link>,
    look: Look,
    limits: Limits,
    blackbox: BlackBox,
    recorder: Recorder,
    clock: ClockWatch,
    tally: Tally,
    /// Where events have numbers of this run only: the tally of the store, which is saved as it was found.
    of_store: Option<Tally>,
    /// Number of the newest event that was told.
    told_seq: u64,
    keys: Arc<KeyRing>,
    key: Option<TagKey>,
    look_ms: u64,
    save_ms: u64,
    saved_ms: u64,
}

impl Telemetry {
    /// Goes on after an earlier run, and looks once, so that there is something to answer from.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(LinuxDisk);
        let recorder = Recorder::new(Arc::clone(&disk), &shared.config.paths.state);
        let keys = Arc::new(KeyRing::default());
        let mut telemetry = Self {
            look: Look::new(&shared),
            shared,
            disk,
            link: None,
            limits: Limits::default(),
            blackbox: BlackBox::default(),
            recorder,
            clock: ClockWatch::default(),
            tally: Tally::default(),
            of_store: None,
            told_seq: 0,
            keys,
            key: None,
            look_ms: 0,
            save_ms: 0,
            saved_ms: 0,
        };
        telemetry.open_link();
        telemetry.recount();
        telemetry.look();
        telemetry
    }

    /// Runs until the daemon stops.
    pub(crate) fn run(mut self) {
        self.digest_program();
        let beat = self.shared.beat(Task::Telemetry);
        while !self.shared.stopping() {
            let now_ms = self.shared.clock.now_ms();
            if now_ms >= self.look_ms {
                self.look_ms = now_ms.saturating_add(LOOK_MS);
                self.open_link();
                beat.working("looking, and writing what is seen", LOOKING_MS);
                self.look();
            }
            beat.check_in();
            self.send();
            let now_ms = self.shared.clock.now_ms();
            let due_ms = self.link.as_ref().map_or(u64::MAX, |_| {
                self.shared.desk.schedule(|schedule, settings| schedule.next_ms(now_ms, settings))
            });
            let wait_ms = self.look_ms.min(due_ms).saturating_sub(now_ms);
            self.shared.desk.wait(Duration::from_millis(wait_ms));
        }
        self.follow();
        self.write(&Writing { records: Vec::new(), sync: true });
        self.save();
    }

    /// Has a socket to send from where packets are to go somewhere; one that can't be had is tried for at each look.
    fn open_link(&mut self) {
        let (None, Some(target)) = (&self.link, self.shared.config.telemetry.target) else { return };
        match super::socket_towards(target).and_then(super::nonblocking) {
            Ok(socket) => self.link = Some(Link::new(socket, target)),
            Err(e) => {
                self.shared.throttled("telemetry", &Report::error(EventCode::SendError, e.to_string()));
            }
        }
    }

    /// Adds up what happened since the last pass ended, of the catalogue and of what the run before has saved.
    /// What is saved is of the store: in safe mode, where events have numbers of their own, none of it counts, and it is
    /// handed on.
    fn recount(&mut self) {
        let state = &self.shared.config.paths.state;
        let mut saved = load(self.disk.as_ref(), state).map(|saved| saved.tally).ok();
        if self.shared.in_memory {
            self.of_store = Some(saved.clone().unwrap_or_default());
        }
        if self.shared.pulse.start.safe.is_some() {
            saved = None;
        }
        if let Err(e) = self.count_events() {
            self.shared.store_failed("counting events", &e);
        }
        self.told_seq = told_before(saved.as_ref().map(Tally::last_seq), self.tally.last_seq());
        if let Some(saved) = saved {
            self.tally.go_on(&saved);
        }
    }

    /// Counts all events that can matter: those since the last pass ended, if it is among the newest; else all.
    fn count_events(&mut self) -> Result<(), StoreError> {
        let newest = self.shared.catalogue.events(None, MAX_EVENTS_READ)?;
        let closed = EventCode::PassClosed.name();
        let whole = newest.len() < MAX_EVENTS_READ || newest.iter().any(|event| event.code == closed);
        if whole {
            newest.iter().for_each(|event| self.tally.event(event));
            return Ok(());
        }
        loop {
            let more = self.shared.catalogue.events(Some(self.tally.last_seq()), MAX_EVENTS_READ)?;
            more.iter().for_each(|event| self.tally.event(event));
            if more.len() < MAX_EVENTS_READ {
                return Ok(());
            }
        }
    }

    /// Works out what the program is, once, beside all else.
    fn digest_program(&self) {
        let shared = Arc::clone(&self.shared);
        let begun = super::spawn("digest", move || match own_digest() {
            Ok(digest) => shared.desk.program(|program| program.binary = Some(digest)),
            Err(e) => tracing::warn!("the program's digest is not known: {e}"),
        });
        if let Err(e) = begun {
            tracing::warn!("the program's digest is not known: {e}");
        }
    }

    /// Looks at everything once.
    fn look(&mut self) {
        let (now_ms, unix_ms) = (self.shared.clock.now_ms(), self.shared.clock.unix_ms());
        self.take_keys();
        if let Some(step_ms) = self.clock.look(now_ms, unix_ms) {
            let text = format!("the clock on board was set by {step_ms} ms");
            self.shared.event(&Report::warning(EventCode::ClockStep, text));
        }
        self.follow();
        let sample = self.look.sample(&self.shared, &self.tally);
        let (done, failed) = self.shared.desk.outside(|o| (o.plan_entries_done, o.plan_entries_failed));
        let progress = Progress {
            plan_entries_done: done,
            plan_entries_failed: failed,
            ..Progress::of(&sample.counters)
        };
        self.tally.progress(progress);
        let channels = sample.housekeeping();
        let outcomes = self.shared.desk.schedule(|_, settings| self.limits.take(&channels, settings));
        for outcome in outcomes {
            self.shared.event(&outcome.report);
            outcome.start_plan.into_iter().for_each(|plan| self.shared.desk.want_plan(plan));
        }
        let facts = self.look.facts(&self.shared, &sample, &channels, (&self.tally, &self.limits));
        let level = |name| Some((name, self.limits.level(name)?));
        let levels =
            passband_proto::dict::Housekeeping::DEF.fields.iter().filter_map(|field| level(field.name));
        let latest = Latest { levels: levels.collect(), sample, channels, facts };
        let latest = self.shared.desk.publish(latest);
        let writing = self.blackbox.sample(now_ms, unix_ms, &latest.channels);
        self.write(&writing);
        if now_ms >= self.save_ms {
            self.save();
        }
    }

    /// Takes the newest key when the keys were read anew.
    fn take_keys(&mut self) {
        let keys = self.shared.keys();
        if !Arc::ptr_eq(&keys, &self.keys) {
            let newest = keys.newest(self.shared.config.spacecraft);
            self.key = newest.map(passband_proto::keys::EpochKey::telemetry_key);
            self.recorder.set_key(self.key.clone());
            self.keys = keys;
        }
    }

    /// Tells of the events that came since the last look.
    fn follow(&mut self) {
        let events = match self.shared.catalogue.events(Some(self.told_seq), MAX_EVENTS_READ) {
            Ok(events) => events,
            Err(e) => return self.shared.store_failed("following events", &e),
        };
        let now_ms = self.shared.clock.now_ms();
        for event in &events {
            self.told_seq = event.seq;
            self.tally.event(event);
            let code = EventCode::from_name(&event.code).map(EventCode::code);
            // What an earlier run left may have started plans then.
            if event.seq > self.shared.events_before {
                self.shared.desk.happened(code, event.severity);
            }
            let packet = packet_of(event);
            let writing = self.blackbox.event(now_ms, &packet);
            self.write(&writing);
            if event.severity >= SAVED_AT {
                self.save_ms = self.save_ms.min(self.saved_ms.saturating_add(SAVE_SOON_MS));
            }
            if self.link.is_some() {
                self.shared.desk.schedule(|schedule, settings| schedule.event(now_ms, packet, settings));
            }
        }
    }

    /// Writes into the black box. What can't be written is left out: others that write tell of the disk.
    fn write(&mut self, writing: &Writing) {
        let (shared, limits) = (&self.shared, &self.limits);
        let head = || {
            let sample = shared.desk.latest().map(|latest| latest.sample.clone()).unwrap_or_default();
            let (red, yellow) = limits.beyond();
            Record::of(shared.clock.unix_ms(), &sample.beacon(shared.config.spacecraft, red, yellow))
        };
        if let Err(e) = self.recorder.write(self.shared.clock.now_ms(), writing, &head) {
            tracing::warn!("the black box can't be written: {e}");
        }
    }

    /// Sends what is due.
    fn send(&mut self) {
        let Some(latest) = self.shared.desk.latest().filter(|_| self.link.is_some()) else { return };
        let now_ms = self.shared.clock.now_ms();
        while let Some(due) = self.shared.desk.schedule(|schedule, settings| schedule.poll(now_ms, settings))
        {
            let due = match due {
                Due::Beacon => {
                    let (red, yellow) = self.limits.beyond();
                    Due::of(&latest.sample.beacon(self.shared.config.spacecraft, red, yellow))
                }
                Due::Housekeeping => Due::of(&latest.channels),
                Due::Time => Due::of(&self.time()),
                packet @ Due::Packet { .. } => packet,
            };
            if let (Due::Packet { apid, data }, Some(link)) = (due, &mut self.link) {
                link.send(&self.shared, self.key.as_ref(), apid, &data);
            }
        }
    }

    fn time(&self) -> Time {
        Time {
            boot_count: u32::try_from(self.shared.boot_count).unwrap_or(u32::MAX),
            steady: self.shared.clock.now_ms(),
            unix: self.shared.clock.unix_ms(),
            steps: u16::try_from(self.clock.steps()).unwrap_or(u16::MAX),
        }
    }

    fn save(&mut self) {
        self.saved_ms = self.shared.clock.now_ms();
        self.save_ms = self.saved_ms.saturating_add(SAVE_MS);
        keep::save_last(&self.shared, self.disk.as_ref(), self.of_store.as_ref().unwrap_or(&self.tally));
    }
}

/// Up to which event all was told before, where the newest is `newest`. Where it isn't known, or the catalogue is another
/// than the one of then, the last few are told again: one of them may say why.
fn told_before(saved: Option<u64>, newest: u64) -> u64 {
    let least = newest.saturating_sub(MAX_RETOLD);
    saved.filter(|seq| *seq <= newest).map_or(least, |seq| seq.max(least))
}

fn packet_of(event: &Event) -> EventPacket {
    EventPacket {
        number: u32::try_from(event.seq).unwrap_or(u32::MAX),
        unix: event.unix_ms,
        severity: event.severity,
        code: EventCode::from_name(&event.code).unwrap_or(EventCode::Other),
        text: FixedText::cut(&event.text),
    }
}

#[cfg(test)]
mod tests;
