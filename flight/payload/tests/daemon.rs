//! The real daemon: a frame goes in through the spool and comes out of UDP datagrams, bit for bit.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::{Ground, Payload, files_below, plume_frame};
use passband_proto::alert::open_alert;
use passband_proto::bus::Transmit;

const SMALL: &str = "rate_bps = 20000000\nsymbol_bytes = 512\nsegment_symbols = 100";

#[test]
fn a_frame_comes_down_bit_for_bit_without_any_acknowledgement() {
    let mut payload = Payload::new("manual", SMALL);
    payload.start();
    let (header, data) = payload.put_frame("scene", 80, 1);
    payload.wait_for_event("frame-accepted");
    let opened = payload.json(&["pass", "start", "--seconds", "2"]);
    assert_eq!(opened["transmitter"]["open"], true);
    let mut ground = Ground::default();
    let begun = Instant::now();
    while ground.bundles().len() < 2 && begun.elapsed() < common::PATIENCE {
        ground.listen(&payload.downlink, Duration::from_millis(100));
    }
    let bundles = ground.bundles();
    let of = |product: &str| bundles.values().find(|(head, _)| head.manifest.product == product).unwrap();
    let (cube, content) = of("cube");
    assert_eq!(*content, [header, data].concat());
    assert_eq!(cube.manifest.frame.as_deref(), Some("scene"));
    let (quicklook, _) = of("quicklook");
    assert_eq!(quicklook.manifest.files[0].name, "scene.record");
    assert!(quicklook.preview.starts_with(b"\x89PNG"));
    let first = &bundles[&ground.first_bundle.unwrap()];
    assert_eq!(first.0.manifest.product, "quicklook", "the quicklook goes first");

    payload.wait_for_event("pass-closed");
    let queue = payload.json(&["queue"]);
    let rows = queue["bundles"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!(row["state"], "presumed", "{row}");
        assert!(row["sent_symbols"].as_u64() >= row["source_symbols"].as_u64());
    }
    let status = payload.json(&["status"]);
    assert_eq!(status["counters"]["frames_accepted"]["routine"], 1);
    assert_eq!(status["transmitter"]["open"], false);
    assert!(files_below(&payload.state("spool")).is_empty());
}

#[test]
fn a_kill_in_mid_pass_loses_nothing_and_no_symbol_is_sent_twice() {
    let mut payload = Payload::new("bus", "rate_bps = 4000000\nsymbol_bytes = 512\nsegment_symbols = 100");
    payload.start();
    let (header, data) = payload.put_frame("scene", 200, 2);
    payload.wait_for_event("frame-accepted");
    let mut ground = Ground::default();
    for _kill in 0..3 {
        for _ in 0..3 {
            payload.bus.send(&Transmit { on_for_ms: 300, rate_kbps: 0 }.encode()).unwrap();
            ground.listen(&payload.downlink, Duration::from_millis(100));
        }
        payload.kill();
        ground.listen(&payload.downlink, Duration::from_millis(50));
        payload.start();
    }
    let begun = Instant::now();
    while ground.bundles().len() < 2 && begun.elapsed() < common::PATIENCE {
        payload.bus.send(&Transmit { on_for_ms: 300, rate_kbps: 20_000 }.encode()).unwrap();
        ground.listen(&payload.downlink, Duration::from_millis(100));
    }
    let bundles = ground.bundles();
    assert!(bundles.values().any(|(_, content)| *content == [header.clone(), data.clone()].concat()));
    assert_eq!(ground.sessions, [1, 2, 3, 4].into(), "each start is a session of its own");
    assert_eq!(payload.json(&["status"])["boot_count"], 4);
}

