//! The commander: takes orders from the uplink and from shells, and has them done.
//!
//! It has records of its own and needs neither catalogue nor keys of bundles, so that it works in safe mode, too: what
//! orders want of the rest of the daemon is behind [`Works`].

mod answers;
mod daily;
mod hands;
mod keys;
mod parameters;
mod plans;
mod records;
mod scripts;
mod tell;
#[cfg(test)]
mod tests;
mod updates;
mod uploads;

pub(crate) use daily::Nominal;
pub(crate) use keys::{exposed_file, read_role_keys};
pub(crate) use updates::believable;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use passband_proto::dict::{EventCode, Mode, Order, Reason, Shed, Source, UploadKind, Wanted};
use passband_proto::packet::{CommandPacket, Mode as PacketMode};
use passband_proto::sdls::{
    Associations, Channel, Content, Limits as Limits_, Mark, Opened, Reject, RoleKeys, State,
};

use self::hands::Worker;
use self::keys::KeyFile;
use self::parameters::put_in_force;
use self::plans::{Found, Plans};
use self::records::Records;
use self::tell::Rounds;
use self::uploads::Coming;
use crate::adapters::catalogue::open_orders;
use crate::adapters::clock::Clock;
use crate::adapters::disk::Disk;
use crate::adapters::os::FileState;
use crate::adapters::parameters::ParameterFile;
use crate::adapters::script::ScriptStore;
use crate::adapters::uploads::UploadFolder;
use crate::daemon::desk::Desk as Notices;
use crate::daemon::scripts::{ScriptNews, ScriptOrder};
use crate::orders::desk::{Desk, Outcome};
use crate::orders::{Giver, Moment, OrderId, Record, Run, SHELL, Step};
use crate::passes::Pass;
use crate::script::Limits;
use crate::store::StoreError;
use crate::store::orders::{Change, Kind};
use crate::telemetry::{Others, Report, Throttle};
use crate::update::updater::Updater;
use crate::uplink::uploads::Complete;

/// One event of a kind of refusal in so long, ms.
const THROTTLE_MS: u64 = 60_000;
/// Frames of each key that may wait.
const MAX_WAITING: usize = 64;
/// The key of the record of the order that restarts the board: which, and the number of the boot then.
const REBOOT: &[u8] = b"reboot";
/// Counters of a key that brings pieces which one mark covers ahead: so many are skipped at most after a power cut.
const UPLOAD_RESERVE: u64 = 32;

/// What orders want of the rest of the daemon.
pub(crate) trait Works {
    /// Does an order about transmitter, queue or alerts.
    fn daily(&mut self, now: Moment, run: &Run) -> Outcome;

    /// What telemetry and the other duties leave for each other.
    fn desk(&self) -> &Notices;

    /// Where orders for scripts go; nowhere in safe mode.
    fn scripts(&self) -> Option<Sender<ScriptOrder>>;

    /// What came of scripts since the last call.
    fn script_news(&self) -> VecDeque<ScriptNews>;

    /// The most that scripts may use.
    fn script_limits(&self) -> Limits;

    /// Scripts that run.
    fn scripts_running(&self) -> u64;

    /// What tells one pass plan from another.
    fn pass_plan(&self) -> usize;

    /// The passes from a time on, at most so many.
    fn passes(&self, from_unix_ms: u64, count: usize) -> Vec<Pass>;

    /// Has just so much left undone.
    fn shed(&self, level: Shed);

    /// Has at least so much left undone.
    fn shed_at_least(&self, level: Shed);

    /// Says how the payload does.
    fn vitals(&self, others: &mut Others);

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
    spacecraft: u16,
    key_file: Option<KeyFile>,
    clock: Clock,
    parts: Parts,
    /// Frames that were let through and wait to be served, by their keys.
    waiting: BTreeMap<u16, VecDeque<Opened>>,
    /// The key that was served last.
    served: u16,
    throttle: Throttle,
    rounds: Rounds,
    records: Records,
}

