//! The console in a pseudo-terminal: the real program, its keys and its screen.

mod pty;

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use passband_proto::dict::{Answer, Event, EventCode, FixedText, Opcode, Packet, Reason, Severity, Stage};
use passband_proto::packet::{Cuc, MAX_PACKET_BYTES, seal_telemetry};
use pty::Pty;

fn unix_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A console in a folder of its own, which rehearses.
fn start(dir: &Path, telemetry: &str) -> Pty {
    let (aos, los) = (unix_ms() / 1000 + 3000, unix_ms() / 1000 + 3600);
    let window = format!("[[window]]\nstation = \"Kiruna\"\naos = {aos}\nlos = {los}\n");
    fs::write(dir.join("windows.toml"), window).unwrap();
    let path = |name: &str| dir.join(name).display().to_string();
    let args = [
        "console",
        "--out",
        &path("out"),
        "--archive",
        &path("tlm"),
        "--telemetry",
        telemetry,
        "--windows",
        &path("windows.toml"),
        "--rehearse",
        &path("given"),
        "--history",
        &path("history"),
    ];
    Pty::start(env!("CARGO_BIN_EXE_passband-ground"), &args, (80, 24))
}

fn free_address() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The steps and words that were given.
fn given(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("given")).unwrap_or_default();
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        format!("{} {}", line["step"].as_str().unwrap(), line["order"].as_str().unwrap())
    };
    text.lines().map(line).collect()
}

fn tell<P: Packet>(to: &str, packet: &P) {
    let mut data = vec![0; P::DEF.data_bytes()];
    packet.write(&mut data).unwrap();
    let mut out = [0; MAX_PACKET_BYTES];
    let time = Cuc::saturating_from_unix_ms(unix_ms());
    let bytes = seal_telemetry(&mut out, P::DEF.apid, 1, time, &data, None).unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&out[..bytes], to).unwrap();
}

fn countdown(pty: &Pty) -> String {
    let line = pty.text().lines().nth(1).unwrap_or_default().to_owned();
    line.split("T-").nth(1).unwrap_or_default().chars().take(5).collect()
}

#[test]
fn a_pass_at_the_console() {
    let dir = tempfile::tempdir().unwrap();
    let telemetry = free_address();
    let mut pty = start(dir.path(), &telemetry);
    pty.wait_for("AOS Kiruna T-");
    let first = countdown(&pty);
    pty.wait("the countdown goes on", |pty| countdown(pty) != first);

    pty.type_in("pass strat 300");
    pty.wait_for("is it \"pass start\"?");
    pty.type_in("\r");
    pty.wait_for("> pass strat 300");
    pty.type_in("\u{15}pass sta\t300\r");
    pty.wait_for("given: 1 run pass start 300");
    assert_eq!(given(dir.path()), ["run pass start 300 --rate 0"]);

    pty.type_in("board reb\t\r");
    pty.wait_for("ARM it?");
    pty.type_in("y");
    pty.wait_for("Type FIRE");
    pty.type_in("\rFIRE");
    pty.wait_for("gives it up: FIRE_");
    assert_eq!(given(dir.path()).len(), 2);
    pty.type_in("\r");
    pty.wait_for("given: 3 fire board reboot");
    assert_eq!(given(dir.path())[1..], ["arm board reboot", "fire board reboot"]);

    let (code, text) = (EventCode::FrameRejected, FixedText::cut("permian-0413: dropouts"));
    tell(&telemetry, &Event { number: 5, unix: unix_ms(), severity: Severity::Warning, code, text });
    pty.wait_for("frame-rejected permian-0413");
    let (opcode, stage, reason) = (Opcode::PassStart.code(), Stage::Done, Reason::None);
    let text = FixedText::cut("until LOS");
    tell(
        &telemetry,
        &Answer { source: 2, number: 1, opcode, check: 0, stage, reason, unix: unix_ms(), text },
    );
    pty.wait("the order's answer", |pty| pty.text().contains("1 run pass start 300 --rate 0: d"));

    pty.resize((200, 60));
    pty.wait_for(" fast link ");
    pty.wait_for("1 run pass start 300 --rate 0: done: until LOS");
    pty.resize((80, 24));
    pty.wait("80×24 again", |pty| !pty.text().contains(" fast link ") && pty.text().contains("AOS Kiruna"));

    pty.type_in("\u{1b}[A\u{1b}[A");
    pty.wait_for("> pass start 300");
    pty.type_in("\u{3}");
    assert_eq!(pty.end(), Some(0));
    let history = fs::read_to_string(dir.path().join("history")).unwrap();
    assert_eq!(history, "pass start 300\nboard reboot\n");
    assert!(pty.said("\u{1b}[?1049l"), "the terminal is as it was");
}

#[test]
fn what_has_not_left_is_arming_and_escape_takes_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let program = env!("CARGO_BIN_EXE_passband-ground");
    let made = std::process::Command::new(program)
        .args(["keys", "role", "--spi", "2", "--role", "operator", "--out", &path("operator.txt")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (keys, outbox, out) = (path("operator.txt"), path("outbox"), path("out"));
    let args = [
        "console",
        "--out",
        &out,
        "--command-keys",
        &keys,
        "--outbox",
        &outbox,
        "--history",
        &path("history"),
    ];
    let mut pty = Pty::start(program, &args, (80, 24));
    pty.wait_for("Type an order");
    pty.type_in("board reboot\ry");
    pty.wait_for(" arming under ");
    assert!(!pty.text().contains("ARMED"), "nobody works the outbox");
    pty.type_in("FIRE\r");
    pty.wait_for("NOT fired: it isn't armed yet: waiting");
    pty.type_in("\u{1b}");
    pty.wait_for("taken back: it was never sent");
    pty.wait_for("arm board reboot: dropped");
    pty.type_in("quit\r");
    assert_eq!(pty.end(), Some(0));
}

#[test]
fn a_dropped_terminal_leaves_no_order_half_sent() {
    for (typed, seen, wanted) in [
        ("pass start 300", "> pass start 300", &[][..]),
        ("board reboot\r", "ARM it?", &[][..]),
        ("board reboot\ry", "Type FIRE", &["arm board reboot"][..]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut pty = start(dir.path(), &free_address());
        pty.wait_for("AOS Kiruna");
        pty.type_in(typed);
        pty.wait_for(seen);
        if typed.ends_with('y') {
            pty.type_in("FIRE");
            pty.wait_for("gives it up: FIRE_");
        }
        pty.hang_up();
        assert_eq!(pty.end(), Some(0), "{typed}");
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(given(dir.path()), wanted, "{typed}");
    }
}

#[test]
fn what_is_pasted_waits_for_enter() {
    let dir = tempfile::tempdir().unwrap();
    let mut pty = start(dir.path(), &free_address());
    pty.wait_for("AOS Kiruna");
    pty.type_in("\u{1b}[200~ping\rsafe enter\r\u{1b}[201~");
    pty.wait_for("> ping safe enter");
    assert!(given(dir.path()).is_empty());
    pty.type_in("\u{15}quit\r");
    assert_eq!(pty.end(), Some(0));
}
