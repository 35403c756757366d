//! Watching a folder for captures that are still being written.
//!
//! Each capture is read by a thread that, at its end, waits for more instead of giving up: so a record that is
//! half written is taken once it is whole. A capture that hasn't grown for a while is taken to be at its end;
//! should it grow after all it is read again from its beginning, and what is known already counts once. One
//! that is renamed is still the same; one that is written anew, as in a ring of files, is another: what had not
//! been read of the old one by then is gone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::capture::{CaptureReader, CaptureStats};

/// How often a folder is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the end of a capture is looked at.
const TAIL_EVERY: Duration = Duration::from_millis(100);
/// A capture that hasn't grown for so long is at its end.
const AT_END: Duration = Duration::from_secs(30);
/// Captures that are read at a time.
const MAX_READERS: usize = 16;
/// Candidates that are handed over at a time, and hand-overs that may wait.
const BATCH: usize = 64;
const WAITING: usize = 64;

/// Bytes at the beginning of a capture by which it is known again: its header and its first record's.
const FIRST_BYTES: usize = 64;

/// Device and inode: what a file is, whatever it is called.
type Identity = (u64, u64);

/// Follows the captures of a folder.
#[derive(Debug)]
pub struct Watch {
    folder: PathBuf,
    looked: Option<Instant>,
    files: BTreeMap<Identity, Followed>,
    sender: SyncSender<Vec<Vec<u8>>>,
    candidates: Receiver<Vec<Vec<u8>>>,
    stop: Arc<AtomicBool>,
}

/// A capture that is being read, or was.
#[derive(Debug)]
struct Followed {
    path: PathBuf,
    reader: Option<JoinHandle<Outcome>>,
    outcome: Outcome,
    /// How long it was when it was last looked at while it was being read, bytes.
    size: u64,
}

/// What came of reading a capture.
#[derive(Debug, Default)]
struct Outcome {
    stats: CaptureStats,
    error: Option<String>,
    /// Whether it was written anew meanwhile.
    rewritten: bool,
}

impl Watch {
    /// Begins to watch a folder.
    ///
    /// # Errors
    /// It isn't a folder that can be read.
    pub fn start(folder: &Path) -> Result<Self> {
        fs::read_dir(folder).with_context(|| format!("watching {}", folder.display()))?;
        let (sender, candidates) = sync_channel(WAITING);
        let (folder, stop) = (folder.to_owned(), Arc::new(AtomicBool::new(false)));
        Ok(Self { folder, looked: None, files: BTreeMap::new(), sender, candidates, stop })
    }

    /// The next candidates, within `timeout`; none if nothing came.
    pub fn next(&mut self, timeout: Duration) -> Vec<Vec<u8>> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.looked = Some(Instant::now());
            self.look();
        }
        self.candidates.recv_timeout(timeout).unwrap_or_default()
    }

    /// How many captures were found.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Stops: every capture is taken to be at its end. Hands over what is left, and says what came of each.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn finish(
        self,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<Vec<(PathBuf, CaptureStats, Option<String>)>> {
        let Self { files, sender, candidates, stop, .. } = self;
        stop.store(true, Ordering::Relaxed);
        drop(sender);
        // Ends with the last reader.
        for candidate in candidates.iter().flatten() {
            each(&candidate)?;
        }
        let mut out = Vec::new();
        for mut followed in files.into_values() {
            followed.join();
            let Outcome { stats, error, .. } = followed.outcome;
            out.push((followed.path, stats, error));
        }
        out.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(out)
    }

    /// Looks for captures that are new or have grown.
    fn look(&mut self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            // Of a link, what it leads to.
            let Ok(about) = fs::metadata(&path) else { continue };
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !about.is_file() || hidden || about.len() == 0 {
                continue;
            }
            let reading = self.files.values().filter(|f| f.is_reading()).count();
            let new = || Followed { path: path.clone(), reader: None, outcome: Outcome::default(), size: 0 };
            let followed = self.files.entry((about.dev(), about.ino())).or_insert_with(new);
            followed.path.clone_from(&path);
            if followed.is_reading() {
                followed.size = about.len();
                continue;
            }
            followed.join();
            // One that was read as far as it can be is left alone until it grows.
            let done = followed.size == about.len() && !followed.outcome.rewritten;
            if done || reading >= MAX_READERS {
                continue;
            }
            followed.outcome.rewritten = false;
            followed.size = about.len();
            let (sender, stop) = (self.sender.clone(), Arc::clone(&self.stop));
            // Should there be no thread for it now, there is one later.
            followed.reader = thread::Builder::new().spawn(move || read(&path, &sender, &stop)).ok();
        }
    }
}

