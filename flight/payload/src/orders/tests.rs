use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::desk::{Desk, Hands, Outcome};
use super::*;
use crate::adapters::catalogue::open_orders;
use crate::adapters::disk::Disk;
use crate::faults::SimDisk;
use crate::store::orders::{Change, Kind};

const STATE: &str = "/state";
const OPERATOR: Giver = Giver { source: 2, role: Source::Operator };
const OTHER: Giver = Giver { source: 3, role: Source::Recovery };

fn now(ms: u64) -> Moment {
    Moment { steady_ms: ms, unix_ms: 1_000_000 + ms, mode: Mode::Nominal, arm_ms: 60_000 }
}

/// Takes an order, and keeps what is to be kept.
fn take(ledger: &mut Ledger, ms: u64, giver: Giver, number: u32, step: Step, order: &Order) -> Taken {
    let taken = ledger.take(now(ms), giver, number, step, &order.encode());
    taken.keep.iter().for_each(|keep| ledger.apply(keep));
    taken
}

fn reason(taken: &Taken) -> Reason {
    taken.answer.as_ref().unwrap().1.reason
}

fn done(ledger: &mut Ledger, ms: u64, id: OrderId) {
    let keep = ledger.finished(now(ms), id, Reason::None, "").unwrap();
    ledger.apply(&keep);
}

#[test]
fn an_order_sent_ten_times_is_run_once_and_answered_each_time() {
    let mut ledger = Ledger::default();
    let mut runs = 0;
    for _ in 0..10 {
        let taken = take(&mut ledger, 5, OPERATOR, 7, Step::Run, &Order::Ping {});
        runs += u32::from(taken.run.is_some());
        let (id, _) = taken.answer.unwrap();
        if let Some(keep) = ledger.finished(now(6), id, Reason::None, "pong") {
            ledger.apply(&keep);
        }
    }
    assert_eq!((runs, ledger.counts().taken, ledger.counts().repeated), (1, 1, 9));
    let (id, record) = ledger.unseen().next().unwrap();
    assert_eq!((id.to_string(), record.stage, record.text.as_str()), ("2/7".to_owned(), Stage::Done, "pong"));
    assert_eq!(record.answer(*id).to_string(), "2/7 ping: done: pong");
}

#[test]
fn a_number_names_one_order() {
    let mut ledger = Ledger::default();
    take(&mut ledger, 1, OPERATOR, 7, Step::Run, &Order::Ping {});
    let other = take(&mut ledger, 2, OPERATOR, 7, Step::Run, &Order::PassStop {});
    assert!(reason(&other) == Reason::NumberTaken && other.run.is_none() && other.keep.is_empty());
    assert!(take(&mut ledger, 2, OTHER, 7, Step::Run, &Order::Ping {}).run.is_some(), "another's number 7");
}

#[test]
fn who_may_not_is_refused() {
    let mut ledger = Ledger::default();
    let science = Giver { source: 9, role: Source::Science };
    let taken = take(&mut ledger, 1, science, 1, Step::Run, &Order::PassStop {});
    assert_eq!(reason(&taken), Reason::NotAllowed);
    assert_eq!(
        taken.report.unwrap().text,
        "9/1 pass stop: not-allowed: pass stop may not be given by science"
    );
    let junk = ledger.take(now(1), science, 2, Step::Run, &[9, 9, 9]);
    assert_eq!(reason(&junk), Reason::Malformed);
}

#[test]
fn a_hazardous_order_takes_arming_then_firing_in_time() {
    let reboot = Order::BoardReboot {};
    let mut ledger = Ledger::default();
    assert_eq!(reason(&take(&mut ledger, 0, OPERATOR, 1, Step::Run, &reboot)), Reason::NotArmed);
    assert_eq!(reason(&take(&mut ledger, 0, OPERATOR, 2, Step::Fire, &reboot)), Reason::NotArmed);
    let armed = take(&mut ledger, 0, OPERATOR, 3, Step::Arm, &reboot);
    assert_eq!((armed.answer.unwrap().1.stage, armed.run), (Stage::Armed, None));
    assert!(take(&mut ledger, 60_000, OPERATOR, 4, Step::Fire, &reboot).run.is_some());
    assert_eq!(
        reason(&take(&mut ledger, 60_001, OPERATOR, 5, Step::Fire, &reboot)),
        Reason::NotArmed,
        "fired once"
    );
}