/// What orders change, the works aside.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Packets that were asked for.
    pub(crate) wanted: BTreeSet<Wanted>,
    /// Keys whose state is to be told.
    keys_wanted: BTreeSet<u16>,
    /// What the daemon is to do once the answer is kept.
    pub(crate) then: Option<Then>,
    /// What the daemon is to do once that order is kept.
    once_kept: Option<(OrderId, Then)>,
    /// The order that restarted the board last, and the number of the boot then.
    reboot: Option<(OrderId, u32)>,
    disk: Option<Arc<dyn Disk>>,
    state: PathBuf,
    parameters: Option<ParameterFile>,
    uploads: Option<Coming>,
    /// Uploads that are whole and wait to be put where they belong.
    whole: Vec<Complete>,
    plans: Option<Plans>,
    /// The update of this board.
    pub(crate) updater: Option<Updater>,
    /// Who holds the key of each security association.
    roles: BTreeMap<u16, Source>,
    fingerprints: BTreeMap<u16, [u8; 4]>,
}

impl Parts {
    /// Who gives the orders of a source.
    fn role_of(&self, source: u16) -> Source {
        match source {
            SHELL => Source::Shell,
            crate::sequence::SOURCE => Source::Plan,
            spi => self.roles.get(&spi).copied().unwrap_or(Source::Science),
        }
    }
}

/// What ends the daemon's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Start the daemon anew.
    Restart,
    /// Restart the board.
    Reboot,
    /// End, and have the launcher start what the slot record says.
    Switch,
}

/// What a start of the commander needs.
pub(crate) struct Begin {
    /// The disk.
    pub(crate) disk: Arc<dyn Disk>,
    /// The state folder.
    pub(crate) state: PathBuf,
    /// Both clocks.
    pub(crate) clock: Clock,
    /// The channel of the uplink.
    pub(crate) channel: Channel,
    /// Who may give orders.
    pub(crate) keys: RoleKeys,
    /// The file they were read from, as it was then: it is read again when it changes.
    pub(crate) key_file: Option<FileState>,
    /// Random bytes for a re-synchronisation.
    pub(crate) challenge: [u8; 8],
    /// The parameters.
    pub(crate) parameters: Option<ParameterFile>,
    /// What uploads may take on the disk, bytes.
    pub(crate) uploads_bytes: u64,
    /// The update of this board.
    pub(crate) updater: Option<Updater>,
}

