//! Making a segment of a result, piece by piece. Between pieces a caller can do other things, or stop for good.

use crate::checksum::Checksum;
use crate::coder::Decoder;
use crate::engine::Engine;
use crate::error::DeltaError;
use crate::head::{Delta, Segment};
use crate::predict::UNIT;
use crate::stored::Stored;

/// Room that a piece needs at least, bytes.
pub const MIN_PIECE_BYTES: usize = UNIT;

/// How far a piece came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes; more of the segment is to come.
    More(usize),
    /// So many bytes, the segment's last, and all of its bytes are what was encoded.
    Done(usize),
}

/// A segment being made.
#[derive(Debug)]
pub struct Run<'d> {
    number: u32,
    segment: Segment,
    engine: Engine<'d>,
    decoder: Decoder,
    sum: Checksum,
}

impl<'d> Run<'d> {
    /// Memory that it takes beside what the settings say, with what lies beside it on the stack.
    pub(crate) const MEMORY: u64 = Engine::MEMORY + Decoder::MEMORY + 32_768;

    pub(crate) fn new(
        delta: &'d Delta,
        number: u32,
        base: &(impl Stored + ?Sized),
        stored: &(impl Stored + ?Sized),
    ) -> Result<Self, DeltaError> {
        let (told, have) = (u64::from(delta.base_bytes()), base.bytes());
        if told > 0 && told != have {
            return Err(DeltaError::BaseLength { told, have });
        }
        let segment = delta.segment(number)?;
        let end = segment.at.saturating_add(segment.len);
        Ok(Self {
            number,
            segment,
            engine: Engine::new(&delta.plan, segment.at, end),
            decoder: Decoder::new(stored, segment.stream, segment.stream_end)?,
            sum: Checksum::new(),
        })
    }

    /// What is being made.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Bytes of the segment that are still to come.
    pub fn left(&self) -> u32 {
        self.engine.left()
    }

    /// Makes the next bytes of the segment, as many as `out` has room for to within a unit of 8 bytes. `base` and `delta`
    /// have to be those that the run began with. What came counts only once [`Piece::Done`] was told.
    pub fn piece(
        &mut self,
        base: &(impl Stored + ?Sized),
        delta: &(impl Stored + ?Sized),
        out: &mut [u8],
    ) -> Result<Piece, DeltaError> {
        if out.len() < MIN_PIECE_BYTES {
            return Err(DeltaError::Room { needed: MIN_PIECE_BYTES });
        }
        let mut made = 0;
        while self.left() > 0 && out.len() - made >= UNIT {
            self.decoder.feed(delta)?;
            let unit = self.engine.step(&mut self.decoder, base, [0; UNIT])?;
            if self.decoder.starved() {
                return Err(DeltaError::Stream { segment: self.number });
            }
            let bytes = unit.bytes();
            if let Some(room) = out.get_mut(made..).and_then(|out| out.get_mut(..bytes.len())) {
                room.copy_from_slice(bytes);
            }
            made += bytes.len();
        }
        let piece = out.get(..made).unwrap_or_default();
        self.sum.add(piece);
        if self.left() > 0 { Ok(Piece::More(made)) } else { self.end(made) }
    }

    /// Checks what came.
    fn end(&self, made: usize) -> Result<Piece, DeltaError> {
        if !self.decoder.ended() {
            Err(DeltaError::Stream { segment: self.number })
        } else if self.sum.value() != self.segment.sum {
            Err(DeltaError::Checksum { segment: self.number })
        } else {
            Ok(Piece::Done(made))
        }
    }
}