#[test]
fn arming_ends_by_time_and_by_any_other_order_of_its_giver() {
    let (reboot, restart) = (Order::BoardReboot {}, Order::DaemonRestart {});
    let mut ledger = Ledger::default();
    take(&mut ledger, 0, OPERATOR, 1, Step::Arm, &reboot);
    assert_eq!(reason(&take(&mut ledger, 60_001, OPERATOR, 2, Step::Fire, &reboot)), Reason::ArmedTooLongAgo);
    assert_eq!(reason(&take(&mut ledger, 60_002, OPERATOR, 3, Step::Fire, &reboot)), Reason::NotArmed);
    take(&mut ledger, 0, OPERATOR, 4, Step::Arm, &reboot);
    let ping = take(&mut ledger, 1, OPERATOR, 14, Step::Run, &Order::Ping {});
    assert_eq!(ping.report.unwrap().code, EventCode::OrderDisarmed);
    assert_eq!(reason(&take(&mut ledger, 2, OPERATOR, 5, Step::Fire, &reboot)), Reason::NotArmed);
    take(&mut ledger, 0, OPERATOR, 6, Step::Arm, &reboot);
    assert_eq!(reason(&take(&mut ledger, 1, OPERATOR, 7, Step::Fire, &restart)), Reason::OtherArmed);
    assert!(ledger.armed().is_empty(), "a slip disarms");
}

#[test]
fn nobody_keeps_another_from_arming_and_firing() {
    let (reboot, retire) = (Order::BoardReboot {}, Order::KeysRetire { spi: 9 });
    let (science, plan) = (
        Giver { source: 9, role: Source::Science },
        Giver { source: crate::sequence::SOURCE, role: Source::Plan },
    );
    for (order, firer) in [(&reboot, OPERATOR), (&retire, OTHER), (&reboot, OTHER)] {
        let mut ledger = Ledger::default();
        take(&mut ledger, 0, OPERATOR, 1, Step::Arm, order);
        for number in 1..=5 {
            take(&mut ledger, 1, science, number, Step::Run, &Order::Ping {});
            take(&mut ledger, 1, plan, number, Step::Run, &Order::Ping {});
            take(&mut ledger, 1, science, 10 + number, Step::Fire, order);
            take(&mut ledger, 1, science, 20 + number, Step::Arm, &Order::Ping {});
        }
        assert!(ledger.armed().contains(&OrderId { source: 2, number: 1 }), "{:?}", ledger.armed());
        assert!(take(&mut ledger, 2, firer, 100, Step::Fire, order).run.is_some(), "{order}");
        assert!(take(&mut ledger, 3, firer, 101, Step::Fire, order).run.is_none(), "once");
    }
}

#[test]
fn the_answers_to_orders_of_plans_wait_for_nobody() {
    let plan = Giver { source: crate::sequence::SOURCE, role: Source::Plan };
    let mut ledger = Ledger::default();
    let run = take(&mut ledger, 1, plan, 1, Step::Run, &Order::Ping {}).run.unwrap();
    done(&mut ledger, 2, run.id);
    assert_eq!(ledger.unseen().count(), 0);
}

#[test]
fn what_takes_two_keys_is_fired_by_another() {
    let retire = Order::KeysRetire { spi: 5 };
    let mut ledger = Ledger::default();
    take(&mut ledger, 0, OPERATOR, 1, Step::Arm, &retire);
    assert_eq!(reason(&take(&mut ledger, 1, OPERATOR, 2, Step::Fire, &retire)), Reason::SameKey);
    take(&mut ledger, 2, OPERATOR, 3, Step::Arm, &retire);
    assert!(take(&mut ledger, 3, OTHER, 1, Step::Fire, &retire).run.is_some());
}

