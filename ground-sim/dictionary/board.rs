//! A model of the board as a process: takes the uplink's frames and sends telemetry, each a datagram. For checks of other ground
//! systems; it does nothing that is ordered but count it.
//!
//!     board COMMAND-KEYS LISTEN TELEMETRY
//!
//! Prints each order that is done. The spacecraft is that of the first key.

use std::error::Error;
use std::net::UdpSocket;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use passband_ground::uplink::model::BoardModel;
use passband_proto::packet::{Cuc, MAX_PACKET_BYTES, SEQUENCE_COUNTS, seal_telemetry};
use passband_proto::sdls::{Channel, RoleKeys};

/// How often it tells what it has to.
const TELL_EVERY: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(keys), Some(listen), Some(telemetry)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: board COMMAND-KEYS LISTEN TELEMETRY".into());
    };
    let keys = RoleKeys::parse(&std::fs::read_to_string(keys)?)?;
    let spacecraft = keys.iter().next().ok_or("no key")?.spacecraft();
    let mut board = BoardModel::new(Channel { spacecraft, vcid: 0 }, keys);
    let socket = UdpSocket::bind(listen)?;
    socket.set_read_timeout(Some(TELL_EVERY / 5))?;
    let (begun, mut told, mut count, mut buffer) = (Instant::now(), Instant::now(), 0, [0; 2048]);
    loop {
        let now_ms = u64::try_from(begun.elapsed().as_millis())?;
        if let Ok(bytes) = socket.recv(&mut buffer) {
            let before = board.done.clone();
            board.take(now_ms, &buffer[..bytes]);
            for id in board.done.keys().filter(|id| !before.contains_key(id)) {
                println!("done {id}");
            }
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let unix_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
            for (apid, _, data) in board.telemetry(now_ms) {
                let mut packet = [0; MAX_PACKET_BYTES];
                let time = Cuc::saturating_from_unix_ms(unix_ms);
                let bytes = seal_telemetry(&mut packet, apid, count, time, &data, None)?;
                socket.send_to(&packet[..bytes], &telemetry)?;
                count = (count + 1) % SEQUENCE_COUNTS;
            }
        }
    }
}
