//! Plans on board: their files, the sequencer, and what it wants done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use passband_proto::dict::{EventCode, Housekeeping, Order, OrderDef, Packet, Reason, Source};
use passband_proto::keys::TagKey;
use passband_proto::plan::{Dictionary, Plan, SignedPlan, alone, compile};
use passband_proto::sdls::{Associations, State};

use super::Works;
use super::hands::Worker;
use crate::adapters::disk::{Disk, read_file, write_file};
use crate::adapters::os::{board_clock_ms, board_number};
use crate::ordered;
use crate::orders::desk::Outcome;
use crate::orders::{Moment, OrderId, Run};
use crate::sequence::{
    self, Change as Keep, Instants, Key, Output, PASSES_BACK_MS, PassTimes, SequenceError, Sequencer, Status,
    Stored, StoredPlan,
};
use crate::store::StoreError;
use crate::store::orders::{Change, Kind, OrderStore};
use crate::telemetry::{Report, known};

/// Largest file of a plan that is read, bytes.
const MAX_FILE_BYTES: usize = (256 << 10) + 64;
/// How often the passes are handed in anew, ms.
const PASSES_MS: u64 = 300_000;
/// Passes that are handed in.
const PASSES: usize = 100;
/// What the names of plans of one order begin with.
const ALONE: &str = "one-";
/// Most files that are looked at.
const MAX_FILES: usize = 128;
/// The file ending of a signed plan.
const ENDING: &str = "plan";

/// Why a plan isn't taken.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) text: String,
}

pub(super) fn refusal(reason: Reason, text: impl Into<String>) -> Refusal {
    Refusal { reason, text: text.into() }
}

/// The plans on board.
#[derive(Debug)]
pub(crate) struct Plans {
    pub(super) sequencer: Sequencer,
    dictionary: Dictionary,
    folder: PathBuf,
    /// What signs plans, by its security association.
    keys: BTreeMap<u16, (Source, TagKey)>,
    /// The keys of the records that are kept.
    kept: BTreeSet<Vec<u8>>,
    /// What the sequencer wants done once its records are kept.
    pending: VecDeque<Output>,
    passes_ms: u64,
    /// The pass plan that passes were handed in of.
    pass_plan: usize,
    /// Entries done and failed since the start.
    pub(super) counts: (u64, u64),
}

/// What plans are taken up from.
pub(super) struct Found<'a> {
    pub(super) disk: &'a Arc<dyn Disk>,
    pub(super) state: &'a Path,
    pub(super) store: &'a OrderStore,
    pub(super) keys: BTreeMap<u16, (Source, TagKey)>,
    /// The highest number of an order of a plan.
    pub(super) last_order: u32,
    pub(super) unix_ms: u64,
}

/// Both clocks of the board.
pub(super) fn instants(unix_ms: u64) -> Instants {
    Instants { steady_ms: board_clock_ms(), unix_ms, boot: board_number() }
}

impl Plans {
    /// Takes up what is on board, and what was kept of it.
    pub(super) fn recover(found: Found<'_>) -> Result<(Self, Vec<Report>), StoreError> {
        let Found { disk, state, store, keys, last_order, unix_ms } = found;
        let (dictionary, folder) = (Dictionary::default(), state.join("plans"));
        let mut plans = Vec::new();
        let mut reports = Vec::new();
        match files(disk.as_ref(), &folder) {
            Ok(found) => {
                for (name, path) in found {
                    let plan = read_plan(disk.as_ref(), &path, &keys).map(|(_, plan)| plan);
                    plans.push(StoredPlan { name, plan });
                }
            }
            Err(e) => {
                let text = format!("listing {}: {e}", folder.display());
                reports.push(Report::error(EventCode::PlanUnusable, text));
            }
        }
        for (key, value) in store.records(Kind::Note)? {
            let Some(name) = key.strip_prefix(ALONE.as_bytes()) else { continue };
            let name = format!("{ALONE}{}", String::from_utf8_lossy(name));
            let text = String::from_utf8_lossy(&value).into_owned();
            let plan = compile(&text, &name, &dictionary).map_err(|faults| first(&faults));
            plans.push(StoredPlan { name, plan });
        }
        let kept = store.records(Kind::Plan)?;
        let stored = kept.iter().filter_map(|(key, value)| {
            Some(Stored { key: Key(key.as_slice().try_into().ok()?), value: value.clone() })
        });
        let sequencer =
            Sequencer::recover(&dictionary, instants(unix_ms), plans, stored.collect(), last_order);
        let kept = kept.into_iter().map(|(key, _)| key).collect();
        let plans = Self {
            sequencer,
            dictionary,
            folder,
            keys,
            kept,
            pending: VecDeque::new(),
            passes_ms: 0,
            pass_plan: 0,
            counts: (0, 0),
        };
        Ok((plans, reports))
    }

