//! Reading what is kept of an upload: which pieces are there, and what all of it comes to.

use sha2::{Digest, Sha256};

use super::Parts;
use super::about::About;
use super::pieces::Pieces;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// What is kept.
#[derive(Debug)]
pub(super) struct Found {
    /// The pieces whose CRC is right.
    pub(super) pieces: Pieces,
    /// SHA-256 of the content as it could be read.
    pub(super) sha256: [u8; 32],
}

/// Reads all of an upload that isn't whole. What can't be read isn't there.
pub(super) fn scan(parts: &mut impl Parts, about: &About) -> Found {
    let mut pieces = Pieces::none(about.pieces());
    let mut hash = Sha256::new();
    let step = CHUNK_BYTES / usize::from(about.piece).max(1);
    let mut content = vec![0; step.saturating_mul(about.piece.into())];
    let mut table = vec![0; step.saturating_mul(4)];
    let mut first = 0;
    while first < about.pieces() {
        let count = about.pieces().saturating_sub(first).min(u32::try_from(step).unwrap_or(1));
        read(parts, about, (first, count), (&mut content, &mut table));
        let places = (first..).zip(table.chunks_exact(4)).take(usize::try_from(count).unwrap_or_default());
        let mut rest = content.as_slice();
        for (index, crc) in places {
            let bytes = about.place(index).map_or(0, |place| place.bytes);
            let (piece, after) = rest.split_at_checked(bytes).unwrap_or_default();
            rest = after;
            hash.update(piece);
            if about.piece_crc(index, piece).to_be_bytes() == crc {
                pieces.add(index);
            }
        }
        first = first.saturating_add(count);
    }
    Found { pieces, sha256: hash.finalize().into() }
}

/// Reads `count` pieces from `first` on and what the table says of them; one by one if it can't be done at once.
fn read(
    parts: &mut impl Parts,
    about: &About,
    (first, count): (u32, u32),
    (content, table): (&mut [u8], &mut [u8]),
) {
    let (Some(from), Some(last)) =
        (about.place(first), about.place(first.saturating_add(count).saturating_sub(1)))
    else {
        return;
    };
    let bytes = usize::try_from(last.offset - from.offset).unwrap_or_default().saturating_add(last.bytes);
    let crc_bytes = usize::try_from(count).unwrap_or_default().saturating_mul(4);
    let content = content.get_mut(..bytes).unwrap_or_default();
    let table = table.get_mut(..crc_bytes).unwrap_or_default();
    let whole = parts
        .read(about.id, from.offset, content)
        .and_then(|()| parts.read(about.id, from.crc_offset, table));
    if whole.is_ok() {
        return;
    }
    let ones = content.chunks_mut(about.piece.into()).zip(table.chunks_mut(4));
    for (index, (piece, crc)) in (first..).zip(ones) {
        let Some(place) = about.place(index) else { return };
        let read = parts
            .read(about.id, place.offset, piece)
            .and_then(|()| parts.read(about.id, place.crc_offset, crc));
        if read.is_err() {
            crc.fill(0);
        }
    }
}
