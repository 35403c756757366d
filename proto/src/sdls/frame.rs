//! The bytes of a protected frame. Says what stands where and whether the tag holds; knows nothing of windows, states
//! or limits.
//!
//! ```text
//!  0  version (2 bits) = 0 | bypass = 1 | control = 0 | spare (2) = 0 | spacecraft, its low 10 bits
//!  2  VCID (6 bits) | length (10): bytes of the frame less one      4  N(S) u8 = 0
//!  5  SPI u16            7  IV: salt [4] | counter u64
//! 19  data, sealed, 1 … 987 bytes     then  tag [16]     FECF u16
//! ```
//!
//! Numbers are big endian. Bytes 0–4 are the primary header of CCSDS 232.0-B-4 §4.1.2 (a Type-BD frame: §4.1.2.3), 5–18 the
//! security header of CCSDS 355.0-B-2 §4.1.1, the tag is its trailer (§4.1.2), the FECF is that of 232.0-B-4 §4.1.4: CRC-16
//! with x¹⁶ + x¹² + x⁵ + 1, preset to ones. Sealed by AES-256-GCM (NIST SP 800-38D); the associated data are bytes 0–18
//! under the authentication bit mask (355.0-B-2 §4.2.2.6.2): VCID and SPI as they are, all else zero.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use crc::{CRC_16_IBM_3740, Crc, Table};

use super::fault::{FrameFault, SealError};
use crate::wire::{Reader, Writer};

/// Most bytes of a TC transfer frame.
pub const MAX_FRAME_BYTES: usize = 1024;
/// What protection and frame add to the data.
pub const OVERHEAD_BYTES: usize = HEAD_BYTES + TAG_BYTES + FECF_BYTES;
/// Most bytes of data in a frame.
pub const MAX_DATA_BYTES: usize = MAX_FRAME_BYTES - OVERHEAD_BYTES;
/// The salt that says a frame re-synchronises; no sender draws it for anything else.
pub const RESYNC_SALT: [u8; 4] = [0xFF; 4];

/// Primary and security header.
pub(super) const HEAD_BYTES: usize = 19;
const TAG_BYTES: usize = 16;
const FECF_BYTES: usize = 2;
/// Version 0, bypass, no control command, spare bits zero; the rest of the byte is the spacecraft's.
const FLAGS: u8 = 0b0010_0000;
const FLAGS_MASK: u8 = 0b1111_1100;
const LENGTH_MASK: u16 = 0x03FF;

// One byte at a time: frames are few, and the table is uplinked.
static CRC: Crc<u16, Table<1>> = Crc::<u16, Table<1>>::new(&CRC_16_IBM_3740);

/// Where frames go: the global virtual channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// The spacecraft; frames carry its low 10 bits, keys are derived from all 16.
    pub spacecraft: u16,
    /// The virtual channel, 0 to 63; its low 6 bits count.
    pub vcid: u8,
}

impl Channel {
    fn scid(self) -> u16 {
        self.spacecraft & LENGTH_MASK
    }

    fn vcid(self) -> u8 {
        self.vcid & 0x3F
    }
}

/// The initialisation vector of a frame: never the same twice under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iv {
    /// Random bytes, drawn anew at each start of a sender; [`RESYNC_SALT`] in a frame that re-synchronises.
    pub salt: [u8; 4],
    /// The counter that the window looks at; random in a frame that re-synchronises.
    pub counter: u64,
}

impl Iv {
    fn bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let mut w = Writer::new(&mut bytes);
        w.put(&self.salt).put(&self.counter.to_be_bytes());
        debug_assert!(w.fitted());
        bytes
    }
}

