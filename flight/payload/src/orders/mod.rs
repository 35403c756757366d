//! Orders: what the payload was told to do, each done once, however often it arrives.
//!
//! A pure state machine. It decides what becomes of an order that came in (refused, armed, to be done, told again) and
//! keeps the answer until the ground has it. It is handed times, and never opens a frame, writes a record or does an
//! order itself: [`desk`] makes its decisions durable and has them done.
//!
//! Who gives an order numbers it. Of the numbers of each giver the highest [`MAX_KEPT`] are remembered with what became
//! of them; lower ones are refused, so none is ever done again. Numbers may come in any order.

pub mod desk;
mod record;
#[cfg(test)]
mod tests;

pub use record::{OrderId, Record, SHELL};

use std::collections::BTreeMap;

use passband_proto::dict::{EventCode, FixedText, Hazard, Mode, Order, OrderDef, Reason, Source, Stage};

use crate::ordered;
use crate::telemetry::Report;

/// Orders of each giver that are remembered.
pub const MAX_KEPT: usize = 128;
/// Givers that are told apart.
pub const MAX_GIVERS: usize = 72;
/// Orders of each giver that may be under way.
pub const MAX_OPEN: usize = 16;
/// How often an order is begun again at a start of the daemon.
pub const MAX_RESUMED: u8 = 3;

/// Who gives an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Giver {
    /// The way by which it came: a security association, [`SHELL`] or a plan.
    pub source: u16,
    /// What that is.
    pub role: Source,
}

/// What is to be done with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Do it.
    Run,
    /// Make it ready to be fired.
    Arm,
    /// Do it, as it was armed.
    Fire,
}

/// Times and limits of the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Steady time, ms.
    pub steady_ms: u64,
    /// Wall clock, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// How the payload works.
    pub mode: Mode,
    /// The longest time between arming and firing, ms.
    pub arm_ms: u64,
}

/// What becomes of an order that came in.
#[derive(Debug, Default)]
pub struct Taken {
    /// To be made durable first, all or nothing.
    pub keep: Vec<Keep>,
    /// Then to be done.
    pub run: Option<Run>,
    /// Where it stands now, to be told.
    pub answer: Option<(OrderId, Record)>,
    /// To tell the operator.
    pub report: Option<Report>,
}

/// A change to what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// An order stands so.
    Order(OrderId, Record),
    /// An order is forgotten.
    Forget(OrderId),
    /// A giver's numbers up to this one are used.
    Used(u16, u32),
}

/// An order to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Which.
    pub id: OrderId,
    /// What.
    pub order: Order,
    /// When it was taken, ms since 1970-01-01 UTC.
    pub taken_unix_ms: u64,
    /// Whether it may have been done, or begun, before the daemon was started: what is done twice must do no harm.
    pub resumed: bool,
}

/// An order that may be fired.
#[derive(Debug)]
struct Armed {
    number: u32,
    bytes: Vec<u8>,
    steady_ms: u64,
}

/// How many orders came, and what became of them, since the first start but for `repeated`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accepted.
    pub taken: u32,
    /// Came again.
    pub repeated: u32,
    /// Refused.
    pub refused: u32,
    /// Failed.
    pub failed: u32,
}

/// What the payload was told to do.
#[derive(Debug, Default)]
pub struct Ledger {
    orders: BTreeMap<OrderId, Record>,
    /// Of each giver, the highest number that is forgotten.
    used: BTreeMap<u16, u32>,
    /// What each giver has armed. Only what that giver says next disarms it, so that nobody keeps another from firing.
    armed: BTreeMap<u16, Armed>,
    counts: Counts,
}

impl Ledger {
    /// Takes up what an earlier run kept. What was under way is to be done again: [`Self::resume`].
    #[must_use]
    pub fn restore(kept: impl IntoIterator<Item = Keep>) -> Self {
        let mut ledger = Self::default();
        for change in kept {
            ledger.apply(&change);
        }
        ledger
    }

