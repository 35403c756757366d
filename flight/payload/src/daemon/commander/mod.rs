//! The commander: takes orders from the uplink and from shells, and has them done.
//!
//! It has records of its own and needs neither catalogue nor keys of bundles, so that it works in safe mode, too: what
//! orders want of the rest of the daemon is behind [`Works`].

mod daily;
mod hands;
mod keys;
#[cfg(test)]
mod tests;

pub(crate) use daily::Nominal;
pub(crate) use keys::{no_associations, read_associations};

use std::collections::BTreeSet;
use std::path::Path;

use passband_proto::dict::{EventCode, Mode, Order, Reason, Source, Wanted};
use passband_proto::packet::{CommandPacket, Mode as PacketMode};
use passband_proto::sdls::{Associations, Content, Mark, Opened, Role};

use self::hands::Worker;
use crate::adapters::catalogue::open_orders;
use crate::adapters::clock::Clock;
use crate::adapters::disk::Disk;
use crate::daemon::shared::Shared;
use crate::orders::desk::{Desk, Outcome};
use crate::orders::{Giver, Moment, OrderId, Record, Run, SHELL, Step};
use crate::store::StoreError;
use crate::store::orders::{Change, Kind};
use crate::telemetry::{Report, Throttle};

/// One event of a kind of refusal in so long, ms.
const THROTTLE_MS: u64 = 60_000;
/// Counters of a key that brings pieces which one mark covers ahead: so many are skipped at most after a power cut.
const UPLOAD_RESERVE: u64 = 32;

/// What orders want of the rest of the daemon.
pub(crate) trait Works {
    /// Does an order about transmitter, queue or alerts.
    fn daily(&mut self, now: Moment, run: &Run) -> Outcome;

    /// Has the next start be one in safe mode, or out of it.
    ///
    /// # Errors
    /// It is in that mode, or that can't be kept, in words.
    fn next_start(&mut self, safe: bool) -> Result<(), String>;

    /// Keeps an event.
    fn event(&self, report: &Report);

    /// How the payload works.
    fn mode(&self) -> Mode;
}

/// Takes orders, and has them done.
#[derive(Debug)]
pub(crate) struct Commander {
    desk: Desk,
    associations: Associations,
    clock: Clock,
    parts: Parts,
    throttle: Throttle,
    /// Why the records are kept in memory, if they are.
    in_memory: Option<String>,
}

/// What orders change, the works aside.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Packets that were asked for.
    pub(crate) wanted: BTreeSet<Wanted>,
    /// What the daemon is to do once the answer is kept.
    pub(crate) then: Option<Then>,
    /// For how long the board had been up when the daemon started, ms.
    pub(crate) board_up_ms: Option<u64>,
}

/// What ends the daemon's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Start the daemon anew.
    Restart,
    /// Restart the board.
    Reboot,
}

/// What a start of the commander needs.
pub(crate) struct Begin<'a> {
    /// The disk.
    pub(crate) disk: &'a dyn Disk,
    /// The state folder.
    pub(crate) state: &'a Path,
    /// Both clocks.
    pub(crate) clock: Clock,
    /// The keys of the uplink, without their marks.
    pub(crate) associations: Associations,
    /// Random bytes for a re-synchronisation.
    pub(crate) challenge: [u8; 8],
    /// For how long the board has been up, ms, if that is known.
    pub(crate) board_up_ms: Option<u64>,
}

