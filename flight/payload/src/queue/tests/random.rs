//! Random sequences of operations: after each the queue holds together and says what the model says.

use passband_proto::ids::Class;
use proptest::prelude::*;

use super::model::{Model, Turn};
use super::{T0, id, sharing};
use crate::queue::item::{Kind, State};
use crate::queue::{Item, Queue, Standing};

/// Probabilities far from the steps that presumed bundles are sorted by.
const PRESUMED: [f64; 5] = [0.5, 0.85, 0.97, 0.9995, 0.999_999_9];

/// Queue and model side by side.
struct Pair {
    queue: Queue,
    model: Model,
    now: u64,
}

/// One operation: which, on which of a few bundles, and a number for the rest.
type Op = (u8, u32, u32);

impl Pair {
    fn new() -> Self {
        let mut settings = sharing(&[2, 5]);
        settings.overdue_share = 0.25;
        settings.reserve_bytes = 50_000;
        settings.deadline_s.routine = 500;
        settings.deadline_s.discard_candidate = 900;
        let queue = Queue::new(settings.clone()).unwrap();
        Self { queue, model: Model::new(settings), now: T0 }
    }

    fn apply(&mut self, (op, who, x): Op) {
        let class = Class::ALL[x as usize % 4];
        let id = id(who);
        match op {
            0..=4 => self.insert(who, x),
            5..=7 => {
                let next = self.queue.next(self.now).map(|next| (next.id, next.level));
                assert_eq!(next, self.model.next(self.now));
            }
            8 => {
                let next = self.queue.next_presumed().map(|next| (next.id, next.level));
                assert_eq!(next, self.model.next_presumed());
            }
            9 => {
                self.queue.begin_pass();
                self.model.bundles.iter_mut().for_each(|b| b.served = false);
            }
            10 => self.now += u64::from(x % 1_000_000),
            11 => {
                let over = u64::from(x % 400_000);
                let victims = self.queue.victims(over, 1 << 40, 1 << 40, class);
                let low = class >= Class::Routine;
                let over = over + if low { self.model.settings.reserve_bytes } else { 0 };
                assert_eq!(victims, self.model.victims(over, class));
            }
            12 => {
                let gone = self.queue.remove(&id).ok();
                let at = self.model.at(&id);
                assert_eq!(gone.map(|view| view.item.id), at.map(|_| id));
                if let Some(at) = at {
                    self.leave_link(at);
                    self.model.bundles.remove(at);
                }
            }
            _ => self.change(op, who, x, class),
        }
    }

    fn insert(&mut self, who: u32, x: u32) {
        let item = Item {
            id: id(who),
            class: Class::ALL[x as usize % 4],
            kind: Kind::ALL[x as usize / 4 % 6],
            created_unix_ms: self.now - u64::from(x % 3) * 1000,
            deadline_unix_ms: x.is_multiple_of(7).then(|| self.now + u64::from(x % 600_000)),
            bytes: 1 + u64::from(x % 100_000),
            source_symbols: 1 + x % 50,
            tasking: u16::try_from(x % 3).unwrap(),
        };
        let is_new = self.model.at(&item.id).is_none();
        assert_eq!(self.queue.insert(&item).is_ok(), is_new);
        if is_new {
            self.model.insert(item);
        }
    }

    /// What happens to one bundle.
    fn change(&mut self, op: u8, who: u32, x: u32, class: Class) {
        let id = id(who);
        let Some(at) = self.model.at(&id) else {
            assert!(self.queue.put_back(&id, 0).is_err());
            return;
        };
        let before = self.queue.get(&id).unwrap().standing;
        let on_link = self.queue.get(&id).unwrap().state == State::OnLink;
        let done = match op {
            13 | 14 => self.queue.put_back(&id, u64::from(x % 60)),
            15 | 16 => self.queue.presume(&id, u64::from(x % 60), PRESUMED[x as usize % 5]),
            17 => self.queue.known(&id),
            18 => self.queue.damaged(&id),
            19 => self.queue.wanted(&id),
            20 | 21 => self.queue.hold(&id, self.now),
            22 | 23 => self.queue.release(&id),
            24 | 25 => self.queue.promote(&id),
            26 => self.queue.demote(&id),
            27 => self.queue.retask(&id, u16::try_from(x % 4).unwrap()),
            _ => self.queue.reclass(&id, class),
        };
        let allowed = self.change_model(at, op, x, class);
        assert_eq!(done.is_ok(), allowed, "{op} {:?}", self.model.bundles[at]);
        let Ok(change) = done else { return };
        let after = self.queue.get(&id).unwrap();
        assert_eq!((change.standing, change.changed), (after.standing, after.standing != before));
        assert_eq!(change.withdraw, on_link && [17, 18, 20, 21].contains(&op));
    }

