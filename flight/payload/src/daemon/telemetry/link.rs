//! Where packets of telemetry go: a UDP datagram each, counted by APID and tagged. Never waits.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};

use passband_proto::dict::EventCode;
use passband_proto::keys::TagKey;
use passband_proto::packet::{Cuc, MAX_PACKET_BYTES, next_count, seal_telemetry};

use crate::daemon::shared::Shared;
use crate::telemetry::Report;

/// Where packets go.
pub(super) struct Link {
    socket: UdpSocket,
    target: SocketAddr,
    counts: BTreeMap<u16, u16>,
}

impl Link {
    /// Packets go to `target` by a socket that doesn't block.
    pub(super) fn new(socket: UdpSocket, target: SocketAddr) -> Self {
        Self { socket, target, counts: BTreeMap::new() }
    }

    /// Sends a packet; what the network doesn't take is lost, as it would be on its way.
    pub(super) fn send(&mut self, shared: &Shared, key: Option<&TagKey>, apid: u16, data: &[u8]) {
        let count = self.counts.entry(apid).or_insert(0);
        let time = Cuc::saturating_from_unix_ms(shared.clock.unix_ms());
        let mut out = [0; MAX_PACKET_BYTES];
        let sealed = seal_telemetry(&mut out, apid, *count, time, data, key);
        *count = next_count(*count);
        let packet = match sealed {
            Ok(bytes) => out.get(..bytes).unwrap_or_default(),
            Err(e) => return tracing::error!("a packet of telemetry could not be made: {e}"),
        };
        if let Err(e) = self.socket.send_to(packet, self.target) {
            let text = format!("the network refuses telemetry to {}: {e}", self.target);
            shared.throttled("telemetry", &Report::error(EventCode::SendError, text));
        }
    }
}
