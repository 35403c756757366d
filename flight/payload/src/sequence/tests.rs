use std::collections::BTreeMap;

use passband_proto::plan::compile;

use super::dry_run::{Assumed, Assumption, Assumptions, Effect, Effects, StepKind, dry_run};
use super::*;
use crate::telemetry::Severity;

/// When everything begins: 2026-12-01T10:00:00Z.
pub(super) const START: u64 = 1_796_119_200_000;

/// A dictionary whose orders are their words.
pub(super) struct Fake;

impl Orders for Fake {
    fn encode(&self, words: &str) -> Result<Vec<u8>, String> {
        Ok(words.as_bytes().to_vec())
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, String> {
        String::from_utf8(bytes.to_vec()).map_err(|e| e.to_string())
    }

    fn dictionary_digest(&self) -> [u8; 4] {
        *b"fake"
    }

    fn event(&self, name: &str) -> Option<u16> {
        name.strip_prefix("event-")?.parse().ok()
    }

    fn event_name(&self, event: u16) -> Option<String> {
        Some(format!("event-{event}"))
    }

    fn channel(&self, name: &str) -> Option<u16> {
        name.strip_prefix("channel-")?.parse().ok()
    }

    fn channel_name(&self, channel: u16) -> Option<String> {
        Some(format!("channel-{channel}"))
    }
}

pub(super) fn plan_of(text: &str) -> Plan {
    compile(text, "p", &Fake).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// A board: what it keeps over its crashes, and a sequencer.
struct Board {
    files: Vec<String>,
    store: BTreeMap<Key, Vec<u8>>,
    sequencer: Sequencer,
    now: Instants,
    /// Orders handed over since they were last looked at.
    runs: Vec<Run>,
    told: Vec<String>,
}

impl Board {
    fn new(plans: &[&str]) -> Self {
        let mut sequencer = Sequencer::new(&Fake);
        let files: Vec<String> = plans.iter().map(|plan| (*plan).to_owned()).collect();
        files.iter().for_each(|plan| sequencer.load(plan_of(plan)).unwrap());
        let now = Instants { steady_ms: 5_000, unix_ms: START, boot: 1 };
        Self { files, store: BTreeMap::new(), sequencer, now, runs: Vec::new(), told: Vec::new() }
    }

    fn start(plan: &str) -> Self {
        let mut board = Self::new(&[plan]);
        board.sequencer.start(board.now, "p", None).unwrap();
        board.poll();
        board
    }

    fn poll(&mut self) {
        for output in self.sequencer.poll(self.now) {
            match output {
                Output::Persist(Change::Put { key, value }) => {
                    self.store.insert(key, value);
                }
                Output::Persist(Change::Remove { first, last }) => {
                    self.store.retain(|key, _| !(first..=last).contains(key));
                }
                Output::Report(report) => self.told.push(format!("{}: {}", report.code, report.text)),
                Output::Run(run) => self.runs.push(run),
            }
        }
    }

    /// Goes on for so long, polling when it wants to be polled; the orders handed over, as `second words`.
    fn go(&mut self, ms: u64) -> Vec<String> {
        let end = self.now.steady_ms + ms;
        let mut given = Vec::new();
        loop {
            self.poll();
            for run in core::mem::take(&mut self.runs) {
                given.push(format!("{} {}", (self.now.steady_ms - 5_000) / 1_000, text(&run)));
                self.sequencer.on_result(self.now, run.number, Ok(()));
            }
            let next = self.sequencer.next_wake(self.now).unwrap_or(u64::MAX).min(end);
            if next >= end && self.now.steady_ms >= end {
                return given;
            }
            self.pass_time(next - self.now.steady_ms);
        }
    }

    fn pass_time(&mut self, ms: u64) {
        self.now.steady_ms += ms;
        self.now.unix_ms += ms;
    }

    /// The board is off for so long.
    fn reboot(&mut self, off_ms: u64) {
        self.now = Instants { steady_ms: 0, unix_ms: self.now.unix_ms + off_ms, boot: self.now.boot + 1 };
        self.recover();
    }

    fn recover(&mut self) {
        let stored = self.store.iter().map(|(key, value)| Stored { key: *key, value: value.clone() });
        let plans = self.files.iter().map(|text| {
            let plan = compile(text, "p", &Fake).map_err(|faults| faults[0].to_string());
            StoredPlan { name: plan.as_ref().map_or("lost".into(), |plan| plan.name.clone()), plan }
        });
        self.sequencer = Sequencer::recover(&Fake, self.now, plans.collect(), stored.collect(), 0);
        self.runs.clear();
        self.poll();
    }

    fn words(&mut self) -> Vec<String> {
        self.poll();
        core::mem::take(&mut self.runs).iter().map(text).collect()
    }

    fn status(&self, plan: &str) -> Option<Status> {
        self.sequencer.plans().into_iter().find(|row| row.name == plan)?.status
    }
}

fn text(run: &Run) -> String {
    String::from_utf8(run.order.clone()).unwrap()
}

fn plan(body: &str) -> String {
    format!("plan p\nversion 1\n{body}")
}

#[test]
fn entries_run_at_their_times_and_a_chain_repeats_as_one() {
    let mut board = Board::start(&plan(
        "a: at 2026-12-01T10:00:10Z every 30s times 2 do A\nb: after a +5s do B\nafter b do C\nafter 12s do D\n",
    ));
    assert_eq!(board.go(100_000), ["10 A", "12 D", "15 B", "15 C", "40 A", "45 B", "45 C"]);
    assert_eq!(board.status("p"), Some(Status::Done));
    assert_eq!(board.store.len(), 2, "numbers, and how it ended: {:?}", board.store.keys());
    assert_eq!(
        board.told,
        [
            "plan-started: plan p version 1 with 4 entries",
            "plan-done: plan p done: all its entries have ended"
        ]
    );
}

#[test]
fn the_wall_clock_may_jump() {
    let mut board = Board::start(&plan(
        "on late run within 1min else skip\nat 2026-12-01T10:01:00Z do A\nat 2026-12-01T10:30:00Z do B\n\
         at 2026-12-01T10:59:30Z do C\nat 2026-12-01T11:05:00Z do D\nafter 90s do R\n",
    ));
    assert_eq!(board.go(70_000), ["60 A"]);
    board.now.unix_ms = START + 3_600_000;
    assert_eq!(board.go(10_000), ["70 C"], "half a minute late; B is half an hour late");
    assert!(
        board.told.iter().any(|told| told == "plan-entry-late: plan p, entry 2: 30min late"),
        "{:?}",
        board.told
    );
    board.now.unix_ms = START;
    assert_eq!(board.go(3_600_000), ["90 R"], "nothing runs twice");
    assert_eq!(board.go(400_000), ["3980 D"]);
}

#[test]
fn a_clock_that_was_set_counts_no_time_over_a_reboot() {
    let mut board = Board::start(&plan("after 1h do A\nafter 3h do B\n"));
    board.pass_time(60_000);
    board.now.unix_ms += 56 * 365 * 86_400_000;
    assert_eq!(board.go(60_000), [""; 0]);
    board.reboot(60_000);
    assert_eq!(board.go(55 * 60_000), [""; 0], "58 minutes have gone");
    assert_eq!(board.go(5 * 60_000).len(), 1);
    board.now.unix_ms -= 20 * 365 * 86_400_000;
    assert_eq!(board.go(60_000), [""; 0]);
    board.reboot(60_000);
    assert_eq!(board.go(110 * 60_000), [""; 0]);
    assert_eq!(board.go(6 * 60_000).len(), 1);
}

#[test]
fn many_plans_of_one_entry_have_room_of_their_own() {
    let mut board = Board::new(&[]);
    let named =
        |name: &str, body: &str| compile(&format!("plan {name}\nversion 1\n{body}"), "p", &Fake).unwrap();
    let (one, two) = ("after 1h do A\n", "after 1h do A\nafter 2h do B\n");
    for (body, kind, most, running) in
        [(one, "one", MAX_SINGLE, MAX_SINGLE), (two, "two", MAX_PLANS, MAX_RUNNING)]
    {
        for n in 0..most {
            board.sequencer.load(named(&format!("{kind}-{n}"), body)).unwrap();
        }
        let refused = board.sequencer.load(named("more", body)).unwrap_err();
        assert_eq!(refused, SequenceError::TooManyPlans);
        board.sequencer.may_load(&named(&format!("{kind}-0"), body)).unwrap();
        let started =
            (0..most).filter(|n| board.sequencer.start(board.now, &format!("{kind}-{n}"), None).is_ok());
        assert_eq!(started.count(), running);
    }
}

#[test]
fn a_plan_may_end_when_one_of_its_entries_is_late_and_when_it_waits_in_vain() {
    let mut board = Board::start(&plan(
        "on late run within 1min else abort\nat 2026-12-01T10:30:00Z do A\nafter 2h do B\n",
    ));
    board.now.unix_ms += 1_861_000;
    assert_eq!(board.go(1_000), [""; 0]);
    assert_eq!(board.told.last().unwrap(), "plan-aborted: plan p aborted: by plan p, entry 1: 1min1s late");
    let wait = "after 1s do A\n    wait for pass any up to 1min else abort\nafter 2h do B\n";
    let mut board = Board::start(&plan(wait));
    assert_eq!((board.go(61_000), board.status("p")), (vec![], Some(Status::Aborted)));
    let mut board = Board::start(&plan(&format!("on reboot restart\n{wait}")));
    for _ in 0..8 {
        board.reboot(0);
        assert_eq!(board.status("p"), Some(Status::Running));
    }
    board.reboot(0);
    assert_eq!(board.status("p"), Some(Status::Aborted), "it may be what reboots the board");
}

#[test]
fn a_clock_that_was_wrong_at_the_start_hides_no_pass() {
    let mut board = Board::new(&[&plan("aos any do A\n")]);
    board.now.unix_ms = START + 86_400_000;
    board.sequencer.start(board.now, "p", None).unwrap();
    board.now.unix_ms = START;
    let pass = |s: u64| PassTimes {
        station: "s".into(),
        aos_unix_ms: START + s * 1_000,
        los_unix_ms: START + s * 2_000,
    };
    board.sequencer.set_passes(board.now, vec![pass(20)]);
    assert_eq!(board.go(30_000), ["20 A"]);
}

#[test]
fn repeats_that_are_too_late_are_passed_over_at_once() {
    let mut board = Board::start(&plan(
        "on late run within 10s else skip\na: at 2026-12-01T10:01:00Z every 10s times 60000 do A\nafter a do B\n",
    ));
    board.now.unix_ms += 60_000 + 10_000 * 59_998 + 1;
    assert_eq!(board.go(1_000), ["0 A", "0 B"]);
    let late = "plan-entry-late: plan p, entry 1 (a): 6d22h39min40s late, with 59997 repeats";
    assert_eq!(board.told[1], late);
    assert_eq!(board.go(20_000), ["9 A", "9 B"], "the last one");
    assert_eq!(board.status("p"), Some(Status::Done));
}

#[test]
fn a_pass_is_met_once_however_it_is_predicted_anew() {
    let mut board = Board::start(&plan(
        "every aos svalbard -30s do A\nlos any +10s do L\nafter 1s do W\n    wait for pass awarua up to 1h else abort\n",
    ));
    let pass = |station: &str, aos: u64, los: u64| PassTimes {
        station: station.into(),
        aos_unix_ms: START + aos * 1_000,
        los_unix_ms: START + los * 1_000,
    };
    let set =
        |board: &mut Board, passes: &[PassTimes]| board.sequencer.set_passes(board.now, passes.to_vec());
    set(&mut board, &[pass("svalbard", 100, 400), pass("awarua", 300, 350), pass("svalbard", 5_800, 6_000)]);
    assert_eq!(board.go(80_000), ["70 A"]);
    set(&mut board, &[pass("svalbard", 130, 420), pass("awarua", 305, 350), pass("svalbard", 5_820, 6_000)]);
    assert_eq!(board.go(1_000_000), ["305 W", "360 L"], "not the same pass again");
    assert_eq!(board.go(5_000_000), ["5790 A"]);
}

#[test]
fn events_and_channels_start_entries_and_end_waits() {
    let mut board = Board::start(&plan(
        "event event-1 at least warning do E\nevery when tlm channel-2 > 70 for 10s do T\nevent any do any\n\
         after 5s do W\n    wait for event event-9 up to 20s else skip\n",
    ));
    let tell = |board: &mut Board, event, severity| board.sequencer.on_event(board.now, event, severity);
    assert_eq!(board.sequencer.channels().collect::<Vec<_>>(), [2]);
    tell(&mut board, Some(1), Severity::Info);
    tell(&mut board, None, Severity::Critical);
    assert_eq!(board.words(), ["any"]);
    tell(&mut board, Some(1), Severity::Error);
    assert_eq!(board.words(), ["E"]);
    let mut given = Vec::new();
    for (second, value) in
        [(6, 71.0), (10, 69.0), (11, 80.0), (15, 75.0), (30, 75.0), (60, 70.0), (61, 71.0), (90, 71.0)]
    {
        given.extend(board.go(second * 1_000 - (board.now.steady_ms - 5_000)));
        board.sequencer.on_channel(board.now, 2, value);
    }
    assert_eq!(given, ["21 T", "71 T"], "held for 10 s, and false in between");
    assert!(board.told.iter().any(|told| told.ends_with("entry 4: waited in vain")), "{:?}", board.told);
}

#[test]
fn failures_are_tried_again_then_end_the_plan_if_it_says_so() {
    let mut board = Board::start(&plan(
        "a: after 1s do A\n    on failure retry 2 every 10s then abort\nafter a do B\nafter 1h do never\n",
    ));
    let mut numbers = Vec::new();
    for second in [1, 11, 21] {
        board.pass_time(second * 1_000 - (board.now.steady_ms - 5_000));
        board.poll();
        let run = board.runs.pop().unwrap();
        assert_eq!(usize::from(run.attempt), numbers.len());
        numbers.push(run.number);
        board.sequencer.on_result(board.now, run.number, Err("it is cold"));
    }
    assert_eq!(numbers, [1, 2, 3], "a number each");
    board.poll();
    assert_eq!(board.status("p"), Some(Status::Aborted));
    assert_eq!(board.sequencer.plans()[0].tally, Tally { done: 0, failed: 1, skipped: 0 });
    assert_eq!(
        board.told.last().unwrap(),
        "plan-aborted: plan p aborted: by plan p, entry 1 (a): it is cold"
    );
    assert_eq!(board.go(7_200_000), [""; 0]);
}

#[test]
fn a_window_that_is_over_and_an_order_without_an_answer() {
    let mut board = Board::start(&plan(
        "after 1s do A\n    wait for event event-1 up to 1h\n    not after +10s\na: after 2s do B\nafter a do C\n",
    ));
    assert_eq!(board.go(30_000), ["2 B", "2 C"]);
    board.sequencer.on_event(board.now, Some(1), Severity::Info);
    assert_eq!(board.go(1_000), [""; 0]);
    assert!(board.told.contains(&"plan-window-missed: plan p, entry 1: its time is over".to_owned()));
    let mut board = Board::start(&plan("a: after 2s do B\nafter a do C\n"));
    board.pass_time(2_000);
    assert_eq!(board.words(), ["B"]);
    board.pass_time(ANSWER_MS);
    assert_eq!(board.words(), ["C"], "it counts as failed, and the plan goes on");
}

#[test]
fn reboots_are_met_by_policy_and_spans_go_on_by_the_wall_clock() {
    let body = "after 10s do A\nafter 100s do B\nafter 200s do C\n";
    let mut board = Board::start(&plan(body));
    assert_eq!(board.go(20_000), ["10 A"]);
    board.reboot(100_000);
    assert_eq!(board.words(), ["B"], "due while the board was off");
    board.pass_time(79_999);
    assert_eq!(board.words(), [""; 0]);
    board.pass_time(1);
    assert_eq!(board.words(), ["C"]);
    for (policy, after, status) in
        [("abort", &[][..], Status::Aborted), ("restart", &["A", "B", "C"][..], Status::Running)]
    {
        let mut board = Board::start(&plan(&format!("on reboot {policy}\n{body}")));
        board.go(20_000);
        board.now.steady_ms += 1;
        board.recover();
        assert_eq!(board.status("p"), Some(Status::Running), "the program alone was started anew");
        board.reboot(1_000);
        assert_eq!(board.status("p"), Some(status));
        board.pass_time(200_000);
        assert_eq!(board.words(), after);
    }
    let mut lost = Board::start(&plan(body));
    lost.go(20_000);
    lost.now.unix_ms = 7_000;
    lost.reboot(0);
    lost.pass_time(89_999);
    assert_eq!(
        lost.words(),
        [""; 0],
        "a clock that was lost: the time off counts as nothing, since the last note"
    );
    lost.pass_time(10_001);
    assert_eq!(lost.words(), ["B"]);
}

#[test]
fn what_was_handed_over_is_handed_over_again_under_its_number() {
    let mut board = Board::start(&plan("a: after 1s do A\nafter a do B\n"));
    board.pass_time(1_000);
    board.poll();
    let first = board.runs.pop().unwrap();
    board.reboot(5_000);
    assert_eq!(core::mem::take(&mut board.runs), std::slice::from_ref(&first));
    board.sequencer.on_result(board.now, first.number, Ok(()));
    assert_eq!(board.words(), ["B"]);
    board.sequencer.on_result(board.now, first.number, Ok(()));
    assert_eq!(board.words(), [""; 0]);
}

#[test]
fn damage_ends_the_plan_that_it_belongs_to_and_no_other() {
    let damage: [fn(&mut Board); 4] = [
        |board| board.store.get_mut(&Key::entry(1, 0)).unwrap()[0] ^= 1,
        |board| board.store.get_mut(&Key::run(1)).unwrap()[0] ^= 1,
        |board| board.files[0] = plan("after 1s do other\n"),
        |board| board.files[0] = "plan p\nversion what\n".into(),
    ];
    for (number, damage) in damage.into_iter().enumerate() {
        let mut board =
            Board::new(&[&plan("after 1s do A\nafter 1h do B\n"), "plan q\nversion 1\nafter 1h do Q\n"]);
        for name in ["p", "q"] {
            board.sequencer.start(board.now, name, None).unwrap();
        }
        board.go(2_000);
        damage(&mut board);
        board.reboot(1_000);
        assert_ne!(board.status("p"), Some(Status::Running), "{number}");
        let told = |code: &str| board.told.iter().any(|told| told.starts_with(code));
        assert!(told("plan-aborted: plan p") || told("plan-record-damaged"), "{number}: {:?}", board.told);
        board.pass_time(3_600_000);
        assert_eq!(board.words(), ["Q"], "{number}");
    }
    let mut board = Board::start(&plan("after 1s do A\n"));
    board.pass_time(1_000);
    board.poll();
    board.store.get_mut(&Key::NUMBERS).unwrap()[0] ^= 1;
    board.reboot(0);
    assert_eq!(
        (board.runs[0].number, board.told.last().unwrap().starts_with("plan-record-damaged")),
        (1, true)
    );
}

#[test]
fn the_operator_holds_resumes_skips_and_cancels() {
    let mut board = Board::start(&plan(
        "a: after 10s do A\nb: after a +10s do B\nafter b do C\nat 2026-12-01T10:00:40Z do D\nafter 1h do E\n",
    ));
    let now = board.now;
    board.sequencer.skip(now, "p", "b").unwrap();
    assert_eq!(board.go(30_000), ["10 A", "20 C"]);
    board.sequencer.hold("p").unwrap();
    board.poll();
    board.recover();
    assert_eq!(board.go(60_000), [""; 0], "still held");
    assert!(board.sequencer.plans()[0].held && board.sequencer.agenda(board.now, 9, &Fake)[0].held);
    let now = board.now;
    board.sequencer.resume(now, "p").unwrap();
    assert_eq!(board.go(1_000), ["90 D"], "50 s late");
    let tally = Tally { done: 3, failed: 0, skipped: 1 };
    assert_eq!(board.sequencer.plans()[0].tally, tally);
    let error = |result: Result<(), SequenceError>| result.unwrap_err().to_string();
    assert_eq!(
        error(board.sequencer.skip(now, "p", "a")),
        "entry 1 of plan 'p' has ended, or its order was handed over"
    );
    assert_eq!(error(board.sequencer.skip(now, "p", "6")), "plan 'p' has no entry '6'");
    assert_eq!(error(board.sequencer.unload("p")), "plan 'p' runs; cancel it first");
    board.sequencer.cancel(now, "p").unwrap();
    assert_eq!((board.go(3_600_000), board.status("p")), (vec![], Some(Status::Cancelled)));
    board.recover();
    assert_eq!(board.sequencer.plans()[0].tally, tally, "also of one that has ended, over a reboot");
    assert_eq!(error(board.sequencer.cancel(now, "p")), "plan 'p' doesn't run");
    board.sequencer.load(compile(&plan("after 1s do A\n"), "p", &Fake).unwrap()).unwrap();
    let row = &board.sequencer.plans()[0];
    assert_eq!((row.status, row.tally), (None, Tally::default()), "another plan of that name hasn't run");
    board.sequencer.unload("p").unwrap();
    board.poll();
    assert_eq!(board.store.keys().collect::<Vec<_>>(), [&Key::NUMBERS]);
}

#[test]
fn plans_start_plans_four_deep_and_never_one_that_runs() {
    let chain: Vec<String> = ('a'..='e')
        .map(|name| {
            let next = char::from_u32(u32::from(name) + 1).unwrap();
            format!(
                "plan {name}\nversion 1\non failure abort\nx: after 1s start {next}\nafter x do done-{name}\n"
            )
        })
        .collect();
    let mut files: Vec<&str> = chain.iter().map(String::as_str).collect();
    let mut board = Board::new(&files);
    board.sequencer.start(board.now, "a", None).unwrap();
    board.go(3_500);
    assert_eq!(board.sequencer.plans().iter().filter(|row| row.status == Some(Status::Running)).count(), 4);
    board.go(1_000);
    let aborted = board.told.iter().filter(|told| told.starts_with("plan-aborted")).count();
    assert_eq!(aborted, 4, "the fifth is too deep, so each that had started one fails: {:?}", board.told);
    assert!(board.told.iter().any(|told| told.ends_with("plans may start plans 4 deep at most")));
    files[2] = "plan c\nversion 1\nafter 1s start a\non-second: after 2s do C\n";
    let mut board = Board::new(&files);
    board.sequencer.start(board.now, "a", None).unwrap();
    assert_eq!(board.go(10_000), ["4 C", "4 done-b", "4 done-a"]);
    assert!(board.told.iter().any(|told| told.contains("plan 'a' runs")), "a circle");
}

#[test]
fn a_plan_that_was_started_goes_on_over_reboots_with_the_one_that_started_it() {
    let files = [
        &plan("x: after 1s start q\nafter x do P\n"),
        "plan q\nversion 1\non reboot restart\nafter 10s do Q\n",
    ];
    let mut board = Board::new(&files);
    board.sequencer.start(board.now, "p", None).unwrap();
    board.go(5_000);
    board.reboot(1_000);
    board.pass_time(10_000);
    assert_eq!(board.words(), ["Q"], "it began anew");
    board.reboot(0);
    board.pass_time(10_000);
    board.poll();
    let number = board.runs.pop().unwrap().number;
    board.sequencer.on_result(board.now, number, Ok(()));
    assert_eq!(board.words(), ["P"]);
    let mut board = Board::new(&files);
    board.sequencer.start(board.now, "p", None).unwrap();
    board.go(5_000);
    let now = board.now;
    board.sequencer.cancel(now, "p").unwrap();
    assert_eq!(board.status("q"), Some(Status::Cancelled));
}

#[test]
fn a_plan_bomb_is_slowed_and_told_and_holds_nobody_else_up() {
    let bomb = format!("plan bomb\nversion 1\n{}", "after 1s do B\n".repeat(4_096));
    let mut board = Board::new(&[&bomb, &plan("after 2s every 1s times 20 do P\n")]);
    board.sequencer.start(board.now, "bomb", None).unwrap();
    board.sequencer.start(board.now, "p", None).unwrap();
    let begin = std::time::Instant::now();
    let given = board.go(20_500);
    let seconds: Vec<u64> = given
        .iter()
        .filter(|run| run.ends_with('P'))
        .map(|run| run.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(seconds, (2..=20).collect::<Vec<_>>(), "the other plan in its time");
    for second in 1..20 {
        let count = given.iter().filter(|run| run.starts_with(&format!("{second} "))).count();
        assert!(count <= MAX_PER_SECOND, "{count} in second {second}");
    }
    let slowed = board.told.iter().filter(|told| told.starts_with("plan-slowed: plan bomb: ")).count();
    assert_eq!(slowed, 1, "once a minute: {:?}", board.told);
    assert_eq!(board.go(420_000).len() + given.len(), 4_116);
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
}

#[test]
fn a_whole_plan_at_once_takes_many_short_polls() {
    // Nothing of it may run any more: its entries take none of the budget.
    let many = "at 2026-12-01T10:00:01Z do A\n    not after 2026-12-01T10:00:00Z\n".repeat(4_096);
    let mut board = Board::start(&plan(&many));
    board.pass_time(1_000);
    let mut polls = 0;
    while board.sequencer.next_wake(board.now).is_some_and(|at| at <= board.now.steady_ms) {
        let outputs = board.sequencer.poll(board.now).len();
        assert!(outputs <= MAX_STEPS + 4, "{outputs} in poll {polls}");
        polls += 1;
        assert!(polls < 100, "it doesn't get ahead");
    }
    assert_eq!(board.status("p"), Some(Status::Done));
    assert!(polls >= 16, "{polls}");
}

#[test]
fn the_agenda_shows_what_is_pending_in_the_order_of_time() {
    let mut board = Board::start(&plan(
        "a: after 1h do A\nafter a +5s do B\naos any do C\nat 2026-12-01T10:30:00Z every 1h times 3 do D\n\
         event event-3 do E\nafter 1s do F\n    wait for tlm channel-1 > 3 up to 1h\n",
    ));
    let pass =
        PassTimes { station: "svalbard".into(), aos_unix_ms: START + 60_000, los_unix_ms: START + 90_000 };
    board.sequencer.set_passes(board.now, vec![pass]);
    board.go(2_000);
    let rows = board.sequencer.agenda(board.now, 10, &Fake);
    let shown: Vec<String> = rows
        .iter()
        .map(|row| {
            let at = row.expected_unix_ms.map_or("-".to_owned(), |at| format!("{}", (at - START) / 1_000));
            format!("{at} {} {} | {} | {}", row.entry, row.state.name(), row.waits_for, row.what)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "60 3 pending | aos any | do C",
            "1800 4 pending | at 2026-12-01T10:30:00Z every 1h times 3 | do D",
            "3600 1 pending | after 1h | do A",
            "- 2 follows | after a +5s | do B",
            "- 5 pending | event event-3 | do E",
            "- 6 waiting | tlm channel-1 > 3 | do F",
        ]
    );
    assert_eq!(board.sequencer.agenda(board.now, 2, &Fake), rows[..2]);
    assert_eq!(board.sequencer.plans()[0].pending, 6);
}

/// Orders that take two seconds, and fail if they say so.
struct Guess;

impl Effects for Guess {
    fn run(&mut self, run: &Run) -> Effect {
        let done = !run.order.starts_with(b"fail");
        Effect { text: format!("{} would happen", text(run)), done, takes_ms: 2_000, rests: false }
    }
}

#[test]
fn a_dry_run_tells_what_would_happen_and_what_never_would() {
    let text = plan(
        "a: at 2026-12-01T10:01:00Z do A\nafter a do B\naos svalbard do C\nevent event-1 do D\n\
         when tlm channel-7 > 3 do fail E\nlos awarua do F\nafter 5min start q\n",
    );
    let plans = vec![plan_of(&text), plan_of("plan q\nversion 1\nafter 1s do Q\nevent event-9 do R\n")];
    let pass =
        PassTimes { station: "svalbard".into(), aos_unix_ms: START + 90_000, los_unix_ms: START + 99_000 };
    let at = |s: u64, what| Assumption { unix_ms: START + s * 1_000, what };
    let assumed = Assumptions {
        start_unix_ms: START,
        until_unix_ms: START + 3_600_000,
        passes: vec![pass],
        happens: vec![at(200, Assumed::Channel(7, 4.0)), at(100, Assumed::Event(1, Severity::Info))],
    };
    let forecast = dry_run(plans, "p", &Fake, &assumed, &mut Guess).unwrap();
    let orders: Vec<String> = forecast
        .steps
        .iter()
        .filter_map(|step| match &step.what {
            StepKind::Order(_, effect) => Some(format!("{} {}", (step.unix_ms - START) / 1_000, effect.text)),
            StepKind::Told(_) => None,
        })
        .collect();
    let expected =
        ["60 A", "62 B", "90 C", "100 D", "200 fail E", "301 Q"].map(|text| format!("{text} would happen"));
    assert_eq!(orders, expected);
    assert_eq!(forecast.never, [("p".to_owned(), 6), ("q".to_owned(), 2)]);
    let told = |code: &str| {
        forecast.steps.iter().any(|s| matches!(&s.what, StepKind::Told(r) if r.code.name() == code))
    };
    assert!(told("plan-entry-failed") && !forecast.cut);
}