    /// What was under way when the run before ended, in the order of its taking.
    #[must_use]
    pub fn resume(&self) -> Vec<Run> {
        let mut open: Vec<_> = self.orders.iter().filter(|(_, record)| record.is_open()).collect();
        ordered::sort_by_key(&mut open, |(id, record)| (record.taken_unix_ms, **id));
        let run = |(id, record): (&OrderId, &Record)| {
            let order = Order::decode(&record.bytes).ok()?;
            Some(Run { id: *id, order, taken_unix_ms: record.taken_unix_ms, resumed: true })
        };
        open.into_iter().filter_map(run).collect()
    }

    /// What is under way but can't be read any more: an order of a version before.
    #[must_use]
    pub fn lost(&self) -> Vec<OrderId> {
        let lost = |record: &Record| record.is_open() && Order::decode(&record.bytes).is_err();
        self.orders.iter().filter(|(_, record)| lost(record)).map(|(id, _)| *id).collect()
    }

    /// Takes an order. Its `keep` has to be durable before anything else of it is acted upon; then call [`Self::apply`] for
    /// each of it.
    #[must_use]
    pub fn take(&mut self, now: Moment, giver: Giver, number: u32, step: Step, bytes: &[u8]) -> Taken {
        let id = OrderId { source: giver.source, number };
        if let Some(known) = self.orders.get(&id) {
            return self.repeated(now, id, step, bytes, known.clone());
        }
        let expired = self.disarm_late(now);
        let mut taken = match self.judge(now, giver, id, step, bytes) {
            Ok(order) => self.accept(now, id, step, bytes, order),
            Err(refusal) => self.refuse(now, id, step, bytes, &refusal),
        };
        taken.report = taken.report.or(expired);
        taken
    }

    /// An order is under way and will take a while.
    #[must_use]
    pub fn started(&self, now: Moment, id: OrderId, text: &str) -> Option<Keep> {
        self.changed(now, id, Stage::Started, Reason::None, text)
    }

    /// An order that was under way when the run before ended is begun again, or given up if that happened too often.
    #[must_use]
    pub fn resumed(&self, now: Moment, id: OrderId) -> Option<Keep> {
        let record = self.orders.get(&id).filter(|record| record.is_open())?;
        if record.resumed >= MAX_RESUMED {
            let text = format!("the daemon ended {} times while it was done", MAX_RESUMED + 1);
            return self.finished(now, id, Reason::Interrupted, &text);
        }
        Some(Keep::Order(id, Record { resumed: record.resumed.saturating_add(1), ..record.clone() }))
    }

    /// An order is done, or could not be done.
    #[must_use]
    pub fn finished(&self, now: Moment, id: OrderId, reason: Reason, text: &str) -> Option<Keep> {
        let stage = if reason == Reason::None { Stage::Done } else { Stage::Failed };
        self.changed(now, id, stage, reason, text)
    }

    /// The ground has the answers of this giver below a number, and of the 32 from there on those whose bit is set.
    #[must_use]
    pub fn seen(&self, source: u16, below: u32, bits: u32) -> Vec<Keep> {
        let seen = |number: u32| match number.checked_sub(below) {
            None => true,
            Some(ahead) => 1_u32.checked_shl(ahead).is_some_and(|bit| bits & bit != 0),
        };
        let told =
            self.of(source).filter(|(id, record)| record.is_settled() && !record.seen && seen(id.number));
        told.map(|(id, record)| Keep::Order(*id, Record { seen: true, ..record.clone() })).collect()
    }

    /// Takes up a change that is durable now.
    pub fn apply(&mut self, change: &Keep) {
        match change {
            Keep::Order(id, record) => {
                self.count(self.orders.get(id).map(|before| before.stage), record.stage);
                self.orders.insert(*id, record.clone());
            }
            Keep::Forget(id) => drop(self.orders.remove(id)),
            Keep::Used(source, number) => {
                let used = self.used.entry(*source).or_default();
                *used = (*used).max(*number);
            }
        }
    }

