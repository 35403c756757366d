//! A file sent up in pieces: which order goes next.
//!
//! A state machine without a clock or a socket: [`PieceSender::next_order`] is what the link carries next,
//! [`PieceSender::hear`] is what the satellite told. It needs no report: without any, all pieces go again and again, the
//! first time as they lie (so that a pass that ends early, or a burst of losses, leaves few and long gaps, which one packet
//! tells), then each time in another order, so that losses with a period hit others. With a report only what may be missing
//! goes, what surely is first; what is known to be there never goes again.
//!
//! The order that begins an upload goes often at first, then between pieces, until a report shows that it was heard.

use core::fmt;
use std::collections::VecDeque;

use passband_proto::crc32c::checksum;
use passband_proto::dict::{Order, Upload, UploadKind};
use sha2::{Digest, Sha256};

/// Most pieces: what the two numbers of a gap can tell.
pub const MAX_PIECES: usize = 65_535;
/// Sizes of a piece, bytes.
pub const PIECE_BYTES: core::ops::RangeInclusive<usize> = 16..=768;
/// Largest file, bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// As long as nothing was heard, the beginning goes again after so many pieces.
const BEGIN_EVERY: u64 = 32;
/// So many of the orders sent last may still be under way when a report was made: they go last.
const UNDER_WAY: u64 = 4;
/// A report that is older by more than that, ms, is none that came late: the board's clock was set back.
pub const SET_BACK_MS: u64 = 60_000;

/// A file that can't be sent up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadUpload {
    /// It is empty or too large.
    Size(usize),
    /// A piece has no such size.
    Piece(usize),
    /// It would have too many pieces; the least size that a piece must have.
    TooManyPieces(usize),
    /// Its name is too long.
    Name,
}

impl fmt::Display for BadUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(bytes) => write!(f, "{bytes} bytes can't be sent up: 1 to {MAX_BYTES} can"),
            Self::Piece(bytes) => {
                let (least, most) = (PIECE_BYTES.start(), PIECE_BYTES.end());
                write!(f, "a piece has {least} to {most} bytes, not {bytes}")
            }
            Self::TooManyPieces(least) => {
                write!(f, "there would be more than {MAX_PIECES} pieces: they need {least} bytes each")
            }
            Self::Name => f.write_str("its name has more than 32 bytes"),
        }
    }
}

impl core::error::Error for BadUpload {}

/// What is known of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It may be missing.
    Nothing,
    Missing,
    There,
}

/// Sends a file.
#[derive(Debug)]
pub struct PieceSender {
    begin: Order,
    id: [u8; 4],
    content: Vec<u8>,
    piece: usize,
    known: Vec<Known>,
    /// When a piece was sent last, by the count of orders; 0: never.
    sent_at: Vec<u64>,
    queue: VecDeque<usize>,
    /// Whether the satellite has told of this upload.
    begun: bool,
    whole: bool,
    round: usize,
    sent: u64,
    /// Pieces sent since the beginning was.
    since_begin: u64,
    /// After so many of them it goes again.
    begin_after: u64,
    /// The time of the newest report.
    heard_at: u64,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Its pieces.
    pub pieces: usize,
    /// Those that are known to be there.
    pub there: usize,
    /// Orders so far.
    pub sent: u64,
    /// Whether all of it is known to be there.
    pub whole: bool,
}

impl PieceSender {
    /// For a file, in pieces of so many bytes.
    ///
    /// # Errors
    /// It can't be sent like that.
    pub fn new(kind: UploadKind, name: &str, content: Vec<u8>, piece: usize) -> Result<Self, BadUpload> {
        if !(1..=MAX_BYTES).contains(&content.len()) {
            return Err(BadUpload::Size(content.len()));
        }
        let piece_bytes = u16::try_from(piece).ok().filter(|_| PIECE_BYTES.contains(&piece));
        let piece_bytes = piece_bytes.ok_or(BadUpload::Piece(piece))?;
        let pieces = content.len().div_ceil(piece);
        if pieces > MAX_PIECES {
            return Err(BadUpload::TooManyPieces(content.len().div_ceil(MAX_PIECES)));
        }
        let sha256: [u8; 32] = Sha256::digest(&content).into();
        let id = [sha256[0], sha256[1], sha256[2], sha256[3]];
        let name = name.try_into().map_err(|_| BadUpload::Name)?;
        let size = u32::try_from(content.len()).map_err(|_| BadUpload::Size(content.len()))?;
        Ok(Self {
            begin: Order::UploadBegin { id, kind, name, size, piece: piece_bytes, sha256 },
            id,
            content,
            piece,
            known: vec![Known::Nothing; pieces],
            sent_at: vec![0; pieces],
            queue: (0..pieces).collect(),
            begun: false,
            whole: false,
            round: 0,
            sent: 0,
            since_begin: 0,
            begin_after: 0,
            heard_at: 0,
        })
    }

    /// What it is told by: the first bytes of its SHA-256.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// CRC-32C of the order that begins it: the answer to it names it.
    #[must_use]
    pub fn begin_check(&self) -> u32 {
        checksum(&self.begin.encode())
    }

