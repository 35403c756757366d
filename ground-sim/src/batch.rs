//! Many datagrams in one system call: segmentation offload (Linux 4.18) where the kernel has it, one by one
//! where it hasn't.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use passband_proto::transfer::Burst;
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};

/// The most one call may carry, bytes: an IP packet's length field is 16 bits.
const MAX_CALL_BYTES: usize = 65_000;
/// The pause when the network takes nothing more.
const FULL: Duration = Duration::from_micros(100);
/// Linux's error number for a device whose queue is full.
const ENOBUFS: i32 = 105;

/// Sends datagrams. The socket is not connected, so nobody listening at the far end goes unnoticed, as on a
/// radio link.
#[derive(Debug)]
pub struct BatchSender {
    socket: UdpSocket,
    state: UdpSocketState,
    to: SocketAddr,
    single: bool,
}

impl BatchSender {
    /// Opens a socket to send from.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn open(to: SocketAddr) -> Result<Self> {
        let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).context("opening a socket")?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket)).context("preparing a socket")?;
        Ok(Self { socket, state, to, single: false })
    }

    /// Sends each datagram in a call of its own: a capture on this very machine, taken before a joined packet
    /// is cut, then shows each by itself.
    #[must_use]
    pub fn one_by_one(self, single: bool) -> Self {
        Self { single, ..self }
    }

    /// Sends all datagrams of a burst; what the network doesn't take at once is waited for.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn send(&self, burst: &Burst) -> Result<()> {
        let mut rest = burst.as_bytes();
        let mut sizes = burst.datagrams().map(<[u8]>::len).peekable();
        while let Some(size) = sizes.next() {
            let most = self.most_segments().min(MAX_CALL_BYTES / size.max(1)).max(1);
            let mut count = 1;
            while count < most && sizes.next_if_eq(&size).is_some() {
                count += 1;
            }
            let (piece, after) = rest.split_at_checked(size * count).unwrap_or((rest, &[]));
            self.send_piece(piece, size)?;
            rest = after;
        }
        Ok(())
    }

    /// Sends datagrams that lie anywhere.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn send_all<'a>(&self, datagrams: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        let mut piece = Vec::new();
        let mut size = 0;
        for datagram in datagrams {
            if size != datagram.len() || piece.len() + size > MAX_CALL_BYTES.min(size * self.most_segments())
            {
                self.send_piece(&piece, size)?;
                piece.clear();
                size = datagram.len();
            }
            piece.extend_from_slice(datagram);
        }
        self.send_piece(&piece, size)
    }

    fn most_segments(&self) -> usize {
        if self.single { 1 } else { self.state.max_gso_segments().max(1) }
    }

    fn send_piece(&self, piece: &[u8], size: usize) -> Result<()> {
        let mut each = piece.len();
        let mut rest = piece;
        while !rest.is_empty() {
            let now = rest.get(..each.min(rest.len())).unwrap_or_default();
            let transmit = Transmit {
                destination: self.to,
                ecn: None,
                contents: now,
                segment_size: (now.len() > size).then_some(size),
                src_ip: None,
            };
            match self.state.try_send(UdpSockRef::from(&self.socket), &transmit) {
                Ok(()) => rest = rest.get(now.len()..).unwrap_or_default(),
                Err(e) if is_full(&e) => std::thread::sleep(FULL),
                // A device that can't cut packets says so only when it is tried.
                Err(_) if each > size => each = size,
                Err(e) => return Err(e).with_context(|| format!("sending to {}", self.to)),
            }
        }
        Ok(())
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        || error.raw_os_error() == Some(ENOBUFS)
}