    /// The answers that the ground doesn't have, oldest first.
    pub fn unseen(&self) -> impl Iterator<Item = (&OrderId, &Record)> {
        self.orders.iter().filter(|(_, record)| !record.seen)
    }

    /// Where an order stands, if it is remembered.
    #[must_use]
    pub fn get(&self, id: &OrderId) -> Option<&Record> {
        self.orders.get(id)
    }

    /// All that are remembered.
    pub fn iter(&self) -> impl Iterator<Item = (&OrderId, &Record)> {
        self.orders.iter()
    }

    /// How many came, and what became of them.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The number for the next order of a giver that has none of its own.
    #[must_use]
    pub fn next_number(&self, source: u16) -> u32 {
        let last = self.of(source).next_back().map_or(0, |(id, _)| id.number);
        last.max(self.used.get(&source).copied().unwrap_or_default()).saturating_add(1)
    }

    /// The orders that are armed: one of each giver at most.
    #[must_use]
    pub fn armed(&self) -> Vec<OrderId> {
        self.armed.iter().map(|(source, armed)| OrderId { source: *source, number: armed.number }).collect()
    }

    /// What an order is refused for; else what it says.
    fn judge(
        &self,
        now: Moment,
        giver: Giver,
        id: OrderId,
        step: Step,
        bytes: &[u8],
    ) -> Result<Order, Refusal> {
        if self.used.get(&id.source).is_some_and(|used| id.number <= *used) {
            let text =
                format!("numbers up to {} are used", self.used.get(&id.source).copied().unwrap_or_default());
            return Err(Refusal { reason: Reason::TooOld, text });
        }
        if self.is_crowded(id.source) {
            return Err(Refusal::new(Reason::Busy, "too many orders or givers at once"));
        }
        let order = Order::decode(bytes).map_err(|e| Refusal::new(Reason::Malformed, &e.to_string()))?;
        let def = order.def().ok_or_else(|| Refusal::new(Reason::Malformed, "no such order"))?;
        if !def.sources.has(giver.role) {
            return Err(Refusal::new(
                Reason::NotAllowed,
                &format!("{} may not be given by {}", def.words, giver.role),
            ));
        }
        self.judge_step(now, id, step, bytes, def)?;
        Ok(order)
    }

    fn judge_step(
        &self,
        now: Moment,
        id: OrderId,
        step: Step,
        bytes: &[u8],
        def: &OrderDef,
    ) -> Result<(), Refusal> {
        match (step, def.hazard) {
            (Step::Run, Hazard::None) | (Step::Arm, _) => return Ok(()),
            (Step::Run, _) => {
                return Err(Refusal::new(
                    Reason::NotArmed,
                    &format!("{} is to be armed, then fired", def.words),
                ));
            }
            (Step::Fire, _) => {}
        }
        let Some((source, armed)) = self.to_fire(id.source, bytes, def) else {
            return Err(match self.armed.get(&id.source) {
                Some(armed) if armed.bytes == bytes => {
                    Refusal::new(Reason::SameKey, "who holds another key has to fire it")
                }
                Some(armed) => {
                    let id = OrderId { source: id.source, number: armed.number };
                    Refusal::new(Reason::OtherArmed, &format!("order {id} is armed"))
                }
                None => Refusal::new(Reason::NotArmed, "nothing is armed"),
            });
        };
        let waited_ms = now.steady_ms.saturating_sub(armed.steady_ms);
        if waited_ms > now.arm_ms {
            let id = OrderId { source, number: armed.number };
            return Err(Refusal::new(Reason::ArmedTooLongAgo, &format!("{id}, {} s ago", waited_ms / 1000)));
        }
        Ok(())
    }

