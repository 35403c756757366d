//! The sockets of a bridge: packets of telemetry out, command packets in.
//!
//! Yamcs takes a datagram a packet and sends one a command; COSMOS connects by TCP and both go over that. Nothing waits for the
//! other program: a datagram nobody listens for is lost, and a connection that doesn't take what is sent is closed.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use passband_proto::packet::CommandPacket;

use super::frames::Frames;

/// Commands that may wait to be looked at.
const MAX_WAITING: usize = 64;
/// Connections at a time; one more closes the oldest.
const MAX_CLIENTS: usize = 8;
/// A connection that takes nothing for so long is closed.
const PATIENCE: Duration = Duration::from_secs(2);

/// The other program's line.
#[derive(Debug)]
pub struct Line {
    out: Out,
    commands: Receiver<Vec<u8>>,
}

#[derive(Debug)]
enum Out {
    Udp(UdpSocket, SocketAddr),
    Tcp(Clients),
}

type Clients = Arc<Mutex<Vec<TcpStream>>>;

impl Line {
    /// To a Yamcs whose `UdpTmDataLink` listens at `telemetry`, and whose `UdpTcDataLink` sends to `commands`, if it sends any.
    ///
    /// # Errors
    /// A socket can't be bound, or `commands` isn't on this machine alone.
    pub fn yamcs(telemetry: SocketAddr, commands: Option<SocketAddr>) -> Result<Self> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        if let Some(address) = commands {
            ensure_loopback(address)?;
            let socket = UdpSocket::bind(address).with_context(|| format!("listening on {address}"))?;
            thread::Builder::new().name("commands".into()).spawn(move || datagrams(&socket, &sender))?;
        }
        let any = if telemetry.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).context("opening a socket for telemetry")?;
        Ok(Self { out: Out::Udp(socket, telemetry), commands: receiver })
    }

    /// To a COSMOS that connects to `listen`. Gives the address that is listened on, too.
    ///
    /// # Errors
    /// A socket can't be bound, or `listen` isn't on this machine alone.
    pub fn cosmos(listen: SocketAddr) -> Result<(Self, SocketAddr)> {
        ensure_loopback(listen)?;
        let listener = TcpListener::bind(listen).with_context(|| format!("listening on {listen}"))?;
        let address = listener.local_addr()?;
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let clients = Clients::default();
        let others = Arc::clone(&clients);
        thread::Builder::new()
            .name("cosmos".into())
            .spawn(move || connections(&listener, &others, &sender))?;
        Ok((Self { out: Out::Tcp(clients), commands: receiver }, address))
    }

    /// Hands out a packet of telemetry.
    pub fn send(&self, packet: &[u8]) {
        match &self.out {
            Out::Udp(socket, to) => drop(socket.send_to(packet, to)),
            Out::Tcp(clients) => {
                let mut clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
                clients.retain_mut(|client| client.write_all(packet).is_ok());
            }
        }
    }

    /// The next command packet that came, if one did.
    pub fn command(&self) -> Option<Vec<u8>> {
        self.commands.try_recv().ok()
    }
}

/// Commands come in clear: whoever reaches the socket gives orders.
fn ensure_loopback(address: SocketAddr) -> Result<()> {
    ensure!(
        address.ip().is_loopback(),
        "{address}: commands come in clear, and are taken on loopback only (127.0.0.1, ::1)"
    );
    Ok(())
}

fn datagrams(socket: &UdpSocket, out: &SyncSender<Vec<u8>>) {
    let mut buffer = vec![0; CommandPacket::MAX_BYTES + 1];
    loop {
        match socket.recv(&mut buffer) {
            Ok(bytes) => {
                if out.send(buffer.get(..bytes).unwrap_or_default().to_vec()).is_err() {
                    return;
                }
            }
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn connections(listener: &TcpListener, clients: &Clients, out: &SyncSender<Vec<u8>>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let Ok(reader) = stream.try_clone() else { continue };
        let mut all = clients.lock().unwrap_or_else(PoisonError::into_inner);
        if stream.set_write_timeout(Some(PATIENCE)).is_err() {
            continue;
        }
        // One whose other end vanished without a word stays open here: the newest is the one that is used.
        while all.len() >= MAX_CLIENTS {
            let _ = all.remove(0).shutdown(std::net::Shutdown::Both);
        }
        let out = out.clone();
        let reading = thread::Builder::new().name("commands".into()).spawn(move || commands_of(reader, &out));
        if reading.is_ok() {
            all.push(stream);
        }
    }
}

/// Reads commands until the stream ends or holds something else.
fn commands_of(mut stream: TcpStream, out: &SyncSender<Vec<u8>>) {
    let (mut frames, mut buffer) = (Frames::default(), [0; 2048]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => frames.push(buffer.get(..bytes).unwrap_or_default()),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        loop {
            let sent = match frames.next_packet() {
                Ok(Some(packet)) => out.send(packet).is_ok(),
                Ok(None) => break,
                Err(_) => false,
            };
            if !sent {
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn wait_for<T>(mut found: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(Instant::now() < until, "it never came");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn commands_are_taken_on_loopback_only() {
        let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
        assert!(Line::cosmos(anywhere).unwrap_err().to_string().contains("loopback"));
        let local = "127.0.0.1:9".parse().unwrap();
        assert!(Line::yamcs(local, Some(anywhere)).is_err());
    }

    #[test]
    fn one_connection_carries_both_ways_and_junk_ends_it() {
        let (line, address) = Line::cosmos("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let command = [0x10, 0xFF, 0xC0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 1];
        client.write_all(&command).unwrap();
        assert_eq!(wait_for(|| line.command()), command);
        line.send(b"packet");
        let mut got = [0; 6];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"packet");
        client.write_all(b"something else").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(client.read(&mut got).unwrap_or(0), 0, "closed");
    }

    #[test]
    fn a_new_connection_pushes_the_oldest_out() {
        let (line, address) = Line::cosmos("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut clients: Vec<_> = (0..=MAX_CLIENTS).map(|_| TcpStream::connect(address).unwrap()).collect();
        let command = [0x10, 0xFF, 0xC0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 1];
        let newest = clients.last_mut().unwrap();
        newest.write_all(&command).unwrap();
        assert_eq!(wait_for(|| line.command()), command);
        line.send(b"packet");
        let mut got = [0; 6];
        newest.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"packet");
        let oldest = clients.first_mut().unwrap();
        oldest.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(oldest.read(&mut got).unwrap_or(0), 0, "closed");
    }

    #[test]
    fn datagrams_carry_a_packet_each() {
        let yamcs = UdpSocket::bind("127.0.0.1:0").unwrap();
        yamcs.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let spare = UdpSocket::bind("127.0.0.1:0").unwrap();
        let commands = spare.local_addr().unwrap();
        drop(spare);
        let line = Line::yamcs(yamcs.local_addr().unwrap(), Some(commands)).unwrap();
        line.send(b"packet");
        let mut got = [0; 9];
        assert_eq!(yamcs.recv(&mut got).unwrap(), 6);
        yamcs.send_to(b"command", commands).unwrap();
        assert_eq!(wait_for(|| line.command()), b"command");
    }
}
