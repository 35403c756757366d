//! A twin: a small record kept in two files, so that one that is damaged leaves the other.
//!
//! ```text
//! generation u64 BE | length u32 BE | payload, length bytes | CRC-32C u32 BE over all before it
//! ```
//!
//! The copies, `NAME.0` and `NAME.1`, are written alternately, each aside, synced and renamed; of those that are sound
//! the higher generation counts. Where the other copy is not sound, a write makes both anew. What a copy holds is
//! opaque here. A twin never removes a file, and never falls back without saying so.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use passband_proto::crc32c::checksum;

use super::disk::{Disk, read_file, write_file};

/// Bytes of a copy besides its payload.
const FRAME_BYTES: usize = 8 + 4 + 4;

/// A record in two files.
#[derive(Debug)]
pub struct Twin {
    disk: Arc<dyn Disk>,
    copies: [Copy; 2],
    max_bytes: usize,
    /// The highest generation that may stand in a copy; 0: none.
    generation: u64,
}

#[derive(Debug)]
struct Copy {
    path: PathBuf,
    /// The generation that it soundly holds.
    sound: Option<u64>,
}

/// What a twin held when it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// The payload of the newest sound copy; none if there is no sound copy.
    pub payload: Option<Vec<u8>>,
    /// What is wrong with copies that are there, in words that name the file.
    pub faults: Vec<String>,
}

impl Twin {
    /// Opens the twin `name` in `folder`, whose payload is at most `max_bytes`. Neither file has to be there.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path, name: &str, max_bytes: usize) -> (Self, Held) {
        let copy = |n| Copy { path: folder.join(format!("{name}.{n}")), sound: None };
        let mut twin = Self { disk, copies: [copy(0), copy(1)], max_bytes, generation: 0 };
        let mut held = Held::default();
        for copy in &mut twin.copies {
            let read = read_file(twin.disk.as_ref(), &copy.path, max_bytes.saturating_add(FRAME_BYTES));
            let told = match read {
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => Err(e.to_string()),
                Ok(bytes) => decode(&bytes).map(|(generation, payload)| (generation, payload.to_vec())),
            };
            match told {
                Err(why) => held.faults.push(format!("{}: {why}", copy.path.display())),
                Ok((generation, payload)) => {
                    copy.sound = Some(generation);
                    if generation > twin.generation || held.payload.is_none() {
                        (twin.generation, held.payload) = (generation, Some(payload));
                    }
                }
            }
        }
        (twin, held)
    }

    /// Makes `payload` what the twin holds, durably.
    ///
    /// # Errors
    /// It is too long, or those of the disk: the payload before may stand then, or this one.
    pub fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        if payload.len() > self.max_bytes {
            return Err(io::Error::other(format!("{} bytes, more than {}", payload.len(), self.max_bytes)));
        }
        let [first, second] = &mut self.copies;
        // The older or unsound one goes first: the other stays whole until this one is.
        let (first, second) = if first.sound <= second.sound { (first, second) } else { (second, first) };
        write_copy(self.disk.as_ref(), first, &mut self.generation, payload)?;
        if second.sound.is_none() {
            // One is good: that the other can't be made is seen at the next write or opening.
            drop(write_copy(self.disk.as_ref(), second, &mut self.generation, payload));
        }
        Ok(())
    }
}

/// Writes a copy under the next generation. Whether it holds that or what it held is not known after an error.
fn write_copy(disk: &dyn Disk, copy: &mut Copy, generation: &mut u64, payload: &[u8]) -> io::Result<()> {
    let next = generation.checked_add(1).ok_or_else(|| io::Error::other("the generation is the last"))?;
    (*generation, copy.sound) = (next, None);
    write_file(disk, &copy.path, &encode(next, payload)?)?;
    copy.sound = Some(next);
    Ok(())
}

fn encode(generation: u64, payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut out = Vec::with_capacity(payload.len().saturating_add(FRAME_BYTES));
    out.extend(generation.to_be_bytes());
    out.extend(length.to_be_bytes());
    out.extend(payload);
    out.extend(checksum(&out).to_be_bytes());
    Ok(out)
}

