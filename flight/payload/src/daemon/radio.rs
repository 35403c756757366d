//! The radio: sends datagrams at the link's pace while the gate is open.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use passband_proto::dict::EventCode;
use passband_proto::transfer::Burst;

use super::bursts::Bursts;
use super::pulse::Beat;
use super::shared::Shared;
use crate::adapters::batch::send_batch;
use crate::downlink::Pacer;
use crate::health::Task;
use crate::telemetry::Report;

/// The pause before a network that refused a datagram is tried again.
const RETRY: Duration = Duration::from_millis(20);
/// The longest sleep: how soon the thread sees that the daemon stops.
const NAP: Duration = Duration::from_millis(100);

/// The thread that sends.
pub(crate) struct Radio {
    pub(crate) shared: Arc<Shared>,
    pub(crate) bursts: Arc<Bursts>,
    pub(crate) socket: UdpSocket,
    pub(crate) target: SocketAddr,
}

impl Radio {
    /// Runs until the daemon stops.
    pub(crate) fn run(self) {
        let (mut pacer, beat) = (Pacer::default(), self.shared.beat(Task::Radio));
        while !self.shared.stopping() {
            beat.check_in();
            match self.bursts.pop() {
                Some(burst) => {
                    if self.send(&burst, &mut pacer, &beat).is_none() {
                        return;
                    }
                }
                // An idle link owes nothing.
                None => pacer = Pacer::default(),
            }
        }
    }

    /// Sends a burst; `None` when the daemon stops before it is through.
    fn send(&self, burst: &Burst, pacer: &mut Pacer, beat: &Beat) -> Option<()> {
        let datagrams: Vec<&[u8]> = burst.datagrams().collect();
        let mut rest = datagrams.as_slice();
        while let Some(first) = rest.first() {
            let rate_bps = self.wait_for_turn(pacer, beat)?;
            let (piece, after) = rest.split_at(Pacer::piece(first.len(), rate_bps).min(rest.len()));
            self.send_piece(piece, pacer, beat)?;
            let bytes = piece.iter().map(|datagram| datagram.len()).sum();
            pacer.sent(self.shared.clock.now_ns(), bytes, rate_bps);
            rest = after;
        }
        self.bursts.sent();
        Some(())
    }

    /// Waits until the gate is open and the pace allows a piece; its rate, or `None` when the daemon
    /// stops.
    fn wait_for_turn(&self, pacer: &mut Pacer, beat: &Beat) -> Option<u64> {
        loop {
            beat.check_in();
            if self.shared.stopping() {
                return None;
            }
            let Some(open) = self.shared.open_now() else {
                *pacer = Pacer::default();
                self.shared.wait_for_gate(NAP);
                continue;
            };
            match pacer.wait_ns(self.shared.clock.now_ns()) {
                0 => return Some(open.rate_bps),
                wait_ns => thread::sleep(Duration::from_nanos(wait_ns).min(NAP)),
            }
        }
    }

    /// Sends datagrams, trying until the network takes them: what isn't handed over isn't down. `None` when
    /// the daemon stops.
    fn send_piece(&self, piece: &[&[u8]], pacer: &mut Pacer, beat: &Beat) -> Option<()> {
        let mut rest = piece;
        while !rest.is_empty() {
            let error = match send_batch(&self.socket, self.target, rest) {
                Ok(sent) => {
                    let (gone, after) = rest.split_at(sent.min(rest.len()));
                    let bytes: usize = gone.iter().map(|datagram| datagram.len()).sum();
                    self.shared.count(|c| {
                        c.datagrams_sent += gone.len() as u64;
                        c.bytes_sent += bytes as u64;
                    });
                    rest = after;
                    continue;
                }
                Err(error) => error,
            };
            if is_passing(&error) {
                thread::sleep(Duration::from_millis(1));
            } else {
                self.shared.count(|c| c.send_errors += 1);
                let text = format!("the network refuses datagrams to {}: {error}", self.target);
                self.shared.throttled("downlink", &Report::error(EventCode::DownlinkError, text));
                if is_about_this_datagram(&error) {
                    rest = rest.split_first().map_or(&[], |(_, after)| after);
                } else {
                    thread::sleep(RETRY);
                }
            }
            self.wait_for_turn(pacer, beat)?;
        }
        Some(())
    }
}

/// Whether an error of a socket is over in a moment: no buffer (ENOBUFS), would block, interrupted.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
        || error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

/// Whether trying again with the same datagram is of no use (EMSGSIZE).
fn is_about_this_datagram(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}
