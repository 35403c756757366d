//! The channel between two UDP sockets, on the real clock.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use socket2::SockRef;

use super::{Channel, ChannelStats, Verdict};

/// What the kernel is asked to buffer, bytes.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;
/// The longest the relay sleeps in its socket.
const NAP: Duration = Duration::from_millis(5);

/// A time in which the link is open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassWindow {
    /// When it opens, s after the relay began.
    pub start_s: f64,
    /// For how long, s.
    pub duration_s: f64,
}

/// A socket to listen on and one to forward from.
#[derive(Debug)]
pub struct Relay {
    socket: UdpSocket,
    out: UdpSocket,
    forward: SocketAddr,
}

impl Relay {
    /// Opens the sockets.
    ///
    /// # Errors
    /// The address can't be listened on.
    pub fn bind(listen: SocketAddr, forward: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(listen).with_context(|| format!("listening on {listen}"))?;
        // The kernel grants what it may; a smaller buffer only means more loss.
        let _ = SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        let any: SocketAddr =
            if forward.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
        let out = UdpSocket::bind(any).context("opening a socket")?;
        Ok(Self { socket, out, forward })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system doesn't say.
    pub fn address(&self) -> Result<SocketAddr> {
        self.socket.local_addr().context("reading the socket's address")
    }

    /// Relays until `stop` is set or the last pass is over. `passes` empty: the link is always open.
    /// `observe` is told of every datagram that is sent into the link. Gives the counts of each pass (one
    /// if there are no windows).
    ///
    /// # Errors
    /// The socket fails.
    pub fn run(
        &self,
        channel: &mut Channel,
        passes: &[PassWindow],
        stop: &AtomicBool,
        mut observe: impl FnMut(&[u8], Verdict),
    ) -> Result<Vec<ChannelStats>> {
        let start = Instant::now();
        let mut stats = vec![ChannelStats::default(); passes.len().max(1)];
        let mut current = 0;
        let mut buf = vec![0; 65_536];
        loop {
            let now = start.elapsed();
            let over = passes.last().is_some_and(|p| now.as_secs_f64() > p.start_s + p.duration_s);
            if stop.load(Ordering::Relaxed) || over {
                break;
            }
            let open = passes
                .iter()
                .position(|p| (p.start_s..p.start_s + p.duration_s).contains(&now.as_secs_f64()));
            if let Some(pass) = open.filter(|pass| *pass != current) {
                add(&mut stats[current], channel.take_stats());
                current = pass;
            }
            let now_us = micros(now);
            self.deliver(channel, now_us);
            let nap = channel
                .next_us()
                .map_or(NAP, |due| Duration::from_micros(due.saturating_sub(now_us)).min(NAP));
            self.socket
                .set_read_timeout(Some(nap.max(Duration::from_micros(100))))
                .context("setting a timeout")?;
            match self.socket.recv(&mut buf) {
                Ok(n) => {
                    let datagram = buf.get(..n).unwrap_or_default();
                    let verdict = if passes.is_empty() || open.is_some() {
                        channel.send(micros(start.elapsed()), datagram)
                    } else {
                        channel.send_in_vain()
                    };
                    observe(datagram, verdict);
                }
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::WouldBlock
                            | ErrorKind::TimedOut
                            | ErrorKind::Interrupted
                            | ErrorKind::ConnectionRefused
                    ) => {}
                Err(e) => return Err(e).context("receiving from the sender"),
            }
        }
        self.deliver(channel, u64::MAX);
        add(&mut stats[current], channel.take_stats());
        Ok(stats)
    }

    fn deliver(&self, channel: &mut Channel, now_us: u64) {
        while let Some(bytes) = channel.receive(now_us) {
            // Nobody there to receive: one more loss.
            let _ = self.out.send_to(&bytes, self.forward);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn add(to: &mut ChannelStats, more: ChannelStats) {
    to.offered += more.offered;
    to.offered_bytes += more.offered_bytes;
    to.delivered += more.delivered;
    to.lost += more.lost;
    to.overrun += more.overrun;
    to.corrupted += more.corrupted;
    to.duplicated += more.duplicated;
    to.reordered += more.reordered;
    to.no_contact += more.no_contact;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::ChannelParams;

    #[test]
    fn relays_inside_a_pass_and_loses_everything_outside() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let far = UdpSocket::bind(any).unwrap();
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let relay = Relay::bind(any, far.local_addr().unwrap()).unwrap();
        let near = UdpSocket::bind(any).unwrap();
        near.connect(relay.address().unwrap()).unwrap();
        let passes =
            [PassWindow { start_s: 0.0, duration_s: 0.5 }, PassWindow { start_s: 1.0, duration_s: 0.5 }];
        let sender = std::thread::spawn(move || {
            near.send(b"inside").unwrap();
            std::thread::sleep(Duration::from_millis(750));
            near.send(b"outside").unwrap();
        });
        let mut channel = Channel::new(ChannelParams::default());
        let stats = relay.run(&mut channel, &passes, &AtomicBool::new(false), |_, _| {}).unwrap();
        sender.join().unwrap();
        assert_eq!((stats.len(), stats[0].delivered, stats[0].no_contact + stats[1].no_contact), (2, 1, 1));
        let mut buf = [0; 100];
        let n = far.recv(&mut buf).unwrap();
        assert_eq!(&buf[..n], b"inside");
    }
}
