//! Random plans on a board that is cut off at any output, has its program or itself started anew, and whose wall clock
//! jumps: each occurrence runs once, and none is lost that the plan's policy says should run.

use std::collections::{BTreeMap, BTreeSet};

use passband_proto::plan::{
    Action, Condition, Entry, Giving, Late, OnFailure, OnReboot, OnTimeout, Repeat, Trigger, Wait,
};
use proptest::prelude::*;

use super::tests::{Fake, START};
use super::*;

const DAY_MS: u64 = 86_400_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn small(&mut self, n: u64) -> u32 {
        u32::try_from(self.below(n)).unwrap()
    }
}

/// A plan in which nothing is ever too late, and all ends by itself.
fn random_plan(random: &mut Random) -> Plan {
    let count = 1 + u16::try_from(random.below(12)).unwrap();
    let entries = (0..count).map(|place| random_entry(random, place)).collect();
    let orders = (0..count).map(|place| place.to_be_bytes().to_vec()).collect();
    let plan = Plan {
        name: "p".into(),
        version: 1,
        dictionary: *b"fake",
        reboot: OnReboot::Continue,
        late: Late { within_ms: 30 * 86_400_000, otherwise: Giving::Abort },
        stations: vec![],
        plans: vec![],
        orders,
        entries,
    };
    plan.check().unwrap();
    plan
}

fn random_entry(random: &mut Random, place: u16) -> Entry {
    let trigger = match random.below(if place == 0 { 3 } else { 5 }) {
        0 => Trigger::At { unix_ms: START + random.below(600_000) },
        1 => Trigger::Start { after_ms: random.small(600_000) },
        2 => Trigger::When(Condition::Channel {
            channel: 1,
            compare: passband_proto::plan::Compare::More,
            value: 0.0,
            for_ms: random.small(3) * 5_000,
        }),
        _ => Trigger::Entry {
            entry: u16::try_from(random.below(u64::from(place))).unwrap(),
            after_ms: random.small(9_000),
        },
    };
    let repeat = match trigger {
        Trigger::At { .. } | Trigger::Start { .. } if random.one_in(2) => {
            Repeat::Every { every_ms: 1_000 + random.small(100_000), times: 2 + random.small(6) }
        }
        Trigger::When(_) if random.one_in(2) => Repeat::Each { times: Some(2 + random.small(3)) },
        _ => Repeat::Once,
    };
    let wait = random.one_in(4).then(|| Wait {
        condition: Condition::Event { event: Some(1), severity: passband_proto::plan::Severity::Info },
        up_to_ms: random.small(60_000),
        otherwise: OnTimeout::Run,
    });
    let failure = match random.below(3) {
        0 => OnFailure::Continue,
        _ => OnFailure::Retry { times: 2, every_ms: random.small(20_000), abort: false },
    };
    Entry {
        label: Some(format!("e{place}")),
        trigger,
        repeat,
        wait,
        failure,
        not_after: None,
        action: Action::Order(place),
    }
}

/// The board: what is durable, the ledger of orders, and the sequencer, which is lost with each crash.
struct Board {
    plan: Plan,
    store: BTreeMap<Key, Vec<u8>>,
    /// What came of each order's number.
    ledger: BTreeMap<u32, bool>,
    /// How often each try of each occurrence was run: entry, occurrence, attempt.
    tries: BTreeMap<(u16, u32, u8), u32>,
    /// Numbers whose answers are on their way.
    answers: Vec<u32>,
    sequencer: Sequencer,
    now: Instants,
    random: Random,
    crashes: u32,
}