    /// Has plans that come from now on be signed by one of these.
    pub(super) fn set_keys(&mut self, keys: BTreeMap<u16, (Source, TagKey)>) {
        self.keys = keys;
    }

    /// What the sequencer wants kept, as changes of the records; the rest waits until that is durable.
    pub(super) fn poll(&mut self, now: Instants) -> Vec<Change> {
        let mut changes = Vec::new();
        for output in self.sequencer.poll(now) {
            match output {
                Output::Persist(Keep::Put { key: Key(key), value }) => {
                    self.kept.insert(key.to_vec());
                    changes.push(Change { kind: Kind::Plan, key: key.to_vec(), value: Some(value) });
                }
                Output::Persist(Keep::Remove { first: Key(first), last: Key(last) }) => {
                    let range = first.to_vec()..=last.to_vec();
                    let gone: Vec<_> = self.kept.range(range).cloned().collect();
                    for key in gone {
                        self.kept.remove(&key);
                        changes.push(Change { kind: Kind::Plan, key, value: None });
                    }
                }
                other => self.pending.push_back(other),
            }
        }
        changes
    }

    /// The next that is to be told or run, once what [`Self::poll`] gave is durable. An order that its plan no longer
    /// waits for is passed over.
    pub(super) fn next_pending(&mut self) -> Option<Output> {
        while let Some(output) = self.pending.pop_front() {
            match &output {
                Output::Run(run) if !self.sequencer.awaits(run.number) => {}
                _ => return Some(output),
            }
        }
        None
    }

    /// Has an order that could not be taken be the next again.
    pub(super) fn again(&mut self, run: sequence::Run) {
        self.pending.push_front(Output::Run(run));
    }

    /// How much is to be told or run.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Whether the sequencer has something to do.
    pub(super) fn is_due(&self, now: Instants) -> bool {
        self.sequencer.next_wake(now).is_some_and(|at| at <= now.steady_ms)
    }

    /// Hands in passes, now and then.
    pub(super) fn see_passes(&mut self, now: Instants, works: &dyn Works) {
        let plan = works.pass_plan();
        if now.steady_ms < self.passes_ms && plan == self.pass_plan {
            return;
        }
        self.pass_plan = plan;
        self.passes_ms = now.steady_ms.saturating_add(PASSES_MS);
        let passes = works.passes(now.unix_ms.saturating_sub(PASSES_BACK_MS), PASSES);
        self.sequencer.set_passes(now, passes.iter().map(PassTimes::from).collect());
    }

    /// Hands in what the channels say that plans listen to.
    pub(super) fn see_channels(&mut self, now: Instants, channels: &Housekeeping) {
        let wanted: BTreeSet<u16> = ordered::gathered(self.sequencer.channels());
        if wanted.is_empty() {
            return;
        }
        let values = known_of(channels, &wanted);
        for (channel, value) in values {
            self.sequencer.on_channel(now, channel, value);
        }
    }