impl Commander {
    /// Opens the records, and takes up what they say. What was under way goes on with [`Self::resume`].
    ///
    /// # Errors
    /// The records can't be opened, not even in memory.
    pub(crate) fn open(begin: Begin<'_>) -> Result<(Self, Vec<Report>), StoreError> {
        let Begin { disk, state, clock, mut associations, challenge, board_up_ms } = begin;
        let opened = open_orders(disk, state)?;
        let mut reports = Vec::new();
        if let Some(text) = opened.set_aside {
            reports.push(Report::error(EventCode::StoreError, text));
        }
        if let Some(why) = &opened.in_memory {
            let text = format!("orders are kept in memory ({why}): a restart forgets what was done");
            reports.push(Report::error(EventCode::StoreError, text));
        }
        let desk = Desk::new(opened.store)?;
        for (_, mark) in desk.store().records(Kind::Mark)? {
            if let Ok(mark) = postcard::from_bytes::<Mark>(&mark) {
                associations.restore(&mark);
            }
        }
        associations.set_challenge(challenge, clock.now_ms());
        reports.extend(keys::lost_counters(&associations));
        let commander = Self {
            desk,
            associations,
            clock,
            parts: Parts { board_up_ms, ..Parts::default() },
            throttle: Throttle::new(THROTTLE_MS),
            in_memory: opened.in_memory,
        };
        Ok((commander, reports))
    }

    /// Goes on with what was under way when the run before ended.
    ///
    /// # Errors
    /// The records can't be written.
    pub(crate) fn resume(&mut self, works: &mut dyn Works) -> Result<(), StoreError> {
        let now = self.moment(works);
        self.desk
            .resume(now, &mut Worker { parts: &mut self.parts, associations: &mut self.associations, works })
    }

    /// Takes a frame of the uplink.
    pub(crate) fn frame(&mut self, works: &mut dyn Works, frame: &[u8]) {
        match self.associations.open(self.clock.now_ms(), frame) {
            Err(reject) => {
                let kind = reject.reason().name();
                self.tell(
                    works,
                    kind,
                    &Report::warning(EventCode::UplinkRefused, format!("{} bytes: {reject}", frame.len())),
                );
            }
            Ok(opened) => self.opened(works, &opened),
        }
    }

    /// Writes down what counters were taken while the line is idle, so that the next start skips none.
    pub(crate) fn settle(&mut self, works: &mut dyn Works) {
        for mark in self.associations.settle() {
            if !self.keep_mark(works, &mark) {
                return;
            }
        }
    }

    /// Takes an order from a shell on board: where it stands then.
    ///
    /// # Errors
    /// The records can't be written.
    pub(crate) fn order(
        &mut self,
        works: &mut dyn Works,
        step: Step,
        bytes: &[u8],
    ) -> Result<Option<(OrderId, Record)>, StoreError> {
        let number = self.desk.ledger().next_number(SHELL);
        self.take(works, Giver { source: SHELL, role: Source::Shell }, number, step, bytes)
    }

    /// What was ordered, and what became of it.
    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The keys of the uplink.
    pub(crate) fn associations(&self) -> &Associations {
        &self.associations
    }

    /// What orders changed.
    pub(crate) fn parts(&mut self) -> &mut Parts {
        &mut self.parts
    }

    /// Why the records are kept in memory, if they are.
    pub(crate) fn in_memory(&self) -> Option<&str> {
        self.in_memory.as_deref()
    }

    /// Sees to it that a re-synchronisation can be asked for; `random`: fresh bytes.
    pub(crate) fn freshen(&mut self, random: impl FnOnce() -> Option<[u8; 8]>) {
        let now_ms = self.clock.now_ms();
        if self.associations.needs_challenge(now_ms)
            && let Some(challenge) = random()
        {
            self.associations.set_challenge(challenge, now_ms);
        }
    }

    /// The board could not be restarted: who ordered it is told.
    pub(crate) fn not_rebooted(&mut self, shared: &Shared, why: &str) {
        let (sender, _) = std::sync::mpsc::channel();
        let mut works = Nominal { shared, queue: &sender };
        let now = self.moment(&works);
        let open: Vec<_> = self.desk.ledger().resume();
        for run in open.iter().filter(|run| run.order == Order::BoardReboot {}) {
            let outcome = Outcome::failed(Reason::NotPossible, format!("restarting the board: {why}"));
            self.finish(&mut works, now, run.id, &outcome);
        }
    }

