use passband_proto::alert::Position;
use proptest::prelude::*;

use super::*;
use crate::store::{FrameId, Superseder};

/// An alert that was made at 1,000,000 ms and never sent.
pub(super) fn alert(number: u32, probability_permille: u16) -> AlertRecord {
    AlertRecord {
        number,
        frame: FrameId([0; 12]),
        frame_name: format!("frame{number}"),
        created_unix_ms: 1_000_000,
        gas: "ch4".into(),
        probability_permille,
        peak_ppm_m: 100.0,
        position: None,
        evidence: None,
        sealed: vec![7],
        state: AlertState::Pending,
        sends: 0,
        age_ms: 0,
        noted_unix_ms: 1_000_000,
    }
}

fn rules(repeat_s: &[u64], per_minute: u32) -> config::Alerts {
    config::Alerts { repeat_s: repeat_s.to_vec(), per_minute, ..config::Alerts::default() }
}

/// Sends what can be sent now: the numbers. The wall clock is 1,000 s ahead of the steady one.
fn drain(schedule: &mut Schedule, now_ms: u64) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Some(message) = schedule.poll(now_ms) {
        schedule.sent(now_ms, 1_000_000 + now_ms, message.number).unwrap();
        numbers.push(message.number);
    }
    numbers
}

fn with(rules: &config::Alerts, alerts: &[AlertRecord]) -> Schedule {
    let mut schedule = Schedule::new(rules);
    schedule.resume(0, 1_000_000, alerts);
    schedule
}

#[test]
fn an_alert_goes_at_once_then_by_its_distances_until_it_is_given_up() {
    let rules = config::Alerts { stale_s: 100, ..rules(&[0, 10, 30], 60) };
    let mut s = with(&rules, &[alert(1, 990)]);
    let mut times = Vec::new();
    let mut now_ms = 0;
    while let Some(next) = s.next_ms(now_ms) {
        assert!(times.is_empty() || next > now_ms, "it gets ahead");
        now_ms = next;
        times.extend(drain(&mut s, now_ms).iter().map(|_| now_ms / 1000));
        let (unsent, sent) = s.expire(now_ms);
        assert!(unsent.is_empty() && (sent == [1]) == (now_ms == 100_000));
    }
    assert_eq!((times, now_ms), (vec![0, 10, 30, 50, 70, 90], 100_000));
}

#[test]
fn one_that_never_could_be_sent_is_stale() {
    let mut s = with(&config::Alerts { stale_s: 5, ..rules(&[0], 6) }, &[alert(1, 990)]);
    while s.next_ms(4_000).is_some_and(|next| next < 5_000) {
        assert!(s.poll(4_000).is_some(), "still tried");
        s.refused(4_000);
    }
    assert_eq!(s.expire(4_999), (vec![], vec![]));
    assert_eq!((s.expire(5_000), s.next_ms(5_000)), ((vec![1], vec![]), None));
}

#[test]
fn never_sent_first_then_least_often_then_the_surest_the_strongest_the_newest() {
    let mut s = with(&rules(&[0, 10], 60), &[alert(1, 985), alert(2, 990), alert(3, 985)]);
    s.add(0, 1_000_000, &AlertRecord { peak_ppm_m: 900.0, ..alert(4, 985) });
    assert_eq!(drain(&mut s, 0), [2, 4, 3, 1]);
    s.add(10_000, 1_010_000, &alert(5, 980));
    assert_eq!(drain(&mut s, 10_000), [5, 2], "one repeat at a time");
    assert_eq!([drain(&mut s, 11_500), drain(&mut s, 13_000)], [[4], [3]]);
}

#[test]
fn repeats_leave_room_for_what_was_never_sent() {
    let all: Vec<_> = (1..=5).map(|number| alert(number, 999)).collect();
    let mut s = with(&rules(&[0, 10], 6), &all);
    assert_eq!(drain(&mut s, 0).len(), 5);
    assert_eq!(drain(&mut s, 59_000), [0; 0], "five of six: no repeat");
    s.add(59_000, 1_059_000, &alert(6, 980));
    assert_eq!(drain(&mut s, 59_000), [6], "less sure than any of them, and not heard by anybody");
}

#[test]
fn a_refusal_keeps_everything_pending_and_is_tried_again() {
    let mut s = with(&rules(&[0, 10], 6), &[alert(1, 990)]);
    assert!(s.poll(0).is_some());
    s.refused(0);
    assert_eq!((s.poll(999), s.next_ms(0)), (None, Some(1_000)));
    assert_eq!(drain(&mut s, 1_000), [1]);
    assert_eq!(s.next_ms(1_000), Some(11_000), "the next distance begins there");
}

