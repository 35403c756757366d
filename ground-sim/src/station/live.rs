//! Live reception: sockets in, a bounded queue between them and the station.
//!
//! One thread for each socket does nothing but receive, many datagrams in one system call, so that the
//! kernel's buffer stays empty while the station is at work. When the queue is full the newest datagrams are
//! dropped and counted: the link has losses anyway.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

/// What the queue holds, bytes.
const QUEUE_BYTES: usize = 48 << 20;
/// What is handed over at a time, bytes, about.
const BATCH_BYTES: usize = 512 << 10;
/// What the queue holds of a datagram beside its bytes.
const DATAGRAM_COST: usize = size_of::<(Range<usize>, SocketAddr, SystemTime)>();
/// Batches whose memory is kept for the next ones: as many as the queue holds.
const SPARE: usize = QUEUE_BYTES / BATCH_BYTES;
/// What the kernel is asked to buffer, bytes.
const SOCKET_BUFFER_BYTES: usize = 32 << 20;
/// With less than this a busy link loses datagrams here, bytes.
const SMALL_BUFFER_BYTES: usize = 4 << 20;
/// How soon a receiving thread notices that it is to stop.
const STOP_POLL: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Which radio a datagram came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Radio {
    /// The fast link.
    Fast,
    /// The alert radio.
    Alert,
}

/// A datagram that came in.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Which radio it came by.
    pub radio: Radio,
    /// Its UDP payload.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub from: SocketAddr,
    /// Where it arrived.
    pub to: SocketAddr,
    /// When.
    pub time: SystemTime,
}

/// Datagrams that came in by one radio.
#[derive(Debug)]
pub struct Batch {
    radio: Radio,
    to: SocketAddr,
    bytes: Vec<u8>,
    datagrams: Vec<(Range<usize>, SocketAddr, SystemTime)>,
}

impl Batch {
    /// The datagrams, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Incoming<'_>> {
        self.datagrams.iter().map(|(range, from, time)| Incoming {
            radio: self.radio,
            bytes: self.bytes.get(range.clone()).unwrap_or_default(),
            from: *from,
            to: self.to,
            time: *time,
        })
    }

    /// About what it takes in memory, bytes.
    fn cost(&self) -> usize {
        self.bytes.len() + self.datagrams.len() * DATAGRAM_COST
    }

    fn add(&mut self, bytes: &[u8], from: SocketAddr, time: SystemTime) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.datagrams.push((start..self.bytes.len(), from, time));
    }
}

/// What waits between the sockets and the station.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
    overruns: AtomicU64,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    bytes: usize,
    spare: Vec<Batch>,
}

/// Listens on UDP sockets.
#[derive(Debug)]
pub struct Listener {
    queue: Arc<Queue>,
    fast: SocketAddr,
    alert: Option<SocketAddr>,
    buffer_bytes: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Listener {
    /// Opens the sockets and begins to listen.
    ///
    /// # Errors
    /// An address can't be listened on.
    pub fn start(fast: SocketAddr, alert: Option<SocketAddr>) -> Result<Self> {
        let queue = Arc::new(Queue::default());
        let mut this = Self { queue, fast, alert, buffer_bytes: 0, threads: Vec::new() };
        this.fast = this.listen(Radio::Fast, fast)?;
        if let Some(address) = alert {
            this.alert = Some(this.listen(Radio::Alert, address)?);
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

    /// What to tell whoever runs it, if the kernel buffers too little for a fast link.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        (self.buffer_bytes < SMALL_BUFFER_BYTES).then(|| {
            format!(
                "the kernel buffers only {} bytes for the fast link; for rates of 100 Mbit/s and more let it: \
                 sysctl -w net.core.rmem_max={SOCKET_BUFFER_BYTES}",
                self.buffer_bytes
            )
        })
    }

    /// The next datagrams, or `None` after `timeout` without one. Give them back with [`Self::recycle`].
    #[must_use]
    pub fn next(&self, timeout: Duration) -> Option<Batch> {
        let mut waiting = self.queue.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.batches.is_empty() {
            let wait = self.queue.came.wait_timeout(waiting, timeout);
            waiting = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        let batch = waiting.batches.pop_front()?;
        waiting.bytes -= batch.cost();
        Some(batch)
    }

    /// Takes a batch back, so that its memory is used again.
    pub fn recycle(&self, mut batch: Batch) {
        batch.bytes.clear();
        batch.datagrams.clear();
        batch.bytes.shrink_to(2 * BATCH_BYTES);
        batch.datagrams.shrink_to(BATCH_BYTES / DATAGRAM_COST);
        let mut waiting = self.queue.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.spare.len() < SPARE {
            waiting.spare.push(batch);
        }
    }

    /// Datagrams dropped because the queue was full.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.queue.overruns.load(Ordering::Relaxed)
    }

