//! The desk: takes orders, makes what was decided durable, has them done, and keeps what became of them.
//!
//! The order of things is what makes each done once: an order is kept before it is done; what it changes in the records is
//! kept in one transaction with its being done. A crash in between leaves an order that is under way: it is done again at
//! the next start, by hands that know it may have begun ([`Run::resumed`]).
//!
//! What an order did and that can't be kept, because the disk fails, is owed: it is kept before anything else is, in the
//! order of its happening, and until then no further order is taken.
//!
//! Never opens a frame or a socket, and knows no order in particular but [`Order::AnswersSeen`].

use std::collections::VecDeque;

use passband_proto::dict::{EventCode, Order, Reason, Source};

use super::{Giver, Keep, Ledger, Moment, OrderId, Record, Run, Step, Taken};
use crate::store::StoreError;
use crate::store::orders::{Change, OrderStore};
use crate::telemetry::Report;

/// What came of doing an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it is done.
    pub state: Doing,
    /// More about it.
    pub text: String,
    /// Records to be changed in one with that.
    pub changes: Vec<Change>,
}

/// How far an order is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It is done.
    Done,
    /// It goes on; [`Desk::finish`] is called later.
    GoesOn,
    /// It can't be done.
    Failed(Reason),
}

impl Outcome {
    /// Done.
    pub fn done(text: impl Into<String>) -> Self {
        Self { state: Doing::Done, text: text.into(), changes: Vec::new() }
    }

    /// Goes on.
    pub fn goes_on(text: impl Into<String>) -> Self {
        Self { state: Doing::GoesOn, text: text.into(), changes: Vec::new() }
    }

    /// Could not be done.
    pub fn failed(reason: Reason, text: impl Into<String>) -> Self {
        Self { state: Doing::Failed(reason), text: text.into(), changes: Vec::new() }
    }

    /// With records to be changed in one with it.
    #[must_use]
    pub fn with(mut self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.changes.extend(changes);
        self
    }
}

/// Does orders.
pub trait Hands {
    /// Does one. What it changes in memory must not be seen before [`Hands::kept`] if it depends on [`Outcome::changes`].
    fn run(&mut self, now: Moment, run: &Run) -> Outcome;

    /// What an order changed is durable.
    fn kept(&mut self, now: Moment, run: &Run);

    /// Tells the operator.
    fn tell(&mut self, report: Report);
}

/// Takes orders.
#[derive(Debug)]
pub struct Desk {
    ledger: Ledger,
    store: OrderStore,
    /// What happened and is to be kept, oldest first.
    owed: VecDeque<Owed>,
    /// Orders whose ends were kept since they were last asked for.
    settled: Vec<OrderId>,
}

/// What happened and is to be kept.
#[derive(Debug)]
enum Owed {
    /// An order came so far; with the order if it was done just now.
    Outcome { now: Moment, id: OrderId, outcome: Outcome, run: Option<Box<Run>> },
    /// Records changed.
    Changes(Vec<Change>),
}

impl Desk {
    /// Takes up what is in a store.
    ///
    /// # Errors
    /// It can't be read.
    pub fn new(store: OrderStore) -> Result<Self, StoreError> {
        let ledger = Ledger::restore(store.ledger()?);
        Ok(Self { ledger, store, owed: VecDeque::new(), settled: Vec::new() })
    }

    /// What was told to do, and what became of it.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Where it is kept.
    pub fn store(&self) -> &OrderStore {
        &self.store
    }

    /// Numbers that are known to be used though the store may not know it, of each giver up to the highest.
    pub fn numbers_used(&mut self, highest: impl IntoIterator<Item = (u16, u32)>) {
        for (source, number) in highest {
            if number >= self.ledger.next_number(source) {
                self.ledger.apply(&Keep::Used(source, number));
            }
        }
    }

    /// Puts another store in the place of the one, which is given: one that holds the same.
    pub fn replace_store(&mut self, store: OrderStore) -> OrderStore {
        std::mem::replace(&mut self.store, store)
    }

    /// Whether something that happened isn't kept yet.
    pub fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// The orders whose outcome was kept since the last call.
    pub fn take_settled(&mut self) -> Vec<OrderId> {
        std::mem::take(&mut self.settled)
    }

