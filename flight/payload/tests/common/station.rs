//! A payload with command keys, and the ground's end of its slow link.

use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use passband_proto::dict::{Answer, Order, Packet, Stage};
use passband_proto::packet::{CommandPacket, Mode, TelemetryPacket};
use passband_proto::sdls::{Role, RoleKey, Sender};

use super::{PATIENCE, Payload, key, spacecraft};

/// A payload with command keys, an uplink and a telemetry link.
pub struct Station {
    pub payload: Payload,
    pub uplink: UdpSocket,
    pub telemetry: UdpSocket,
}

/// The keys on board: who holds which.
const KEYS: [(u16, Role); 4] =
    [(2, Role::Operator), (3, Role::Recovery), (4, Role::Science), (6, Role::Planner)];

pub fn role_key(spi: u16, role: Role) -> RoleKey {
    RoleKey::new(spacecraft(), spi, role, [u8::try_from(spi).unwrap(); 32]).unwrap()
}

impl Station {
    pub fn new() -> Self {
        Self::with("rate_bps = 1000000")
    }

    /// With these lines of `[telemetry]`.
    pub fn with(telemetry_lines: &str) -> Self {
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (uplink, telemetry) = (socket(), socket());
        telemetry.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let port = socket().local_addr().unwrap().port();
        uplink.connect(("127.0.0.1", port)).unwrap();
        let more = format!(
            "[uplink]\nlisten = \"127.0.0.1:{port}\"\n[telemetry]\ntarget = \"{}\"\n{telemetry_lines}\n",
            telemetry.local_addr().unwrap()
        );
        let payload = Payload::new("manual", &more);
        let mut lines = String::new();
        for (spi, role) in KEYS {
            role_key(spi, role).write_line(&mut lines).unwrap();
            lines.push('\n');
        }
        fs::write(payload.state("command-keys.txt"), lines).unwrap();
        Self { payload, uplink, telemetry }
    }

    pub fn started() -> Self {
        let mut station = Self::new();
        station.start();
        station
    }

    /// Starts it, with all keys put to use.
    pub fn start(&mut self) {
        self.payload.start();
        for (spi, _) in KEYS {
            assert_eq!(self.payload.json(&["keys", "accept", &spi.to_string()])["stage"], "done");
        }
    }

    /// The next answer that isn't one of a shell.
    pub fn answer(&self) -> Answer {
        let (begun, mut buffer) = (Instant::now(), [0; 2_000]);
        loop {
            assert!(begun.elapsed() < PATIENCE, "no answer; log:\n{}", self.payload.log());
            let Ok(bytes) = self.telemetry.recv(&mut buffer) else { continue };
            let packet = TelemetryPacket::parse(&buffer[..bytes]).unwrap();
            assert!(packet.verify(&key().telemetry_key()));
            if packet.apid() == Answer::DEF.apid {
                return Answer::read(packet.data()).unwrap();
            }
        }
    }

    /// The answer to an order of the uplink in this stage.
    pub fn wait_for(&self, source: u16, number: u32, stage: Stage) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = self.answer();
            if (answer.source, answer.number, answer.stage) == (source, number, stage) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{answer}");
        }
    }
}

/// A holder of a key on the ground.
pub struct Holder(pub Sender);

impl Holder {
    pub fn new(spi: u16, role: Role) -> Self {
        let mut sender = Sender::new(&role_key(spi, role), 0, [1, 2, 3, 4], 0).unwrap();
        sender.persisted(10_000);
        Self(sender)
    }

    pub fn frame(&mut self, number: u32, mode: Mode, order: &str) -> Vec<u8> {
        let order = Order::from_line(order).unwrap().encode();
        let packet = CommandPacket { sequence_count: 0, mode, number, order: &order };
        let mut out = [0; CommandPacket::MAX_BYTES];
        let len = packet.write(&mut out).unwrap();
        self.0.seal(&out[..len]).unwrap()
    }
}