    /// Who armed what a giver fires: of several the last, but the giver's own first; another's where two keys are wanted.
    fn to_fire(&self, source: u16, bytes: &[u8], def: &OrderDef) -> Option<(u16, &Armed)> {
        let own = self.armed.get(&source).filter(|armed| armed.bytes == bytes).map(|armed| (source, armed));
        let others = self.armed.iter().filter(|(other, armed)| **other != source && armed.bytes == bytes);
        let last = others.max_by_key(|(_, armed)| armed.steady_ms).map(|(other, armed)| (*other, armed));
        if def.hazard == Hazard::TwoKeys { last } else { own.or(last) }
    }

    fn accept(&mut self, now: Moment, id: OrderId, step: Step, bytes: &[u8], order: Order) -> Taken {
        if step == Step::Fire
            && let Some(armer) =
                order.def().and_then(|def| self.to_fire(id.source, bytes, def)).map(|(source, _)| source)
        {
            self.armed.remove(&armer);
        }
        let disarmed = self.armed.remove(&id.source);
        let mut record = Record::new(now.unix_ms, step, bytes);
        let mut report = None;
        let mut run = None;
        if step == Step::Arm {
            (record.stage, record.text) = (Stage::Armed, format!("for {} s", now.arm_ms / 1000));
            let armed = Armed { number: id.number, bytes: bytes.to_vec(), steady_ms: now.steady_ms };
            self.armed.insert(id.source, armed);
            let text = format!("{id} {order}: armed for {} s", now.arm_ms / 1000);
            report = Some(Report::warning(EventCode::OrderArmed, text));
        } else {
            run = Some(Run { id, order, taken_unix_ms: now.unix_ms, resumed: false });
            if step == Step::Run
                && let Some(armed) = disarmed
            {
                let before = OrderId { source: id.source, number: armed.number };
                let text = format!("{before} is armed no more: order {id} came");
                report = Some(Report::info(EventCode::OrderDisarmed, text));
            }
        }
        Taken { keep: self.keep(id, &record), run, answer: Some((id, record)), report }
    }

    fn refuse(&mut self, now: Moment, id: OrderId, step: Step, bytes: &[u8], refusal: &Refusal) -> Taken {
        // What is too much, or too old, must not push out what is remembered.
        let keeps = !matches!(refusal.reason, Reason::TooOld | Reason::Busy);
        if keeps {
            self.armed.remove(&id.source);
        }
        let mut record = Record::new(now.unix_ms, step, bytes);
        record.settle(now.unix_ms, Stage::Refused, refusal.reason, &refusal.text);
        let words = opcode_words(bytes);
        let text = format!("{id} {words}: {}: {}", refusal.reason, refusal.text);
        let report = Some(Report::warning(EventCode::OrderRefused, text));
        let keep = if keeps { self.keep(id, &record) } else { Vec::new() };
        if !keeps {
            self.counts.refused = self.counts.refused.saturating_add(1);
        }
        Taken { keep, run: None, answer: Some((id, record)), report }
    }

    fn repeated(&mut self, now: Moment, id: OrderId, step: Step, bytes: &[u8], known: Record) -> Taken {
        self.counts.repeated = self.counts.repeated.saturating_add(1);
        if known.bytes == bytes && known.step == step {
            // Whoever sends it again lacks the answer.
            let keep = if known.seen {
                vec![Keep::Order(id, Record { seen: false, ..known.clone() })]
            } else {
                Vec::new()
            };
            return Taken { keep, answer: Some((id, known)), ..Taken::default() };
        }
        let mut record = Record::new(now.unix_ms, step, bytes);
        let text = format!("it was {}", opcode_words(&known.bytes));
        record.settle(now.unix_ms, Stage::Refused, Reason::NumberTaken, &text);
        self.counts.refused = self.counts.refused.saturating_add(1);
        let report = Report::warning(
            EventCode::OrderRefused,
            format!("{id} {}: number taken: {text}", opcode_words(bytes)),
        );
        Taken { answer: Some((id, record)), report: Some(report), ..Taken::default() }
    }