    /// Has records changed that are already as they will say: before all else, as soon as the store can be written.
    pub fn owe(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.owed.push_back(Owed::Changes(changes));
        }
    }

    /// Keeps what is owed.
    ///
    /// # Errors
    /// The store can't be written: the rest is owed still.
    pub fn settle(&mut self, hands: &mut dyn Hands) -> Result<(), StoreError> {
        while let Some(owed) = self.owed.pop_front() {
            if let Err(e) = self.settle_one(&owed, hands) {
                self.owed.push_front(owed);
                return Err(e);
            }
        }
        Ok(())
    }

    /// Goes on with what was under way when the run before ended. What several runs ended in the middle of is given up:
    /// doing it may be what ended them.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn resume(&mut self, now: Moment, hands: &mut dyn Hands) -> Result<(), StoreError> {
        for id in self.ledger.lost() {
            let text = "this version doesn't know it";
            let keep = self.ledger.finished(now, id, Reason::Malformed, text);
            self.commit(keep.as_slice(), &[])?;
        }
        for run in self.ledger.resume() {
            let keep = self.ledger.resumed(now, run.id);
            self.commit(keep.as_slice(), &[])?;
            if self.ledger.get(&run.id).is_some_and(Record::is_open) {
                self.run(now, &run, hands)?;
            }
        }
        Ok(())
    }

    /// Takes an order, and does it if it is to be done: where it stands then.
    ///
    /// # Errors
    /// The store can't be written: it is as if the order never came, it goes on at the next start, or it is done and its
    /// end is owed.
    pub fn take(
        &mut self,
        now: Moment,
        giver: Giver,
        number: u32,
        step: Step,
        bytes: &[u8],
        hands: &mut dyn Hands,
    ) -> Result<Option<(OrderId, Record)>, StoreError> {
        let id = OrderId { source: giver.source, number };
        if let Some(order) = unnumbered(giver.role, number, step, bytes) {
            self.run_unnumbered(now, id, order, hands)?;
            return Ok(None);
        }
        self.settle(hands)?;
        let Taken { keep, run, answer, report } = self.ledger.take(now, giver, number, step, bytes);
        self.commit(&keep, &[])?;
        if let Some(report) = report {
            hands.tell(report);
        }
        if let Some(run) = run {
            self.run(now, &run, hands)?;
        }
        Ok(self
            .ledger
            .get(&id)
            .filter(|now| same(answer.as_ref(), now))
            .map(|record| (id, record.clone()))
            .or(answer))
    }

    /// Ends an order that went on.
    ///
    /// # Errors
    /// The store can't be written: the end is owed.
    pub fn finish(
        &mut self,
        now: Moment,
        id: OrderId,
        outcome: Outcome,
        hands: &mut dyn Hands,
    ) -> Result<(), StoreError> {
        self.owed.push_back(Owed::Outcome { now, id, outcome, run: None });
        self.settle(hands)
    }

    /// Changes records that no order asks to change.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn change(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.store.commit(&[], changes)
    }

    fn run(&mut self, now: Moment, run: &Run, hands: &mut dyn Hands) -> Result<(), StoreError> {
        let outcome = hands.run(now, run);
        self.owed.push_back(Owed::Outcome { now, id: run.id, outcome, run: Some(Box::new(run.clone())) });
        self.settle(hands)
    }

    fn settle_one(&mut self, owed: &Owed, hands: &mut dyn Hands) -> Result<(), StoreError> {
        let (now, id, outcome, run) = match owed {
            Owed::Changes(changes) => return self.commit(&[], changes),
            Owed::Outcome { now, id, outcome, run } => (*now, *id, outcome, run),
        };
        let keep = match outcome.state {
            Doing::Done => self.ledger.finished(now, id, Reason::None, &outcome.text),
            Doing::GoesOn => self.ledger.started(now, id, &outcome.text),
            Doing::Failed(reason) => self.ledger.finished(now, id, reason, &outcome.text),
        };
        let words = self.ledger.get(&id).map(Record::words).unwrap_or_default();
        self.commit(keep.as_slice(), &outcome.changes)?;
        self.settled.push(id);
        if let Some(report) = told(id, &words, outcome) {
            hands.tell(report);
        }
        if let Some(run) = run {
            hands.kept(now, run);
        }
        Ok(())
    }

    fn run_unnumbered(
        &mut self,
        now: Moment,
        id: OrderId,
        order: Order,
        hands: &mut dyn Hands,
    ) -> Result<(), StoreError> {
        if let Order::AnswersSeen { below, bits } = order {
            let seen = self.ledger.seen(id.source, below, bits);
            self.commit(&seen, &[])?;
        }
        let run = Run { id, order, taken_unix_ms: now.unix_ms, resumed: false };
        let outcome = hands.run(now, &run);
        if !outcome.changes.is_empty() {
            self.store.commit(&[], &outcome.changes)?;
        }
        hands.kept(now, &run);
        Ok(())
    }

    fn commit(&mut self, keep: &[Keep], changes: &[Change]) -> Result<(), StoreError> {
        if keep.is_empty() && changes.is_empty() {
            return Ok(());
        }
        self.store.commit(keep, changes)?;
        keep.iter().for_each(|change| self.ledger.apply(change));
        Ok(())
    }
}

/// Orders that do no harm when they are done again, come in great numbers or speak of answers alone: not kept, not
/// answered. They disarm nothing. Packets that are asked for are among them where the number is 0, as a station asks by
/// itself.
fn unnumbered(role: Source, number: u32, step: Step, bytes: &[u8]) -> Option<Order> {
    let order = Order::decode(bytes).ok().filter(|_| step == Step::Run)?;
    let plain = match order {
        Order::UploadPiece { .. } | Order::AnswersSeen { .. } => true,
        Order::TelemetrySend { .. } => number == 0,
        _ => false,
    };
    (plain && role != Source::Shell && order.def().is_some_and(|def| def.sources.has(role))).then_some(order)
}

fn same(answer: Option<&(OrderId, Record)>, now: &Record) -> bool {
    answer.is_some_and(|(_, record)| record.bytes == now.bytes && record.step == now.step)
}

fn told(id: OrderId, words: &str, outcome: &Outcome) -> Option<Report> {
    let text = if outcome.text.is_empty() { String::new() } else { format!(": {}", outcome.text) };
    match outcome.state {
        Doing::Done => Some(Report::info(EventCode::OrderDone, format!("{id} {words}{text}"))),
        Doing::GoesOn => None,
        Doing::Failed(reason) => {
            Some(Report::error(EventCode::OrderFailed, format!("{id} {words}: {reason}{text}")))
        }
    }
}