impl Followed {
    /// Whether it is still being read.
    fn is_reading(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| !reader.is_finished())
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.outcome = reader.join().unwrap_or_else(|_| failed("reading it came to an unexpected end"));
        }
    }
}

fn failed(error: impl Into<String>) -> Outcome {
    Outcome { error: Some(error.into()), ..Outcome::default() }
}

/// Reads a capture to its end, or until told to stop.
fn read(path: &Path, out: &SyncSender<Vec<Vec<u8>>>, stop: &Arc<AtomicBool>) -> Outcome {
    let name = path.display().to_string();
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, first_bytes(&file)?, file)));
    let (about, first, file) = match opened {
        Ok(opened) => opened,
        Err(e) => return failed(format!("{name}: {e}")),
    };
    let hand_over = Arc::new(HandOver { batch: Mutex::default(), out: out.clone() });
    // It may not have grown for long when it is found.
    let age = about.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
    let grown = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
    let rewritten = Arc::new(AtomicBool::new(false));
    let tail = Tail {
        file,
        first,
        stop: Arc::clone(stop),
        grown,
        hand_over: Arc::clone(&hand_over),
        end: 0,
        rewritten: Arc::clone(&rewritten),
    };
    let mut reader = match CaptureReader::from_reader(name, tail) {
        Ok(reader) => reader,
        Err(e) => return failed(format!("{:#}", anyhow::Error::new(e))),
    };
    let error = loop {
        match reader.next_candidate() {
            Ok(Some(candidate)) => hand_over.add(candidate.bytes),
            Ok(None) => break None,
            Err(e) => break Some(format!("{:#}", anyhow::Error::new(e))),
        }
    };
    hand_over.all();
    Outcome { stats: reader.stats().clone(), error, rewritten: rewritten.load(Ordering::Relaxed) }
}

/// The first bytes of a file, as many as there are of [`FIRST_BYTES`].
fn first_bytes(file: &File) -> io::Result<Vec<u8>> {
    let mut first = vec![0; FIRST_BYTES];
    let bytes = file.read_at(&mut first, 0)?;
    first.truncate(bytes);
    Ok(first)
}

/// Candidates on their way to whoever watches.
struct HandOver {
    batch: Mutex<Vec<Vec<u8>>>,
    out: SyncSender<Vec<Vec<u8>>>,
}

impl HandOver {
    fn add(&self, bytes: &[u8]) {
        let full = {
            let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
            batch.push(bytes.to_vec());
            batch.len() >= BATCH
        };
        if full {
            self.all();
        }
    }

    /// Hands over what is there; once nobody watches any more it is let go.
    fn all(&self) {
        let batch = std::mem::take(&mut *self.batch.lock().unwrap_or_else(PoisonError::into_inner));
        if !batch.is_empty() {
            let _ = self.out.send(batch);
        }
    }
}

/// A file that is still growing: its end is waited at.
struct Tail {
    file: File,
    first: Vec<u8>,
    stop: Arc<AtomicBool>,
    grown: Instant,
    hand_over: Arc<HandOver>,
    /// How far it was read.
    end: u64,
    rewritten: Arc<AtomicBool>,
}

impl Tail {
    /// Whether it is another capture by now than when it was opened.
    fn is_rewritten(&mut self) -> io::Result<bool> {
        let now = first_bytes(&self.file)?;
        if !now.starts_with(&self.first) {
            return Ok(true);
        }
        // It may have been shorter than what is compared.
        self.first = now;
        Ok(self.file.metadata()?.len() < self.end)
    }
}

