//! An archive that somebody else writes, read along: what a screen shows beside the process that receives.
//!
//! [`Follower::catch_up`] reads only what was put behind the records that it knows. It takes no lock, changes nothing, and
//! reads a bounded number of bytes at once. A record that isn't whole yet is read when it is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::part::{self, Name};
use super::record::{self, Record};
use super::{Stored, stored};

/// Most bytes of a file that are read at once.
const AT_ONCE_BYTES: u64 = 1 << 20;

/// Follows an archive.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    /// How far each file is read, bytes.
    read: BTreeMap<Name, u64>,
}

impl Follower {
    /// One that will show only what is put behind the last `bytes` of the archive's newest files.
    #[must_use]
    pub fn new(dir: &Path, bytes: u64) -> Self {
        let mut follower = Self { dir: dir.to_owned(), read: BTreeMap::new() };
        let mut left = bytes;
        for name in super::names(dir).unwrap_or_default().into_iter().rev() {
            let length = fs::metadata(dir.join(part::file_name(name))).map_or(0, |about| about.len());
            follower.read.insert(name, length.saturating_sub(left));
            left = left.saturating_sub(length);
        }
        follower
    }

    /// Shows what is new to `seen`, in the order of the files; whether there may be more at once.
    ///
    /// # Errors
    /// The folder or a file can't be read.
    pub fn catch_up(&mut self, mut seen: impl FnMut(&Stored)) -> Result<bool> {
        let names = super::names(&self.dir)?;
        self.read.retain(|name, _| names.contains(name));
        let mut together = 0;
        for name in names {
            let path = self.dir.join(part::file_name(name));
            let from = self.read.entry(name).or_default();
            let read = read_from(&path, *from, AT_ONCE_BYTES, |record| seen(&stored(record)));
            let read = read.with_context(|| format!("reading {}", path.display()))?;
            *from += read;
            together += read;
            if together >= AT_ONCE_BYTES / 2 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Shows the whole records behind `from`, `most` bytes at most; how many bytes are done with.
fn read_from(path: &Path, from: u64, most: u64, mut seen: impl FnMut(&Record<'_>)) -> io::Result<u64> {
    let file = match File::open(path) {
        Ok(file) => file,
        // Room was made meanwhile.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(e),
    };
    let length = file.metadata()?.len().saturating_sub(from).min(most);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    let mut done = 0;
    for record in record::walk(&bytes) {
        seen(&record);
        done = record.end();
    }
    // What is longer than any record and holds none is damage, not a record that is being written.
    let damage = bytes.len().saturating_sub(done + record::MAX_BYTES);
    Ok((done + damage) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Archive, Quota};
    use passband_proto::packet::{Cuc, TelemetryPacket, seal_telemetry};
    use std::io::Write;

    fn packet(count: u16) -> Vec<u8> {
        let mut out = vec![0; 60];
        seal_telemetry(&mut out, 0x101, count, Cuc::new(u32::from(count), 0), &[7; 35], None).unwrap();
        out
    }

    fn append(archive: &mut Archive, count: u16) {
        archive.append(&TelemetryPacket::parse(&packet(count)).unwrap(), u64::from(count) * 1000).unwrap();
    }

    fn times(follower: &mut Follower) -> Vec<u64> {
        let mut times = Vec::new();
        while follower.catch_up(|stored| times.push(stored.unix_ms / 1000)).unwrap() {}
        times
    }

    #[test]
    fn what_is_appended_is_seen_once_whoever_writes_and_a_torn_record_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = Archive::open(dir.path(), Quota::default()).unwrap();
        (1..4).for_each(|count| append(&mut archive, count));
        let mut all = Follower::new(dir.path(), u64::MAX);
        assert_eq!(times(&mut all), [1, 2, 3]);
        assert_eq!(times(&mut all), [] as [u64; 0]);
        assert_eq!(times(&mut Follower::new(dir.path(), 80)), [3], "only the last bytes");
        append(&mut archive, 4);
        assert_eq!(times(&mut all), [4]);
        drop(archive);
        let record = record::encode(5000, &TelemetryPacket::parse(&packet(5)).unwrap());
        let name = super::super::names(dir.path()).unwrap().pop_last().unwrap();
        let path = dir.path().join(part::file_name(name));
        let mut file = File::options().append(true).open(path).unwrap();
        file.write_all(&record[..30]).unwrap();
        assert_eq!(times(&mut all), [] as [u64; 0]);
        file.write_all(&record[30..]).unwrap();
        assert_eq!(times(&mut all), [5]);
        file.write_all(&[9; 5000]).unwrap();
        file.write_all(&record).unwrap();
        assert_eq!(times(&mut all), [5], "behind damage");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_and_no_panic() {
        let mut follower = Follower::new(Path::new("/nowhere"), 1);
        assert!(follower.catch_up(|_| ()).is_err());
    }
}
