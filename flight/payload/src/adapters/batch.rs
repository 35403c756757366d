//! Many datagrams in one system call: sendmmsg, which Linux has had since 3.0. (Segmentation offload, which
//! is faster still, came with 4.18: later than the board's kernel.)

use std::io::{self, IoSlice};
use std::net::{SocketAddr, UdpSocket};

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

/// Most datagrams in one call.
pub const MAX_BATCH: usize = 64;

/// Sends the first [`MAX_BATCH`] datagrams, or as many as the network takes: how many, at least one.
///
/// # Errors
/// The network refused the first of them; the others were not tried.
pub fn send_batch(socket: &UdpSocket, to: SocketAddr, datagrams: &[&[u8]]) -> io::Result<usize> {
    let to = SocketAddrAny::from(to);
    let slices: Vec<_> = datagrams.iter().take(MAX_BATCH).map(|datagram| [IoSlice::new(datagram)]).collect();
    let mut nothing: Vec<_> = slices.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let messages = slices.iter().zip(&mut nothing);
    let mut messages: Vec<_> =
        messages.map(|(slice, nothing)| MMsgHdr::new_with_addr(&to, slice, nothing)).collect();
    if messages.is_empty() {
        return Ok(0);
    }
    match sendmmsg(socket, &mut messages, SendFlags::empty())? {
        0 => Err(io::Error::from(io::ErrorKind::WouldBlock)),
        sent => Ok(sent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_arrive_in_order_each_as_it_was() {
        let (near, far) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = far.local_addr().unwrap();
        let datagrams: Vec<Vec<u8>> = (0..100_u8).map(|i| vec![i; usize::from(i) + 1]).collect();
        let mut rest: Vec<_> = datagrams.iter().map(Vec::as_slice).collect();
        assert_eq!(send_batch(&near, to, &[]).unwrap(), 0);
        while !rest.is_empty() {
            let sent = send_batch(&near, to, &rest).unwrap();
            assert!((1..=MAX_BATCH).contains(&sent));
            rest.drain(..sent);
        }
        let mut buffer = [0; 200];
        for datagram in &datagrams {
            let bytes = far.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..bytes], datagram[..]);
        }
    }

    #[test]
    fn a_datagram_the_network_refuses_is_told_once_it_is_the_first() {
        let (near, far) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = far.local_addr().unwrap();
        let large = vec![0; 70_000];
        assert_eq!(send_batch(&near, to, &[b"one", &large, b"two"]).unwrap(), 1);
        let error = send_batch(&near, to, &[&large, b"two"]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MSGSIZE.raw_os_error()));
    }
}