    /// Datagrams that the kernel dropped before they could be read; `None` if it doesn't say.
    #[must_use]
    pub fn kernel_drops(&self) -> Option<u64> {
        let file = if self.fast.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
        drops_of(&std::fs::read_to_string(file).ok()?, self.fast.port())
    }

    fn listen(&mut self, radio: Radio, address: SocketAddr) -> Result<SocketAddr> {
        let socket = UdpSocket::bind(address).with_context(|| format!("listening on {address}"))?;
        let to = socket.local_addr().context("reading the socket's address")?;
        // The kernel grants what it may; a smaller buffer only means more loss.
        let _ = SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        if radio == Radio::Fast {
            // Linux counts its own overhead in, and says twice what was asked.
            self.buffer_bytes = SockRef::from(&socket).recv_buffer_size().unwrap_or_default() / 2;
        }
        let state = UdpSocketState::new(UdpSockRef::from(&socket)).context("preparing a socket")?;
        let queue = Arc::clone(&self.queue);
        let thread = std::thread::Builder::new().name("listener".to_owned());
        let thread = thread.spawn(move || receive(&socket, &state, radio, to, &queue));
        self.threads.push(thread.context("starting a thread")?);
        Ok(to)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.queue.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Receives until told to stop.
fn receive(socket: &UdpSocket, state: &UdpSocketState, radio: Radio, to: SocketAddr, queue: &Queue) {
    let each = state.gro_segments().max(1) * 2048;
    let mut buffers = vec![vec![0; each.clamp(65_536, 256 << 10)]; BATCH_SIZE.min(16)];
    let mut metas = vec![RecvMeta::default(); buffers.len()];
    while !queue.stop.load(Ordering::Relaxed) {
        let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
        match state.recv(UdpSockRef::from(socket), &mut slices, &mut metas) {
            Ok(count) => {
                let filled = buffers.iter().zip(&metas).take(count);
                queue.take(radio, to, filled.map(|(buffer, meta)| (buffer.as_slice(), *meta)));
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&STOP_POLL));
            }
            // Such as an answer that nobody listens where nothing was sent: not ours to mind.
            Err(_) => {}
        }
    }
}

impl Queue {
    /// Takes what one call received; a buffer may hold several datagrams of one size.
    fn take<'a>(&self, radio: Radio, to: SocketAddr, filled: impl Iterator<Item = (&'a [u8], RecvMeta)>) {
        let now = SystemTime::now();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (buffer, meta) in filled {
            let received = buffer.get(..meta.len).unwrap_or_default();
            for datagram in received.chunks(meta.stride.max(1)) {
                let cost = datagram.len() + DATAGRAM_COST;
                if waiting.bytes + cost > QUEUE_BYTES {
                    self.overruns.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                waiting.bytes += cost;
                waiting.batch(radio, to).add(datagram, meta.addr, now);
            }
        }
        drop(waiting);
        self.came.notify_one();
    }
}

impl Waiting {
    /// The last batch, if there is room in it, or a new one.
    fn batch(&mut self, radio: Radio, to: SocketAddr) -> &mut Batch {
        let room = self.batches.back().is_some_and(|last| last.radio == radio && last.cost() < BATCH_BYTES);
        if !room {
            let new = || Batch { radio, to, bytes: Vec::new(), datagrams: Vec::new() };
            let mut batch = self.spare.pop().unwrap_or_else(new);
            (batch.radio, batch.to) = (radio, to);
            self.batches.push_back(batch);
        }
        let last = self.batches.len() - 1;
        &mut self.batches[last]
    }
}

/// The drops that Linux's table of UDP sockets tells of a port (proc(5): the last column).
fn drops_of(table: &str, port: u16) -> Option<u64> {
    let of_port = table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let local = words.nth(1)?;
        let its = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        (its == port).then(|| words.last()?.parse::<u64>().ok()).flatten()
    });
    of_port.reduce(|a, b| a + b)
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
            for text in [&b"hello"[..], b"ho", b"there"] {
                sender.send_to(text, to).unwrap();
            }
            let mut got = Vec::new();
            while got.len() < 3 {
                let batch = listener.next(Duration::from_secs(5)).unwrap();
                for one in batch.iter() {
                    assert_eq!((one.radio, one.to, one.from), (radio, to, sender.local_addr().unwrap()));
                    got.push(one.bytes.to_vec());
                }
                listener.recycle(batch);
            }
            assert_eq!(got, [&b"hello"[..], b"ho", b"there"]);
        }
        assert!(listener.next(Duration::from_millis(1)).is_none());
        assert_eq!((listener.overruns(), listener.kernel_drops()), (0, Some(0)));
    }

    #[test]
    fn the_kernel_s_table_tells_the_drops_of_a_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            0: 0100007F:B798 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5 2 0 17\n\
            1: 0100007F:B799 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5 2 0 3\n";
        assert_eq!(drops_of(table, 47_000), Some(17));
        assert_eq!(drops_of(table, 1), None);
    }
}