/// Seals data into a frame.
///
/// # Errors
/// No data, or more than [`MAX_DATA_BYTES`].
pub(super) fn seal(
    cipher: &Aes256Gcm,
    channel: Channel,
    spi: u16,
    iv: Iv,
    data: &[u8],
) -> Result<Vec<u8>, SealError> {
    if data.is_empty() || data.len() > MAX_DATA_BYTES {
        return Err(SealError { bytes: data.len() });
    }
    let error = SealError { bytes: data.len() };
    let length = u16::try_from(data.len() + OVERHEAD_BYTES - 1).map_err(|_| error)?;
    let address = (u16::from(FLAGS) << 8) | channel.scid();
    let room = (u16::from(channel.vcid()) << 10) | length;
    let mut frame = Vec::with_capacity(data.len() + OVERHEAD_BYTES);
    for field in [address, room] {
        frame.extend_from_slice(&field.to_be_bytes());
    }
    frame.push(0);
    frame.extend_from_slice(&spi.to_be_bytes());
    frame.extend_from_slice(&iv.bytes());
    frame.extend_from_slice(data);
    let body = frame.get_mut(HEAD_BYTES..).unwrap_or_default();
    let tag = cipher
        .encrypt_inout_detached(&iv.bytes().into(), &masked(channel, spi), body.into())
        .map_err(|_| error)?;
    frame.extend_from_slice(&tag);
    frame.extend_from_slice(&CRC.checksum(&frame).to_be_bytes());
    Ok(frame)
}

/// Writes the FECF of a frame anew, as anyone can.
pub(super) fn repair(frame: &mut [u8]) {
    if let Some((rest, fecf)) = frame.split_last_chunk_mut::<FECF_BYTES>() {
        *fecf = CRC.checksum(rest).to_be_bytes();
    }
}

/// The associated data: the headers under the authentication bit mask.
fn masked(channel: Channel, spi: u16) -> [u8; HEAD_BYTES] {
    let mut masked = [0; HEAD_BYTES];
    let mut w = Writer::new(&mut masked);
    w.put(&[0, 0, channel.vcid() << 2, 0, 0]).put(&spi.to_be_bytes());
    debug_assert!(w.fitted());
    masked
}

/// A frame whose shape, address and FECF are right. Whether it is authentic is open.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    channel: Channel,
    spi: u16,
    iv: Iv,
    sealed: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> Frame<'a> {
    /// Looks at the bytes that came as one frame, the cheapest checks first.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(bytes: &'a [u8], channel: Channel) -> Result<Self, FrameFault> {
        if bytes.len() > MAX_FRAME_BYTES {
            return Err(FrameFault::TooLong { bytes: bytes.len() });
        }
        let truncated = FrameFault::Truncated { bytes: bytes.len() };
        if bytes.len() <= OVERHEAD_BYTES {
            return Err(truncated);
        }
        let (covered, fecf) = bytes.split_last_chunk::<FECF_BYTES>().ok_or(truncated)?;
        let (body, tag) = covered.split_last_chunk::<TAG_BYTES>().ok_or(truncated)?;
        let (head, sealed) = body.split_first_chunk::<HEAD_BYTES>().ok_or(truncated)?;
        check_header(head, bytes.len())?;
        if CRC.checksum(covered).to_be_bytes() != *fecf {
            return Err(FrameFault::Fecf);
        }
        check_address(head, channel)?;
        let mut r = Reader::new(head.get(5..).unwrap_or_default());
        let (Some(spi), Some(salt), Some(counter)) = (r.u16(), r.array(), r.u64()) else {
            return Err(truncated);
        };
        Ok(Self { channel, spi, iv: Iv { salt, counter }, sealed, tag })
    }

    /// The security parameter index it names.
    #[must_use]
    pub fn spi(&self) -> u16 {
        self.spi
    }

    /// Its initialisation vector.
    #[must_use]
    pub fn iv(&self) -> Iv {
        self.iv
    }

    /// Opens it in `room`: the data if its tag holds under this key, `None` if not. Nothing is decrypted before.
    pub(super) fn open<'r>(
        &self,
        cipher: &Aes256Gcm,
        room: &'r mut [u8; MAX_DATA_BYTES],
    ) -> Option<&'r [u8]> {
        let data = room.get_mut(..self.sealed.len())?;
        data.copy_from_slice(self.sealed);
        let masked = masked(self.channel, self.spi);
        cipher
            .decrypt_inout_detached(
                &self.iv.bytes().into(),
                &masked,
                (&mut *data).into(),
                &(*self.tag).into(),
            )
            .ok()?;
        Some(data)
    }
}

fn check_header(head: &[u8; HEAD_BYTES], bytes: usize) -> Result<(), FrameFault> {
    let [flags, _, room, length, ..] = *head;
    if flags & FLAGS_MASK != FLAGS {
        return Err(FrameFault::NotAFrame("version and flags"));
    }
    let length = u16::from_be_bytes([room, length]) & LENGTH_MASK;
    if usize::from(length) + 1 == bytes { Ok(()) } else { Err(FrameFault::NotAFrame("length")) }
}

