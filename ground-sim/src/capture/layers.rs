//! From a captured packet to its UDP payload: link layer, VLAN tags, IPv4 or IPv6, UDP.
//!
//! Lax on purpose: lengths that don't fit are cut to what is there, and no checksum is compared, since
//! captures of a sending host hold packets whose checksums are not filled in yet. What a payload is
//! worth is told by its own CRC and keyed tag.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, IpNumber, Ipv6ExtensionSlice, LaxNetSlice, LaxSlicedPacket, TransportSlice, UdpSlice,
    ether_type, ip_number,
};

/// What a packet turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Layers<'a> {
    /// A whole UDP packet.
    Udp(Udp<'a>),
    /// A fragment of an IP packet that carries UDP.
    Fragment(Fragment<'a>),
    /// IP with something else in it.
    OtherIp,
    /// Not IP.
    NonIp,
}

/// A UDP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Udp<'a> {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) payload: &'a [u8],
}

/// An IP fragment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    pub(super) key: FragmentKey,
    /// Where its bytes stand in the whole, bytes.
    pub(super) offset: usize,
    /// Whether others stand behind it.
    pub(super) more: bool,
    pub(super) bytes: &'a [u8],
}

/// What the fragments of one packet have in common (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FragmentKey {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    pub(super) id: u32,
}

/// Takes a packet of a LINKTYPE apart.
pub(super) fn take_apart(link_type: u32, packet: &[u8]) -> Layers<'_> {
    let ether = |kind_at: usize, header_bytes: usize| {
        let kind = packet.get(kind_at..)?.first_chunk()?;
        let payload = packet.get(header_bytes..)?;
        Some(LaxSlicedPacket::from_ether_type(EtherType(u16::from_be_bytes(*kind)), payload))
    };
    let ip = |bytes: Option<&'_ [u8]>| LaxSlicedPacket::from_ip(bytes?).ok();
    // https://www.tcpdump.org/linktypes.html
    let sliced = match link_type {
        1 => LaxSlicedPacket::from_ethernet(packet).ok(),
        // NULL and LOOP: four bytes of an address family, which each system numbers its own way.
        0 | 108 => packet.get(4..).and_then(|p| LaxSlicedPacket::from_ip(p).ok()),
        12 | 14 | 101 | 228 | 229 => LaxSlicedPacket::from_ip(packet).ok(),
        113 => ether(14, 16),
        276 => ether(0, 20),
        _ => None,
    };
    let _ = ip;
    sliced.as_ref().map_or(Layers::NonIp, inner)
}

/// Takes apart what fragments were put together to.
pub(super) fn take_apart_udp(from: IpAddr, to: IpAddr, ip_payload: &[u8]) -> Option<Udp<'_>> {
    let udp = UdpSlice::from_slice_lax(ip_payload).ok()?;
    Some(udp_of(from, to, &udp))
}
