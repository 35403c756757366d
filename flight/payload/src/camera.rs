//! Camera: finds whole frames in the spool, and what will never be one.
//!
//! A frame is an ENVI header `NAME.hdr` and a data file `NAME.bil`, `.bip`, `.bsq`, `.img`, `.dat`,
//! `.raw`, `.bin` or plain `NAME`; also `NAME.img.hdr` with `NAME.img`. The camera writes aside and
//! renames, header last, but nothing here relies on it: a frame is taken when both files are there,
//! the data is as long as the header says, and neither changed for a moment; it is refused when
//! it is not so and nothing changed for the settling time. Dot files, `*.tmp` and `*.part` are passed
//! over. What the disk can't tell anything of is waited for, and folders are left alone: one may be a file system's
//! own (`lost+found`), or hold what somebody is still at.
//!
//! This module is handed listings of the spool and asks for the size a header describes; it never
//! opens, moves or removes a file, and never reads a clock.

mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use passband_spectral::envi::MAX_HEADER_BYTES;

use crate::ordered;
pub use names::{DATA_ENDINGS, MAX_FRAME_NAME_BYTES, data_beside, frame_name, partners, printable_name};
use names::{data_stem, display_name, frame_files, header_stem, is_passed_over, name_fault};

/// A refusal that failed is tried again after so long, and then after twice as long each time, ms.
const REFUSE_AGAIN_MS: u64 = 2_000;
/// The longest of these times, ms.
const REFUSE_AGAIN_MAX_MS: u64 = 3_600_000;
/// The folder that a file system makes of its own.
const LOST_AND_FOUND: &str = "lost+found";

/// A file that hasn't changed for so long isn't being written, ms: more than the grain of file times.
const STEADY_MS: u64 = 20;

/// What kind of thing a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// Something else: "a symbolic link", "a directory", …
    Other(&'static str),
    /// There is something of that name, but the disk couldn't tell what.
    Unknown,
}

/// An entry of the spool, as the directory shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
    /// Its size, bytes.
    pub bytes: u64,
    /// When it was last changed, ns since 1970-01-01 UTC: only compared, never read as a time.
    pub changed_ns: i128,
    /// Its inode.
    pub inode: u64,
}

impl Entry {
    /// One of which the disk couldn't tell more than its name.
    pub fn unknown(name: OsString) -> Self {
        Self { name, kind: Kind::Unknown, bytes: 0, changed_ns: 0, inode: 0 }
    }

    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.kind == Kind::Other(FOLDER)
    }
}

/// The kind of a folder, as [`Kind::Other`] says it.
pub const FOLDER: &str = "a directory";

/// The files of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameFiles {
    /// The frame's name.
    pub name: String,
    /// Name of the header.
    pub header: String,
    /// Name of the data file.
    pub data: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A whole frame: take it into the store.
    Take(FrameFiles),
    /// Never a frame: move it away.
    Refuse {
        /// What it is called, for people: printable.
        name: String,
        /// The files, the data before the header.
        files: Vec<OsString>,
        /// Why.
        reason: String,
    },
}

/// When the camera's duty loses patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// An incomplete frame is refused when nothing changed for so long, ms.
    pub settle_ms: u64,
    /// A file without a header is refused after so long, ms.
    pub orphan_ms: u64,
    /// Largest data file, bytes.
    pub max_frame_bytes: u64,
}

/// Watches the spool.
#[derive(Debug)]
pub struct Camera {
    limits: Limits,
    seen: BTreeMap<OsString, Seen>,
    /// Folders at the last look.
    folders: BTreeSet<OsString>,
    /// Those of them that were not there at the look before.
    new_folders: Vec<OsString>,
}

/// What is remembered of an entry.
#[derive(Debug)]
struct Seen {
    entry: Entry,
    /// When it was first seen as it is.
    since_ms: u64,
    /// Whether it has been the same for [`STEADY_MS`].
    steady: bool,
    /// What the header describes, once asked for.
    described: Option<Result<u64, String>>,
    /// Not to be taken or refused before.
    not_before_ms: u64,
    /// It was tried to take it, as the header of a frame.
    tried: bool,
    /// How often its refusal failed.
    refusals_failed: u32,
}

impl Seen {
    fn new(entry: Entry, now_ms: u64) -> Self {
        Self {
            entry,
            since_ms: now_ms,
            steady: false,
            described: None,
            not_before_ms: 0,
            tried: false,
            refusals_failed: 0,
        }
    }
}

