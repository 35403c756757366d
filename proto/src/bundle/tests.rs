use sha2::{Digest, Sha256};

use super::*;
use crate::keys::EpochKey;

fn key() -> EpochKey {
    EpochKey::new(1, 1, [7; 32])
}

fn entry(name: &str, content: &[u8]) -> FileEntry {
    FileEntry { name: name.into(), bytes: content.len() as u64, sha256: Sha256::digest(content).into() }
}

fn manifest(files: &[(&str, &[u8])], preview: &[u8]) -> Manifest {
    let mut m = Manifest::new("test", "file", Class::Routine, 1);
    m.files = files.iter().map(|(name, content)| entry(name, content)).collect();
    m.preview = (!preview.is_empty()).then(|| entry("p.png", preview));
    m
}

const SMALL: SealOptions = SealOptions { symbol_bytes: 64, segment_symbols: 10, digests_are_fresh: false };
const ID: BundleId = BundleId([3; 12]);

fn seal(m: &Manifest, preview: &[u8], content: &[u8], options: SealOptions) -> (Geometry, Vec<u8>) {
    let mut out = Vec::new();
    let geometry = seal_bundle(&key(), ID, m, preview, &mut &content[..], &mut out, &options).unwrap();
    assert_eq!(out.len() as u64, geometry.sealed_bytes());
    (geometry, out)
}

fn block(g: &Geometry, sealed: &[u8], i: u32) -> Vec<u8> {
    let start = usize::try_from(g.block_offset(i).unwrap()).unwrap();
    sealed[start..start + g.block_bytes(i).unwrap() as usize].to_vec()
}

#[test]
fn what_is_sealed_opens_to_the_same_bytes_at_every_size() {
    for bytes in [0, 1, 300, 623, 624, 625, 1248, 5000] {
        let content: Vec<u8> = (0..bytes).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let (a, b) = content.split_at(bytes / 3);
        let m = manifest(&[("a.bin", a), ("b.bin", b)], b"preview");
        let (g, sealed) = seal(&m, b"preview", &content, SMALL);
        let header = FileHeader::decode(sealed.first_chunk().unwrap()).unwrap();
        assert_eq!((header.geometry, header.id), (g, ID));
        let opener = Opener::new(&key(), &ID, g.block_count);
        let head = opener.open_head(block(&g, &sealed, 0)).unwrap();
        assert_eq!(head.preview, b"preview");
        let mut plain = head.content.unwrap_or_default();
        for i in 1..g.block_count {
            let mut part = block(&g, &sealed, i);
            opener.open(i, &mut part).unwrap();
            plain.extend_from_slice(&part);
        }
        assert_eq!(plain, content, "{bytes} bytes");
        assert_eq!(head.manifest.files, m.files);
    }
}

#[test]
fn any_piece_of_a_block_opens_by_itself() {
    let content: Vec<u8> = (0..3000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let m = manifest(&[("a", &content)], b"");
    let (g, sealed) = seal(&m, b"", &content, SMALL);
    let opener = Opener::new(&key(), &ID, g.block_count);
    for i in 0..g.block_count {
        let whole = block(&g, &sealed, i);
        let mut plain = whole.clone();
        opener.open(i, &mut plain).unwrap();
        for offset in (0..plain.len()).step_by(16) {
            for bytes in [1, 16, 40, 500] {
                let end = plain.len().min(offset + bytes);
                let mut piece = whole[offset..end].to_vec();
                opener.open_piece(i, u32::try_from(offset).unwrap(), &mut piece).unwrap();
                assert_eq!(piece, plain[offset..end], "block {i}, {bytes} bytes at {offset}");
            }
        }
    }
    let odd = OpenError::Piece { block: 1, offset: 8 };
    assert_eq!(opener.open_piece(1, 8, &mut [0; 4]), Err(odd));
    let far = u32::MAX / 16 * 16;
    assert!(opener.open_piece(1, far, &mut [0; 64]).is_ok());
}

#[test]
fn blocks_can_not_be_swapped_cut_or_altered() {
    let content = vec![5; 3000];
    let m = manifest(&[("a", &content)], b"");
    let (g, sealed) = seal(&m, b"", &content, SMALL);
    assert!(g.block_count > 3);
    let opener = Opener::new(&key(), &ID, g.block_count);
    assert_eq!(opener.open(2, &mut block(&g, &sealed, 1)), Err(OpenError::Seal { block: 2 }));
    let shorter = Opener::new(&key(), &ID, g.block_count - 1);
    let before_last = g.block_count - 2;
    assert!(shorter.open(before_last, &mut block(&g, &sealed, before_last)).is_err());
    let other = Opener::new(&EpochKey::new(1, 2, [7; 32]), &ID, g.block_count);
    assert!(other.open_head(block(&g, &sealed, 0)).is_err());
    for byte in 0..g.head_bytes as usize {
        let mut bad = block(&g, &sealed, 0);
        bad[byte] ^= 1;
        assert!(opener.open_head(bad).is_err());
    }
    assert!(opener.open(1, &mut vec![0; 15]).is_err());
}

#[test]
fn content_that_is_not_what_the_manifest_says_is_refused() {
    let m = manifest(&[("a", b"hello"), ("b", b"")], b"");
    let try_with = |content: &[u8], preview: &[u8]| {
        seal_bundle(&key(), ID, &m, preview, &mut &*content, &mut Vec::new(), &SMALL)
    };
    assert!(try_with(b"hello", b"").is_ok());
    for bad in [&b"hellO"[..], b"hell", b"hello!"] {
        assert!(matches!(try_with(bad, b""), Err(SealError::Content { .. })), "{bad:?}");
    }
    assert!(matches!(try_with(b"hello", b"x"), Err(SealError::Preview)));
}

#[test]
fn unsafe_names_are_refused() {
    for name in ["", "../x", "a/b", "a\\b", ".hidden", "x\0", "new\nline", &"n".repeat(201)] {
        assert!(!safe_name(name), "{name:?}");
        let m = manifest(&[(name, b"")], b"");
        assert!(matches!(m.check(), Err(ManifestError::Name(_))));
    }
    assert!(safe_name("Jasper Ridge (1).bil"));
    assert!(matches!(manifest(&[("a", b""), ("a", b"")], b"").check(), Err(ManifestError::Name(_))));
}

#[test]
fn a_damaged_file_header_is_refused() {
    let m = manifest(&[("a", b"x")], b"");
    let (_, sealed) = seal(&m, b"", b"x", SealOptions::default());
    let good: [u8; FILE_HEADER_BYTES] = *sealed.first_chunk().unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(FileHeader::decode(&bad).is_err(), "bit {bit}");
    }
}

#[test]
fn geometry_out_of_range_is_refused() {
    let good =
        Geometry { symbol_bytes: 64, block_count: 3, head_bytes: 100, segment_bytes: 640, tail_bytes: 20 };
    assert_eq!(good.check(), Ok(()));
    for (bad, field) in [
        (Geometry { symbol_bytes: 63, ..good }, "symbol_bytes"),
        (Geometry { block_count: 0, ..good }, "block_count"),
        (Geometry { head_bytes: 16, ..good }, "head_bytes"),
        (Geometry { segment_bytes: 640_001, ..good }, "segment_bytes"),
        (Geometry { tail_bytes: 641, ..good }, "tail_bytes"),
        (Geometry { block_count: 1, ..good }, "tail_bytes"),
    ] {
        assert_eq!(bad.check(), Err(BadGeometry { field }));
    }
}
