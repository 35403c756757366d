//! The rules of staging, trial and roll-back, and a model of them.

use passband_proto::dict::{PARAMETERS, Packet, ParameterId as Id};
use proptest::prelude::*;
use std::path::Path;

use super::*;

const HOUR_MS: u64 = 3_600_000;

fn at(steady_ms: u64) -> Now {
    Now { steady_ms, unix_ms: 1_800_000_000_000 + steady_ms }
}

fn by(number: u32) -> OrderId {
    OrderId { source: 7, number }
}

fn new() -> Parameters {
    Parameters::new(Config::default())
}

/// As after a restart: the steady clock begins anew.
fn restarted(parameters: &Parameters) -> Parameters {
    Parameters::restore(Config::default(), &parameters.record()).unwrap()
}

/// With version 1 confirmed (beacon 40) and version 2 on trial for an hour from 0 (beacon 50).
fn on_trial() -> Parameters {
    let mut p = new();
    p.stage(Id::BeaconEvery, "40", by(1), at(0)).unwrap();
    p.commit(3_600, by(2), at(0)).unwrap();
    p.confirm(by(3), at(0)).unwrap();
    p.stage(Id::BeaconEvery, "50", by(4), at(0)).unwrap();
    assert_eq!(p.commit(3_600, by(5), at(0)), Ok(Done::Committed { version: 2, restart: false }));
    p
}

fn beacon(p: &Parameters) -> (u32, u32) {
    (p.live().telemetry.beacon_s, p.version())
}

#[test]
fn what_is_staged_counts_once_it_is_committed_and_stays_once_it_is_confirmed() {
    let mut p = new();
    let none = p.digest();
    p.stage(Id::BeaconEvery, "0x10", by(1), at(0)).unwrap();
    p.stage(Id::Wind, "3.50", by(2), at(0)).unwrap();
    assert_eq!((beacon(&p), p.digest()), ((30, 0), none));
    assert_eq!(p.commit(60, by(3), at(0)), Ok(Done::Committed { version: 1, restart: true }));
    assert_eq!((beacon(&p), p.config().triage.params.wind_m_s), ((16, 1), 3.5));
    assert_eq!((p.state(), p.time_left_ms(at(10))), (ParametersState::OnTrial, Some(59_990)));
    assert_eq!(p.confirm(by(4), at(59_999)), Ok(Done::Confirmed { version: 1 }));
    assert_eq!((p.poll(at(60_000)), p.state()), (None, ParametersState::Confirmed));
    p.stage(Id::BeaconEvery, "default", by(5), at(0)).unwrap();
    p.stage(Id::Wind, "default", by(6), at(0)).unwrap();
    p.commit(60, by(7), at(0)).unwrap();
    assert_eq!((beacon(&p), p.digest()), ((30, 2), none));
    assert_eq!(p.list().iter().find(|row| row.name == "telemetry.beacon").unwrap().change.unwrap().by, by(5));
}

#[test]
fn what_is_refused_says_why_and_changes_nothing() {
    let mut p = on_trial();
    let (before, revision) = (p.record(), p.revision());
    let says = |refused: Result<Done, Refused>| refused.unwrap_err().to_string();
    assert_eq!(says(p.discard(by(90))), "nothing is staged");
    assert_eq!(says(p.commit(60, by(90), at(0))), "nothing is staged");
    assert_eq!(
        says(p.stage(Id::BeaconEvery, "86401", by(90), at(0))),
        "telemetry.beacon: a whole number from 0 to 86400 s is wanted"
    );
    let long = "3e38,3e38,3e38,3e38";
    assert!(says(p.stage(Id::PowerLimits, long, by(90), at(0))).contains("more than 64 bytes"));
    assert_eq!(
        says(p.confirm(by(90), at(HOUR_MS))),
        "the time to confirm is over: the parameters before are put back"
    );
    assert_eq!((p.record(), p.revision()), (before, revision));
    let mut p = new();
    assert_eq!(says(p.confirm(by(90), at(0))), "no parameters are on trial");
    assert_eq!(says(p.rollback(by(90))), "no parameters are on trial");
    p.stage(Id::TransmitBy, "plan", by(1), at(0)).unwrap();
    assert!(says(p.commit(59, by(90), at(0))).contains("59 s is out of range: must be 60 to 604800"));
    assert!(
        says(p.commit(60, by(90), at(0)))
            .starts_with("downlink.transmit can't be put in force: downlink.transmit")
    );
    p.discard(by(2)).unwrap();
    assert_eq!(p.state.staged, Set::default());
}

