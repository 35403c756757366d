use super::*;
use crate::digest::{Beyond, Coming, Pending, Progress, Running, ScriptRun, Since, Trouble, Uploading};
use crate::passes::Source;
use crate::telemetry::{ByClass, SCHEMA, TransmitterStatus};
use passband_proto::dict::{ResetCause, ScriptEnd, UploadKind};
use passband_proto::ids::Class;
use proptest::prelude::*;

const NOW: u64 = 1_795_749_214_594;
const ALL: u64 = u64::MAX;

fn quiet() -> Facts {
    Facts {
        schema: SCHEMA,
        now_unix_ms: NOW,
        spacecraft: 7,
        running: Running {
            version: "0.1.0 (0123456789ab)".into(),
            slot: Some("a".into()),
            uptime_s: 90_000,
            boot_count: 12,
            reset_cause: ResetCause::PowerCut,
            mode: Mode::Nominal,
            shed: Shed::Nothing,
            binary_sha256: Some("0123456789abcdef".repeat(4)),
            configuration_sha256: None,
            dictionary_sha256: "ab".repeat(32),
            parameters_sha256: None,
        },
        transmitter: TransmitterStatus {
            mode: "plan".into(),
            open: false,
            since_unix_ms: None,
            ms_left: None,
            rate_bps: 40_000_000,
        },
        passes: vec![pass(NOW + 61_000, "Svalbard")],
        wrong: Wrong {
            events: vec![],
            events_more: 0,
            channels: vec![],
            disk: Disk::Good,
            in_memory: false,
            parameters: ParametersState::Confirmed,
            trial_left_s: None,
            keys_retired: vec![],
            counters_lost: vec![],
            others: vec![],
        },
        since: Since { los_unix_ms: Some(NOW - 5_400_000), ..Since::default() },
        queue: vec![ClassQueue {
            class: Class::Routine,
            waiting: 3,
            waiting_bytes: 42_000_000,
            on_link: 1,
            on_link_bytes: 14_000_000,
            down_unix_ms: Some(NOW + 400_000),
        }],
        coming: Coming { uploads: vec![], update: UpdateState::Idle, update_text: None, agenda: vec![] },
    }
}

fn pass(aos_unix_ms: u64, station: &str) -> Pass {
    Pass {
        aos_unix_ms,
        los_unix_ms: aos_unix_ms + 500_000,
        station: station.into(),
        rate_bps: None,
        max_elevation_deg: Some(60.0),
        source: Source::Predicted,
        stale: false,
    }
}

/// All there can be, of the greatest numbers and longest texts, and `n` of whatever there are several of.
fn worst(text: &str, n: u16) -> Facts {
    let mut facts = quiet();
    facts.running.mode = Mode::Safe;
    facts.running.shed = Shed::Triage;
    facts.running.version = text.into();
    facts.running.slot = Some(text.into());
    facts.running.parameters_sha256 = Some(text.into());
    (facts.running.uptime_s, facts.running.boot_count) = (ALL, ALL);
    facts.transmitter.open = true;
    facts.transmitter.ms_left = Some(ALL);
    facts.passes = vec![pass(NOW - 1, text)];
    facts.wrong = worst_wrong(text, n);
    facts.since = worst_since(text, n);
    let queue = |class: &Class| ClassQueue {
        class: *class,
        waiting: ALL,
        waiting_bytes: ALL,
        on_link: ALL,
        on_link_bytes: ALL,
        down_unix_ms: None,
    };
    facts.queue = Class::ALL.iter().map(queue).collect();
    let upload = || Uploading {
        kind: UploadKind::ALL[0],
        name: text.into(),
        id: text.into(),
        pieces: u32::MAX,
        missing: 1,
    };
    let pending = || Pending { unix_ms: None, waits_for: text.into(), plan: text.into(), order: text.into() };
    facts.coming = Coming {
        uploads: (0..n).map(|_| upload()).collect(),
        update: UpdateState::Trial,
        update_text: Some(text.into()),
        agenda: (0..n).map(|_| pending()).collect(),
    };
    facts
}

fn worst_wrong(text: &str, n: u16) -> Wrong {
    let trouble = |(i, severity): (u16, &Severity)| Trouble {
        severity: *severity,
        code: text.into(),
        count: ALL,
        last_seq: ALL,
        last_unix_ms: NOW + u64::from(i),
        text: text.into(),
    };
    let beyond = |i: u16| Beyond {
        channel: text.into(),
        level: if i.is_multiple_of(2) { Level::Red } else { Level::Yellow },
        value: f64::MAX,
        unit: text.into(),
    };
    Wrong {
        events: (0..n).zip(Severity::ALL.iter().cycle()).map(trouble).collect(),
        events_more: ALL - u64::from(n),
        channels: (0..n).map(beyond).collect(),
        disk: Disk::ReadOnly,
        in_memory: true,
        parameters: ParametersState::OnTrial,
        trial_left_s: Some(ALL),
        keys_retired: (0..n).collect(),
        counters_lost: (60_000..60_000 + n).collect(),
        others: (0..n).map(|_| text.into()).collect(),
    }
}

