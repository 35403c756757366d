//! The black box on disk: `<state>/blackbox/NNNNNNNN.tlm`, at most four segments of 256 KiB, the highest number the
//! newest.
//!
//! A segment is a plain stream of telemetry packets. Each begins with a beacon: boot count, why the daemon started, and
//! what runs. A start never writes into a file of an earlier one, which may have a torn end: what is whole of the newest
//! segment is carried over into a fresh file, or, where that is full, a new segment begins. So restarts, however many,
//! don't push out what was before, and a tear costs the packet that it hit. The oldest segment goes before a new one is
//! made: the box never takes more room than it had.
//!
//! What can't be written is left out and tried again with a fresh file later: a disk that fails holds nobody up.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use passband_proto::keys::TagKey;
use passband_proto::packet::{Cuc, MAX_PACKET_BYTES, next_count, seal_telemetry};

use super::disk::{Disk, DiskFile, read_file};
use crate::ordered;
use crate::telemetry::{Record, Writing, packets};

/// Largest segment, bytes.
pub const SEGMENT_BYTES: usize = 256 << 10;
/// Most segments.
pub const SEGMENTS: usize = 4;
/// A start carries a segment on that is no larger, bytes.
const CARRIED_BYTES: usize = SEGMENT_BYTES / 2;
/// Its folder in the state folder.
const FOLDER: &str = "blackbox";
/// Most entries of the folder that are looked at.
const MAX_ENTRIES: usize = 64;
/// After a failure it is tried again no sooner, ms.
const RETRY_MS: u64 = 60_000;

/// Writes the black box.
#[derive(Debug)]
pub struct Recorder {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    key: Option<TagKey>,
    counts: BTreeMap<u16, u16>,
    open: Option<Open>,
    /// Before that it isn't tried, ms.
    retry_ms: u64,
}

#[derive(Debug)]
struct Open {
    number: u32,
    file: Box<dyn DiskFile>,
}

impl Recorder {
    /// The black box of a state folder; nothing is opened before there is something to write.
    pub fn new(disk: Arc<dyn Disk>, state: &Path) -> Self {
        let folder = state.join(FOLDER);
        Self { disk, folder, key: None, counts: BTreeMap::new(), open: None, retry_ms: 0 }
    }

    /// Packets from now on are tagged under this key.
    pub fn set_key(&mut self, key: Option<TagKey>) {
        self.key = key;
    }

    /// Writes what is to be written; `head` makes the packet that a segment begins with. Records may be left out after
    /// an error, and all are until it is tried again.
    ///
    /// # Errors
    /// Those of the disk, once for each try.
    pub fn write(&mut self, now_ms: u64, writing: &Writing, head: &dyn Fn() -> Record) -> io::Result<()> {
        if (writing.records.is_empty() && !writing.sync) || now_ms < self.retry_ms {
            return Ok(());
        }
        let written = self.try_write(writing, head);
        if written.is_err() {
            // What of it is on the disk isn't known: it goes on in a fresh file.
            self.open = None;
            self.retry_ms = now_ms.saturating_add(RETRY_MS);
        }
        written
    }

    fn try_write(&mut self, writing: &Writing, head: &dyn Fn() -> Record) -> io::Result<()> {
        for record in &writing.records {
            let packet = self.seal(record)?;
            let full =
                |open: &Open| open.file.bytes().saturating_add(packet.len() as u64) > SEGMENT_BYTES as u64;
            let open = match self.open.take() {
                None => self.go_on(head)?,
                Some(open) if full(&open) => self.begin(open.number.saturating_add(1), &[], head)?,
                Some(open) => open,
            };
            self.open.insert(open).file.append(&packet)?;
        }
        match &self.open {
            Some(open) if writing.sync => open.file.sync(),
            _ => Ok(()),
        }
    }

