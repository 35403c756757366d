//! Orders to the real daemon: from a shell, and sealed from the uplink, with their answers in telemetry.

mod common;

use std::fs;

use common::Payload;
use common::station::{Holder, Station, role_key};
use passband_proto::dict::{Reason, Stage};
use passband_proto::packet::Mode;
use passband_proto::plan::{Dictionary, compile, sign};
use passband_proto::sdls::Role;
use serde_json::Value;

#[test]
fn a_sealed_order_is_done_once_and_answered_over_kills() {
    let mut station = Station::started();
    let mut operator = Holder::new(2, Role::Operator);
    for round in 0..3 {
        for _ in 0..5 {
            station.uplink.send(&operator.frame(1, Mode::Run, "ping")).unwrap();
            station.uplink.send(&operator.frame(2, Mode::Run, "pass start 5")).unwrap();
        }
        assert_eq!(station.wait_for(2, 1, Stage::Done).reason, Reason::None);
        station.wait_for(2, 2, Stage::Done);
        if round < 2 {
            station.payload.kill();
            station.payload.start();
        }
    }
    let opened = station.payload.codes().iter().filter(|code| *code == "pass-opened").count();
    // What a kill left of the pass goes on, and only that.
    let events = station.payload.json(&["events", "--limit", "1000"])["events"].clone();
    let went_on = |event: &&Value| event["text"].as_str().unwrap().contains("it goes on until");
    let went_on = events.as_array().unwrap().iter().filter(went_on).count();
    assert_eq!(opened, 1 + went_on, "{events}");
    station.uplink.send(&operator.frame(3, Mode::Run, "board reboot")).unwrap();
    assert_eq!(station.wait_for(2, 3, Stage::Refused).reason, Reason::NotArmed);
    station.uplink.send(b"not a frame at all").unwrap();
    station.payload.wait_for_event("uplink-refused");
    assert_eq!(station.payload.json(&["keys"])["refused"], serde_json::json!([["truncated", 1]]));
}

#[test]
fn a_parameter_is_changed_in_two_steps_and_counts_after_the_daemon_has_started_anew() {
    let mut station = Station::started();
    let payload = &mut station.payload;
    let value =
        |payload: &Payload, name: &str| payload.json(&["params", name])["parameters"][0]["value"].clone();
    assert_eq!(value(payload, "alerts.per_minute"), "60");
    let bad = payload.ask(&["params", "set", "alerts.per_minute", "0"]);
    assert_eq!(bad.status.code(), Some(2));
    assert_eq!(payload.json(&["params", "set", "alerts.per_minute", "7"])["stage"], "done");
    assert_eq!(payload.json(&["params", "commit", "--within", "600"])["stage"], "done");
    payload.wait_until("it is back", |payload| {
        let answer = payload.ask(&["params", "alerts.per_minute", "--json"]);
        let answer: Value = serde_json::from_slice(&answer.stdout).ok()?;
        let codes = payload.ask(&["status", "--json"]);
        let status: Value = serde_json::from_slice(&codes.stdout).ok()?;
        (answer["parameters"][0]["on_trial"] == true && status["boot_count"] == 2).then_some(())
    });
    payload.wait_until("the digest tells it", |payload| {
        (payload.json(&["digest"])["wrong"]["parameters"] == "on-trial").then_some(())
    });
    let text = String::from_utf8(payload.ask(&["params"]).stdout).unwrap();
    assert!(text.contains("alerts.per_minute") && text.lines().count() <= 24, "{text}");
    payload.kill();
    payload.start();
    assert_eq!(value(payload, "alerts.per_minute"), "7");
    assert_eq!(payload.json(&["params", "rollback"])["stage"], "done");
    payload.wait_until("the value before", |payload| {
        let answer = payload.ask(&["params", "alerts.per_minute", "--json"]);
        let answer: Value = serde_json::from_slice(&answer.stdout).ok()?;
        (answer["parameters"][0]["value"] == "60").then_some(())
    });
}

