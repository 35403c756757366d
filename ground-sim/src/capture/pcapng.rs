//! Packets of a pcapng file (draft-ietf-opsawg-pcapng): sections of either byte order, any number of
//! interfaces, Enhanced, Simple and the obsolete Packet Block; other blocks are stepped over.
//!
//! A block says its length at both ends. Where the two differ, the next sound block is searched for and
//! all bytes up to there are handed on as a suspect record.

use std::io;
use std::time::Duration;

use super::record::{Record, SEARCH_BYTES, SEARCH_STEP_BYTES, take_stretch};
use super::salvage::find_magic;
use super::stats::CaptureStats;
use super::window::Window;

const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
/// Blocks the search may stop at: the standard's, and the two custom ones.
const KNOWN: [u32; 10] =
    [SECTION, INTERFACE, PACKET, SIMPLE_PACKET, 4, 5, ENHANCED_PACKET, 10, 0xBAD, 0x4000_0BAD];
/// Longest block that is believed; the largest packet needs half of it.
const MAX_BLOCK_BYTES: usize = 512 << 10;
/// Smallest block: type and both lengths.
const MIN_BLOCK_BYTES: usize = 12;
const MAX_INTERFACES: usize = 65_536;

#[derive(Debug)]
pub(super) struct Pcapng {
    big_endian: bool,
    interfaces: Vec<Interface>,
    last: Duration,
    lost: bool,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link_type: u32,
    snap_bytes: u32,
    ticks_per_s: u128,
    offset_s: i64,
}

/// A packet block: which interface, when, how long on the wire, and where in the block.
struct Packet {
    interface: usize,
    ticks: Option<u64>,
    wire: u32,
    captured: u32,
    start: usize,
}

impl Pcapng {
    /// Looks at the first bytes of a file.
    pub(super) fn detect(head: &[u8]) -> Option<Self> {
        let section = head.get(..4)? == SECTION.to_be_bytes();
        let order = head.get(8..12).and_then(byte_order);
        (section && (order.is_some() || head.len() < 12)).then(|| Self::new(order.unwrap_or_default()))
    }

    /// Looks at the first bytes of a file whose first block is damaged in its type or byte order.
    pub(super) fn detect_damaged(head: &[u8]) -> Option<Self> {
        let order = head.get(8..12).and_then(byte_order);
        let section = head.get(..4)? == SECTION.to_be_bytes();
        order.or_else(|| section.then(|| head.get(4) == Some(&0))).map(Self::new)
    }

    fn new(big_endian: bool) -> Self {
        Self { big_endian, interfaces: Vec::new(), last: Duration::ZERO, lost: false }
    }

    /// The next record, its bytes in `data`; `None` at the end.
    pub(super) fn next(
        &mut self,
        window: &mut Window,
        stats: &mut CaptureStats,
        data: &mut Vec<u8>,
    ) -> io::Result<Option<Record>> {
        loop {
            let ahead = window.look(MIN_BLOCK_BYTES)?;
            if ahead.len() < MIN_BLOCK_BYTES {
                stats.truncated |= !ahead.is_empty();
                return Ok(None);
            }
            let bytes = self.block_bytes(ahead).unwrap_or(0);
            if !self.sound(window.look(bytes)?) {
                return self.recover(window, stats, data);
            }
            self.lost = false;
            let block = window.look(bytes)?.get(..bytes).unwrap_or_default();
            let kind = self.read_kind(block);
            match kind {
                Some(SECTION) => self.interfaces.clear(),
                Some(INTERFACE) => self.add_interface(block),
                _ => {}
            }
            let packet = kind.and_then(|kind| self.packet(kind, block));
            data.clear();
            data.extend_from_slice(block);
            window.skip(bytes);
            if let Some(packet) = packet {
                return Ok(Some(self.record(&packet, 4, stats, data)));
            }
            if find_magic(data).is_some() {
                // A packet's block, once: its kind is damaged.
                return Ok(Some(Record { time: self.last, link_type: None, packet: 0..0, suspect: true }));
            }
        }
    }

    /// Finds the way behind a block whose lengths don't agree.
    fn recover(
        &mut self,
        window: &mut Window,
        stats: &mut CaptureStats,
        data: &mut Vec<u8>,
    ) -> io::Result<Option<Record>> {
        let ahead = window.look(SEARCH_BYTES)?;
        let whole = ahead.len() < SEARCH_BYTES;
        let reach = if whole { ahead.len() } else { SEARCH_STEP_BYTES };
        let found = (1..reach).find(|&at| self.resumes(ahead.get(at..).unwrap_or_default()));
        let cut = found.is_none() && whole && self.block_bytes(ahead).is_some_and(|n| n > ahead.len());
        if (found.is_none() && !cut) || self.lost && found.is_none() {
            stats.resyncs += u64::from(!self.lost);
            self.lost = true;
            return take_stretch(window, self.last, stats, data);
        }
        let end = found.unwrap_or(ahead.len());
        data.clear();
        data.extend_from_slice(ahead.get(..end).unwrap_or_default());
        stats.truncated |= cut;
        stats.resyncs += u64::from(!cut && !self.lost);
        let was_lost = std::mem::take(&mut self.lost);
        let packet = self.read_kind(data).filter(|_| !was_lost).and_then(|kind| self.packet(kind, data));
        window.skip(end);
        if let Some(packet) = packet {
            return Ok(Some(Record { suspect: true, ..self.record(&packet, 0, stats, data) }));
        }
        stats.stray_bytes += end as u64;
        Ok(Some(Record { time: self.last, link_type: None, packet: 0..0, suspect: true }))
    }

