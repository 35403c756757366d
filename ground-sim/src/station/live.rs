//! Live reception: sockets in, a bounded queue between them and the station.
//!
//! One thread for each socket does nothing but receive, so that the kernel's buffer stays empty while a
//! block is being decoded. When the queue is full the newest datagrams are dropped and counted: the
//! link has losses anyway.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use socket2::SockRef;

/// Datagrams the queue holds: 64 MiB at the usual size.
const QUEUE_DATAGRAMS: usize = 45_000;
/// What the kernel is asked to buffer, bytes.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;
/// How soon a receiving thread notices that it is to stop.
const STOP_POLL: Duration = Duration::from_millis(100);

/// Which radio a datagram came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Radio {
    /// The fast link.
    Fast,
    /// The alert radio.
    Alert,
}

/// A datagram that came in.
#[derive(Debug)]
pub struct Incoming {
    /// Which radio it came by.
    pub radio: Radio,
    /// Its UDP payload.
    pub bytes: Vec<u8>,
    /// Who sent it.
    pub from: SocketAddr,
    /// Where it arrived.
    pub to: SocketAddr,
    /// When.
    pub time: SystemTime,
}

/// Listens on UDP sockets.
#[derive(Debug)]
pub struct Listener {
    queue: Receiver<Incoming>,
    fast: SocketAddr,
    alert: Option<SocketAddr>,
    overruns: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Listener {
    /// Opens the sockets and begins to listen.
    ///
    /// # Errors
    /// An address can't be listened on.
    pub fn start(fast: SocketAddr, alert: Option<SocketAddr>) -> Result<Self> {
        let (sender, queue) = sync_channel(QUEUE_DATAGRAMS);
        let overruns = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let mut this = Self { queue, fast, alert, overruns, stop, threads: Vec::new() };
        this.fast = this.listen(Radio::Fast, fast, sender.clone())?;
        if let Some(address) = alert {
            this.alert = Some(this.listen(Radio::Alert, address, sender)?);
        }
        Ok(this)
    }

    /// Where the fast link is listened on: the port that was chosen when 0 was asked for.
    #[must_use]
    pub fn fast_address(&self) -> SocketAddr {
        self.fast
    }

    /// Where the alert radio is listened on.
    #[must_use]
    pub fn alert_address(&self) -> Option<SocketAddr> {
        self.alert
    }

    /// The next datagram, or `None` after `timeout` without one.
    #[must_use]
    pub fn next(&self, timeout: Duration) -> Option<Incoming> {
        match self.queue.recv_timeout(timeout) {
            Ok(incoming) => Some(incoming),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(timeout);
                None
            }
        }
    }

    /// Datagrams dropped because the queue was full.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.overruns.load(Ordering::Relaxed)
    }

    fn listen(
        &mut self,
        radio: Radio,
        address: SocketAddr,
        queue: SyncSender<Incoming>,
    ) -> Result<SocketAddr> {
        let socket = UdpSocket::bind(address).with_context(|| format!("listening on {address}"))?;
        let to = socket.local_addr().context("reading the socket's address")?;
        // The kernel grants what it may; a smaller buffer only means more loss.
        let _ = SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        socket.set_read_timeout(Some(STOP_POLL)).context("setting the socket's timeout")?;
        let (stop, overruns) = (Arc::clone(&self.stop), Arc::clone(&self.overruns));
        self.threads.push(std::thread::spawn(move || {
            let mut buf = vec![0; 65_536];
            while !stop.load(Ordering::Relaxed) {
                let Ok((n, from)) = socket.recv_from(&mut buf) else { continue };
                let bytes = buf.get(..n).unwrap_or_default().to_vec();
                let incoming = Incoming { radio, bytes, from, to, time: SystemTime::now() };
                match queue.try_send(incoming) {
                    Ok(()) => {}
                    Err(TrySendError::Full(_)) => {
                        overruns.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(TrySendError::Disconnected(_)) => return,
                }
            }
        }));
        Ok(to)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_radios_are_heard() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::start(any, Some(any)).unwrap();
        let sender = UdpSocket::bind(any).unwrap();
        for (to, radio) in
            [(listener.fast_address(), Radio::Fast), (listener.alert_address().unwrap(), Radio::Alert)]
        {
            sender.send_to(b"hello", to).unwrap();
            let got = listener.next(Duration::from_secs(5)).unwrap();
            assert_eq!((got.radio, got.bytes.as_slice(), got.to), (radio, &b"hello"[..], to));
            assert_eq!(got.from, sender.local_addr().unwrap());
        }
        assert!(listener.next(Duration::from_millis(1)).is_none());
    }
}
