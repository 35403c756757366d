//! The files behind the program, in the image that runs.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use passband_proto::release::image::{BadImage, TRAILER_BYTES, Trailer, members};

/// The program that runs, with what is behind it.
pub const OWN: &str = "/proc/self/exe";

/// A file of an image, of at most `most` bytes; none: it isn't in it, or `image` is a program with nothing behind it.
///
/// # Errors
/// Those of the disk, or an image that makes no sense.
pub fn member(image: &Path, name: &str, most: u32) -> io::Result<Option<Vec<u8>>> {
    let bad = |why: BadImage| io::Error::other(format!("{}: {why}", image.display()));
    let mut file = File::open(image)?;
    let bytes = file.seek(SeekFrom::End(0))?;
    let Some(end) = bytes.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
    let mut trailer = [0; TRAILER_BYTES];
    read_at(&mut file, end, &mut trailer)?;
    let Some(trailer) = Trailer::read(&trailer, bytes).map_err(bad)? else { return Ok(None) };
    let from = u64::from(trailer.index_offset);
    let mut index = vec![0; usize::try_from(end.saturating_sub(from)).unwrap_or_default()];
    read_at(&mut file, from, &mut index)?;
    for member in members(&index, &trailer) {
        let member = member.map_err(bad)?;
        if member.name == name && member.bytes <= most {
            let mut out = vec![0; usize::try_from(member.bytes).unwrap_or_default()];
            read_at(&mut file, member.offset.into(), &mut out)?;
            return Ok(Some(out));
        }
    }
    Ok(None)
}

fn read_at(file: &mut File, at: u64, out: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::release::image::build;

    #[test]
    fn files_are_found_by_name_and_a_plain_program_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        std::fs::write(&path, build(b"program", &[("root", b"keys"), ("b", &[1; 100])]).unwrap()).unwrap();
        assert_eq!(member(&path, "root", 4).unwrap(), Some(b"keys".to_vec()));
        assert_eq!(member(&path, "b", 1_000).unwrap(), Some(vec![1; 100]));
        assert_eq!(member(&path, "b", 99).unwrap(), None, "too long to be what is looked for");
        assert_eq!(member(&path, "c", 99).unwrap(), None);
        std::fs::write(&path, b"program").unwrap();
        assert_eq!(member(&path, "root", 4).unwrap(), None);
        assert!(member(Path::new(OWN), "root", 4).unwrap().is_none(), "this test has nothing behind it");
        let mut bad = build(b"program", &[("root", b"keys")]).unwrap();
        let at = bad.len() - TRAILER_BYTES - 13;
        bad[at] = 0xff;
        std::fs::write(&path, bad).unwrap();
        assert!(member(&path, "root", 4).is_err());
    }
}