impl Read for Tail {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_rewritten()? {
                self.rewritten.store(true, Ordering::Relaxed);
                return Ok(0);
            }
            let bytes = self.file.read(buf)?;
            if bytes > 0 || buf.is_empty() {
                self.grown = Instant::now();
                self.end += bytes as u64;
                return Ok(bytes);
            }
            self.hand_over.all();
            if self.stop.load(Ordering::Relaxed) || self.grown.elapsed() >= AT_END {
                return Ok(0);
            }
            thread::sleep(TAIL_EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::SocketAddr;
    use std::time::SystemTime;

    use super::*;
    use crate::capture::CaptureWriter;

    #[test]
    fn a_capture_is_read_on_as_it_grows_also_from_the_middle_of_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole.pcap");
        let from = SocketAddr::from(([10, 0, 0, 1], 1));
        let mut writer = CaptureWriter::create(&whole).unwrap();
        for i in 0..40_u8 {
            writer.write(SystemTime::UNIX_EPOCH, from, from, &[b'P', b'B', i]).unwrap();
        }
        writer.flush().unwrap();
        let bytes = fs::read(&whole).unwrap();
        let folder = dir.path().join("captures");
        fs::create_dir(&folder).unwrap();
        let mut watch = Watch::start(&folder).unwrap();
        let mut file = File::create(folder.join("a.pcap")).unwrap();
        let mut got = Vec::new();
        let cut = bytes.len() / 2 + 3;
        for part in [&bytes[..cut], &bytes[cut..]] {
            file.write_all(part).unwrap();
            let before = got.len();
            let patience = Instant::now();
            while got.len() < before + 19 && patience.elapsed() < Duration::from_secs(20) {
                got.extend(watch.next(Duration::from_millis(50)));
            }
        }
        let patience = Instant::now();
        while got.len() < 39 && patience.elapsed() < Duration::from_secs(20) {
            got.extend(watch.next(Duration::from_millis(50)));
        }
        assert!(got.len() >= 39, "all but the last, of which it isn't known that it ends there");
        assert_eq!(watch.files(), 1);
        let finished = watch.finish(|bytes| {
            got.push(bytes.to_vec());
            Ok(())
        });
        let finished = finished.unwrap();
        assert_eq!(got.iter().map(|d| d[2]).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
        assert!(finished[0].2.is_none() && finished[0].1.udp == 40, "{finished:?}");
        assert!(Watch::start(&dir.path().join("nowhere")).is_err());
    }

    /// A capture of datagrams that say their number.
    fn capture(dir: &Path, numbers: std::ops::Range<u8>) -> Vec<u8> {
        let path = dir.join("scratch.pcap");
        let from = SocketAddr::from(([10, 0, 0, 1], 1));
        let mut writer = CaptureWriter::create(&path).unwrap();
        for i in numbers {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(i));
            writer.write(time, from, from, &[b'P', b'B', i]).unwrap();
        }
        writer.flush().unwrap();
        drop(writer);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(path).unwrap();
        bytes
    }

    #[test]
    fn captures_that_are_renamed_replaced_and_written_anew_are_all_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("captures");
        fs::create_dir(&folder).unwrap();
        let mut watch = Watch::start(&folder).unwrap();
        let mut got = std::collections::BTreeSet::new();
        let mut wait_for = |watch: &mut Watch, numbers: std::ops::Range<u8>| {
            let patience = Instant::now();
            while !numbers.clone().all(|i| got.contains(&i)) {
                assert!(patience.elapsed() < Duration::from_secs(20), "{numbers:?} of {got:?}");
                got.extend(watch.next(Duration::from_millis(50)).iter().map(|d| d[2]));
            }
        };
        // The last of a capture is only taken once it is known that it ends there.
        let ring = folder.join("ring");
        fs::write(&ring, capture(dir.path(), 0..11)).unwrap();
        wait_for(&mut watch, 0..10);
        // The ring comes round: written anew, shorter, and longer than before.
        fs::write(&ring, capture(dir.path(), 20..26)).unwrap();
        wait_for(&mut watch, 20..25);
        fs::write(&ring, capture(dir.path(), 30..61)).unwrap();
        wait_for(&mut watch, 30..60);
        // Rotated: the old one is renamed, and a new one takes its name.
        fs::rename(&ring, folder.join("ring.1")).unwrap();
        fs::write(&ring, capture(dir.path(), 70..81)).unwrap();
        wait_for(&mut watch, 70..80);
        // Reached by a link.
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, capture(dir.path(), 90..101)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.join("link")).unwrap();
        wait_for(&mut watch, 90..100);
        assert_eq!(watch.files(), 3);
    }
}