    fn change_model(&mut self, at: usize, op: u8, x: u32, class: Class) -> bool {
        let bundle = self.model.bundles[at].clone();
        match op {
            13 | 14 => self.settle(at, x % 60),
            15 | 16 => {
                self.settle(at, x % 60);
                self.model.change(at, |b| b.presumed = Some(PRESUMED[x as usize % 5]));
            }
            17 | 18 => {
                self.leave_link(at);
                self.model.change(at, |b| *(if op == 17 { &mut b.known } else { &mut b.damaged }) = true);
                self.model.change(at, |b| b.promoted = None);
            }
            19 if bundle.known || bundle.damaged => return false,
            19 => self.reopen(at),
            20 | 21 => {
                self.leave_link(at);
                self.model.change(at, |b| b.held = true);
            }
            22 | 23 => self.model.change(at, |b| b.held = false),
            24 | 25 => {
                if [State::Known, State::Held, State::Damaged].contains(&bundle.state()) {
                    return false;
                }
                if bundle.promoted.is_none() {
                    self.model.promotions += 1;
                    let order = self.model.promotions;
                    self.model.change(at, |b| b.promoted = Some(order));
                }
                self.reopen(at);
            }
            26 => self.model.change(at, |b| b.promoted = None),
            27 if x % 4 == 3 => return false,
            27 => self.recharge(at, bundle.item.class, u16::try_from(x % 4).unwrap()),
            _ => self.recharge(at, class, bundle.item.tasking),
        }
        true
    }

    fn leave_link(&mut self, at: usize) {
        let bundle = self.model.bundles[at].clone();
        if bundle.on_link.is_none() {
            return;
        }
        let cost = i128::from(bundle.cost());
        if bundle.presumed.is_none() {
            self.model.charge(&bundle.item, -cost);
        }
        self.model.credit(bundle.on_link, -cost);
        self.model.change(at, |b| b.on_link = None);
    }

    fn settle(&mut self, at: usize, sent: u32) {
        let bundle = self.model.bundles[at].clone();
        self.leave_link(at);
        if sent > bundle.sent {
            let bytes = i128::from(bundle.bytes_of(sent - bundle.sent));
            if bundle.presumed.is_none() {
                self.model.charge(&bundle.item, bytes);
            }
            self.model.credit(bundle.on_link, bytes);
            self.model.bundles[at].sent = sent;
        }
    }

    fn reopen(&mut self, at: usize) {
        let bundle = self.model.bundles[at].clone();
        if bundle.presumed.is_some() {
            self.model.change(at, |b| (b.presumed, b.served) = (None, false));
            if bundle.on_link.is_some() {
                let turn = Some(bundle.on_link.filter(|turn| *turn != Turn::LeftOver).unwrap_or(Turn::Plain));
                self.model.bundles[at].on_link = turn;
                self.model.charge(&bundle.item, i128::from(bundle.cost()));
            }
        }
    }

    fn recharge(&mut self, at: usize, class: Class, tasking: u16) {
        let before = self.model.bundles[at].clone();
        let mut item = Item { class, tasking, ..before.item };
        let own = item.deadline_unix_ms.is_some();
        let deadline =
            if own || class == before.item.class { before.deadline } else { self.model.deadline(&item) };
        self.model.change(at, |b| (b.item, b.deadline) = (item, deadline));
        if before.on_link.is_some() && before.presumed.is_none() {
            self.model.charge(&before.item, -i128::from(before.cost()));
            item = self.model.bundles[at].item;
            self.model.charge(&item, i128::from(before.cost()));
        }
    }

    fn compare(&self) {
        self.queue.invariants();
        assert_eq!(self.queue.len(), self.model.bundles.len());
        for bundle in &self.model.bundles {
            let view = self.queue.get(&bundle.item.id).unwrap();
            assert_eq!(view.state, bundle.state(), "{bundle:?}");
            assert_eq!(view.item, Item { deadline_unix_ms: Some(bundle.deadline), ..bundle.item });
            assert_eq!((view.standing.sent_symbols, view.standing.promoted), (bundle.sent, bundle.promoted));
        }
    }

    /// What is shown is what the model would do, and what happens.
    fn compare_order(&mut self) {
        let shown: Vec<_> = self.queue.upcoming(self.now).map(|next| (next.id, next.level)).collect();
        let mut model = self.model.clone();
        assert_eq!(shown, std::iter::from_fn(|| model.next(self.now)).collect::<Vec<_>>());
        let next = || self.queue.next(self.now).map(|next| (next.id, next.level));
        assert_eq!(shown, std::iter::from_fn(next).collect::<Vec<_>>());
        self.queue.invariants();
    }

    /// Made anew from standings, every bundle stands as it did.
    fn compare_restored(&self) {
        let stored = self.model.bundles.iter().map(|b| {
            let standing: Standing = self.queue.get(&b.item.id).unwrap().standing;
            // As the catalogue has it: the class it was made with.
            (Item { tasking: 0, ..b.item }, Some(standing))
        });
        let restored = Queue::restore(self.model.settings.clone(), stored).unwrap().0;
        restored.invariants();
        for view in self.queue.iter() {
            let state = if view.state == State::OnLink { view.standing.state } else { view.state };
            let again = restored.get(&view.item.id).unwrap();
            assert_eq!((again.item, again.state, again.standing), (view.item, state, view.standing));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_says_what_the_model_says(
        ops in proptest::collection::vec((0_u8..30, 0_u32..14, any::<u32>()), 1..70)
    ) {
        let mut pair = Pair::new();
        for op in ops {
            pair.apply(op);
            pair.compare();
        }
        pair.compare_restored();
        pair.compare_order();
    }
}