/// The generation and the payload of a copy; else what is wrong with it.
fn decode(bytes: &[u8]) -> Result<(u64, &[u8]), String> {
    let short = || format!("{} bytes, which is too short", bytes.len());
    let (framed, crc) = bytes.split_last_chunk().ok_or_else(short)?;
    let (generation, rest) = framed.split_first_chunk().ok_or_else(short)?;
    let (length, payload) = rest.split_first_chunk().ok_or_else(short)?;
    if checksum(framed) != u32::from_be_bytes(*crc) {
        return Err("its CRC-32C is wrong".to_owned());
    }
    let length = u32::from_be_bytes(*length);
    if u32::try_from(payload.len()) != Ok(length) {
        return Err(format!("it holds {} bytes and names {length}", payload.len()));
    }
    Ok((u64::from_be_bytes(*generation), payload))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::faults::{Faults, SimDisk};

    const FOLDER: &str = "/state";

    fn disk() -> SimDisk {
        let disk = SimDisk::default();
        disk.make_folder(Path::new(FOLDER)).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        disk
    }

    fn open(disk: &SimDisk) -> (Twin, Held) {
        Twin::open(Arc::new(disk.clone()), Path::new(FOLDER), "starts", 64)
    }

    /// Replaces what a copy holds, as a disk that tears would.
    fn put(disk: &SimDisk, copy: u8, bytes: &[u8]) {
        write_file(disk, &Path::new(FOLDER).join(format!("starts.{copy}")), bytes).unwrap();
    }

    #[test]
    fn a_twin_holds_what_was_written_last() {
        let disk = disk();
        let (mut twin, held) = open(&disk);
        assert_eq!(held, Held::default(), "nothing yet");
        for payload in [&b"one"[..], b"", b"three"] {
            twin.write(payload).unwrap();
            let held = open(&disk).1;
            assert_eq!((held.payload.as_deref(), held.faults.len()), (Some(payload), 0));
        }
        assert!(twin.write(&[0; 65]).unwrap_err().to_string().contains("65 bytes, more than 64"));
        assert_eq!(open(&disk).1.payload.as_deref(), Some(&b"three"[..]));
    }

    #[test]
    fn a_copy_torn_at_any_byte_or_flipped_at_any_bit_leaves_the_other() {
        let disk = disk();
        let (mut twin, _) = open(&disk);
        twin.write(b"older").unwrap();
        twin.write(b"newer").unwrap();
        let files = disk.files();
        let newest = u8::from(files[Path::new("/state/starts.0")][7] != 3);
        let bytes = files[&Path::new(FOLDER).join(format!("starts.{newest}"))].clone();
        for cut in 0..bytes.len() {
            put(&disk, newest, &bytes[..cut]);
            let (_, held) = open(&disk);
            assert_eq!((held.payload.as_deref(), held.faults.len()), (Some(&b"older"[..]), 1), "{cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            put(&disk, newest, &flipped);
            assert_eq!(open(&disk).1.payload.as_deref(), Some(&b"older"[..]), "{bit}");
        }
        put(&disk, 1 - newest, b"");
        open(&disk).0.write(b"again").unwrap();
        for lost in [0, 1] {
            put(&disk, lost, b"");
            assert_eq!(open(&disk).1.payload.as_deref(), Some(&b"again"[..]), "a write made both anew");
            open(&disk).0.write(b"again").unwrap();
        }
    }

    #[test]
    fn a_cut_at_every_operation_leaves_the_old_or_the_new() {
        for damaged in [false, true] {
            let disk = disk();
            open(&disk).0.write(b"old").unwrap();
            if damaged {
                put(&disk, 1, b"torn");
            }
            let (mut twin, _) = open(&disk);
            disk.watch(|disk| {
                for seed in 0..40 {
                    let held = open(&disk.after_cut(seed)).1.payload;
                    assert!([Some(&b"old"[..]), Some(b"new")].contains(&held.as_deref()), "{held:?}");
                }
            });
            twin.write(b"new").unwrap();
            disk.unwatch();
            for seed in 0..40 {
                assert_eq!(open(&disk.after_cut(seed)).1.payload.as_deref(), Some(&b"new"[..]));
            }
        }
    }

    #[test]
    fn a_write_that_failed_can_be_made_again() {
        let disk = disk();
        let (mut twin, _) = open(&disk);
        twin.write(b"old").unwrap();
        disk.set_faults(Faults { read_only: true, ..Faults::default() });
        assert!(twin.write(b"new").is_err());
        assert_eq!(open(&disk).1.payload.as_deref(), Some(&b"old"[..]));
        disk.set_faults(Faults::default());
        twin.write(b"new").unwrap();
        assert_eq!(open(&disk).1, Held { payload: Some(b"new".to_vec()), faults: vec![] });
    }

    proptest! {
        #[test]
        fn whatever_lies_there_is_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
            let disk = disk();
            put(&disk, 0, &bytes);
            let (mut twin, held) = open(&disk);
            prop_assert_eq!(held.payload.is_none(), !held.faults.is_empty());
            if held.payload.is_none() {
                twin.write(b"x").unwrap();
                prop_assert_eq!(open(&disk).1.payload, Some(b"x".to_vec()));
            }
        }

        #[test]
        fn writes_torn_at_any_byte_never_lose_what_was_written_before(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 1..6),
            torn in any::<prop::sample::Index>(),
        ) {
            let disk = disk();
            let (mut twin, _) = open(&disk);
            let mut before = None;
            for payload in &payloads {
                let files = disk.files();
                twin.write(payload).unwrap();
                // The copy that this write changed is torn.
                let changed = disk.files().into_iter().find(|(path, now)| files.get(path) != Some(now));
                let (path, now) = changed.unwrap();
                write_file(&disk, &path, &now[..torn.index(now.len())]).unwrap();
                let held = open(&disk).1.payload;
                prop_assert!(held == before || held.as_ref() == Some(payload));
                write_file(&disk, &path, &now).unwrap();
                before = Some(payload.clone());
            }
        }
    }
}
