//! A naive queue: a list that is looked through each time. What it says is what the queue has to say.

use std::cmp::Reverse;

use passband_proto::ids::{BundleId, Class};

use crate::queue::Item;
use crate::queue::item::State;
use crate::queue::settings::Settings;

/// How a bundle came onto the link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Turn {
    Plain,
    Crediting,
    Overdue,
    LeftOver,
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are true or not, as plainly as can be")]
pub(super) struct Bundle {
    pub(super) item: Item,
    pub(super) deadline: u64,
    pub(super) nth: u32,
    pub(super) sent: u32,
    pub(super) held: bool,
    pub(super) damaged: bool,
    pub(super) known: bool,
    pub(super) presumed: Option<f64>,
    pub(super) promoted: Option<u64>,
    pub(super) on_link: Option<Turn>,
    pub(super) served: bool,
}

impl Bundle {
    pub(super) fn state(&self) -> State {
        match self {
            Self { held: true, .. } => State::Held,
            Self { damaged: true, .. } => State::Damaged,
            Self { on_link: Some(_), .. } => State::OnLink,
            Self { known: true, .. } => State::Known,
            Self { presumed: Some(_), .. } => State::Presumed,
            _ => State::Waiting,
        }
    }

    fn waits_in_turn(&self) -> bool {
        self.state() == State::Waiting && self.promoted.is_none()
    }

    fn account(&self) -> Option<(Class, u16)> {
        let charged = self.state() == State::OnLink && self.presumed.is_none();
        (charged || self.waits_in_turn()).then_some((self.item.class, self.item.tasking))
    }

    pub(super) fn cost(&self) -> u64 {
        self.bytes_of(self.item.source_symbols.saturating_sub(self.sent).max(1))
    }

    pub(super) fn bytes_of(&self, symbols: u32) -> u64 {
        (self.item.bytes * u64::from(symbols)).div_ceil(u64::from(self.item.source_symbols))
    }

    fn rung(&self) -> usize {
        let rungs = [0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999, 0.999_999];
        rungs.iter().filter(|rung| self.presumed.unwrap_or(0.0) >= **rung).count()
    }

    fn due_key(&self) -> (u64, u64, u32) {
        (self.deadline, self.item.created_unix_ms, self.nth)
    }

    fn age_key(&self) -> (u64, u64, u32) {
        (self.item.created_unix_ms, self.deadline, self.nth)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) settings: Settings,
    pub(super) bundles: Vec<Bundle>,
    pub(super) promotions: u64,
    insertions: u32,
    times: Vec<Vec<i128>>,
    now: [i128; 4],
    credit: i128,
}

impl Model {
    pub(super) fn new(settings: Settings) -> Self {
        let times = vec![vec![0; settings.taskings.len()]; 4];
        Self { settings, bundles: vec![], promotions: 0, insertions: 0, times, now: [0; 4], credit: 0 }
    }

    pub(super) fn insert(&mut self, item: Item) {
        self.insertions += 1;
        let deadline = item.deadline_unix_ms.unwrap_or_else(|| self.deadline(&item));
        let nth = self.insertions;
        let bundle = Bundle {
            item,
            deadline,
            nth,
            sent: 0,
            held: true,
            damaged: false,
            known: false,
            presumed: None,
            promoted: None,
            on_link: None,
            served: false,
        };
        self.bundles.push(bundle);
        let last = self.bundles.len() - 1;
        self.change(last, |bundle| bundle.held = false);
    }

    pub(super) fn deadline(&self, item: &Item) -> u64 {
        item.created_unix_ms + self.settings.deadline_s.of(item.class) * 1000
    }

    pub(super) fn at(&self, id: &BundleId) -> Option<usize> {
        self.bundles.iter().position(|bundle| bundle.item.id == *id)
    }

    /// Changes a bundle; a tasking that had nothing competing begins again where the class is.
    pub(super) fn change(&mut self, at: usize, change: impl FnOnce(&mut Bundle)) {
        let before = self.bundles[at].account();
        change(&mut self.bundles[at]);
        let after = self.bundles[at].account();
        let Some((class, tasking)) = after.filter(|_| after != before) else { return };
        let others = self.bundles.iter().enumerate().filter(|(nth, _)| *nth != at);
        if others.filter(|(_, b)| b.account() == after).count() == 0 {
            let time = &mut self.times[class as usize][usize::from(tasking)];
            *time = (*time).max(self.now[class as usize]);
        }
    }

    pub(super) fn charge(&mut self, item: &Item, bytes: i128) {
        let share = i128::from(self.settings.taskings[usize::from(item.tasking)].share);
        let steps = bytes.abs() * (1 << 20) / share * bytes.signum();
        let time = &mut self.times[item.class as usize][usize::from(item.tasking)];
        *time = (*time + steps).max(0);
    }

