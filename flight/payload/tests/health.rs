//! Health, with the real binary: failed starts, safe mode, the watchdog, the supervisor.

mod common;

use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use common::Payload;

/// A payload that goes into safe mode after three failed starts.
fn payload() -> Payload {
    let payload = Payload::new("manual", "");
    change_config(&payload, "safe_after = 0", "safe_after = 3");
    payload
}

fn change_config(payload: &Payload, from: &str, to: &str) {
    let text = fs::read_to_string(payload.config()).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(payload.config(), text.replace(from, to)).unwrap();
}

fn boot_count(payload: &Payload) -> serde_json::Value {
    payload.json(&["status"])["boot_count"].clone()
}

#[test]
fn three_kills_lead_to_safe_mode_and_an_order_out_of_it() {
    let mut payload = payload();
    for number in 1..=3 {
        payload.start();
        let health = &payload.json(&["status"])["health"];
        assert!(health["start"] == number && health["safe_mode"].is_null(), "{health}");
        payload.kill();
    }
    payload.start();
    assert_eq!(boot_count(&payload), 4);
    let health = payload.json(&["status"])["health"].clone();
    assert_eq!((health["safe_mode"].as_str(), health["failed_starts"].as_u64()), (Some("failures"), Some(3)));
    payload.wait_for_event("safe-mode");
    let refused = payload.ask(&["pass", "start", "--seconds", "9"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("safe mode"), "{refused:?}");
    payload.put_frame("frame", 20, 1);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(payload.json(&["status"])["counters"]["frames_accepted"]["routine"], 0, "no camera");
    assert_eq!(payload.json(&["safe", "leave"])["stage"], "started");
    payload.wait_until("it is back", |payload| {
        let status = payload.ask(&["status", "--json"]);
        let status = serde_json::from_slice::<serde_json::Value>(&status.stdout).ok()?;
        status["health"]["safe_mode"].is_null().then_some(())
    });
    let orders = payload.json(&["orders"]);
    assert_eq!(orders["orders"][0]["stage"], "done", "{orders}");
    assert_eq!(boot_count(&payload), 5, "starts are counted alike in both modes");
    let events = payload.json(&["events", "--limit", "1000"]);
    let events = events["events"].as_array().unwrap();
    let seqs: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
    let at = |code: &str| events.iter().position(|event| event["code"] == code);
    assert!(at("safe-mode").is_some(), "what happened in safe mode is not forgotten: {events:?}");
    payload.wait_for_event("frame-accepted");
    payload.terminate();
}

#[test]
fn a_pass_that_is_on_when_the_daemon_is_stopped_is_told_to_its_end() {
    let mut payload = payload();
    payload.start();
    payload.json(&["pass", "start", "100"]);
    payload.wait_for_event("pass-opened");
    payload.terminate();
    payload.start();
    payload.wait_for_event("pass-closed");
    payload.terminate();
}

#[test]
fn safe_mode_comes_up_without_keys_and_with_a_catalogue_that_is_none() {
    let mut payload = payload();
    payload.start();
    assert_eq!(payload.json(&["safe", "enter"])["stage"], "started");
    payload.wait_until("it is in safe mode", |payload| {
        let status = payload.ask(&["status", "--json"]);
        let status = serde_json::from_slice::<serde_json::Value>(&status.stdout).ok()?;
        (status["health"]["safe_mode"] == "order").then_some(())
    });
    payload.terminate();
    fs::remove_file(payload.state("keys.txt")).unwrap();
    fs::remove_file(payload.state("catalogue.redb")).unwrap();
    fs::create_dir(payload.state("catalogue.redb")).unwrap();
    fs::remove_dir_all(payload.state("bundles")).unwrap();
    fs::write(payload.state("bundles"), "no folder").unwrap();
    for _ in 0..2 {
        payload.start();
        assert_eq!(payload.json(&["status"])["health"]["safe_mode"], "order");
        payload.wait_for_event("keys-unusable");
        payload.terminate();
    }
}

#[test]
fn an_uplink_that_can_t_be_bound_yet_is_no_failed_start_and_is_bound_later() {
    let mut payload = payload();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    change_config(&payload, "[health]", &format!("[uplink]\nlisten = \"{address}\"\n[health]"));
    payload.start();
    payload.wait_for_event("uplink-error");
    assert_eq!(payload.json(&["safe", "enter"])["stage"], "started");
    payload.wait_until("it is in safe mode", |payload| {
        let status = payload.ask(&["status", "--json"]);
        let status = serde_json::from_slice::<serde_json::Value>(&status.stdout).ok()?;
        (status["health"]["safe_mode"] == "order").then_some(())
    });
    payload.wait_for_event("uplink-error");
    drop(other);
    payload.wait_until("it is bound", |_| UdpSocket::bind(address).is_err().then_some(()));
    payload.terminate();
}

#[test]
fn starts_are_counted_on_though_their_record_is_lost() {
    let mut payload = payload();
    for number in 1..=3 {
        payload.start();
        assert_eq!(boot_count(&payload), number);
        payload.terminate();
    }
    fs::remove_file(payload.state("starts.0")).unwrap();
    fs::remove_file(payload.state("starts.1")).unwrap();
    payload.start();
    assert_eq!(boot_count(&payload), 4);
    assert_eq!(payload.json(&["status"])["health"]["start"], 4);
    payload.terminate();
    payload.start();
    assert_eq!(boot_count(&payload), 5);
    payload.terminate();
}

#[test]
fn starts_that_end_with_an_error_count_and_a_mended_configuration_is_tried() {
    let mut payload = payload();
    let keys = fs::read(payload.state("keys.txt")).unwrap();
    fs::write(payload.state("keys.txt"), "").unwrap();
    for _ in 0..3 {
        assert!(!payload.fails_to_start().status.success());
    }
    payload.start();
    assert_eq!(payload.json(&["status"])["health"]["safe_mode"], "failures");
    payload.terminate();
    fs::write(payload.state("keys.txt"), keys).unwrap();
    change_config(&payload, "poll_ms = 20", "poll_ms = 21");
    payload.start();
    assert!(payload.json(&["status"])["health"]["safe_mode"].is_null());
    payload.wait_for_event("safe-mode-over");
    payload.terminate();
}

#[test]
fn the_watchdog_is_fed_and_only_a_stop_in_order_ends_it() {
    let mut payload = payload();
    let device = payload.dir.path().join("watchdog");
    fs::write(&device, "").unwrap();
    change_config(&payload, "safe_after = 3", "safe_after = 3\nwatchdog = \"watchdog\"");
    payload.start();
    payload.wait_until("it is fed", |_| (fs::read(&device).unwrap().len() >= 2).then_some(()));
    payload.wait_for_event("watchdog-started");
    payload.kill();
    assert!(!fs::read(&device).unwrap().contains(&b'V'));
    payload.start();
    payload.terminate();
    assert!(fs::read(&device).unwrap().contains(&b'V'));
}

#[test]
fn a_supervisor_is_told_that_the_daemon_is_ready_alive_and_stops() {
    let mut payload = payload();
    let socket = UnixDatagram::bind(payload.dir.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
    payload.start_with(&[
        ("NOTIFY_SOCKET", payload.dir.path().join("notify").to_str().unwrap()),
        ("WATCHDOG_USEC", "30000000"),
    ]);
    let mut heard = Vec::new();
    let mut listen = |until: &str| {
        while !heard.iter().any(|line: &String| line == until) {
            let mut buffer = [0; 600];
            let bytes = socket.recv(&mut buffer).unwrap();
            heard.push(String::from_utf8_lossy(&buffer[..bytes]).into_owned());
        }
    };
    listen("READY=1");
    listen("WATCHDOG=1");
    payload.terminate();
    listen("STOPPING=1");
    assert!(heard.contains(&"STATUS=at work, load level 0".to_owned()) || heard.len() > 3, "{heard:?}");
}

#[test]
fn health_is_in_the_status() {
    let mut payload = payload();
    payload.start();
    let readings = payload.wait_until("readings", |p| {
        let readings = p.json(&["status"])["health"]["readings"].clone();
        readings["process_bytes"].as_u64().map(|_| readings)
    });
    assert!(readings["memory_available_percent"].as_f64().is_some_and(|p| p > 0.0), "{readings}");
    let status = payload.ask(&["status"]);
    let text = String::from_utf8_lossy(&status.stdout);
    assert!(text.contains("health       normal mode, load level "), "{text}");
    payload.terminate();
}