#[test]
fn what_is_forgotten_is_never_done_again_and_answers_stay_until_seen() {
    let mut ledger = Ledger::default();
    let count = u32::try_from(MAX_KEPT).unwrap() + 50;
    for number in 1..=count {
        let taken = take(&mut ledger, 1, OPERATOR, number, Step::Run, &Order::Ping {});
        done(&mut ledger, 2, taken.run.unwrap().id);
    }
    assert_eq!(ledger.iter().count(), MAX_KEPT);
    assert_eq!(reason(&take(&mut ledger, 3, OPERATOR, 50, Step::Run, &Order::Ping {})), Reason::TooOld);
    assert!(take(&mut ledger, 3, OPERATOR, 51, Step::Run, &Order::Ping {}).run.is_none(), "known");
    for keep in ledger.seen(2, 60, 0b101) {
        ledger.apply(&keep);
    }
    let unseen: Vec<_> = ledger.unseen().map(|(id, _)| id.number).take(3).collect();
    assert_eq!(unseen, [61, 63, 64]);
    assert_eq!(ledger.next_number(2), count + 1);
}

#[test]
fn one_giver_can_t_crowd_out_another() {
    let mut ledger = Ledger::default();
    let start = Order::PassStart { seconds: 5, rate: 0 };
    let reasons: Vec<_> =
        (1..=20).map(|n| reason(&take(&mut ledger, 1, OPERATOR, n, Step::Run, &start))).collect();
    assert_eq!(reasons.iter().filter(|r| **r == Reason::Busy).count(), 20 - MAX_OPEN);
    assert!(take(&mut ledger, 1, OTHER, 1, Step::Run, &start).run.is_some());
}

/// Counts in the records how often each order took effect.
#[derive(Default)]
struct Counting {
    effects: BTreeMap<OrderId, u8>,
    next: Option<(OrderId, u8)>,
    told: usize,
}

impl Counting {
    fn open(desk: &Desk) -> Self {
        let notes = desk.store().records(Kind::Note).unwrap();
        let effects = notes.into_iter().map(|(key, value)| (postcard::from_bytes(&key).unwrap(), value[0]));
        Self { effects: effects.collect(), ..Self::default() }
    }
}

impl Hands for Counting {
    fn run(&mut self, _now: Moment, run: &Run) -> Outcome {
        let times = self.effects.get(&run.id).copied().unwrap_or_default() + 1;
        self.next = Some((run.id, times));
        let key = postcard::to_allocvec(&run.id).unwrap();
        Outcome::done("").with([Change { kind: Kind::Note, key, value: Some(vec![times]) }])
    }

    fn kept(&mut self, _now: Moment, _run: &Run) {
        self.effects.extend(self.next.take());
    }

    fn tell(&mut self, _report: Report) {
        self.told += 1;
    }
}

fn open(disk: &SimDisk) -> (Desk, Counting) {
    let mut desk = Desk::new(open_orders(disk, Path::new(STATE)).unwrap().store).unwrap();
    let mut hands = Counting::open(&desk);
    desk.resume(now(0), &mut hands).unwrap();
    (desk, hands)
}

/// Sends eight orders, each ten times in a row or all of them ten times over.
fn send_all(desk: &mut Desk, hands: &mut Counting) {
    for (round, number) in (0..10_u64).flat_map(|round| (1..=8).map(move |number| (round, number))) {
        let order =
            if number % 2 == 0 { Order::Ping {} } else { Order::PassStart { seconds: number, rate: 0 } };
        let answer = desk.take(now(round), OPERATOR, number, Step::Run, &order.encode(), hands);
        let (_, record) = answer.unwrap().unwrap();
        assert_eq!(record.stage, Stage::Done);
    }
}

#[test]
fn an_order_takes_effect_once_over_power_cuts_at_every_operation() {
    let disk = SimDisk::default();
    disk.make_folder(Path::new(STATE)).unwrap();
    disk.sync_folder(Path::new("/")).unwrap();
    let cuts: Arc<Mutex<Vec<SimDisk>>> = Arc::default();
    let (mut desk, mut hands) = open(&disk);
    let (seen, mut seed) = (Arc::clone(&cuts), 0);
    disk.watch(move |disk| {
        seed += 1;
        seen.lock().unwrap().push(disk.after_cut(seed));
    });
    send_all(&mut desk, &mut hands);
    disk.unwatch();
    let cuts = std::mem::take(&mut *cuts.lock().unwrap());
    assert!(cuts.len() > 50, "{}", cuts.len());
    for (n, cut) in cuts.iter().enumerate() {
        let (mut desk, mut hands) = open(cut);
        send_all(&mut desk, &mut hands);
        let effects = Counting::open(&desk).effects;
        assert!(effects.len() == 8 && effects.values().all(|times| *times == 1), "cut {n}: {effects:?}");
        assert_eq!(hands.effects, effects);
    }
}