#[test]
fn a_script_goes_on_the_agenda_and_says_how_it_ended() {
    let station = Station::started();
    let payload = &station.payload;
    let file = payload.dir.path().join("check.sh");
    fs::write(&file, "echo all is well\n").unwrap();
    let loaded = payload.json(&["load", "script", file.to_str().unwrap()]);
    assert_eq!(loaded["done"], "17 bytes, ready to run");
    let added = payload.json(&["agenda", "add", "after 1s", "--", "script", "run", "check"]);
    assert_eq!(added["stage"], "done", "{added}");
    let agenda = payload.json(&["agenda"]);
    assert_eq!(
        agenda["pending"][0]["what"].as_str().unwrap().split(" --").next(),
        Some("do script run check"),
        "{agenda}"
    );
    payload.wait_for_event("script-done");
    payload.wait_until("it is answered", |payload| {
        let orders = payload.json(&["orders"]);
        let order =
            orders["orders"].as_array()?.iter().find(|order| order["id"].as_str() == Some("plan/1"))?.clone();
        (order["stage"] == "done" && order["text"].as_str()?.contains("all is well")).then_some(())
    });
    let answer = station.wait_for(0xFFFE, 1, Stage::Done);
    assert!(answer.text.0.contains("all is well"), "{answer}");
    payload.wait_until("the digest tells it", |payload| {
        let scripts = payload.json(&["digest"])["since"]["scripts"].clone();
        (scripts[0]["first_line"] == "all is well").then_some(())
    });
    assert!(payload.json(&["agenda"])["pending"].as_array().unwrap().is_empty());
    assert_eq!(payload.json(&["script"])["scripts"][0][0], "check");
}

#[test]
fn a_signed_plan_is_loaded_and_runs_and_an_unsigned_one_isn_t() {
    let station = Station::started();
    let payload = &station.payload;
    let text = "plan night\nversion 3\na: after 0s do pass start 60\nafter a do pass stop\n";
    let plan = compile(text, "night.plan", &Dictionary::default()).unwrap();
    let file = payload.dir.path().join("night.plan");
    fs::write(&file, sign(&plan, 6, &role_key(7, Role::Planner).plan_key()).unwrap()).unwrap();
    let refused = payload.ask(&["load", "plan", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    fs::write(&file, sign(&plan, 6, &role_key(6, Role::Planner).plan_key()).unwrap()).unwrap();
    let loaded = payload.json(&["load", "plan", file.to_str().unwrap()]);
    assert!(loaded["done"].as_str().unwrap().contains("version 3"), "{loaded}");
    assert_eq!(payload.json(&["plan", "start", "night"])["stage"], "done");
    payload.wait_for_event("plan-done");
    let codes = payload.codes();
    assert!(
        codes.contains(&"pass-opened".to_owned()) && codes.contains(&"pass-closed".to_owned()),
        "{codes:?}"
    );
}

#[test]
fn an_update_takes_two_steps_and_is_remembered() {
    let mut station = Station::started();
    let payload = &mut station.payload;
    let alone = payload.ask(&["update", "start", "0a0b0c0d"]);
    assert_eq!(alone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&alone.stderr).contains("not-armed"), "{alone:?}");
    assert_eq!(payload.json(&["arm", "update", "start", "0a0b0c0d"])["stage"], "armed");
    assert_eq!(payload.json(&["orders"])["armed"][0].as_str().map(|id| id.starts_with("shell/")), Some(true));
    assert_eq!(payload.json(&["fire", "update", "start", "0a0b0c0d"])["stage"], "done");
    payload.kill();
    payload.start();
    let update = payload.json(&["update"]);
    assert_eq!((update["state"].as_str(), update["id"].as_str()), (Some("receiving"), Some("0a0b0c0d")));
    assert_eq!(payload.json(&["update", "abort"])["stage"], "done");
    assert_eq!(payload.json(&["update"])["state"], "idle");
}

#[test]
fn when_the_daemon_is_down_what_was_set_and_pending_is_told() {
    let mut station = Station::started();
    let payload = &mut station.payload;
    payload.json(&["agenda", "add", "aos +10s", "--", "ping"]);
    payload.terminate();
    for (question, said) in [
        ("params", "parameters confirmed"),
        ("agenda", "ping"),
        ("orders", "agenda add"),
        ("keys", "operator"),
        ("update", "update idle"),
        ("script", "no scripts on board"),
        ("logs", "started"),
    ] {
        let output = payload.ask(&[question]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{question}: {output:?}");
        assert!(text.starts_with("NOT LIVE") && text.contains(said), "{question}: {output:?}");
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}

#[test]
fn safe_mode_takes_sealed_orders() {
    let mut station = Station::started();
    let mut operator = Holder::new(2, Role::Operator);
    station.uplink.send(&operator.frame(1, Mode::Run, "safe enter")).unwrap();
    station.wait_for(2, 1, Stage::Done);
    station.uplink.send(&operator.frame(2, Mode::Run, "pass start 9")).unwrap();
    assert_eq!(station.wait_for(2, 2, Stage::Failed).reason, Reason::WrongMode);
    station.uplink.send(&operator.frame(3, Mode::Run, "safe leave")).unwrap();
    station.wait_for(2, 3, Stage::Done);
    station.uplink.send(&operator.frame(4, Mode::Run, "pass start 1")).unwrap();
    station.wait_for(2, 4, Stage::Done);
    station.payload.wait_for_event("pass-opened");
    station.payload.terminate();
}