#[test]
fn after_a_kill_in_a_pass_its_end_is_told_and_the_operators_goes_on() {
    let codes_of_passes = |payload: &Payload| -> Vec<String> {
        payload.codes().into_iter().filter(|code| code == "pass-opened" || code == "pass-closed").collect()
    };
    let mut payload = Payload::new("manual", SMALL);
    payload.start();
    payload.json(&["pass", "start", "--seconds", "600"]);
    payload.kill();
    payload.start();
    let transmitter = &payload.json(&["status"])["transmitter"];
    assert!(transmitter["ms_left"].as_u64().is_some_and(|ms| ms < 600_000), "{transmitter}");
    assert_eq!(codes_of_passes(&payload), ["pass-opened", "pass-closed", "pass-opened"]);
    let told = payload.json(&["events", "--limit", "1000"]).to_string();
    assert!(told.contains("was cut off (the start before: failed); it goes on until 20"), "{told}");
    payload.json(&["pass", "stop"]);
    payload.kill();
    payload.start();
    assert_eq!(payload.json(&["status"])["transmitter"]["open"], false, "the operator ended it");
    assert_eq!(codes_of_passes(&payload).len(), 4);

    // A window comes back by itself, but for one that the operator closed.
    let mut payload = Payload::new("plan", &format!("{SMALL}\n[passes]\nwindows = \"windows.toml\""));
    let now_s = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let window = format!("[[window]]\nstation = 'a'\naos = {}\nlos = {}\n", now_s - 10, now_s + 600);
    fs::write(payload.dir.path().join("windows.toml"), window).unwrap();
    payload.start();
    payload.wait_for_event("pass-opened");
    payload.kill();
    payload.start();
    payload.wait_until("the window is open again", |p| (codes_of_passes(p).len() == 3).then_some(()));
    assert_eq!(codes_of_passes(&payload), ["pass-opened", "pass-closed", "pass-opened"]);
    payload.json(&["pass", "stop"]);
    payload.kill();
    payload.start();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(payload.json(&["status"])["transmitter"]["open"], false, "the operator closed the window");
}

#[test]
fn frames_that_lie_are_kept_aside_and_the_rest_still_works() {
    let mut payload = Payload::new("manual", SMALL);
    payload.start();
    let spool = payload.state("spool");
    fs::write(spool.join("short.bil"), [0; 99]).unwrap();
    fs::write(spool.join("short.hdr"), "ENVI\nsamples=9\nlines=9\nbands=9\ndata type=12\ninterleave=bil\n")
        .unwrap();
    fs::write(spool.join("noise.hdr"), [0xFF; 300]).unwrap();
    fs::write(spool.join("huge.hdr"), vec![b' '; 2 << 20]).unwrap();
    symlink("/etc/passwd", spool.join("link.bil")).unwrap();
    fs::write(spool.join("link.hdr"), "ENVI\nsamples=1\nlines=1\nbands=1\ndata type=1\ninterleave=bil\n")
        .unwrap();
    fs::create_dir(spool.join("folder.hdr")).unwrap();
    payload.put_frame("good", 10, 3);
    let names = ["short", "noise", "huge", "link"];
    payload.wait_until("all are refused", |p| {
        names.iter().all(|n| p.state("rejected").join(n).join("reason.txt").is_file()).then_some(())
    });
    let reason =
        |name: &str| fs::read_to_string(payload.state("rejected").join(name).join("reason.txt")).unwrap();
    assert!(reason("short").contains("1458 bytes, the data file has 99"), "{}", reason("short"));
    assert!(reason("huge").contains("2097152 bytes"), "{}", reason("huge"));
    assert!(reason("link").contains("symbolic link"), "{}", reason("link"));
    assert_eq!(fs::read(payload.state("rejected/short/short.bil")).unwrap(), [0; 99], "nothing is deleted");
    payload.wait_for_event("frame-accepted");
    assert_eq!(payload.codes().iter().filter(|c| *c == "frame-rejected").count(), 4);
    assert_eq!(
        payload.codes().iter().filter(|c| *c == "spool-folders").count(),
        1,
        "left alone, and told once"
    );
    assert!(spool.join("folder.hdr").is_dir());
    // It is counted once it is safe where it is now, a moment after the reason stands there.
    payload.wait_until("all are counted", |p| {
        (p.json(&["status"])["counters"]["frames_rejected"] == 4).then_some(())
    });
    let events = payload.ask(&["events"]);
    assert!(String::from_utf8_lossy(&events.stdout).contains("warning"));
}

