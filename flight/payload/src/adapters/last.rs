//! The last saved state, `<state>/last.json`: the answers that commands get when the daemon is down.
//!
//! ```text
//! {"schema":1,"saved_unix_ms":…,"tally":{…},"answers":{"status":{…},"digest":{…},"events":{…}, …}}
//! ```
//!
//! Written aside, synced and renamed, so that it is there whole or as it was. A few KB, each minute and at events from
//! error on: some 15 MB a day. Events that are newer than it are found in the catalogue, or, where that can't be read,
//! in the black box; neither is written here.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use passband_proto::dict::{Event as EventPacket, Packet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blackbox::read_blackbox;
use super::catalogue::read_catalogue;
use super::disk::{Disk, read_file, write_file};
use crate::digest::Tally;
use crate::json;
use crate::telemetry::{Event, SCHEMA, packets};

/// Its name in the state folder.
const NAME: &str = "last.json";
/// Largest one that is written or read, bytes.
const MAX_BYTES: usize = 256 << 10;

/// What is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When, ms since 1970-01-01 UTC.
    pub saved_unix_ms: u64,
    /// What happened since the last pass ended, for the daemon to go on with.
    pub tally: Tally,
    /// The answers, by what they answer.
    pub answers: BTreeMap<String, Value>,
}

/// Writes it.
///
/// # Errors
/// It is too large, or those of the disk: what was there before is there still.
pub fn save(disk: &dyn Disk, state: &Path, saved: &Saved) -> io::Result<()> {
    let bytes = json::text(saved)?.into_bytes();
    if bytes.len() > MAX_BYTES {
        return Err(io::Error::other(format!("{} bytes, more than {MAX_BYTES}", bytes.len())));
    }
    write_file(disk, &state.join(NAME), &bytes)
}

/// Reads it.
///
/// # Errors
/// It isn't there, is damaged or of another version, in words that name the file.
pub fn load(disk: &dyn Disk, state: &Path) -> Result<Saved, String> {
    let path = state.join(NAME);
    let fail = |why: String| format!("{}: {why}", path.display());
    let bytes = read_file(disk, &path, MAX_BYTES).map_err(|e| fail(e.to_string()))?;
    let saved: Saved = json::read(&bytes).map_err(|e| fail(e.to_string()))?;
    if saved.schema != SCHEMA {
        return Err(fail(format!("schema {}, and this program reads {SCHEMA}", saved.schema)));
    }
    Ok(saved)
}

/// The events of a state folder whose daemon is down: those after a number, or the newest, rising. From the catalogue,
/// which is only read; else those that the black box has.
///
/// # Errors
/// Neither can be read, in words.
pub fn read_events(
    disk: &dyn Disk,
    state: &Path,
    since: Option<u64>,
    limit: usize,
) -> Result<Vec<Event>, String> {
    let why = match read_catalogue(disk, state).and_then(|catalogue| catalogue.events(since, limit)) {
        Ok(events) => return Ok(events),
        Err(e) => e,
    };
    let events = remembered_events(disk, state, since.unwrap_or_default())
        .map_err(|e| format!("the catalogue can't be read ({why}), and neither the black box: {e}"))?;
    let skipped = if since.is_none() { events.len().saturating_sub(limit) } else { 0 };
    Ok(events.into_iter().skip(skipped).take(limit).collect())
}

/// The events after a number that the black box has, rising.
///
/// # Errors
/// It can't be read.
pub fn remembered_events(disk: &dyn Disk, state: &Path, after: u64) -> io::Result<Vec<Event>> {
    let stream = read_blackbox(disk, state)?;
    let mut by_number = BTreeMap::new();
    for packet in packets(&stream).filter(|packet| packet.apid() == EventPacket::DEF.apid) {
        if let Some(event) = EventPacket::read(packet.data()).filter(|event| u64::from(event.number) > after)
        {
            by_number.insert(event.number, event_of(&event));
        }
    }
    Ok(by_number.into_values().collect())
}