fn check_address(head: &[u8; HEAD_BYTES], channel: Channel) -> Result<(), FrameFault> {
    let [flags, scid, room, ..] = *head;
    let scid = u16::from_be_bytes([flags, scid]) & LENGTH_MASK;
    if scid != channel.scid() {
        return Err(FrameFault::Spacecraft { scid });
    }
    let vcid = room >> 2;
    if vcid == channel.vcid() { Ok(()) } else { Err(FrameFault::Channel { vcid }) }
}

#[cfg(test)]
mod tests {
    use super::super::{Role, RoleKey};
    use super::*;

    const HERE: Channel = Channel { spacecraft: 0x0702, vcid: 5 };
    const IV: Iv = Iv { salt: [1, 2, 3, 4], counter: 9 };

    fn cipher() -> Aes256Gcm {
        RoleKey::new(0x0702, 3, Role::Operator, [8; 32]).unwrap().frame_key().cipher()
    }

    #[test]
    fn the_check_value_of_the_fecf() {
        assert_eq!(CRC.checksum(b"123456789"), 0x29B1);
    }

    #[test]
    fn the_header_is_that_of_a_type_bd_frame() {
        let frame = seal(&cipher(), HERE, 3, IV, &[0xAA; 20]).unwrap();
        assert_eq!(frame.len(), 57);
        assert_eq!(frame[..19], [0x23, 0x02, 5 << 2, 56, 0, 0, 3, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(CRC.checksum(&frame), 0, "the residue of a CRC without final xor");
    }

    #[test]
    fn every_length_survives_and_others_are_refused() {
        let mut room = [0; MAX_DATA_BYTES];
        for length in [1, 2, 15, 16, 17, 255, 986, 987] {
            let frame = seal(&cipher(), HERE, 3, IV, &vec![7; length]).unwrap();
            let read = Frame::parse(&frame, HERE).unwrap();
            assert_eq!((read.spi(), read.iv()), (3, IV));
            assert_eq!(read.open(&cipher(), &mut room), Some(vec![7; length].as_slice()));
        }
        for length in [0, 988] {
            assert_eq!(seal(&cipher(), HERE, 3, IV, &vec![7; length]), Err(SealError { bytes: length }));
        }
    }

    #[test]
    fn only_the_frame_sequence_number_is_free_to_change() {
        let mut room = [0; MAX_DATA_BYTES];
        let good = seal(&cipher(), HERE, 3, IV, b"order").unwrap();
        for bit in 0..(good.len() - FECF_BYTES) * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::parse(&bad, HERE).is_err(), "the FECF finds bit {bit}");
            repair(&mut bad);
            let opened =
                Frame::parse(&bad, HERE).ok().and_then(|f| f.open(&cipher(), &mut room).map(<[u8]>::to_vec));
            assert_eq!(opened.is_some(), bit / 8 == 4, "bit {bit}");
        }
    }

    #[test]
    fn faults_are_named() {
        let good = seal(&cipher(), HERE, 3, IV, b"order").unwrap();
        let other = |spacecraft, vcid| Frame::parse(&good, Channel { spacecraft, vcid }).map(|f| f.spi());
        assert_eq!(other(0x0703, 5), Err(FrameFault::Spacecraft { scid: 0x302 }));
        assert_eq!(other(0x0702, 6), Err(FrameFault::Channel { vcid: 5 }));
        assert_eq!(other(0x0302, 5), Ok(3), "ten bits only: the key tells them apart");
        let parse = |bytes: &[u8]| Frame::parse(bytes, HERE).map(|f| f.spi());
        assert_eq!(parse(&[0x23; 37]), Err(FrameFault::Truncated { bytes: 37 }));
        assert_eq!(parse(&[0x23; 1025]), Err(FrameFault::TooLong { bytes: 1025 }));
        assert_eq!(parse(&[0; 60]), Err(FrameFault::NotAFrame("version and flags")));
        assert_eq!(parse(&good[..good.len() - 1]), Err(FrameFault::NotAFrame("length")));
        assert_eq!(parse(&[&good[..10], &[0xEE], &good[11..]].concat()), Err(FrameFault::Fecf));
    }
}