#[test]
fn a_trial_ends_at_its_deadline_and_versions_go_on_rising() {
    let mut p = on_trial();
    assert_eq!((p.poll(at(HOUR_MS - 1)), beacon(&p)), (None, (50, 2)));
    let back = p.poll(at(HOUR_MS)).unwrap();
    assert_eq!(back, RolledBack { from: 2, to: 1, why: Why::Deadline, restart: false });
    assert_eq!((beacon(&p), p.poll(at(2 * HOUR_MS))), ((40, 1), None));
    p.stage(Id::Wind, "1", by(9), at(0)).unwrap();
    assert_eq!(p.commit(60, by(10), at(0)), Ok(Done::Committed { version: 3, restart: true }));
    p.stage(Id::BeaconEvery, "70", by(11), at(0)).unwrap();
    p.commit(60, by(12), at(0)).unwrap();
    assert_eq!(
        p.rollback(by(13)),
        Ok(Done::RolledBack { version: 1, restart: true }),
        "what was confirmed last"
    );
}

#[test]
fn the_wall_clock_of_a_run_neither_ends_nor_prolongs_its_trial() {
    let mut p = on_trial();
    for unix_ms in [0, u64::MAX, 1_800_000_000_000] {
        assert_eq!(p.poll(Now { steady_ms: HOUR_MS - 1, unix_ms }), None);
    }
    assert!(p.poll(Now { steady_ms: HOUR_MS, unix_ms: 0 }).is_some());
}

#[test]
fn over_restarts_a_trial_ends_by_the_wall_clock_and_is_never_longer_than_what_was_left() {
    let mut p = on_trial();
    assert_eq!(p.poll(at(HOUR_MS / 2)), None);
    // Off for a quarter of an hour.
    let unix_ms = at(HOUR_MS * 3 / 4).unix_ms;
    let mut later = restarted(&p);
    assert_eq!(later.on_start(None, Now { steady_ms: 0, unix_ms }), None);
    assert_eq!(later.time_left_ms(Now { steady_ms: 0, unix_ms }), Some(HOUR_MS / 4));
    assert!(later.poll(Now { steady_ms: HOUR_MS / 4, unix_ms: 0 }).is_some());
    // A clock that lost its time: what was left counts.
    let mut lost = restarted(&p);
    assert_eq!(lost.on_start(None, Now { steady_ms: 5, unix_ms: 0 }), None);
    assert_eq!(lost.time_left_ms(Now { steady_ms: 5, unix_ms: 0 }), Some(HOUR_MS / 2));
    // One that jumps ahead puts back, and confirms nothing.
    let mut ahead = restarted(&p);
    assert_eq!(
        ahead.on_start(None, Now { steady_ms: 0, unix_ms: u64::MAX }).map(|b| b.why),
        Some(Why::Deadline)
    );
    assert_eq!(beacon(&ahead), (40, 1));
    // However often it starts with a clock that stands still, it ends.
    let (mut p, mut starts) = (on_trial(), 0);
    while p.version() == 2 {
        p = restarted(&p);
        p.on_start(None, Now { steady_ms: 0, unix_ms: 0 });
        p.poll(Now { steady_ms: HOUR_MS / 8, unix_ms: 0 });
        starts += 1;
        assert!(starts <= 8);
    }
}

#[test]
fn a_row_of_failed_starts_puts_back_what_is_on_trial_and_nothing_else() {
    let mut p = restarted(&on_trial());
    assert_eq!(p.clone().on_start(None, at(0)), None);
    assert_eq!(p.on_start(Some(3), at(0)).map(|b| (b.to, b.why)), Some((1, Why::FailedStarts(3))));
    assert_eq!((p.on_start(Some(9), at(0)), beacon(&p)), (None, (40, 1)));
}