    fn changed(&self, now: Moment, id: OrderId, stage: Stage, reason: Reason, text: &str) -> Option<Keep> {
        let mut record = self.orders.get(&id).filter(|record| record.is_open())?.clone();
        record.settle(now.unix_ms, stage, reason, text);
        record.seen = needs_no_word(id, &record);
        Some(Keep::Order(id, record))
    }

    /// The changes that keep a new order, and forget what is too much by it.
    fn keep(&self, id: OrderId, record: &Record) -> Vec<Keep> {
        let mut record = record.clone();
        record.seen = needs_no_word(id, &record);
        let mut out = vec![Keep::Order(id, record)];
        let surplus = (self.of(id.source).count() + 1).saturating_sub(MAX_KEPT);
        let settled: Vec<_> =
            self.of(id.source).filter(|(_, old)| !old.is_open()).map(|(id, _)| *id).take(surplus).collect();
        if let Some(highest) = settled.last() {
            out.push(Keep::Used(id.source, highest.number));
        }
        out.extend(settled.into_iter().map(Keep::Forget));
        out
    }

    fn is_crowded(&self, source: u16) -> bool {
        let open = self.of(source).filter(|(_, record)| record.is_open()).count();
        let new = self.of(source).next().is_none() && !self.used.contains_key(&source);
        open >= MAX_OPEN || (new && self.givers() >= MAX_GIVERS)
    }

    fn givers(&self) -> usize {
        let mut all: Vec<_> =
            self.orders.keys().map(|id| id.source).chain(self.used.keys().copied()).collect();
        ordered::sort_by(&mut all, Ord::cmp);
        all.dedup();
        all.len()
    }

    fn of(&self, source: u16) -> impl DoubleEndedIterator<Item = (&OrderId, &Record)> {
        let id = |number| OrderId { source, number };
        self.orders.range(id(0)..=id(u32::MAX))
    }

    fn disarm_late(&mut self, now: Moment) -> Option<Report> {
        // Firing it is refused with the reason, for a while.
        let late =
            |armed: &Armed| now.steady_ms.saturating_sub(armed.steady_ms) > now.arm_ms.saturating_mul(10);
        let (source, number) = self
            .armed
            .iter()
            .find(|(_, armed)| late(armed))
            .map(|(source, armed)| (*source, armed.number))?;
        self.armed.remove(&source);
        let id = OrderId { source, number };
        Some(Report::info(EventCode::OrderDisarmed, format!("{id} is armed no more: it wasn't fired")))
    }

    fn count(&mut self, before: Option<Stage>, now: Stage) {
        let counts = &mut self.counts;
        if before == Some(now) {
            return;
        }
        let count = match now {
            Stage::Refused => &mut counts.refused,
            Stage::Failed => &mut counts.failed,
            _ if before.is_none() => &mut counts.taken,
            _ => return,
        };
        *count = count.saturating_add(1);
    }
}

/// Why an order is refused.
struct Refusal {
    reason: Reason,
    text: String,
}

impl Refusal {
    fn new(reason: Reason, text: &str) -> Self {
        Self { reason, text: text.to_owned() }
    }
}

/// Whoever sits at the shell has read the answer; of a plan's orders events tell, and nobody could say for a plan that the
/// ground has them.
fn needs_no_word(id: OrderId, record: &Record) -> bool {
    matches!(id.source, SHELL | crate::sequence::SOURCE) && record.is_settled()
}

fn opcode_words(bytes: &[u8]) -> &'static str {
    OrderDef::read(bytes).map_or("an order", |(def, _)| def.words)
}

/// A text for an answer, cut to what one holds.
pub(crate) fn answer_text(text: &str) -> FixedText<120> {
    FixedText::cut(text)
}