#[test]
fn one_daemon_a_store_and_an_orderly_end_within_a_second() {
    let mut payload = Payload::new("always", SMALL);
    payload.start();
    let second = payload.ask(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(error.contains("another passband daemon is using this state folder"), "{error}");
    let socket = payload.state("passband.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    payload.put_frame("scene", 200, 4);
    payload.wait_for_event("frame-accepted");
    assert!(payload.terminate() < Duration::from_secs(1));
    assert!(!socket.exists());
    let gone = payload.ask(&["status"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(gone.stdout.starts_with(b"NOT LIVE: the daemon is down"), "{gone:?}");
    payload.start();
    payload.kill();
    assert!(socket.exists(), "a kill leaves the socket behind");
    payload.start();
    let codes = payload.codes();
    assert_eq!(codes.iter().filter(|c| *c == "daemon-start").count(), 3);
    assert_eq!(codes.iter().filter(|c| *c == "daemon-stop").count(), 1);
    assert_eq!(
        codes.iter().filter(|c| *c == "keys-exposed").count(),
        3,
        "the test's key file is open to all"
    );
    let refused = payload.ask(&["pass", "start", "--seconds", "5"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("always open"));
}

/// The operator's word ends the repeats of alert 1 for good.
fn acknowledge(payload: &Payload) {
    let listed = &payload.json(&["alerts"])["alerts"];
    assert_eq!((&listed[0]["number"], &listed[0]["state"]), (&1.into(), &"pending".into()), "{listed}");
    assert!(listed[0]["sends"].as_u64().unwrap() >= 1 && listed[0]["next_unix_ms"].is_u64(), "{listed}");
    assert_eq!(payload.json(&["status"])["alerts_pending"], 1);
    let answer = payload.json(&["alerts", "ack", "1"]);
    assert_eq!(
        (&answer["alerts"][0]["state"], &answer["alerts"][0]["by"]),
        (&"acknowledged".into(), &"the operator".into())
    );
    assert_eq!(payload.json(&["alerts", "ack", "1"])["alerts"], answer["alerts"], "again changes nothing");
    let cancelled = payload.ask(&["alerts", "cancel", "1"]);
    assert_eq!(cancelled.status.code(), Some(1));
    let unknown = payload.ask(&["alerts", "ack", "9"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no alert 9 is kept"));
    assert_eq!(payload.json(&["status"])["alerts_pending"], 0);
    // What was on its way already may still come.
    payload.alerts.set_read_timeout(Some(Duration::from_millis(2_200))).unwrap();
    let mut buffer = [0; 300];
    let late: Vec<_> = std::iter::from_fn(|| payload.alerts.recv(&mut buffer).ok()).collect();
    assert!(late.len() <= 1, "{} messages after the acknowledgement", late.len());
}

#[test]
fn an_alert_leaves_at_once_and_again_by_schedule_also_after_a_kill() {
    let mut payload = Payload::new("manual", SMALL);
    payload.start();
    let dull = payload.put_frame("dull", 10, 8);
    payload.wait_for_event("frame-accepted");
    payload.put("leak", plume_frame(9));
    payload.alerts.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let mut buffer = [0; 300];
    let mut receive = || {
        let n = payload.alerts.recv(&mut buffer).expect("an alert");
        buffer[..n].to_vec()
    };
    let first = receive();
    assert!(first.len() <= 200);
    let alert = open_alert(&common::key(), &first).unwrap();
    assert_eq!((alert.number, alert.frame.as_str(), alert.gas.as_str()), (1, "leak", "ch4"));
    assert!(alert.line.abs_diff(40) <= 3 && alert.sample.abs_diff(30) <= 3, "{alert:?}");
    assert!(alert.probability_permille >= 900 && alert.peak_ppm_m > 1_000.0, "{alert:?}");
    // The alert has left before the frame is stored.
    payload.wait_until("the frame is taken", |p| {
        (p.json(&["status"])["counters"]["frames_accepted"]["alert"] == 1).then_some(())
    });
    let queue = payload.json(&["queue"]);
    let rows = queue["bundles"].as_array().unwrap();
    let order: Vec<_> =
        rows.iter().map(|r| (r["frame"].as_str().unwrap(), r["product"].as_str().unwrap())).collect();
    assert_eq!(order[..2], [("leak", "evidence"), ("leak", "quicklook")]);
    assert_eq!(order[order.len() - 3..], [("leak", "cube"), ("dull", "quicklook"), ("dull", "cube")]);
    assert_eq!(rows[0]["id"].as_str().unwrap(), alert.evidence.unwrap().to_string());

    payload.wait_for_event("alert-sent");
    payload.kill();
    payload.start();
    assert_eq!(payload.alerts.recv(&mut buffer).map(|n| buffer[..n].to_vec()).unwrap(), first, "again");
    acknowledge(&payload);

    payload.json(&["pass", "start", "--seconds", "10"]);
    let mut ground = Ground::default();
    let begun = Instant::now();
    while ground.bundles().len() < order.len() && begun.elapsed() < common::PATIENCE {
        ground.listen(&payload.downlink, Duration::from_millis(100));
    }
    let bundles = ground.bundles();
    // Evidence and quicklook go together, so that no burst of losses takes all of either.
    let first = &bundles[&ground.first_bundle.unwrap()].0.manifest;
    let of_alert = ["evidence", "quicklook"].contains(&first.product.as_str());
    assert!(of_alert && first.frame.as_deref() == Some("leak"), "before what waited longer: {first:?}");
    let (head, content) = &bundles[&alert.evidence.unwrap()];
    let names: Vec<_> = head.manifest.files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["leak.record", "leak.detections.json", "leak.chip.hdr", "leak.chip.img"]);
    let (record, rest) = content.split_at(usize::try_from(head.manifest.files[0].bytes).unwrap());
    let record = passband_spectral::triage::Record::decode(record).unwrap();
    assert_eq!((record.plumes, record.class), (1, passband_spectral::Class::Alert));
    assert!(rest.starts_with(b"{\"schema\":1"));
    assert!(bundles.values().any(|(_, content)| *content == [dull.0.clone(), dull.1.clone()].concat()));
}

#[test]
fn a_frame_that_crashed_the_daemon_is_set_aside() {
    let mut payload = Payload::new("manual", SMALL);
    let (_, data) = payload.put_frame("evil", 10, 1);
    payload.put_frame("good", 10, 2);
    fs::write(payload.state("crash.txt"), "evil.hdr\npanicked at the detector").unwrap();
    payload.start();
    payload.wait_for_event("frame-accepted");
    assert_eq!(fs::read(payload.state("rejected/evil/evil.bil")).unwrap(), data);
    let reason = fs::read_to_string(payload.state("rejected/evil/reason.txt")).unwrap();
    assert!(reason.contains("panicked at the detector"), "{reason}");
    assert_eq!(payload.json(&["status"])["events"]["critical"], 1);
    assert!(!payload.state("crash.txt").exists());
    payload.wait_until("the good one counts", |p| {
        (p.json(&["status"])["counters"]["frames_accepted"]["routine"] == 1).then_some(())
    });
}

#[test]
fn a_full_store_keeps_what_is_not_down_and_drops_what_is() {
    let mut payload = Payload::new(
        "manual",
        &format!(
            "{SMALL}\n[store]\nquota_bytes = 2097152\n[queue]\ndrop_unsent = \"none\"\nreserve_bytes = 0"
        ),
    );
    payload.start();
    payload.put_frame("first", 400, 1);
    payload.wait_for_event("frame-accepted");
    let (header, data) = payload.put_frame("second", 400, 2);
    payload.wait_for_event("store-full");
    assert_eq!(payload.json(&["status"])["counters"]["frames_accepted"]["routine"], 1);
    assert!(payload.state("spool/second.bil").exists(), "it stays in the spool");
    payload.json(&["pass", "start", "--seconds", "20"]);
    payload.wait_for_event("bundles-dropped");
    payload.wait_until("the second is taken", |p| {
        (p.json(&["status"])["counters"]["frames_accepted"]["routine"] == 2).then_some(())
    });
    let queue = payload.json(&["queue"]);
    let left: Vec<_> =
        queue["bundles"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert!(left.contains(&"second cube") && !left.contains(&"first cube"), "{left:?}");
    let sealed: u64 = files_below(&payload.state("bundles")).values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(payload.json(&["status"])["store"]["bytes"].as_u64(), Some(sealed));
    assert!(sealed <= 2_097_152 && sealed > (header.len() + data.len()) as u64);
}

#[test]
fn the_operator_decides_what_goes_down() {
    let mut payload = Payload::new(
        "manual",
        &format!(
            "{SMALL}\n[[queue.taskings]]\nname = \"default\"\nshare = 1\n\
         [[queue.taskings]]\nname = \"north\"\nshare = 3"
        ),
    );
    payload.start();
    for (name, seed) in [("one", 1), ("two", 2), ("three", 3)] {
        payload.put_frame(name, 40, seed);
        payload.wait_until("it is taken", |p| {
            (p.json(&["status"])["counters"]["frames_accepted"]["routine"] == seed).then_some(())
        });
    }
    let cubes = |payload: &Payload| -> Vec<(String, String, String)> {
        let queue = payload.json(&["queue"]);
        let of = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
        let rows = queue["bundles"].as_array().unwrap().iter().filter(|row| row["product"] == "cube");
        rows.map(|row| (of(row, "frame"), of(row, "id"), of(row, "state"))).collect()
    };
    let before = cubes(&payload);
    let frames = |cubes: &[(String, String, String)]| {
        cubes.iter().map(|(frame, ..)| frame.clone()).collect::<Vec<_>>()
    };
    assert_eq!(frames(&before), ["one", "two", "three"]);
    let id = |frame: &str| before.iter().find(|cube| cube.0 == frame).unwrap().1[..8].to_owned();
    let told = payload.ask(&["queue", "promote", &id("three")]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("promoted"), "{told:?}");
    payload.ask(&["queue", "hold", &id("two")]);
    let retasked = payload.json(&["queue", "retask", &id("one"), "--tasking", "north", "--class", "suspect"]);
    assert_eq!(
        (&retasked["changed"], retasked["done"].as_str()),
        (&true.into(), Some("now has tasking north and class suspect"))
    );
    let wrong = payload.ask(&["queue", "retask", &id("one"), "--tasking", "south"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("there are: default, north"), "{wrong:?}");
    assert_eq!(payload.ask(&["queue", "hold", &"f".repeat(24)]).status.code(), Some(1), "no such bundle");
    assert_eq!(payload.ask(&["queue", "hold", "12"]).status.code(), Some(2), "too short for one");
    assert_eq!(payload.ask(&["queue", "hold"]).status.code(), Some(2));
    let why = payload.ask(&["queue", "explain", &id("three")]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("promoted") && why.contains("no pass is planned"), "{why}");
    // All of it survives a kill.
    payload.kill();
    payload.start();
    let after = cubes(&payload);
    assert_eq!(frames(&after), ["three", "one", "two"]);
    assert_eq!(after[2].2, "held");
    let mut ground = Ground::default();
    payload.json(&["pass", "start", "--seconds", "2"]);
    let begun = Instant::now();
    while ground.bundles().len() < 5 && begun.elapsed() < common::PATIENCE {
        ground.listen(&payload.downlink, Duration::from_millis(100));
    }
    let first = &ground.bundles()[&ground.first_bundle.unwrap()];
    assert_eq!(first.0.manifest.name, "three cube", "promoted: before everything");
    payload.wait_for_event("pass-closed");
    assert!(ground.bundles().values().all(|(head, _)| head.manifest.name != "two cube"), "it is held");
    payload.ask(&["queue", "drop", &id("two")]);
    assert_eq!(cubes(&payload).len(), 2);
    assert!(payload.codes().contains(&"bundle-dropped".to_owned()));
}

#[test]
fn the_link_is_paced() {
    let mut payload = Payload::new("manual", "rate_bps = 8000000\nsymbol_bytes = 1408");
    payload.start();
    payload.put_frame("scene", 1000, 5);
    payload.wait_for_event("frame-accepted");
    payload.json(&["pass", "start", "--seconds", "2"]);
    let mut ground = Ground::default();
    ground.listen(&payload.downlink, Duration::from_millis(2_600));
    let rate_bps = ground.bytes as f64 * 8.0 / 2.0;
    assert!((rate_bps / 8e6 - 1.0).abs() < 0.05, "{rate_bps} bit/s in place of 8 Mbit/s");
    payload.wait_for_event("pass-closed");
    let sent = payload.json(&["status"])["counters"]["datagrams_sent"].as_u64();
    assert_eq!(sent, Some(ground.datagrams), "loopback loses none at this rate");
}

#[test]
fn the_pass_plan_opens_and_closes_the_transmitter() {
    let plan = "\n[passes]\nwindows = \"windows.toml\"\nelements = \"omm.txt\"\nstations = \"stations.toml\"";
    let mut payload = Payload::new("plan", &format!("{SMALL}{plan}"));
    let put = |p: &Payload, name: &str, text: &str| fs::write(p.dir.path().join(name), text).unwrap();
    put(&payload, "windows.toml", "[[window]]\nstation = 'a'\naos = 'soon'\n");
    put(&payload, "stations.toml", "[[station]]\nname = 'Pole'\nlatitude_deg = 90\nlongitude_deg = 0\n");
    payload.start();
    payload.wait_for_event("pass-plan-unusable");
    let events = String::from_utf8(payload.ask(&["events", "--limit", "9"]).stdout).unwrap();
    assert!(
        events.contains("windows.toml: line 3: aos: ") && events.contains("omm.txt: No such file"),
        "{events}"
    );
    let checked = payload.ask(&["check-config", &payload.config().display().to_string()]);
    assert!(!checked.status.success());
    assert_eq!(payload.json(&["status"])["next_pass"], serde_json::Value::Null);

    let now_s = payload.json(&["status"])["now_unix_ms"].as_u64().unwrap() / 1000;
    let window = |station: &str, aos_s: u64, los_s: u64| {
        format!("[[window]]\nstation = '{station}'\naos = {aos_s}\nlos = {los_s}\nrate_bps = 8_000_000\n")
    };
    put(
        &payload,
        "windows.toml",
        &(window("Later", now_s + 86_400, now_s + 86_800) + &window("Now", now_s - 60, now_s + 3)),
    );
    payload.wait_for_event("pass-opened");
    let status = payload.json(&["status"]);
    assert_eq!(
        (&status["transmitter"]["mode"], &status["transmitter"]["open"]),
        (&"plan".into(), &true.into())
    );
    assert_eq!(
        (&status["transmitter"]["rate_bps"], &status["next_pass"]["station"]),
        (&8_000_000.into(), &"Now".into())
    );
    let screen = String::from_utf8(payload.ask(&["status"]).stdout).unwrap();
    assert!(screen.contains("next pass    now over Now, "), "{screen}");
    payload.wait_for_event("pass-closed");
    let closed_ms = payload.json(&["status"])["now_unix_ms"].as_u64().unwrap();
    assert!(closed_ms >= (now_s + 3) * 1000 && payload.json(&["status"])["transmitter"]["open"] == false);

    let date = screen.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    let omm = format!(
        "OBJECT_NAME = SAT\nEPOCH = {date}\nMEAN_MOTION = 15.19\nECCENTRICITY = 0.001\nINCLINATION = 97.43\n\
         RA_OF_ASC_NODE = 30\nARG_OF_PERICENTER = 75\nMEAN_ANOMALY = 285\nBSTAR = 0\n"
    );
    put(&payload, "omm.txt", &omm);
    let passes = payload.wait_until("passes are predicted", |p| {
        let answer = p.json(&["passes", "--count", "40"]);
        (answer["plan"]["satellite"] == "SAT").then_some(answer)
    });
    let of =
        |source: &str| passes["passes"].as_array().unwrap().iter().filter(|p| p["source"] == source).count();
    assert_eq!((of("window"), of("predicted"), &passes["plan"]["stale"]), (1, 39, &false.into()));
    let table = String::from_utf8(payload.ask(&["passes"]).stdout).unwrap();
    assert!(table.contains(" predicted  Pole") && table.contains("1 stations; SAT, "), "{table}");
    assert_eq!(
        payload.json(&["pass", "start", "--seconds", "1"])["transmitter"]["open"],
        true,
        "by hand as well"
    );
}

#[test]
fn the_command_socket_bears_nonsense() {
    let mut payload = Payload::new("manual", SMALL);
    payload.start();
    let say = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(payload.state("passband.sock")).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        // A daemon that hangs up early is within its rights.
        let _sent = stream.write_all(bytes);
        let _sent = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _read = stream.read_to_string(&mut answer);
        answer
    };
    assert!(say(b"{\"schema\":1,\"command\":\"status\"}\n").contains("boot_count"));
    assert_eq!(say(b"nonsense\n").matches("bad request").count(), 1);
    assert_eq!(say(b"\xff\xfe\n\n{}\n").matches("\"error\"").count(), 3, "one answer a line");
    assert!(say(&[b'a'; 5000]).contains("4096 bytes"));
    assert!(say(b"{\"schema\":1,\"command\":\"status\"}").contains("bad request"), "a line without an end");
    let idle: Vec<_> =
        (0..10).map(|_| UnixStream::connect(payload.state("passband.sock")).unwrap()).collect();
    assert!(payload.ask(&["status"]).status.success(), "silent callers don't block it");
    drop(idle);
}

#[test]
fn bus_messages_that_are_none_are_counted_and_do_nothing() {
    let mut payload = Payload::new("bus", SMALL);
    payload.start();
    let mut bad = Transmit { on_for_ms: 1000, rate_kbps: 0 }.encode();
    bad[6] ^= 1;
    payload.bus.send(&bad).unwrap();
    payload.bus.send(b"open sesame, and then some more").unwrap();
    payload.wait_until("both are counted", |p| {
        (p.json(&["status"])["counters"]["bus_errors"] == 2).then_some(())
    });
    assert_eq!(payload.json(&["status"])["transmitter"]["open"], false);
    payload.bus.send(&Transmit { on_for_ms: 60_000, rate_kbps: 7 }.encode()).unwrap();
    payload.wait_for_event("pass-opened");
    assert_eq!(payload.json(&["status"])["transmitter"]["rate_bps"], 7_000);
    payload.json(&["pass", "stop"]);
    payload.wait_for_event("pass-closed");
}