    /// What came of an order that a plan gave.
    pub(super) fn answered(&mut self, now: Instants, id: OrderId, result: Result<(), &str>) {
        if id.source == sequence::SOURCE {
            let count = if result.is_ok() { &mut self.counts.0 } else { &mut self.counts.1 };
            *count = count.saturating_add(1);
            self.sequencer.on_result(now, id.number, result);
        }
    }

    /// The words of what is on board.
    pub(super) fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// Forgets plans of one order that are through; the changes that forget them.
    pub(super) fn clear_alone(&mut self) -> Vec<Change> {
        let through = |row: &sequence::PlanRow| {
            row.name.starts_with(ALONE) && row.status.is_some_and(|status| status != Status::Running)
        };
        let names: Vec<_> = self.sequencer.plans().into_iter().filter(through).map(|row| row.name).collect();
        let mut changes = Vec::new();
        for name in names {
            if self.sequencer.unload(&name).is_ok() {
                changes.push(Change { kind: Kind::Note, key: name.into_bytes(), value: None });
            }
        }
        changes
    }

    /// Whether a plan of such a signer may give all its orders.
    fn check(plan: &Plan, role: Source) -> Result<(), Refusal> {
        for bytes in &plan.orders {
            let (def, _) = OrderDef::read(bytes).map_err(|e| refusal(Reason::Malformed, e.to_string()))?;
            let order = Order::decode(bytes).map_err(|e| refusal(Reason::Malformed, e.to_string()))?;
            let may = def.sources.has(Source::Plan) && (role == Source::Planner || def.sources.has(role));
            if !may {
                return Err(refusal(Reason::NotAllowed, format!("a plan of {role} may not give {order}")));
            }
        }
        Ok(())
    }
}

/// What is known of channels, by their numbers. "Not known" is no value: as the largest number there is it would be above
/// every threshold.
pub(super) fn known_of(channels: &Housekeeping, wanted: &BTreeSet<u16>) -> Vec<(u16, f64)> {
    let mut values = Vec::new();
    let mut number = 0_u16;
    channels.visit(&mut |field, value| {
        if wanted.contains(&number)
            && let Some(value) = known(field.kind, &value)
        {
            values.push((number, value));
        }
        number = number.saturating_add(1);
    });
    values
}

/// The signed plan in a file, and who signed it.
fn read_plan(
    disk: &dyn Disk,
    path: &Path,
    keys: &BTreeMap<u16, (Source, TagKey)>,
) -> Result<(u16, Plan), String> {
    let bytes = read_file(disk, path, MAX_FILE_BYTES).map_err(|e| e.to_string())?;
    verify(&bytes, keys)
}

fn verify(bytes: &[u8], keys: &BTreeMap<u16, (Source, TagKey)>) -> Result<(u16, Plan), String> {
    if bytes.starts_with(b"plan ") || bytes.starts_with(b"#") {
        return Err(
            "it is the text of a plan: `passband-ground plan compile` makes a signed one of it".to_owned()
        );
    }
    let signed = SignedPlan::new(bytes).map_err(|e| e.to_string())?;
    let spi = signed.spi();
    let (_, key) =
        keys.get(&spi).ok_or_else(|| format!("it is signed under key {spi}, which isn't known"))?;
    signed.verify(key).map(|plan| (spi, plan)).map_err(|e| e.to_string())
}

/// The files of plans, by the plans' names.
fn files(disk: &dyn Disk, folder: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let entries = match disk.list(folder, MAX_FILES) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let plan = |name: &str| name.strip_suffix(".plan").map(|plan| (plan.to_owned(), folder.join(name)));
    Ok(entries.into_iter().filter_map(|entry| plan(entry.name.to_str()?)).collect())
}

fn first(faults: &[passband_proto::plan::Fault]) -> String {
    faults.first().map_or_else(|| "it is no plan".to_owned(), ToString::to_string)
}