    /// Goes on after an earlier run, or after a fault.
    fn go_on(&mut self, head: &dyn Fn() -> Record) -> io::Result<Open> {
        self.disk.make_folder(&self.folder)?;
        self.disk.sync_folder(self.folder.parent().unwrap_or(Path::new(".")))?;
        let Some(newest) = segments(self.disk.as_ref(), &self.folder)?.pop() else {
            return self.begin(1, &[], head);
        };
        let stream = read_file(self.disk.as_ref(), &path(&self.folder, newest), SEGMENT_BYTES);
        let whole: Vec<u8> = stream
            .map(|stream| packets(&stream).flat_map(|p| p.bytes().to_vec()).collect())
            .unwrap_or_default();
        if whole.is_empty() || whole.len() > CARRIED_BYTES {
            return self.begin(newest.saturating_add(1), &[], head);
        }
        self.begin(newest, &whole, head)
    }

    /// Makes a segment of what is carried over and its head.
    fn begin(&mut self, number: u32, carried: &[u8], head: &dyn Fn() -> Record) -> io::Result<Open> {
        let others = segments(self.disk.as_ref(), &self.folder)?.into_iter().filter(|other| *other != number);
        let others: Vec<u32> = others.collect();
        let surplus = others.len().saturating_add(1).saturating_sub(SEGMENTS);
        for oldest in others.iter().take(surplus) {
            self.disk.remove(&path(&self.folder, *oldest))?;
        }
        let (aside, path) = (self.folder.join("aside"), path(&self.folder, number));
        match self.disk.remove(&aside) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = self.disk.create(&aside)?;
        file.append(carried)?;
        let head = self.seal(&head())?;
        file.append(&head)?;
        file.sync()?;
        self.disk.rename(&aside, &path)?;
        self.disk.sync_folder(&self.folder)?;
        Ok(Open { number, file })
    }

    fn seal(&mut self, record: &Record) -> io::Result<Vec<u8>> {
        let count = self.counts.entry(record.apid).or_insert(0);
        let time = Cuc::saturating_from_unix_ms(record.unix_ms);
        let mut out = [0; MAX_PACKET_BYTES];
        let sealed = seal_telemetry(&mut out, record.apid, *count, time, &record.data, self.key.as_ref());
        *count = next_count(*count);
        let bytes = sealed.map_err(|e| io::Error::other(e.to_string()))?;
        Ok(out.get(..bytes).unwrap_or_default().to_vec())
    }
}

/// What the black box of a state folder holds, the oldest first: a stream of packets, 1 MiB at most. Segments that
/// can't be read are passed over.
///
/// # Errors
/// There is no black box, or its folder can't be read.
pub fn read_blackbox(disk: &dyn Disk, state: &Path) -> io::Result<Vec<u8>> {
    let folder = state.join(FOLDER);
    let mut out = Vec::new();
    for number in segments(disk, &folder)?.into_iter().take(SEGMENTS) {
        out.extend(read_file(disk, &path(&folder, number), SEGMENT_BYTES).unwrap_or_default());
    }
    Ok(out)
}