    /// Pays for, or gives back, bytes of the credit.
    pub(super) fn credit(&mut self, turn: Option<Turn>, bytes: i128) {
        let share = self.overdue_ppm();
        match turn {
            Some(Turn::Crediting) => self.credit = (self.credit + bytes * share).max(0),
            Some(Turn::Overdue) => self.credit -= bytes * (1_000_000 - share),
            Some(Turn::Plain | Turn::LeftOver) | None => {}
        }
    }

    fn overdue_ppm(&self) -> i128 {
        // The tests use whole millionths.
        format!("{:.0}", self.settings.overdue_share * 1e6).parse().unwrap()
    }

    pub(super) fn next(&mut self, now: u64) -> Option<(BundleId, u8)> {
        let all = || self.bundles.iter().enumerate();
        let promoted = all().filter(|(_, b)| b.state() == State::Waiting && b.promoted.is_some());
        if let Some((at, _)) = promoted.min_by_key(|(_, b)| b.promoted) {
            let item = self.bundles[at].item;
            let cost = i128::from(self.bundles[at].cost());
            self.change(at, |b| b.on_link = Some(Turn::Plain));
            self.charge(&item, cost);
            return Some((item.id, 0));
        }
        let mut waiting: Vec<(usize, &Bundle)> = all().filter(|(_, b)| b.waits_in_turn()).collect();
        waiting.sort_by_key(|(_, b)| {
            let (class, tasking) = (b.item.class, b.item.tasking);
            (
                class,
                self.times[class as usize][usize::from(tasking)],
                tasking,
                b.item.kind.band(),
                b.due_key(),
            )
        });
        let (at, first) = *waiting.first()?;
        let behind = |b: &Bundle| {
            b.item.class > first.item.class
                || (b.item.class, b.item.tasking) == (first.item.class, first.item.tasking)
                    && b.item.kind.band() > first.item.kind.band()
        };
        let late = waiting.iter().filter(|(_, b)| b.deadline < now && behind(b));
        let late = late.min_by_key(|(_, b)| b.due_key()).map(|(at, _)| *at);
        let level = 1 + first.item.class as u8;
        let Some(late) = late else {
            self.credit = 0;
            return Some((self.serve(at, Turn::Plain), level));
        };
        let price = i128::from(self.bundles[late].cost()) * (1_000_000 - self.overdue_ppm());
        if self.credit >= price {
            return Some((self.serve(late, Turn::Overdue), level));
        }
        Some((self.serve(at, Turn::Crediting), level))
    }

    fn serve(&mut self, at: usize, turn: Turn) -> BundleId {
        let item = self.bundles[at].item;
        let cost = i128::from(self.bundles[at].cost());
        if turn != Turn::Overdue {
            let now = &mut self.now[item.class as usize];
            *now = (*now).max(self.times[item.class as usize][usize::from(item.tasking)]);
        }
        self.credit(Some(turn), cost);
        self.charge(&item, cost);
        self.change(at, |b| b.on_link = Some(turn));
        item.id
    }

    pub(super) fn next_presumed(&mut self) -> Option<(BundleId, u8)> {
        if self.bundles.iter().any(|b| b.state() == State::Waiting) {
            return None;
        }
        let open = self.bundles.iter().enumerate();
        let open = open.filter(|(_, b)| b.state() == State::Presumed && !b.served && b.rung() < 9);
        let (at, _) = open.min_by_key(|(_, b)| (b.item.class, b.rung(), b.item.kind.band(), b.age_key()))?;
        self.change(at, |b| {
            b.on_link = Some(Turn::LeftOver);
            b.served = true;
        });
        Some((self.bundles[at].item.id, 1 + self.bundles[at].item.class as u8))
    }

    pub(super) fn victims(&self, over: u64, incoming: Class) -> Option<Vec<BundleId>> {
        let mut going: Vec<_> = self
            .bundles
            .iter()
            .filter_map(|b| {
                let unsent = self.settings.drop_unsent.is_some_and(|floor| b.item.class >= floor);
                let (pile, age) = match b.state() {
                    State::Damaged => (0, b.age_key()),
                    State::Known => (1, b.age_key()),
                    State::Presumed => (2, b.age_key()),
                    State::Waiting if b.promoted.is_none() && unsent && b.item.class >= incoming => {
                        (3, b.due_key())
                    }
                    State::Waiting | State::Held | State::OnLink => return None,
                };
                Some(((pile, Reverse(b.item.class), Reverse(b.item.kind.band()), age), b))
            })
            .collect();
        going.sort_by_key(|(key, _)| *key);
        let (mut out, mut freed) = (vec![], 0);
        for (_, bundle) in going {
            if freed >= over {
                break;
            }
            freed += bundle.item.bytes;
            out.push(bundle.item.id);
        }
        (freed >= over).then_some(out)
    }
}