#[test]
fn an_order_that_comes_again_changes_nothing_and_comes_to_the_same() {
    let mut p = on_trial();
    let record = p.record();
    assert_eq!(p.commit(3_600, by(2), at(9)), Ok(Done::Committed { version: 1, restart: false }));
    assert_eq!(p.confirm(by(3), at(9)), Ok(Done::Confirmed { version: 1 }));
    assert_eq!(p.stage(Id::BeaconEvery, "50", by(4), at(9)), Ok(Done::Staged));
    assert_eq!(p.commit(3_600, by(5), at(9)), Ok(Done::Committed { version: 2, restart: false }));
    assert_eq!(p.record(), record);
}

#[test]
fn what_another_version_left_is_kept_and_told() {
    let mut p = on_trial();
    let change = |value: &str| Change { value: Some(value.into()), by: by(1), unix_ms: 0, version: 1 };
    p.state.in_force.insert(0x7001, change("new"));
    p.state.in_force.insert(Id::Wind.code(), change("1e9"));
    let mut p = restarted(&p);
    assert_eq!((beacon(&p), p.config().triage.params.wind_m_s), ((50, 2), 0.0));
    let warnings = p.warnings();
    assert_eq!(warnings.len(), 2);
    assert!(warnings[1].contains("0x7001, \"new\", isn't known"), "{warnings:?}");
    p.stage(Id::ArmFor, "30", by(20), at(0)).unwrap();
    p.commit(60, by(21), at(0)).unwrap();
    let kept: Vec<_> = restarted(&p).state.in_force.unused().map(|(code, _)| code).collect();
    assert_eq!(kept, [Id::Wind.code(), 0x7001]);
    // A configuration file that no longer goes with a value: it is left out, and keeps nobody from other changes.
    let planned = Config::parse("[passes]\nwindows = 'w'", Path::new("/c.toml")).unwrap();
    let mut p = Parameters::new(planned);
    p.stage(Id::TransmitBy, "plan", by(1), at(0)).unwrap();
    p.commit(60, by(2), at(0)).unwrap();
    let mut p = restarted(&p);
    assert!(p.warnings()[0].starts_with("downlink.transmit is not used: downlink.transmit: "));
    assert_eq!(p.digest(), new().digest());
    p.stage(Id::ArmFor, "30", by(3), at(0)).unwrap();
    assert!(p.commit(60, by(4), at(0)).is_ok());
}

#[test]
fn every_answer_fits_a_screen() {
    let mut p = on_trial();
    p.stage(Id::PowerLimits, "-100.25,-50.125,20.0625,30.03125", by(8), at(0)).unwrap();
    for prefix in ["", "limits.", "t", "downlink.rate", "limits.power", "telemetry.beacon", "none"] {
        let text = p.summary(prefix, at(61_000)).text();
        assert!(text.lines().count() <= 24 && text.lines().all(|l| l.chars().count() <= 80), "{text}");
    }
    let all = p.summary("", at(61_000)).text();
    let head = "parameters on-trial, version 2, digest ";
    assert!(all.starts_with(head) && all.contains(", 0 h 58 min 59 s left to confirm\n"), "{all}");
    assert!(
        all.contains("telemetry.beacon           50                                s     v2, on trial\n"),
        "{all}"
    );
    assert!(
        all.contains("limits.power               -,-,25,30        -100.25,-50.125… W     config\n"),
        "{all}"
    );
    assert!(all.contains("all: triage. 5, downlink. 3, alerts. 3"), "{all}");
    let one = p.summary("telemetry.beacon", at(0)).text();
    for part in [
        "telemetry.beacon = 50 s",
        "range       0 to 86400 s",
        "configured  30",
        "by 7/4, version 2, on trial",
    ] {
        assert!(one.contains(part), "{part}: {one}");
    }
}

#[test]
fn packets_and_json_say_who_and_when() {
    let p = on_trial();
    let packets = p.packets();
    assert_eq!(packets.len(), PARAMETERS.len());
    let packet = packets.iter().find(|packet| packet.id == Id::BeaconEvery).unwrap();
    assert_eq!((packet.value.0.as_str(), packet.source, packet.number), ("50", 7, 4));
    assert_eq!((packet.state, packet.unix), (ParametersState::OnTrial, at(0).unix_ms));
    let mut out = [0; 300];
    let len = packet.write(&mut out).unwrap();
    assert_eq!(passband_proto::dict::Parameter::read(&out[..len]).as_ref(), Some(packet));
    let json = serde_json::to_value(p.summary("telemetry.beacon", at(0))).unwrap();
    assert_eq!(
        (&json["schema"], &json["state"], &json["left_ms"]),
        (&1.into(), &"on-trial".into(), &HOUR_MS.into())
    );
    let row = &json["parameters"][0];
    assert_eq!(
        (&row["value"], &row["configured"], &row["change"]["number"]),
        (&"50".into(), &"30".into(), &4.into())
    );
}

