//! Images: put together, taken apart, damaged.

use super::super::image::{ALIGN, BadImage, MAX_FILES, TRAILER_BYTES, Trailer, build, is_name, members};
use sha2::{Digest, Sha256};

const FILES: [(&str, &[u8]); 3] = [("methane.csv", b"1,2"), ("a.toml", b""), ("root", &[7; 33])];

fn trailer(image: &[u8]) -> Result<Option<Trailer>, BadImage> {
    Trailer::read(image.last_chunk::<TRAILER_BYTES>().unwrap(), image.len() as u64)
}

fn listed(image: &[u8]) -> Result<Vec<(String, Vec<u8>)>, BadImage> {
    let trailer = trailer(image)?.unwrap();
    let index = &image[trailer.index_offset as usize..image.len() - TRAILER_BYTES];
    members(index, &trailer)
        .map(|member| {
            let member = member?;
            let bytes = &image[member.offset as usize..][..member.bytes as usize];
            assert_eq!(member.offset as usize % ALIGN, 0);
            Ok((member.name.to_owned(), bytes.to_vec()))
        })
        .collect()
}

#[test]
fn files_come_back_by_name_whatever_order_they_went_in() {
    let image = build(b"\x7fELF program", &FILES).unwrap();
    let mut turned = FILES;
    turned.reverse();
    assert_eq!(build(b"\x7fELF program", &turned).unwrap(), image);
    assert!(image.starts_with(b"\x7fELF program"));
    let names: Vec<_> = listed(&image).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.toml", "methane.csv", "root"]);
    for (name, bytes) in FILES {
        assert!(listed(&image).unwrap().contains(&(name.to_owned(), bytes.to_vec())));
    }
    assert!(is_intact(&image));
}

/// As a launcher sees it that has no other digest.
fn is_intact(image: &[u8]) -> bool {
    let (before, digest) = image.split_last_chunk::<32>().unwrap();
    trailer(image).is_ok_and(|found| found.is_some()) && *Sha256::digest(before) == *digest
}

#[test]
fn what_is_no_image_has_no_trailer_and_any_flipped_bit_is_seen() {
    assert_eq!(trailer(&[0; 100]), Ok(None));
    let good = build(b"program", &FILES).unwrap();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(!is_intact(&bad), "byte {at} bit {bit}");
        }
    }
    for cut in TRAILER_BYTES..good.len() {
        assert!(!is_intact(&good[..cut]), "{cut} bytes");
    }
}

#[test]
fn an_index_that_makes_no_sense_is_refused() {
    let trailer = Trailer { digest: [0; 32], index_offset: 64, files: 1 };
    let of = |index: &[u8]| members(index, &trailer).map(|member| member.is_ok()).collect::<Vec<_>>();
    let entry = |name: &[u8], offset: u32, bytes: u32| {
        let len = u8::try_from(name.len()).unwrap();
        [&[len][..], name, &offset.to_be_bytes(), &bytes.to_be_bytes()].concat()
    };
    assert_eq!(of(&entry(b"a", 16, 48)), [true]);
    for bad in [entry(b"a", 16, 49), entry(b"a", u32::MAX, 2), entry(b"a/b", 0, 1), entry(b"", 0, 1), vec![]]
    {
        assert_eq!(of(&bad), [false], "{bad:?}");
    }
    let longer = [entry(b"a", 16, 48), vec![0]].concat();
    assert_eq!(of(&longer), [true, false]);
    let bytes = *build(b"", &FILES).unwrap().last_chunk::<TRAILER_BYTES>().unwrap();
    assert!(Trailer::read(&bytes, 10).is_err() && Trailer::read(&bytes, u64::MAX).is_err());
}

#[test]
fn names_that_could_be_paths_are_refused() {
    for name in ["", ".hidden", "../up", "a/b", "ä", &"n".repeat(65)] {
        assert!(!is_name(name), "{name}");
        assert!(build(b"", &[(name, b"")]).is_err(), "{name}");
    }
    assert_eq!(build(b"", &[("a", b"1"), ("a", b"2")]), Err(BadImage("two files have one name")));
    let names: Vec<String> = (0..=MAX_FILES).map(|n| format!("f{n}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(build(b"", &files).is_err() && build(b"", &files[1..]).is_ok());
}