/// An event of its packet; of a long text the packet has the beginning.
fn event_of(packet: &EventPacket) -> Event {
    Event {
        seq: packet.number.into(),
        unix_ms: packet.unix,
        severity: packet.severity,
        code: packet.code.name().to_owned(),
        text: packet.text.0.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::blackbox::Recorder;
    use crate::adapters::catalogue::open_catalogue;
    use crate::faults::SimDisk;
    use crate::telemetry::{BlackBox, Record, Report, Severity};
    use passband_proto::dict::{EventCode, FixedText};
    use std::sync::Arc;

    const STATE: &str = "/state";

    fn disk() -> SimDisk {
        let disk = SimDisk::default();
        disk.make_folder(Path::new(STATE)).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        disk
    }

    #[test]
    fn what_is_saved_is_there_whole_or_as_it_was() {
        let (disk, state) = (disk(), Path::new(STATE));
        let missing = load(&disk, state).unwrap_err();
        assert!(missing.contains("/state/last.json"), "{missing}");
        let mut saved =
            Saved { schema: SCHEMA, saved_unix_ms: 1, tally: Tally::default(), answers: BTreeMap::new() };
        save(&disk, state, &saved).unwrap();
        let old = saved.clone();
        saved.answers.insert("status".to_owned(), serde_json::json!({"schema": 1}));
        disk.watch(move |disk| {
            for seed in 0..8 {
                let found = load(&disk.after_cut(seed), Path::new(STATE)).unwrap();
                assert!(found == old || found.answers.len() == 1);
            }
        });
        save(&disk, state, &saved).unwrap();
        disk.unwatch();
        assert_eq!(load(&disk.after_cut(1), state), Ok(saved.clone()));
        saved.schema = 2;
        save(&disk, state, &saved).unwrap();
        assert!(load(&disk, state).unwrap_err().contains("schema 2"));
        saved.answers.insert("x".to_owned(), Value::String("x".repeat(MAX_BYTES)));
        assert!(save(&disk, state, &saved).is_err());
    }

    #[test]
    fn events_come_from_the_catalogue_without_a_change_to_it_or_else_from_the_black_box() {
        let (disk, state) = (disk(), Path::new(STATE));
        assert!(read_events(&disk, state, None, 9).unwrap_err().contains("black box"));
        let opened = open_catalogue(&disk, state).unwrap();
        for n in 0..5 {
            opened.catalogue.add_event(n, &Report::info(EventCode::Other, format!("event {n}"))).unwrap();
        }
        drop(opened);
        let before = disk.files();
        let seqs = |since, limit| -> Vec<u64> {
            read_events(&disk, state, since, limit).unwrap().iter().map(|e| e.seq).collect()
        };
        assert_eq!((seqs(None, 2), seqs(Some(1), 2)), (vec![4, 5], vec![2, 3]));
        assert_eq!(disk.files(), before);
        let catalogue = state.join("catalogue.redb");
        disk.remove(&catalogue).unwrap();
        let (mut blackbox, mut recorder) =
            (BlackBox::default(), Recorder::new(Arc::new(disk.clone()), state));
        for number in [7, 8, 12] {
            let (severity, text) = (Severity::Error, FixedText::cut("the disk failed"));
            let event = EventPacket { number, unix: 4, severity, code: EventCode::DiskFailing, text };
            let head = || Record { apid: 0x101, unix_ms: 0, data: vec![0; 8] };
            recorder.write(0, &blackbox.event(0, &event), &head).unwrap();
        }
        assert_eq!((seqs(None, 2), seqs(Some(7), 1), seqs(None, 9)), (vec![8, 12], vec![8], vec![7, 8, 12]));
        let event = &read_events(&disk, state, None, 1).unwrap()[0];
        assert_eq!((event.code.as_str(), event.text.as_str()), ("disk-failing", "the disk failed"));
    }
}