fn as_outcome(result: Result<String, SequenceError>) -> Outcome {
    match result {
        Ok(text) => Outcome::done(text),
        Err(e) => Outcome::failed(reason_of(&e), e.to_string()),
    }
}

/// Busy: another time it may be taken.
fn reason_of(error: &SequenceError) -> Reason {
    match error {
        SequenceError::NoPlan(_) | SequenceError::NoEntry { .. } => Reason::NotFound,
        SequenceError::Running(_) | SequenceError::TooManyPlans | SequenceError::TooManyRunning => {
            Reason::Busy
        }
        _ => Reason::NotPossible,
    }
}

impl Worker<'_> {
    /// Does an order about plans.
    pub(super) fn plans(&mut self, now: Moment, run: &Run) -> Outcome {
        let at = instants(now.unix_ms);
        let Some(plans) = self.parts.plans.as_mut() else {
            return Outcome::failed(Reason::Fault, "the plans can't be used");
        };
        let sequencer = &mut plans.sequencer;
        let outcome = match &run.order {
            Order::PlanStart { name } => {
                let by = (run.id.source == sequence::SOURCE).then_some(run.id.number);
                match sequencer.start(at, name, by) {
                    // Of a start that a restart cut off, the records tell that it was done.
                    Err(SequenceError::Running(_)) if run.resumed => Outcome::done("it runs"),
                    result => as_outcome(result.map(|number| format!("run {number}"))),
                }
            }
            Order::PlanHold { name } => as_outcome(sequencer.hold(name).map(|()| "held".to_owned())),
            Order::PlanResume { name } => {
                as_outcome(sequencer.resume(at, name).map(|()| "goes on".to_owned()))
            }
            Order::PlanCancel { name } => match sequencer.cancel(at, name) {
                Err(SequenceError::NotRunning(_)) if run.resumed => Outcome::done("cancelled"),
                result => as_outcome(result.map(|()| "cancelled".to_owned())),
            },
            Order::PlanSkip { name, entry } => {
                as_outcome(sequencer.skip(at, name, &entry.to_string()).map(|()| "left out".to_owned()))
            }
            Order::PlanRemove { name } => return self.remove_plan(at, name),
            Order::AgendaAdd { when, order } => return self.add_alone(now, run, when, &order.0),
            Order::AgendaRemove { name } => match sequencer.cancel(at, name) {
                _ if !name.starts_with(ALONE) => {
                    return Outcome::failed(
                        Reason::NotPossible,
                        "it was not put there alone; cancel its plan",
                    );
                }
                Err(SequenceError::NotRunning(_) | SequenceError::NoPlan(_)) if run.resumed => {
                    Outcome::done("removed")
                }
                result => as_outcome(result.map(|()| "removed".to_owned())),
            },
            other => Outcome::failed(Reason::NotPossible, format!("{other} is no order about plans")),
        };
        let changes = plans.poll(at);
        outcome.with(changes)
    }

    /// Takes a signed plan: verified, checked, on the disk, on the shelf.
    pub(super) fn load_plan(&mut self, name: &str, bytes: &[u8]) -> Result<String, Refusal> {
        let unusable = || refusal(Reason::Fault, "the plans can't be used");
        let disk = self.parts.disk.clone().ok_or_else(unusable)?;
        let plans = self.parts.plans.as_mut().ok_or_else(unusable)?;
        let (spi, plan) = verify(bytes, &plans.keys).map_err(|e| refusal(Reason::NotAllowed, e))?;
        if !is_operational(self.associations, spi) {
            return Err(refusal(Reason::NotAllowed, format!("key {spi}, which signed it, is retired")));
        }
        let role = plans.keys.get(&spi).map_or(Source::Planner, |(role, _)| *role);
        Plans::check(&plan, role)?;
        if plan.name != name || name.starts_with(ALONE) {
            return Err(refusal(Reason::NotPossible, format!("the plan's own name is {:?}", plan.name)));
        }
        let path = plans.folder.join(format!("{name}.{ENDING}"));
        if let Ok((before, _)) = read_plan(disk.as_ref(), &path, &plans.keys)
            && role == Source::Science
            && plans.keys.get(&before).is_some_and(|(role, _)| *role != Source::Science)
        {
            let text = format!("plan {name} of key {before} is not for science to replace");
            return Err(refusal(Reason::NotAllowed, text));
        }
        let (version, entries) = (plan.version, plan.entries.len());
        // Judged before anything is written: what is on board stays as it is if this one can't be taken.
        plans.sequencer.may_load(&plan).map_err(|e| refusal(reason_of(&e), e.to_string()))?;
        disk.make_folder(&plans.folder).map_err(|e| refusal(Reason::Fault, e.to_string()))?;
        write_file(disk.as_ref(), &path, bytes).map_err(|e| refusal(Reason::Fault, e.to_string()))?;
        plans.sequencer.load(plan).map_err(|e| refusal(reason_of(&e), e.to_string()))?;
        let text = format!("plan {name} version {version}, {entries} entries, signed under key {spi}");
        self.works.event(&Report::info(EventCode::PlanLoaded, text.clone()));
        Ok(text)
    }

    fn remove_plan(&mut self, at: Instants, name: &str) -> Outcome {
        let (Some(disk), Some(plans)) = (self.parts.disk.clone(), self.parts.plans.as_mut()) else {
            return Outcome::failed(Reason::Fault, "the plans can't be used");
        };
        if let Err(e) = plans.sequencer.unload(name) {
            return as_outcome(Err(e));
        }
        let path = plans.folder.join(format!("{name}.{ENDING}"));
        let removed = disk.remove(&path).and_then(|()| disk.sync_folder(&plans.folder));
        let changes = plans.poll(at);
        match removed {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Outcome::failed(Reason::Fault, format!("removing {}: {e}", path.display())).with(changes)
            }
            _ => Outcome::done("removed").with(changes),
        }
    }

    /// Puts one order on the agenda: a plan of one entry, kept as its text.
    fn add_alone(&mut self, now: Moment, run: &Run, when: &str, order: &[u8]) -> Outcome {
        let at = instants(now.unix_ms);
        let role = self.parts.role_of(run.id.source);
        let Some(plans) = self.parts.plans.as_mut() else {
            return Outcome::failed(Reason::Fault, "the plans can't be used");
        };
        let words = match Order::decode(order) {
            Ok(order) => order.to_string(),
            Err(e) => return Outcome::failed(Reason::Malformed, e.to_string()),
        };
        let name = format!("{ALONE}{}-{}", run.id.source, run.id.number);
        let Some(text) = alone(&name, when, &words) else {
            return Outcome::failed(Reason::Malformed, "when it is to be done is one line of words");
        };
        let plan = match compile(&text, "the agenda", &plans.dictionary) {
            Ok(plan) => plan,
            Err(faults) => return Outcome::failed(Reason::NotPossible, first(&faults)),
        };
        if let Err(refused) = Plans::check(&plan, role) {
            return Outcome::failed(refused.reason, refused.text);
        }
        let loaded = plans.sequencer.load(plan);
        match loaded.and_then(|()| plans.sequencer.start(at, &name, None)) {
            Ok(_) => {}
            // The records are kept in one with the order's being done: what runs was begun just now.
            Err(SequenceError::Running(_)) if run.resumed => {}
            Err(e) => {
                // It keeps no other's place, if it had one.
                drop(plans.sequencer.unload(&name));
                return as_outcome(Err(e));
            }
        }
        let changes = plans.poll(at);
        let note =
            Change { kind: Kind::Note, key: name.clone().into_bytes(), value: Some(text.into_bytes()) };
        Outcome::done(format!("on the agenda as {name}")).with(changes).with([note])
    }
}

fn is_operational(associations: &Associations, spi: u16) -> bool {
    associations.state(spi) != Some(State::Retired)
}