    /// The record of a packet block in `data`; `trailer` bytes at its end are not the packet's.
    fn record(&mut self, packet: &Packet, trailer: usize, stats: &mut CaptureStats, data: &[u8]) -> Record {
        let interface = self.interfaces.get(packet.interface);
        let snap = interface.map_or(0, |i| i.snap_bytes);
        let captured = match packet.ticks {
            None if snap > 0 => packet.captured.min(snap), // a Simple Packet Block doesn't say
            _ => packet.captured,
        };
        let room = data.len().saturating_sub(trailer).saturating_sub(packet.start);
        let start = packet.start.min(data.len());
        let taken = start..start + room.min(captured as usize);
        if let Some(time) = packet.ticks.and_then(|ticks| interface?.time(ticks)) {
            self.last = time;
        }
        stats.records += 1;
        stats.bytes += taken.len() as u64;
        stats.truncated_records += u64::from(packet.wire > captured);
        let link_type = self.interfaces.get(packet.interface).map(|i| i.link_type);
        let suspect = captured as usize > room && packet.ticks.is_some();
        Record { time: self.last, link_type, packet: taken, suspect }
    }

    /// Takes a packet block apart; `None` for any other block.
    fn packet(&self, kind: u32, block: &[u8]) -> Option<Packet> {
        let at = |at| self.u32(block, at);
        let ticks = || Some(u64::from(at(12)?) << 32 | u64::from(at(16)?));
        let full = |interface| {
            Some(Packet { interface, ticks: Some(ticks()?), captured: at(20)?, wire: at(24)?, start: 28 })
        };
        match kind {
            ENHANCED_PACKET => full(at(8)? as usize),
            PACKET => full(usize::from(self.u16(block, 8)?)),
            SIMPLE_PACKET => {
                Some(Packet { interface: 0, ticks: None, captured: at(8)?, wire: at(8)?, start: 12 })
            }
            _ => None,
        }
    }

    fn add_interface(&mut self, block: &[u8]) {
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        let (Some(link_type), Some(snap_bytes)) = (self.u16(block, 8), self.u32(block, 12)) else { return };
        let mut interface =
            Interface { link_type: link_type.into(), snap_bytes, ticks_per_s: 1_000_000, offset_s: 0 };
        let mut options = block.get(16..block.len() - 4).unwrap_or_default();
        while let (Some(code), Some(bytes)) = (self.u16(options, 0), self.u16(options, 2)) {
            let value = options.get(4..4 + usize::from(bytes)).unwrap_or_default();
            match (code, value) {
                (0, _) => break,
                (RESOLUTION, &[exponent]) => interface.ticks_per_s = ticks_per_s(exponent),
                (OFFSET, value) => interface.offset_s = self.i64(value).unwrap_or(0),
                _ => {}
            }
            options = options.get(4 + usize::from(bytes).next_multiple_of(4)..).unwrap_or_default();
        }
        if self.interfaces.len() < MAX_INTERFACES {
            self.interfaces.push(interface);
        }
    }

    /// The block's kind; a section's own byte order is taken on.
    fn read_kind(&mut self, block: &[u8]) -> Option<u32> {
        let kind = self.u32(block, 0)?;
        if kind == SECTION {
            self.big_endian = block.get(8..12).and_then(byte_order).unwrap_or(self.big_endian);
        }
        Some(kind)
    }

    /// Whether a block of a known kind, with lengths that agree, begins here.
    fn resumes(&self, rest: &[u8]) -> bool {
        self.u32(rest, 0).is_some_and(|kind| KNOWN.contains(&kind)) && self.sound(rest)
    }

    /// Whether the block that begins here says the same length at both ends.
    fn sound(&self, rest: &[u8]) -> bool {
        let Some(bytes) = self.block_bytes(rest) else { return false };
        rest.get(bytes - 4..bytes) == rest.get(4..8)
    }

    /// The length a block says it has, if that can be.
    fn block_bytes(&self, block: &[u8]) -> Option<usize> {
        let swapped = self.u32(block, 0)? == SECTION
            && block.get(8..12).and_then(byte_order).is_some_and(|order| order != self.big_endian);
        let said = self.u32(block, 4)?;
        let bytes = if swapped { said.swap_bytes() } else { said } as usize;
        (bytes.is_multiple_of(4) && (MIN_BLOCK_BYTES..=MAX_BLOCK_BYTES).contains(&bytes)).then_some(bytes)
    }

    fn u16(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let field = bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(*field) } else { u16::from_le_bytes(*field) })
    }

    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let field = bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(*field) } else { u32::from_le_bytes(*field) })
    }

    fn i64(&self, bytes: &[u8]) -> Option<i64> {
        let field = bytes.first_chunk()?;
        Some(if self.big_endian { i64::from_be_bytes(*field) } else { i64::from_le_bytes(*field) })
    }
}

impl Interface {
    fn time(&self, ticks: u64) -> Option<Duration> {
        const NANOS_PER_S: u128 = 1_000_000_000;
        let nanos = u128::from(ticks) * NANOS_PER_S / self.ticks_per_s;
        let seconds = i64::try_from(nanos / NANOS_PER_S).ok()?.checked_add(self.offset_s)?;
        Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos % NANOS_PER_S).ok()?))
    }
}

/// `if_tsresol`: a power of ten, or of two with the highest bit set.
fn ticks_per_s(exponent: u8) -> u128 {
    match exponent {
        0..=38 => 10_u128.pow(exponent.into()),
        128.. => 1 << (exponent - 128),
        _ => 1_000_000,
    }
}

/// Big endian or not, by a section's byte-order magic.
fn byte_order(field: &[u8]) -> Option<bool> {
    let magic = u32::from_be_bytes(*field.first_chunk()?);
    (magic == BYTE_ORDER).then_some(true).or((magic.swap_bytes() == BYTE_ORDER).then_some(false))
}