#[test]
fn a_newer_alert_of_the_site_ends_the_repeats_of_older_ones_once_it_was_sent() {
    let at = |lat_e7| Some(Position { lat_e7, lon_e7: 0 });
    let older = AlertRecord { position: at(0), ..alert(1, 999) };
    let mut s = with(&rules(&[0, 10], 60), &[older, AlertRecord { position: at(900_000), ..alert(2, 999) }]);
    assert_eq!(drain(&mut s, 0), [2, 1]);
    s.add(5_000, 1_005_000, &AlertRecord { position: at(10_000), ..alert(3, 980) });
    assert_eq!(s.pending().count(), 3, "not before it was sent");
    let message = s.poll(5_000).unwrap();
    let sent = s.sent(5_000, 1_005_000, message.number).unwrap();
    assert_eq!((sent.record.number, sent.superseded), (3, vec![1]));
    assert_eq!(s.pending().map(|alert| alert.number).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn it_does_as_the_store_says() {
    let mut s = with(&rules(&[0, 10], 60), &[alert(1, 990), alert(2, 990), alert(3, 990)]);
    drain(&mut s, 0);
    let superseded = AlertState::Superseded(Superseder::Operator);
    let evidence = Some(passband_proto::ids::BundleId([1; 12]));
    let kept = [
        AlertRecord { state: superseded, ..alert(1, 990) },
        AlertRecord { evidence, ..alert(3, 990) },
        alert(4, 990),
    ];
    s.follow(1_000, 1_001_000, &kept);
    let left: Vec<_> = s.pending().map(|a| (a.number, a.sends, a.evidence.is_some())).collect();
    assert_eq!(left, [(3, 1, true), (4, 0, false)], "what goes on goes on where it was");
    assert_eq!(s.sent(1_000, 1_001_000, 2), None);
}

/// What happens to the alert radio.
#[derive(Debug, Clone)]
enum Event {
    Alert {
        permille: u16,
        site: Option<u8>,
    },
    Acknowledge(u8),
    Wait {
        ms: u64,
    },
    Refuse {
        ms: u64,
    },
    Restart {
        off_ms: u64,
    },
    /// The wall clock is set, s.
    Set {
        by_s: i64,
    },
}

fn event(with_clock: bool) -> impl Strategy<Value = Event> {
    let alert = (980..1000_u16, prop::option::of(0..3_u8))
        .prop_map(|(permille, site)| Event::Alert { permille, site });
    let set = u32::from(with_clock);
    prop_oneof![
        6 => alert,
        1 => any::<u8>().prop_map(Event::Acknowledge),
        4 => (0..40_000_u64).prop_map(|ms| Event::Wait { ms }),
        1 => (0..5_000_u64).prop_map(|ms| Event::Refuse { ms }),
        1 => (0..90_000_u64).prop_map(|off_ms| Event::Restart { off_ms }),
        set => (-10_i64.pow(9)..10_i64.pow(9)).prop_map(|by_s| Event::Set { by_s }),
    ]
}

/// A board: what the daemon does with a schedule, over restarts, with a store that keeps what it should.
struct Board {
    rules: config::Alerts,
    schedule: Schedule,
    store: BTreeMap<u32, AlertRecord>,
    /// True time; the run began at `start_ms`.
    true_ms: u64,
    start_ms: u64,
    wall_ms: i64,
    refusing: bool,
    /// When what was sent, by true time.
    sent: Vec<(u64, u32)>,
}

impl Board {
    fn new(rules: config::Alerts) -> Self {
        let schedule = Schedule::new(&rules);
        let wall_ms = 1_700_000_000_000;
        let (store, sent) = (BTreeMap::new(), Vec::new());
        Self { rules, schedule, store, true_ms: 0, start_ms: 0, wall_ms, refusing: false, sent }
    }

    fn now_ms(&self) -> u64 {
        self.true_ms - self.start_ms
    }

    fn unix_ms(&self) -> u64 {
        u64::try_from(self.wall_ms + i64::try_from(self.true_ms).unwrap()).unwrap_or(0)
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Alert { permille, site } => {
                let number = u32::try_from(self.store.len()).unwrap() + 1;
                let position = site.map(|site| Position { lat_e7: i32::from(site) * 1_000_000, lon_e7: 0 });
                let (created_unix_ms, noted_unix_ms) = (self.unix_ms(), self.unix_ms());
                let record =
                    AlertRecord { created_unix_ms, position, noted_unix_ms, ..alert(number, *permille) };
                self.schedule.add(self.now_ms(), self.unix_ms(), &record);
                self.store.insert(number, record);
            }
            Event::Acknowledge(which) => {
                let number = u32::from(*which) % (u32::try_from(self.store.len()).unwrap() + 1);
                self.settle(&[number], AlertState::Acknowledged(crate::store::Acknowledger::Operator));
                self.schedule.forget([number]);
            }
            Event::Wait { ms } => self.run(*ms),
            Event::Refuse { ms } => {
                self.refusing = true;
                self.run(*ms);
                self.refusing = false;
            }
            Event::Restart { off_ms } => {
                self.true_ms += off_ms;
                self.start_ms = self.true_ms;
                self.schedule = Schedule::new(&self.rules);
                let all: Vec<_> = self.store.values().cloned().collect();
                self.schedule.resume(0, self.unix_ms(), &all);
            }
            Event::Set { by_s } => self.wall_ms += by_s * 1000,
        }
        self.work();
    }

    /// Lets time go by, as the daemon does: from one time at which there is something to do to the next.
    fn run(&mut self, ms: u64) {
        let end_ms = self.true_ms + ms;
        self.work();
        while let Some(next) = self.schedule.next_ms(self.now_ms())
            && self.start_ms + next <= end_ms
        {
            assert!(self.start_ms + next > self.true_ms, "it doesn't get ahead");
            self.true_ms = self.start_ms + next;
            self.work();
        }
        self.true_ms = end_ms;
    }

    fn work(&mut self) {
        let (unsent, sent) = self.schedule.expire(self.now_ms());
        self.settle(&unsent, AlertState::Stale);
        self.settle(&sent, AlertState::Through);
        while let Some(message) = self.schedule.poll(self.now_ms()) {
            if self.refusing {
                self.schedule.refused(self.now_ms());
                continue;
            }
            self.check_choice(message.number);
            self.sent.push((self.true_ms, message.number));
            let unix_ms = self.unix_ms();
            let sent = self.schedule.sent(self.now_ms(), unix_ms, message.number).unwrap();
            let state = AlertState::Superseded(Superseder::Alert(message.number));
            self.store.insert(message.number, sent.record);
            self.settle(&sent.superseded, state);
        }
    }

    fn settle(&mut self, numbers: &[u32], state: AlertState) {
        for number in numbers {
            if let Some(record) = self.store.get_mut(number).filter(|record| record.state.may_become(state)) {
                record.state = state;
            }
        }
    }

    /// What was never sent goes first, and of that the surest.
    fn check_choice(&self, number: u32) {
        let unsent = self.store.values().filter(|a| a.state == AlertState::Pending && a.sends == 0);
        if let Some(best) = unsent.max_by_key(|record| record.worth()) {
            assert_eq!(number, best.number, "{:?}", self.store.get(&number));
        }
    }

    fn check_budget(&self) {
        let most = usize::try_from(self.rules.per_minute).unwrap();
        for window in self.sent.windows(most + 1) {
            assert!(window[most].0 - window[0].0 >= 60_000, "{window:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_minute_keeps_to_the_budget_over_restarts_and_the_surest_unsent_is_always_next(
        events in prop::collection::vec(event(false), 1..120), per_minute in 1..12_u32,
    ) {
        let mut board = Board::new(config::Alerts { stale_s: 600, ..rules(&[0, 10, 30, 60], per_minute) });
        events.iter().for_each(|event| board.take(event));
        board.run(700_000);
        board.check_budget();
        prop_assert!(board.store.values().all(|record| record.state != AlertState::Pending), "all come to an end");
    }

    #[test]
    fn whatever_the_clock_does_every_alert_is_sent_or_told_of(
        events in prop::collection::vec(event(true), 1..120), per_minute in 1..12_u32,
    ) {
        let mut board = Board::new(rules(&[0, 10, 30, 60], per_minute));
        events.iter().for_each(|event| board.take(event));
        let pending = board.store.values().filter(|a| a.state == AlertState::Pending).count() as u64;
        board.run(60_000 * (pending + 2));
        let silenced = board.store.values().filter(|a| a.sends == 0 && a.state == AlertState::Pending);
        prop_assert_eq!(silenced.count(), 0, "every pending alert is sent");
        let stale = board.store.values().filter(|a| a.state == AlertState::Stale);
        prop_assert_eq!(stale.count(), 0, "no clock makes one too old that was never sent");
        let lost = board.store.values().filter(|a| a.sends == 0 && a.state == AlertState::Through);
        prop_assert_eq!(lost.count(), 0);
    }
}