    /// The order that the link carries next; `None` once all of it is known to be there.
    pub fn next_order(&mut self) -> Option<Order> {
        if self.whole {
            return None;
        }
        self.sent += 1;
        if !self.begun && self.since_begin >= self.begin_after {
            self.begin_after = (self.begin_after * 2).clamp(1, BEGIN_EVERY);
            self.since_begin = 0;
            return Some(self.begin.clone());
        }
        self.since_begin += 1;
        if self.queue.is_empty() {
            self.begin_round();
        }
        let index = self.queue.pop_front()?;
        self.sent_at[index] = self.sent;
        Some(self.order(index))
    }

    /// Takes what the satellite told, in a packet made at `unix_ms` by its clock. One that is a little older than one heard
    /// before came late and says nothing; one that is much older is of a clock that was set back. Whether it was of this
    /// upload.
    pub fn hear(&mut self, report: &Upload, unix_ms: u64) -> bool {
        if report.id != self.id {
            return false;
        }
        if is_late(unix_ms, self.heard_at) {
            return true;
        }
        self.heard_at = unix_ms;
        let cut_alike = usize::from(report.piece) == self.piece && report.pieces as usize == self.known.len();
        if !cut_alike && report.missing > 0 {
            // What was begun before goes on until this beginning is heard.
            self.hear_of_none();
            return true;
        }
        self.begun = true;
        self.whole = report.missing == 0;
        self.learn(report);
        self.line_up();
        true
    }

    /// The satellite has answered the order that begins it.
    pub fn hear_begun(&mut self) {
        self.begun = true;
    }

    /// The satellite has no such upload: it was dropped, or its beginning was never heard.
    pub fn hear_of_none(&mut self) {
        (self.begun, self.whole, self.begin_after) = (false, false, 0);
        self.known.fill(Known::Nothing);
        self.line_up();
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let there = self.known.iter().filter(|known| **known == Known::There).count();
        Progress { pieces: self.known.len(), there, sent: self.sent, whole: self.whole }
    }

    fn order(&self, index: usize) -> Order {
        let from = index * self.piece;
        let bytes = &self.content[from..self.content.len().min(from + self.piece)];
        Order::UploadPiece {
            id: self.id,
            index: u32::try_from(index).unwrap_or(u32::MAX),
            // A piece has at most 768 bytes.
            bytes: bytes.try_into().unwrap_or_default(),
        }
    }

    /// What a report says of each piece: outside of its gaps all are there. If its gaps cover more than what is missing,
    /// the last one reaches over pieces that are there.
    fn learn(&mut self, report: &Upload) {
        let number = |bytes: &[u8]| usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let pairs = report.gaps.chunks_exact(4).map(|pair| (number(&pair[..2]), number(&pair[2..])));
        let gaps: Vec<_> = pairs.take_while(|(_, count)| *count > 0).collect();
        let covered: usize = gaps.iter().map(|(_, count)| count).sum();
        let loose = covered > report.missing as usize;
        self.known.fill(Known::There);
        for (nth, (first, count)) in gaps.iter().enumerate() {
            let sure = !loose || nth + 1 < gaps.len();
            let pieces = self.known.iter_mut().skip(*first).take(*count);
            pieces.for_each(|known| *known = if sure { Known::Missing } else { Known::Nothing });
        }
    }

    /// What may be missing, as it lies: what surely is first, what may be under way last.
    fn line_up(&mut self) {
        let (known, sent_at, sent) = (&self.known, &self.sent_at, self.sent);
        let wanted = |what| (0..known.len()).filter(move |index| known[*index] == what);
        let under_way = |index: &usize| sent_at[*index] > 0 && sent_at[*index] + UNDER_WAY > sent;
        let all = wanted(Known::Missing).chain(wanted(Known::Nothing));
        let (last, first): (Vec<_>, Vec<_>) = all.partition(under_way);
        self.queue = first.into_iter().chain(last).collect();
    }

    /// Everything that may be missing once more, in another order than the last time.
    fn begin_round(&mut self) {
        self.round += 1;
        let count = self.known.len();
        let step = stride(count, self.round);
        let order = (0..count).map(|nth| (self.round + nth * step) % count);
        self.queue = order.filter(|index| self.known[*index] != Known::There).collect();
    }
}

/// Whether a packet made at `unix_ms` is one from before `than_ms` that came late.
#[must_use]
pub fn is_late(unix_ms: u64, than_ms: u64) -> bool {
    (1..=SET_BACK_MS).contains(&than_ms.saturating_sub(unix_ms))
}

/// A step that goes once over all of `count`: about so far that neighbours are far apart, and another each round.
fn stride(count: usize, round: usize) -> usize {
    // The golden section spreads best (Knuth, The Art of Computer Programming 3, 6.4).
    let near = count * 618 / 1000 + 7 * round;
    (0..count).map(|more| (near + more) % count).find(|step| gcd(*step, count) == 1).unwrap_or(1)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
