//! From a captured packet to its UDP payload: link layer, VLAN tags, IPv4 or IPv6, UDP.
//!
//! Lax on purpose: lengths that don't fit are cut to what is there, and no checksum is compared, since
//! captures of a sending host hold packets whose checksums are not filled in yet. What a payload is
//! worth is told by its own CRC and keyed tag.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, IpNumber, Ipv6FragmentHeaderSlice, LaxNetSlice, LaxSlicedPacket, TransportSlice, UdpSlice,
    ip_number,
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

/// Takes a packet of a LINKTYPE (<https://www.tcpdump.org/linktypes.html>) apart.
pub(super) fn take_apart(link_type: u32, packet: &[u8]) -> Layers<'_> {
    let ip = |header_bytes| LaxSlicedPacket::from_ip(packet.get(header_bytes..)?).ok();
    let ether = |kind_at: usize, header_bytes: usize| {
        let kind = packet.get(kind_at..)?.first_chunk()?;
        let payload = packet.get(header_bytes..)?;
        Some(LaxSlicedPacket::from_ether_type(EtherType(u16::from_be_bytes(*kind)), payload))
    };
    let sliced = match link_type {
        1 => ether(12, 14),
        // NULL and LOOP: four bytes of an address family, which each system numbers its own way.
        0 | 108 => ip(4),
        12 | 14 | 101 | 228 | 229 => ip(0),
        // Linux cooked, v1 and v2.
        113 => ether(14, 16),
        276 => ether(0, 20),
        _ => None,
    };
    sliced.as_ref().map_or(Layers::NonIp, inner)
}

/// Takes apart what fragments were put together to.
pub(super) fn take_apart_udp<'a>(key: &FragmentKey, ip_payload: &'a [u8]) -> Option<Udp<'a>> {
    UdpSlice::from_slice_lax(ip_payload).ok().map(|udp| udp_of(key.from, key.to, &udp))
}

fn inner<'a>(sliced: &LaxSlicedPacket<'a>) -> Layers<'a> {
    let (from, to, payload): (IpAddr, IpAddr, _) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into(), ip.payload())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into(), ip.payload())
        }
        Some(LaxNetSlice::Arp(_)) | None => return Layers::NonIp,
    };
    if let Some(TransportSlice::Udp(udp)) = &sliced.transport {
        return Layers::Udp(udp_of(from, to, udp));
    }
    // A fragment that the snapshot length cut can't make anything whole.
    let whole = if payload.incomplete { &[] } else { payload.payload };
    let fragment = match &sliced.net {
        _ if !payload.fragmented => None,
        Some(LaxNetSlice::Ipv4(ip)) if ip.header().protocol() == ip_number::UDP => {
            let header = ip.header();
            let key = FragmentKey { from, to, id: header.identification().into() };
            let offset = header.fragments_offset().byte_offset().into();
            Some(Fragment { key, offset, more: header.more_fragments(), bytes: whole })
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let first = ip.header().next_header();
            fragment_header(first, ip.extensions().slice()).map(|header| {
                let key = FragmentKey { from, to, id: header.identification() };
                let offset = header.fragment_offset().byte_offset().into();
                Fragment { key, offset, more: header.more_fragments(), bytes: whole }
            })
        }
        _ => None,
    };
    fragment.map_or(Layers::OtherIp, Layers::Fragment)
}

/// The fragment header among IPv6 extension headers, if UDP comes right behind it.
fn fragment_header(first: IpNumber, mut headers: &[u8]) -> Option<Ipv6FragmentHeaderSlice<'_>> {
    let mut kind = first;
    loop {
        let &[next, length, ..] = headers else { return None };
        let units = usize::from(length);
        let bytes = match kind {
            ip_number::IPV6_FRAG => {
                let header = Ipv6FragmentHeaderSlice::from_slice(headers).ok()?;
                return (header.next_header() == ip_number::UDP).then_some(header);
            }
            ip_number::IPV6_HOP_BY_HOP | ip_number::IPV6_ROUTE | ip_number::IPV6_DEST_OPTIONS => {
                (units + 1) * 8
            }
            ip_number::AUTH => (units + 2) * 4,
            _ => return None,
        };
        headers = headers.get(bytes..)?;
        kind = IpNumber(next);
    }
}

fn udp_of<'a>(from: IpAddr, to: IpAddr, udp: &UdpSlice<'a>) -> Udp<'a> {
    Udp {
        from: SocketAddr::new(from, udp.source_port()),
        to: SocketAddr::new(to, udp.destination_port()),
        payload: udp.payload(),
    }
}