impl Board {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let plan = random_plan(&mut random);
        let mut sequencer = Sequencer::new(&Fake);
        sequencer.load(plan.clone()).unwrap();
        let now = Instants { steady_ms: 77, unix_ms: START, boot: 1 };
        sequencer.start(now, "p", None).unwrap();
        let mut board = Self {
            plan,
            store: BTreeMap::new(),
            ledger: BTreeMap::new(),
            tries: BTreeMap::new(),
            answers: Vec::new(),
            sequencer,
            now,
            random,
            crashes: 0,
        };
        // The answer to the operator's order waits for this to be durable.
        for output in board.sequencer.poll(now) {
            board.carry_out(output);
        }
        board
    }

    /// A poll whose outputs are carried out, or are lost from some place on.
    fn poll(&mut self, crashes: bool) {
        let outputs = self.sequencer.poll(self.now);
        if !crashes || !self.random.one_in(6) || outputs.is_empty() {
            outputs.into_iter().for_each(|output| self.carry_out(output));
            return;
        }
        // Changes are durable together or not at all.
        let changes = outputs.iter().filter(|output| matches!(output, Output::Persist(_))).count();
        let kept = usize::try_from(self.random.below(outputs.len() as u64 + 1)).unwrap();
        let kept = if kept < changes { 0 } else { kept };
        outputs.into_iter().take(kept).for_each(|output| self.carry_out(output));
        self.crash();
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Persist(Change::Put { key, value }) => {
                assert!(value.len() <= 90, "{key:?}: {} bytes", value.len());
                self.store.insert(key, value);
            }
            Output::Persist(Change::Remove { first, last }) => {
                self.store.retain(|key, _| !(first..=last).contains(key));
            }
            Output::Report(report) => {
                assert!(
                    ["plan-started", "plan-done", "plan-entry-failed"].contains(&report.code.name()),
                    "{report:?}"
                );
            }
            Output::Run(run) => self.run(&run),
        }
    }

    /// The ledger: runs a number once, and tells again what came of it.
    fn run(&mut self, run: &Run) {
        assert_eq!(run.order, (run.entry - 1).to_be_bytes());
        self.ledger.entry(run.number).or_insert_with(|| {
            *self.tries.entry((run.entry, run.occurrence, run.attempt)).or_insert(0) += 1;
            !(u32::from(run.entry) + run.occurrence + u32::from(run.attempt)).is_multiple_of(3)
        });
        self.answers.push(run.number);
    }

    /// The ledger's answers, each a while later.
    fn answer(&mut self) {
        for number in core::mem::take(&mut self.answers) {
            if self.random.one_in(3) {
                self.answers.push(number);
                continue;
            }
            let done = self.ledger.get(&number).is_some_and(|done| *done);
            self.sequencer.on_result(self.now, number, if done { Ok(()) } else { Err("it was so decided") });
        }
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.answers.clear();
        if self.random.one_in(2) {
            let off_ms = self.random.below(100_000);
            self.now = Instants { steady_ms: 3, unix_ms: self.now.unix_ms + off_ms, boot: self.now.boot + 1 };
        }
        let stored =
            self.store.iter().map(|(key, value)| Stored { key: *key, value: value.clone() }).collect();
        let plans = vec![StoredPlan { name: "p".into(), plan: Ok(self.plan.clone()) }];
        self.sequencer = Sequencer::recover(&Fake, self.now, plans, stored, 0);
    }

    fn is_running(&self) -> bool {
        self.sequencer.plans()[0].status == Some(Status::Running)
    }

    fn step(&mut self, crashes: bool) {
        if crashes && self.random.one_in(20) {
            let jump = self.random.below(2 * DAY_MS);
            self.now.unix_ms = START - DAY_MS + jump;
        }
        let value = if self.random.one_in(3) { -1.0 } else { 1.0 };
        self.sequencer.on_channel(self.now, 1, value);
        if self.random.one_in(9) {
            self.sequencer.on_event(self.now, Some(1), crate::telemetry::Severity::Info);
        }
        self.poll(crashes);
        self.answer();
        let next = self.sequencer.next_wake(self.now).unwrap_or(u64::MAX).max(self.now.steady_ms + 1);
        let ahead = (next - self.now.steady_ms).min(1 + self.random.below(30_000));
        self.now.steady_ms += ahead;
        self.now.unix_ms += ahead;
    }
}

/// Every entry's occurrences, as often as the first of its chain repeats.
fn expected(plan: &Plan) -> BTreeSet<(u16, u32)> {
    let mut times: Vec<u32> = Vec::new();
    for entry in &plan.entries {
        times.push(match entry.trigger {
            Trigger::Entry { entry: before, .. } => times[usize::from(before)],
            _ => entry.repeat.times().unwrap(),
        });
    }
    (1_u16..).zip(times).flat_map(|(entry, times)| (1..=times).map(move |time| (entry, time))).collect()
}

/// A board whose plan has run to its end.
fn live(seed: u64) -> Board {
    let mut board = Board::new(seed);
    let mut steps = 0;
    while board.is_running() {
        board.step(board.crashes < 60);
        steps += 1;
        assert!(steps < 40_000, "it doesn't end: {:#?}", board.sequencer.agenda(board.now, 99, &Fake));
    }
    board
}

/// A model that meets nothing proves nothing.
#[test]
fn the_boards_crash_and_are_started_anew_and_try_again() {
    let boards: Vec<Board> = (0..120).map(live).collect();
    let crashes: u32 = boards.iter().map(|board| board.crashes).sum();
    let boots: u32 = boards.iter().map(|board| board.now.boot - 1).sum();
    let again = boards.iter().flat_map(|board| board.tries.keys()).filter(|key| key.2 > 0).count();
    println!("{crashes} crashes, {boots} of them of the whole board; {again} tries after the first");
    assert!(crashes > 600 && boots > 300 && again > 100, "{crashes}, {boots}, {again}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_occurrence_runs_once_over_crashes_reboots_and_jumps(seed in any::<u64>()) {
        let board = live(seed);
        prop_assert!(board.tries.values().all(|count| *count == 1), "a try twice: {:?}", board.tries);
        let ran: BTreeSet<(u16, u32)> = board.tries.keys().map(|(entry, time, _)| (*entry, *time)).collect();
        prop_assert_eq!(&ran, &expected(&board.plan));
        for (entry, time) in ran {
            let tries: Vec<u8> =
                board.tries.keys().filter(|key| (key.0, key.1) == (entry, time)).map(|key| key.2).collect();
            let most = match board.plan.entries[usize::from(entry) - 1].failure {
                OnFailure::Retry { times, .. } => usize::from(times) + 1,
                _ => 1,
            };
            prop_assert!(tries.len() <= most && (0..).zip(&tries).all(|(n, attempt)| n == *attempt), "{:?}", tries);
            // Nothing is tried again that was done.
            let done = |attempt: u8| !(u32::from(entry) + time + u32::from(attempt)).is_multiple_of(3);
            prop_assert!(tries.iter().rev().skip(1).all(|attempt| !done(*attempt)));
        }
    }
}