fn worst_since(text: &str, n: u16) -> Since {
    let run = |_| ScriptRun {
        name: text.into(),
        unix_ms: ALL,
        end: ScriptEnd::NotStarted,
        status: 255,
        first_line: text.into(),
    };
    Since {
        los_unix_ms: Some(0),
        progress: Progress {
            frames: ByClass { alert: ALL, suspect: ALL, routine: ALL, discard_candidate: ALL },
            frames_rejected: ALL,
            datagrams_sent: ALL,
            bytes_sent: ALL,
            plan_entries_done: ALL,
            plan_entries_failed: ALL,
        },
        alerts_sent: ALL,
        alerts_heard: ALL,
        alerts_pending: ALL,
        orders_done: ALL,
        orders_refused: ALL,
        orders_failed: ALL,
        restarts: ALL,
        scripts: (0..n).map(run).collect(),
    }
}

fn fits(text: &str) {
    assert!(text.len() <= MAX_SCREEN_BYTES, "{} bytes:\n{text}", text.len());
    assert!(text.lines().count() <= MAX_SCREEN_LINES, "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= COLUMNS, "{line}");
    }
}

#[test]
fn a_quiet_satellite_is_told_in_a_few_lines() {
    let text = screen(&quiet(), NOW);
    fits(&text);
    let expected = "\
passband 0.1.0 (0123456789ab)  spacecraft 7  2026-11-27T03:13:34Z
PASS   AOS of Svalbard in 1 min 1 s for 8 min 20 s; transmitter closed
GOOD   nothing is wrong
SINCE  LOS 2026-11-27T01:43:34Z (1 h 30 min ago): 0 starts, sent 0 B
  frames 0 alert, 0 suspect, 0 routine, 0 discard, 0 rejected
  alerts 0 sent, 0 heard, 0 pending; orders 0 done, 0 refused, 0 failed
QUEUE  4 bundles, 56.0 MB
  routine                 4   56.0 MB  down 2026-11-27T03:20:14Z
COMING 0 uploads, 0 orders on the agenda; update idle
RUNS   nominal, start 12 (power-cut), slot a, up 1 d 1 h
  binary 01234567  config -  dictionary abababab  parameters -
";
    assert_eq!(text, expected);
}

#[test]
fn what_is_wrong_stands_above_the_rest_the_worst_first() {
    let mut facts = quiet();
    facts.wrong.disk = Disk::Full;
    facts.wrong.parameters = ParametersState::OnTrial;
    facts.wrong.trial_left_s = Some(240);
    facts.wrong.keys_retired = vec![3];
    facts.wrong.channels =
        vec![Beyond { channel: "power".into(), level: Level::Red, value: 31.25, unit: "W".into() }];
    facts.wrong.events = vec![Trouble {
        severity: Severity::Error,
        code: "disk-full".into(),
        count: 3,
        last_seq: 4711,
        last_unix_ms: NOW,
        text: "there is no space".into(),
    }];
    let text = screen(&facts, NOW);
    fits(&text);
    let wrong: Vec<&str> = text.lines().skip(2).take(3).collect();
    assert_eq!(
        wrong,
        [
            "WRONG  disk full; parameters on trial, 4 min 0 s left; keys retired: 3; 1 red; e",
            "  red power 31.2 W",
            "  error disk-full x3 #4711 03:13 there is no space",
        ]
    );
}

#[test]
fn times_run_on_where_the_facts_were_saved() {
    let mut facts = quiet();
    facts.passes.push(pass(NOW + 5_400_000, "Inuvik"));
    let later = screen(&facts, NOW + 600_000);
    assert!(later.contains("PASS   AOS of Inuvik in 1 h 20 min"), "{later}");
    let none = screen(&facts, NOW + 10_000_000);
    assert!(none.contains("PASS   none planned"), "{none}");
    facts.running.mode = Mode::Safe;
    assert!(screen(&facts, NOW + 10_000_000).contains("PASS   not known in safe mode"));
}

#[test]
fn the_worst_there_is_fits_and_says_what_matters() {
    let wide = "\u{1F6F0}".repeat(200);
    for text in
        ["", "x", "a name that is long enough to fill any line and more, for it goes on and on and on", &wide]
    {
        for n in [0, 1, 16] {
            let facts = worst(text, n);
            let shown = screen(&facts, NOW);
            fits(&shown);
            for must in [
                "PASS",
                "WRONG  SAFE MODE; disk read-only; catalogue in memory",
                "SINCE",
                "QUEUE",
                "COMING",
                "RUNS",
            ] {
                assert!(shown.contains(must), "{must}:\n{shown}");
            }
            let json = serde_json::to_string(&facts).unwrap();
            assert_eq!(serde_json::from_str::<Facts>(&json).unwrap(), facts);
        }
    }
}

proptest! {
    #[test]
    fn any_text_and_number_fits(text in "\\PC{0,120}|[\\x00-\\x20]{0,90}", n in 0_u16..16, ahead in any::<u64>()) {
        fits(&screen(&worst(&text, n), ahead));
    }
}