impl Commander {
    /// Opens the records, and takes up what they say. What was under way goes on with [`Self::resume`].
    ///
    /// # Errors
    /// The records can't be opened, not even in memory.
    pub(crate) fn open(begin: Begin) -> Result<(Self, Vec<Report>), StoreError> {
        let Begin {
            disk,
            state,
            clock,
            channel,
            keys,
            key_file,
            challenge,
            parameters,
            uploads_bytes,
            updater,
        } = begin;
        let opened = open_orders(disk.as_ref(), &state)?;
        let mut reports = Vec::new();
        if let Some(text) = opened.set_aside {
            reports.push(Report::error(EventCode::StoreError, text));
        }
        if let Some(why) = &opened.in_memory {
            let text = format!("orders are kept in memory ({why}): a restart forgets what was done");
            reports.push(Report::error(EventCode::StoreError, text));
        }
        let mut desk = Desk::new(opened.store)?;
        desk.numbers_used(numbers_known(&disk, &state, parameters.as_ref()));
        let mut associations = Associations::new(channel, &keys, Limits_::default());
        keys::restore(&mut associations, desk.store().records(Kind::Mark)?, &[]);
        associations.set_challenge(challenge, clock.now_ms());
        reports.extend(keys::lost_counters(&associations));
        let found = Found {
            disk: &disk,
            state: &state,
            store: desk.store(),
            keys: keys::plan_keys(&keys, channel.spacecraft),
            last_order: desk.ledger().next_number(crate::sequence::SOURCE).saturating_sub(1),
            unix_ms: clock.unix_ms(),
        };
        let (plans, told) = Plans::recover(found)?;
        reports.extend(told);
        let uploads = open_uploads(&disk, &state, uploads_bytes, &mut reports);
        let notes = desk.store().records(Kind::Note)?;
        let note = |name: &[u8]| notes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_slice());
        let parts = Parts {
            reboot: note(REBOOT).and_then(|value| postcard::from_bytes(value).ok()),
            state,
            parameters,
            whole: uploads.as_ref().map(Coming::complete).unwrap_or_default(),
            uploads,
            plans: Some(plans),
            updater,
            roles: keys::roles(&keys, channel.spacecraft),
            fingerprints: keys::fingerprints(&keys, channel.spacecraft),
            disk: Some(disk),
            ..Parts::default()
        };
        let commander = Self {
            desk,
            associations,
            spacecraft: channel.spacecraft,
            key_file: key_file.map(KeyFile::new),
            clock,
            parts,
            waiting: BTreeMap::new(),
            served: 0,
            throttle: Throttle::new(THROTTLE_MS),
            rounds: Rounds::default(),
            records: Records::opened(opened.in_memory),
        };
        Ok((commander, reports))
    }

    /// Goes on with what was under way when the run before ended.
    ///
    /// # Errors
    /// The records can't be written.
    pub(crate) fn resume(&mut self, works: &mut dyn Works) -> Result<(), StoreError> {
        let now = self.moment(works);
        put_in_force(self.parts.parameters.as_ref(), works);
        let mut worker = Worker { parts: &mut self.parts, associations: &mut self.associations, works };
        worker.take_whole();
        self.desk.resume(now, &mut worker)?;
        // All that is unseen is told below.
        drop(self.desk.take_settled());
        self.run_pending(works, now);
        let unseen: Vec<_> = self.desk.ledger().unseen().map(|(id, record)| (*id, record.clone())).collect();
        for (id, record) in unseen {
            self.told(works, id, &record);
        }
        self.parts.wanted.insert(Wanted::Associations);
        self.tell_all(works, now);
        Ok(())
    }

    /// Takes a frame of the uplink: what it says waits for [`Self::serve`]. Costs no more than a pass of the cipher, so that
    /// a flood doesn't have the system throw away frames of others while the disk is waited for.
    pub(crate) fn receive(&mut self, works: &mut dyn Works, frame: &[u8]) {
        match self.associations.open(self.clock.now_ms(), frame) {
            Err(reject) => {
                self.note_refused(&reject);
                let kind = reject.reason().name();
                self.tell(
                    works,
                    kind,
                    &Report::warning(EventCode::UplinkRefused, format!("{} bytes: {reject}", frame.len())),
                );
            }
            Ok(opened) => {
                let waiting = self.waiting.entry(opened.spi).or_default();
                if waiting.len() < MAX_WAITING {
                    return waiting.push_back(opened);
                }
                let text = format!("key {}: {MAX_WAITING} frames wait already", opened.spi);
                self.tell(works, "waiting", &Report::warning(EventCode::UplinkRefused, text));
            }
        }
    }

    /// Does what the next of the frames that wait says; of all holders in turns. Whether there was one.
    pub(crate) fn serve(&mut self, works: &mut dyn Works) -> bool {
        let after = self.waiting.range(self.served.saturating_add(1)..).chain(self.waiting.iter());
        let Some(spi) = after.map(|(spi, _)| *spi).next() else { return false };
        self.served = spi;
        let opened = self.waiting.get_mut(&spi).and_then(VecDeque::pop_front);
        if self.waiting.get(&spi).is_none_or(VecDeque::is_empty) {
            self.waiting.remove(&spi);
        }
        // Its key may have been retired meanwhile, or be gone.
        let held = self.associations.state(spi).is_some_and(|state| state != State::Retired);
        if let Some(opened) = opened.filter(|_| held) {
            self.opened(works, &opened);
        }
        true
    }

    /// Takes a frame of the uplink, and does what it says.
    #[cfg(test)]
    pub(crate) fn frame(&mut self, works: &mut dyn Works, frame: &[u8]) {
        self.receive(works, frame);
        while self.serve(works) {}
    }

    /// Has the ground told where a key's counter stands when a frame under it is refused for that: whoever holds the key
    /// can't know otherwise.
    fn note_refused(&mut self, reject: &Reject) {
        use passband_proto::sdls::Reason::{Backward, Challenge, Replayed, Retired, TooOld, Unsynchronised};
        let known =
            matches!(reject.reason(), Backward | Challenge | Replayed | Retired | TooOld | Unsynchronised);
        if let Some(spi) = reject.spi().filter(|_| known) {
            self.parts.keys_wanted.insert(spi);
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
        // Who has just put a key there needn't wait.
        if let Ok(Order::KeysAccept { .. } | Order::KeysRetire { .. }) = Order::decode(bytes) {
            self.look_at_keys(works, true);
        }
        let number = self.desk.ledger().next_number(SHELL);
        self.take(works, Giver { source: SHELL, role: Source::Shell }, number, step, bytes)
    }

    /// What was ordered, and what became of it.
    #[cfg(test)]
    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// What orders changed.
    pub(crate) fn parts(&mut self) -> &mut Parts {
        &mut self.parts
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
    pub(crate) fn not_rebooted(&mut self, works: &mut dyn Works, why: &str) {
        let now = self.moment(works);
        let open: Vec<_> = self.desk.ledger().resume();
        for run in open.iter().filter(|run| run.order == Order::BoardReboot {}) {
            let outcome = Outcome::failed(Reason::NotPossible, format!("restarting the board: {why}"));
            self.finish(works, now, run.id, outcome);
        }
    }

    fn opened(&mut self, works: &mut dyn Works, opened: &Opened) {
        if let Some(mark) = &opened.must_persist
            && !self.keep_mark(works, mark)
        {
            return;
        }
        let giver = Giver { source: opened.spi, role: opened.role.into() };
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
        let taken = {
            let mut worker =
                Worker { parts: &mut self.parts, associations: &mut self.associations, works: &mut *works };
            self.desk.take(now, giver, number, step, bytes, &mut worker)
        };
        self.tell_taken(works, &taken);
        self.run_pending(works, now);
        taken
    }

    /// Takes a file on board as what it is said to be, for someone in a shell.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn load(
        &mut self,
        works: &mut dyn Works,
        kind: UploadKind,
        name: &str,
        path: &Path,
    ) -> Result<String, String> {
        let mut worker = Worker { parts: &mut self.parts, associations: &mut self.associations, works };
        worker.load(kind, name, path).map_err(|refused| refused.text)
    }

    /// Makes a mark durable; whether it is.
    fn keep_mark(&mut self, works: &mut dyn Works, mark: &Mark) -> bool {
        // What was decided of a key before goes first.
        if self.desk.owes() && !self.keep_owed(works) {
            return false;
        }
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

    pub(crate) fn moment(&self, works: &dyn Works) -> Moment {
        let arm_s = self.parts.parameters.as_ref().map_or(60, |file| file.parameters().live().command.arm_s);
        Moment {
            steady_ms: self.clock.now_ms(),
            unix_ms: self.clock.unix_ms(),
            mode: works.mode(),
            arm_ms: u64::from(arm_s) * 1000,
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

/// The highest numbers of orders of shells and plans that others remember: their records outlive those of commanding.
fn numbers_known(
    disk: &Arc<dyn Disk>,
    state: &Path,
    parameters: Option<&ParameterFile>,
) -> BTreeMap<u16, u32> {
    let runs = ScriptStore::open(Arc::clone(disk), state).and_then(|store| store.runs()).unwrap_or_default();
    let runs = runs.into_iter().map(|run| (run.id.source, run.id.number));
    let changes = parameters.into_iter().flat_map(|file| file.parameters().remembered());
    let mut out = BTreeMap::new();
    for (source, number) in runs.chain(changes.map(|id| (id.source, id.number))) {
        if matches!(source, SHELL | crate::sequence::SOURCE) {
            let highest: &mut u32 = out.entry(source).or_default();
            *highest = number.max(*highest);
        }
    }
    out
}

/// What comes up, and what is to be told of it; none if its folder can't be used.
fn open_uploads(
    disk: &Arc<dyn Disk>,
    state: &Path,
    most_bytes: u64,
    reports: &mut Vec<Report>,
) -> Option<Coming> {
    let folder = state.join("uploads");
    let opened = UploadFolder::open(Arc::clone(disk), &folder)
        .map_err(|e| e.to_string())
        .and_then(|folder| Coming::open(folder, most_bytes).map_err(|e| e.to_string()));
    match opened {
        Ok((uploads, told)) => {
            reports.extend(told);
            Some(uploads)
        }
        Err(e) => {
            let text = format!("nothing can come up: {}: {e}", folder.display());
            reports.push(Report::error(EventCode::UploadFailed, text));
            None
        }
    }
}

/// A record with a small thing in it.
pub(crate) fn record<T: serde::Serialize>(kind: Kind, key: &[u8], value: &T) -> Change {
    // Plain data is encoded into memory without fail.
    Change { kind, key: key.to_vec(), value: postcard::to_allocvec(value).ok() }
}