/// What somebody does.
#[derive(Debug, Clone)]
enum Step {
    Stage(u32),
    Discard,
    Commit,
    Confirm,
    Rollback,
    Wait(u64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let step = prop_oneof![
        (0..100_u32).prop_map(Step::Stage),
        Just(Step::Discard),
        Just(Step::Commit),
        Just(Step::Confirm),
        Just(Step::Rollback),
        (0..90_000_u64).prop_map(Step::Wait),
        Just(Step::Restart),
    ];
    prop::collection::vec((step, any::<bool>()), 0..40)
}

/// The same, with no more than what a person would keep in mind.
#[derive(Debug, Default)]
struct Model {
    value: Option<u32>,
    staged: Option<u32>,
    trial: Option<(Option<u32>, u64)>,
    version: u32,
}

impl Model {
    fn take(&mut self, step: &Step, now_ms: u64) -> bool {
        match step {
            Step::Stage(value) => self.staged = Some(*value),
            Step::Discard => return self.staged.take().is_some(),
            Step::Commit => {
                let Some(value) = self.staged.take() else { return false };
                let before = self.trial.map_or(self.value, |(before, _)| before);
                self.trial = Some((before, now_ms + 60_000));
                self.value = Some(value);
                self.version += 1;
            }
            Step::Confirm => return self.trial.take().is_some(),
            Step::Rollback => {
                let Some((before, _)) = self.trial.take() else { return false };
                self.value = before;
            }
            Step::Wait(_) | Step::Restart => {}
        }
        true
    }

    fn pass(&mut self, now_ms: u64) {
        if let Some((before, _)) = self.trial.filter(|(_, deadline_ms)| *deadline_ms <= now_ms) {
            (self.value, self.trial) = (before, None);
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_done_it_is_what_the_model_says(steps in steps()) {
        let (mut p, mut model) = (new(), Model::default());
        let (mut now_ms, mut started_ms) = (1_000, 0);
        for ((step, twice), number) in steps.into_iter().zip(0..) {
            if let Step::Wait(ms) = step {
                now_ms += ms;
            }
            if matches!(step, Step::Restart) {
                p = restarted(&p);
                started_ms = now_ms;
            }
            let now = Now { steady_ms: now_ms - started_ms, unix_ms: 1_800_000_000_000 + now_ms };
            p.poll(now);
            model.pass(now_ms);
            let order = |p: &mut Parameters| match &step {
                Step::Stage(value) => p.stage(Id::BeaconEvery, &value.to_string(), by(number), now),
                Step::Discard => p.discard(by(number)),
                Step::Commit => p.commit(60, by(number), now),
                Step::Confirm => p.confirm(by(number), now),
                Step::Rollback => p.rollback(by(number)),
                Step::Wait(_) | Step::Restart => Ok(Done::Staged),
            };
            let done = order(&mut p);
            prop_assert_eq!(done.is_ok(), model.take(&step, now_ms));
            if twice && done.is_ok() {
                prop_assert_eq!(order(&mut p), done);
            }
            prop_assert_eq!(p.live().telemetry.beacon_s, model.value.unwrap_or(30));
            prop_assert_eq!(p.state() == ParametersState::OnTrial, model.trial.is_some());
            prop_assert_eq!(p.state.last_version, model.version);
        }
    }

    #[test]
    fn no_text_panics_and_what_is_staged_reads_back(nth in 0..PARAMETERS.len(), text in "\\PC{0,30}|[-0-9.,e]{0,70}") {
        let mut p = new();
        let id = PARAMETERS[nth].id;
        if p.stage(id, &text, by(1), at(0)).is_ok() {
            let staged = p.state.staged.get(id).unwrap().value.clone();
            prop_assert_eq!(p.state.staged.unused().count(), 0);
            let again = staged.clone().unwrap_or_else(|| "default".into());
            p.stage(id, &again, by(2), at(0)).unwrap();
            prop_assert_eq!(p.state.staged.get(id).unwrap().value.clone(), staged);
        }
    }
}