/// The numbers of the segments, rising.
fn segments(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<u32>> {
    let number = |name: &str| name.strip_suffix(".tlm").filter(|stem| stem.len() == 8)?.parse().ok();
    let entries = disk.list(folder, MAX_ENTRIES)?;
    let mut out: Vec<u32> = entries.iter().filter_map(|e| number(e.name.to_str()?)).collect();
    ordered::sort_by(&mut out, Ord::cmp);
    Ok(out)
}

fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.tlm"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Faults, SimDisk};
    use passband_proto::dict::{Beacon, Event, Packet};

    const STATE: &str = "/state";

    fn disk() -> SimDisk {
        let disk = SimDisk::default();
        disk.make_folder(Path::new(STATE)).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        disk
    }

    fn recorder(disk: &SimDisk) -> Recorder {
        Recorder::new(Arc::new(disk.clone()), Path::new(STATE))
    }

    fn record(number: u32) -> Record {
        let mut data = vec![0; Event::DEF.data_bytes()];
        data[..4].copy_from_slice(&number.to_be_bytes());
        Record { apid: Event::DEF.apid, unix_ms: u64::from(number), data }
    }

    fn head() -> Record {
        Record { apid: Beacon::DEF.apid, unix_ms: 1, data: vec![0; Beacon::DEF.data_bytes()] }
    }

    fn write(recorder: &mut Recorder, number: u32, sync: bool) -> io::Result<()> {
        recorder.write(0, &Writing { records: vec![record(number)], sync }, &head)
    }

    /// The numbers of the events in the box, and how many beacons there are.
    fn held(disk: &SimDisk) -> (Vec<u32>, usize) {
        let stream = read_blackbox(disk, Path::new(STATE)).unwrap();
        let all: Vec<_> = packets(&stream).collect();
        let events = all.iter().filter(|packet| packet.apid() == Event::DEF.apid);
        let numbers = events.map(|packet| u32::from_be_bytes(packet.data()[..4].try_into().unwrap()));
        (numbers.collect(), all.iter().filter(|packet| packet.apid() == Beacon::DEF.apid).count())
    }

    #[test]
    fn it_goes_on_over_starts_and_the_oldest_goes_for_room() {
        let disk = disk();
        for start in 0..6 {
            let mut recorder = recorder(&disk);
            for n in 0..3 {
                write(&mut recorder, start * 3 + n, true).unwrap();
            }
        }
        assert_eq!(held(&disk), ((0..18).collect(), 6), "starts push nothing out");
        let mut recorder = recorder(&disk);
        for number in 18..9_000 {
            write(&mut recorder, number, false).unwrap();
        }
        let (numbers, beacons) = held(&disk);
        assert!(numbers.len() > 3_900 && numbers.is_sorted() && numbers.last() == Some(&8_999));
        assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1));
        assert_eq!((beacons, disk.list(&Path::new(STATE).join(FOLDER), 99).unwrap().len()), (4, SEGMENTS));
        let most = disk.files().values().map(Vec::len).max().unwrap();
        assert!(most <= SEGMENT_BYTES);
    }

    #[test]
    fn packets_are_tagged_and_counted() {
        let disk = disk();
        let key = passband_proto::keys::EpochKey::new(1, 1, [7; 32]).telemetry_key();
        let mut recorder = recorder(&disk);
        recorder.set_key(Some(key.clone()));
        (0..3).for_each(|n| write(&mut recorder, n, false).unwrap());
        let stream = read_blackbox(&disk, Path::new(STATE)).unwrap();
        let counts: Vec<u16> = packets(&stream)
            .filter(|packet| packet.verify(&key) && packet.apid() == Event::DEF.apid)
            .map(|packet| packet.sequence_count())
            .collect();
        assert_eq!(counts, [0, 1, 2]);
    }

    #[test]
    fn a_cut_at_every_operation_keeps_what_was_synced() {
        let disk = disk();
        let mut first = recorder(&disk);
        write(&mut first, 0, true).unwrap();
        write(&mut first, 1, true).unwrap();
        let mut second = recorder(&disk);
        disk.watch(|disk| {
            for seed in 0..6 {
                let (numbers, _) = held(&disk.after_cut(seed));
                assert!(numbers.starts_with(&[0, 1]) && numbers.is_sorted(), "{numbers:?}");
            }
        });
        write(&mut second, 2, true).unwrap();
        write(&mut second, 3, false).unwrap();
        disk.unwatch();
        for seed in 0..20 {
            let after = disk.after_cut(seed);
            let (numbers, _) = held(&after);
            assert!(numbers.starts_with(&[0, 1, 2]), "{numbers:?}");
            write(&mut recorder(&after), 9, true).unwrap();
            let (numbers, _) = held(&after);
            assert!(numbers.starts_with(&[0, 1, 2]) && numbers.last() == Some(&9), "{numbers:?}");
        }
    }

    #[test]
    fn a_disk_that_fails_is_told_once_and_tried_again_later() {
        let disk = disk();
        let mut recorder = recorder(&disk);
        write(&mut recorder, 0, true).unwrap();
        disk.set_faults(Faults { read_only: true, ..Faults::default() });
        assert!(write(&mut recorder, 1, true).is_err());
        assert!(write(&mut recorder, 2, true).is_ok(), "not tried");
        disk.set_faults(Faults::default());
        let writing = Writing { records: vec![record(3)], sync: true };
        recorder.write(RETRY_MS, &writing, &head).unwrap();
        assert_eq!(held(&disk).0, [0, 3]);
        let gone = Path::new("/elsewhere");
        assert!(read_blackbox(&disk, gone).is_err());
    }
}