    /// Ends an order that went on.
    fn finish(&mut self, works: &mut dyn Works, now: Moment, id: OrderId, outcome: &Outcome) {
        let mut worker = Worker { parts: &mut self.parts, associations: &mut self.associations, works };
        if let Err(e) = self.desk.finish(now, id, outcome, &mut worker) {
            let report = Report::error(EventCode::StoreError, format!("keeping an order: {e}"));
            self.tell(works, "records", &report);
        }
    }

    fn opened(&mut self, works: &mut dyn Works, opened: &Opened) {
        if let Some(mark) = &opened.must_persist
            && !self.keep_mark(works, mark)
        {
            return;
        }
        let giver = Giver { source: opened.spi, role: role_of(opened.role) };
        let data = match &opened.content {
            Content::Data(data) => data,
            Content::Resynchronised => {
                let text = format!("key {} counts from {} on", opened.spi, opened.counter);
                return works.event(&Report::warning(EventCode::UplinkResynchronised, text));
            }
        };
        match CommandPacket::parse(data) {
            Err(e) => {
                let text = format!("what key {} sealed is no command: {e}", opened.spi);
                self.tell(works, "packet", &Report::warning(EventCode::UplinkRefused, text));
            }
            Ok(packet) => {
                let step = match packet.mode {
                    PacketMode::Run => Step::Run,
                    PacketMode::Arm => Step::Arm,
                    PacketMode::Fire => Step::Fire,
                };
                if let Err(e) = self.take(works, giver, packet.number, step, packet.order) {
                    self.tell(
                        works,
                        "records",
                        &Report::error(EventCode::StoreError, format!("keeping an order: {e}")),
                    );
                }
            }
        }
    }

    fn take(
        &mut self,
        works: &mut dyn Works,
        giver: Giver,
        number: u32,
        step: Step,
        bytes: &[u8],
    ) -> Result<Option<(OrderId, Record)>, StoreError> {
        let now = self.moment(works);
        let mut worker = Worker { parts: &mut self.parts, associations: &mut self.associations, works };
        self.desk.take(now, giver, number, step, bytes, &mut worker)
    }

    /// Makes a mark durable; whether it is.
    fn keep_mark(&mut self, works: &mut dyn Works, mark: &Mark) -> bool {
        match self.desk.change(&[keys::mark_change(mark)]) {
            Ok(()) => {
                self.associations.persisted(mark);
                true
            }
            Err(e) => {
                self.tell(
                    works,
                    "records",
                    &Report::error(EventCode::StoreError, format!("keeping a counter: {e}")),
                );
                false
            }
        }
    }

    fn moment(&self, works: &dyn Works) -> Moment {
        Moment {
            steady_ms: self.clock.now_ms(),
            unix_ms: self.clock.unix_ms(),
            mode: works.mode(),
            arm_ms: 60_000,
        }
    }

    /// Tells of a lasting fault once in a while.
    fn tell(&mut self, works: &dyn Works, kind: &str, report: &Report) {
        match self.throttle.pass(self.clock.now_ms(), kind) {
            None => {}
            Some(0) => works.event(report),
            Some(held) => {
                let text = format!("{} ({held} more like this since the last)", report.text);
                works.event(&Report { text, ..report.clone() });
            }
        }
    }
}

fn role_of(role: Role) -> Source {
    match role {
        Role::Operator => Source::Operator,
        Role::Planner => Source::Planner,
        Role::Updater => Source::Updater,
        Role::Science => Source::Science,
        Role::Recovery => Source::Recovery,
    }
}

/// A record with a small thing in it.
pub(crate) fn record<T: serde::Serialize>(kind: Kind, key: &[u8], value: &T) -> Change {
    // Plain data is encoded into memory without fail.
    Change { kind, key: key.to_vec(), value: postcard::to_allocvec(value).ok() }
}