impl Camera {
    /// Has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, seen: BTreeMap::new(), folders: BTreeSet::new(), new_folders: Vec::new() }
    }

    /// Looks at a listing of the spool, at `now_ms` of any steady clock. `describe` gives the size of
    /// the data, bytes, that the header of this name describes, or what is wrong with the header. First come the frames
    /// that were never tried, as one of them may be urgent, the oldest first; then what is to be refused; last the
    /// frames that were tried before.
    pub fn look(
        &mut self,
        now_ms: u64,
        listing: Vec<Entry>,
        mut describe: impl FnMut(&OsStr) -> Result<u64, String>,
    ) -> Vec<Action> {
        self.remember(now_ms, listing);
        let mut headers: Vec<_> =
            self.seen.values().filter(|s| header_stem(&s.entry.name).is_some()).map(|s| &s.entry).collect();
        ordered::sort_by_key(&mut headers, |entry| (entry.changed_ns, entry.name.clone()));
        let headers: Vec<OsString> = headers.into_iter().map(|entry| entry.name.clone()).collect();
        let mut claimed = BTreeSet::new();
        let (mut takes, mut again, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
        for header in headers {
            let data = self.data_of(&header, &claimed);
            claimed.extend(data.iter().cloned());
            let verdict = self.judge(now_ms, &header, &data, &mut describe);
            claimed.insert(header.clone());
            match verdict {
                Verdict::Wait => {}
                Verdict::Take(files) if self.seen.get(&header).is_some_and(|seen| seen.tried) => {
                    again.push(Action::Take(files));
                }
                Verdict::Take(files) => takes.push(Action::Take(files)),
                Verdict::Refuse(reason) => {
                    let files = data.into_iter().chain([header.clone()]).collect();
                    refusals.push(Action::Refuse { name: display_name(&header), files, reason });
                }
            }
        }
        self.refuse_orphans(now_ms, &claimed, &mut refusals);
        takes.into_iter().chain(refusals).chain(again).collect()
    }

    /// Leaves a frame alone until `until_ms`: it could not be taken, and that won't change at once.
    pub fn defer(&mut self, header: &str, until_ms: u64) {
        if let Some(seen) = self.seen.get_mut(OsStr::new(header)) {
            seen.not_before_ms = until_ms;
            seen.tried = true;
        }
    }

    /// Leaves files alone for a while whose refusal failed: the longer the more often it did.
    pub fn refusal_failed(&mut self, files: &[OsString], now_ms: u64) {
        for file in files {
            if let Some(seen) = self.seen.get_mut(file) {
                let wait_ms = REFUSE_AGAIN_MS.saturating_mul(1 << seen.refusals_failed.min(20));
                seen.not_before_ms = now_ms.saturating_add(wait_ms.min(REFUSE_AGAIN_MAX_MS));
                seen.refusals_failed += 1;
            }
        }
    }

    /// Whether a refusal of any of these files failed before.
    pub fn was_refused(&self, files: &[OsString]) -> bool {
        files.iter().filter_map(|file| self.seen.get(file)).any(|seen| seen.refusals_failed > 0)
    }

    /// Whether there was a file of this name at the last look.
    pub fn knows(&self, file: &str) -> bool {
        self.seen.contains_key(OsStr::new(file))
    }

    /// How many frames were tried and are there still.
    pub fn waiting(&self) -> usize {
        self.seen.values().filter(|seen| seen.tried).count()
    }

    /// Folders of the last look that were not there at the one before: they are no frames, and are left alone.
    pub fn take_new_folders(&mut self) -> Vec<OsString> {
        std::mem::take(&mut self.new_folders)
    }

    fn remember(&mut self, now_ms: u64, listing: Vec<Entry>) {
        let (folders, files): (Vec<_>, Vec<_>) =
            listing.into_iter().filter(|entry| !is_passed_over(&entry.name)).partition(Entry::is_folder);
        let names = folders.into_iter().map(|entry| entry.name).filter(|name| name != LOST_AND_FOUND);
        let folders: BTreeSet<_> = ordered::gathered(names);
        self.new_folders.extend(folders.difference(&self.folders).cloned());
        self.folders = folders;
        let mut now = BTreeMap::new();
        for entry in files {
            let seen = match self.seen.remove(&entry.name) {
                Some(before) if before.entry == entry => {
                    Seen { steady: now_ms.saturating_sub(before.since_ms) >= STEADY_MS, ..before }
                }
                _ => Seen::new(entry, now_ms),
            };
            now.insert(seen.entry.name.clone(), seen);
        }
        self.seen = now;
    }

    /// The data files that may belong to a header and to none before it.
    fn data_of(&self, header: &OsStr, claimed: &BTreeSet<OsString>) -> Vec<OsString> {
        let Some(stem) = header_stem(header) else { return Vec::new() };
        let fits = |name: &OsStr| {
            name == stem || data_stem(name).is_some_and(|(of, _)| of == stem) && header_stem(name).is_none()
        };
        self.seen.keys().filter(|name| fits(name) && !claimed.contains(*name)).cloned().collect()
    }

    fn judge(
        &mut self,
        now_ms: u64,
        header: &OsStr,
        data: &[OsString],
        describe: &mut impl FnMut(&OsStr) -> Result<u64, String>,
    ) -> Verdict {
        let all = || data.iter().map(OsString::as_os_str).chain([header]).filter_map(|n| self.seen.get(n));
        let quiet_since = all().map(|seen| seen.since_ms).max().unwrap_or(now_ms);
        let quiet = now_ms.saturating_sub(quiet_since) >= self.limits.settle_ms;
        let steady = all().all(|seen| seen.steady);
        let deferred = all().any(|seen| now_ms < seen.not_before_ms);
        let bytes = all().next().map_or(0, |seen| seen.entry.bytes);
        let unknown = all().any(|seen| seen.entry.kind == Kind::Unknown);
        let odd = all().find_map(|seen| match seen.entry.kind {
            Kind::File | Kind::Unknown => None,
            Kind::Other(kind) => {
                Some(format!("{} is {kind}, not a regular file", printable_name(&seen.entry.name)))
            }
        });
        if !steady || deferred || unknown {
            return Verdict::Wait;
        }
        let refuse_when_quiet = |reason: String| if quiet { Verdict::Refuse(reason) } else { Verdict::Wait };
        if let Some(reason) =
            odd.or_else(|| name_fault(header)).or_else(|| data.first().and_then(|d| name_fault(d)))
        {
            return refuse_when_quiet(reason);
        }
        let described = match self.described(header, describe) {
            Ok(described) => described,
            Err(reason) => return refuse_when_quiet(reason),
        };
        match data {
            [] => refuse_when_quiet(format!(
                "no data file beside the header, which describes {described} bytes"
            )),
            [_, _, ..] => refuse_when_quiet(format!("{} data files fit this header", data.len())),
            [_] if bytes > self.limits.max_frame_bytes => {
                let most = self.limits.max_frame_bytes;
                refuse_when_quiet(format!("the data file has {bytes} bytes; at most {most} are taken"))
            }
            [_] if bytes != described => refuse_when_quiet(format!(
                "the header describes {described} bytes, the data file has {bytes}"
            )),
            [data] => match frame_files(header, data) {
                Some(files) => Verdict::Take(files),
                None => refuse_when_quiet("its name can't be used".to_owned()),
            },
        }
    }

    /// What a header describes, asked for once as long as it doesn't change.
    fn described(
        &mut self,
        header: &OsStr,
        describe: &mut impl FnMut(&OsStr) -> Result<u64, String>,
    ) -> Result<u64, String> {
        let Some(seen) = self.seen.get_mut(header) else { return Err("it is gone".to_owned()) };
        if seen.entry.bytes > MAX_HEADER_BYTES as u64 {
            return Err(format!(
                "a header of {} bytes; at most {MAX_HEADER_BYTES} are read",
                seen.entry.bytes
            ));
        }
        seen.described.get_or_insert_with(|| describe(header)).clone()
    }

    fn refuse_orphans(&self, now_ms: u64, claimed: &BTreeSet<OsString>, actions: &mut Vec<Action>) {
        for seen in self.seen.values().filter(|seen| !claimed.contains(&seen.entry.name)) {
            let (patience_ms, reason) = match seen.entry.kind {
                Kind::File => (self.limits.orphan_ms, "no header speaks of this file".to_owned()),
                Kind::Other(kind) => (self.limits.settle_ms, format!("it is {kind}, not a regular file")),
                Kind::Unknown => continue,
            };
            let due = now_ms.saturating_sub(seen.since_ms) >= patience_ms && now_ms >= seen.not_before_ms;
            if seen.steady && due {
                let name = display_name(&seen.entry.name);
                actions.push(Action::Refuse { name, files: vec![seen.entry.name.clone()], reason });
            }
        }
    }
}

enum Verdict {
    Wait,
    Take(FrameFiles),
    Refuse(String),
}

#[cfg(test)]
mod tests;
