//! Whether a file is the image it should be.

use std::io::{self, Read, Write};

use passband_proto::release::ImageId;
use passband_proto::release::image::{TRAILER_BYTES, Trailer};
use sha2::{Digest, Sha256};

const CHUNK_BYTES: usize = 64 << 10;
const DIGEST_BYTES: u64 = 32;

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Its SHA-256.
    pub id: ImageId,
    /// Whether the digest in its own trailer holds; `None`: it has no trailer.
    pub own: Option<bool>,
}

impl Proof {
    /// Whether it is the image of that id; with [`ImageId::NONE`], as of golden, whether nothing speaks against it.
    #[must_use]
    pub fn holds(&self, image: ImageId) -> bool {
        if image == ImageId::NONE { self.own != Some(false) } else { self.id == image }
    }
}

/// Reads `from`, which has so many bytes, to its end, and copies it to `to`.
///
/// # Errors
/// It ends elsewhere, or those of either side.
pub fn prove(mut from: impl Read, bytes: u64, mut to: impl Write) -> io::Result<Proof> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut whole, mut left) = (Sha256::new(), bytes.saturating_sub(DIGEST_BYTES));
    let mut tail = Vec::with_capacity(TRAILER_BYTES);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let part = chunk.get_mut(..most).unwrap_or_default();
        from.read_exact(part)?;
        to.write_all(part)?;
        whole.update(&*part);
        keep_end(&mut tail, part);
        left = left.saturating_sub(part.len() as u64);
    }
    let before: [u8; 32] = whole.clone().finalize().into();
    let mut end = Vec::with_capacity(TRAILER_BYTES);
    from.by_ref().take(DIGEST_BYTES.saturating_add(1)).read_to_end(&mut end)?;
    if end.len() as u64 != DIGEST_BYTES.min(bytes) {
        return Err(io::Error::other("its length changes while it is read"));
    }
    to.write_all(&end)?;
    whole.update(&end);
    keep_end(&mut tail, &end);
    let trailer = tail.first_chunk::<TRAILER_BYTES>().map(|tail| Trailer::read(tail, bytes));
    let own = match trailer {
        None | Some(Ok(None)) => None,
        Some(Ok(Some(trailer))) => Some(trailer.digest == before),
        Some(Err(_)) => Some(false),
    };
    Ok(Proof { id: ImageId(whole.finalize().into()), own })
}

/// Keeps the last bytes of all that was seen, as many as a trailer has.
fn keep_end(tail: &mut Vec<u8>, part: &[u8]) {
    tail.extend_from_slice(part.get(part.len().saturating_sub(TRAILER_BYTES)..).unwrap_or_default());
    tail.drain(..tail.len().saturating_sub(TRAILER_BYTES));
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::release::image::build;

    fn proof(bytes: &[u8]) -> Proof {
        let mut copy = Vec::new();
        let proof = prove(bytes, bytes.len() as u64, &mut copy).unwrap();
        assert_eq!(copy, bytes);
        assert_eq!(proof.id, ImageId(Sha256::digest(bytes).into()));
        proof
    }

    #[test]
    fn an_image_proves_itself_at_every_length_around_the_chunks() {
        for bytes in
            [0, 1, 15, 16, 17, CHUNK_BYTES - 49, CHUNK_BYTES - 33, CHUNK_BYTES - 1, CHUNK_BYTES, 200_000]
        {
            let image = build(&vec![7; bytes], &[("a", b"1")]).unwrap();
            assert_eq!(proof(&image).own, Some(true), "{bytes} bytes");
            for at in [0, bytes / 2, image.len() - 49, image.len() - 48, image.len() - 33, image.len() - 1] {
                let mut bad = image.clone();
                bad[at] ^= 1;
                assert!(proof(&bad).own != Some(true), "{bytes} bytes, byte {at}");
            }
        }
    }

    #[test]
    fn what_has_no_trailer_has_only_its_id() {
        for bytes in [0, 1, 31, 32, 33, 47, 48, 1_000] {
            let plain = vec![1; bytes];
            let proof = proof(&plain);
            assert_eq!(proof.own, None, "{bytes} bytes");
            assert!(proof.holds(ImageId::NONE) && proof.holds(proof.id) && !proof.holds(ImageId([1; 32])));
        }
    }

    #[test]
    fn a_file_that_is_longer_or_shorter_than_it_was_is_no_image() {
        let image = build(b"program", &[]).unwrap();
        for bytes in [image.len() - 1, image.len() + 1, 0, 31] {
            assert!(prove(image.as_slice(), bytes as u64, io::sink()).is_err(), "{bytes} bytes");
        }
    }
}