#[test]
fn what_was_under_way_goes_on_and_says_that_it_may_have_begun() {
    struct Slow(Vec<(u32, bool)>);
    impl Hands for Slow {
        fn run(&mut self, _now: Moment, run: &Run) -> Outcome {
            self.0.push((run.id.number, run.resumed));
            Outcome::goes_on("at it")
        }
        fn kept(&mut self, _now: Moment, _run: &Run) {}
        fn tell(&mut self, _report: Report) {}
    }
    let disk = SimDisk::default();
    disk.make_folder(Path::new(STATE)).unwrap();
    let open = || Desk::new(open_orders(&disk, Path::new(STATE)).unwrap().store).unwrap();
    let (mut desk, mut hands) = (open(), Slow(Vec::new()));
    let script = Order::from_line("script run check").unwrap().encode();
    for number in [4, 3] {
        desk.take(now(u64::from(9 - number)), OPERATOR, number, Step::Run, &script, &mut hands).unwrap();
    }
    drop(desk);
    let mut desk = open();
    desk.resume(now(50), &mut hands).unwrap();
    assert_eq!(hands.0, [(4, false), (3, false), (4, true), (3, true)], "in the order of their taking");
    let id = OrderId { source: 2, number: 4 };
    desk.finish(now(60), id, Outcome::failed(Reason::TimedOut, "300 s"), &mut hands).unwrap();
    let record = desk.ledger().get(&id).unwrap();
    assert_eq!(
        (record.stage, record.reason, record.text.as_str()),
        (Stage::Failed, Reason::TimedOut, "300 s")
    );
    assert_eq!(desk.ledger().resume().len(), 1);
}

/// Says what it is asked to do, and never gets to an end.
#[derive(Default)]
struct Asked(Vec<String>);

impl Hands for Asked {
    fn run(&mut self, _now: Moment, run: &Run) -> Outcome {
        self.0.push(run.order.to_string());
        Outcome::goes_on("")
    }
    fn kept(&mut self, _now: Moment, _run: &Run) {}
    fn tell(&mut self, _report: Report) {}
}

#[test]
fn what_several_runs_ended_in_the_middle_of_is_given_up() {
    let disk = SimDisk::default();
    disk.make_folder(Path::new(STATE)).unwrap();
    let open = || Desk::new(open_orders(&disk, Path::new(STATE)).unwrap().store).unwrap();
    let mut hands = Asked::default();
    let script = Order::from_line("script run check").unwrap().encode();
    open().take(now(1), OPERATOR, 4, Step::Run, &script, &mut hands).unwrap();
    for start in 1..=6 {
        let mut desk = open();
        desk.resume(now(start), &mut hands).unwrap();
        let stage = desk.ledger().get(&OrderId { source: 2, number: 4 }).unwrap().stage;
        let given_up = start > u64::from(MAX_RESUMED);
        assert_eq!(stage, if given_up { Stage::Failed } else { Stage::Started }, "start {start}");
    }
    assert_eq!(hands.0.len(), 1 + usize::from(MAX_RESUMED));
}

#[test]
fn that_the_ground_has_answers_is_told_to_who_sends_them() {
    let disk = SimDisk::default();
    disk.make_folder(Path::new(STATE)).unwrap();
    let (mut desk, mut hands) = (open(&disk).0, Asked::default());
    let seen = Order::AnswersSeen { below: 9, bits: 0 };
    desk.take(now(1), OPERATOR, 0, Step::Run, &seen.encode(), &mut hands).unwrap();
    assert_eq!(hands.0, [seen.to_string()]);
    // A station asks for packets by itself under no number; an operator who asks is answered, once for each order.
    let ask = Order::from_line("tlm send housekeeping").unwrap().encode();
    assert!(desk.take(now(2), OPERATOR, 0, Step::Run, &ask, &mut hands).unwrap().is_none());
    for _ in 0..3 {
        let (_, record) = desk.take(now(3), OPERATOR, 5, Step::Run, &ask, &mut hands).unwrap().unwrap();
        assert_eq!(record.stage, Stage::Started, "such hands leave all under way");
    }
    assert_eq!(hands.0.len(), 3);
}
