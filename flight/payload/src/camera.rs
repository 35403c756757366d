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

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use passband_proto::bundle::safe_name;
use passband_spectral::envi::MAX_HEADER_BYTES;

/// Endings of data files, lower case.
pub const DATA_ENDINGS: [&str; 7] = ["bil", "bip", "bsq", "img", "dat", "raw", "bin"];
/// Longest name of a frame, bytes: its products' names are longer.
pub const MAX_FRAME_NAME_BYTES: usize = 150;

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
        headers.sort_by_key(|entry| (entry.changed_ns, entry.name.clone()));
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
        let folders: BTreeSet<_> =
            folders.into_iter().map(|entry| entry.name).filter(|name| name != LOST_AND_FOUND).collect();
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

/// The data file beside a header, by the same rules: the first name for which `is_there` holds.
pub fn data_beside(header: &Path, is_there: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let stem = header.with_file_name(header_stem(header.file_name()?)?);
    let with_ending = |ending: String| {
        let mut name = stem.clone().into_os_string();
        name.push(format!(".{ending}"));
        PathBuf::from(name)
    };
    let endings = DATA_ENDINGS.iter().flat_map(|e| [(*e).to_owned(), e.to_uppercase()]);
    let mut candidates = std::iter::once(stem.clone()).chain(endings.map(with_ending));
    candidates.find(|path| is_there(path))
}

/// The files of a frame whose names have no fault.
fn frame_files(header: &OsStr, data: &OsStr) -> Option<FrameFiles> {
    let name = frame_name(header, data)?;
    Some(FrameFiles { name, header: header.to_str()?.to_owned(), data: data.to_str()?.to_owned() })
}

/// The name of a frame, from the names of its files: of the header without `.hdr`, and without the
/// data's ending where it stands before that. `None` if that isn't UTF-8.
pub fn frame_name(header: &OsStr, data: &OsStr) -> Option<String> {
    let stem = header_stem(header).unwrap_or_else(|| header.to_owned());
    let name = match data_stem(data) {
        Some((short, _)) if data == stem => short,
        _ => stem,
    };
    name.into_string().ok()
}

/// The names that the other file of a frame may have, the usual ones first: of a header its data, else a header.
pub fn partners(name: &OsStr) -> impl Iterator<Item = OsString> {
    let of_header = header_stem(name);
    let headers = if of_header.is_some() {
        Vec::new()
    } else {
        [Some(name.to_owned()), data_stem(name).map(|d| d.0)].to_vec()
    };
    let data = of_header.clone().into_iter().chain(of_header.into_iter().flat_map(|stem| {
        SPELLINGS.into_iter().flat_map(move |upper| {
            let stem = stem.clone();
            DATA_ENDINGS.into_iter().map(move |ending| with_ending(&stem, ending, upper))
        })
    }));
    let headers = headers
        .into_iter()
        .flatten()
        .flat_map(|stem| SPELLINGS.map(|upper| with_ending(&stem, "hdr", upper)));
    let passed_over = is_passed_over(name);
    data.chain(headers).filter(move |_| !passed_over)
}

/// Which of an ending's three letters are capitals, as bits: the usual spellings first.
const SPELLINGS: [u8; 8] = [0, 7, 1, 2, 3, 4, 5, 6];

fn with_ending(stem: &OsStr, ending: &str, upper: u8) -> OsString {
    let spelt = ending.chars().zip(0..).map(|(c, nth)| match upper >> nth & 1 {
        0 => c,
        _ => c.to_ascii_uppercase(),
    });
    let mut name = stem.to_owned();
    name.push(format!(".{}", spelt.collect::<String>()));
    name
}

fn is_passed_over(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.starts_with(b".") || ends_with(bytes, b".tmp") || ends_with(bytes, b".part")
}

/// Whether a name ends so, upper or lower case, and has something before it.
fn ends_with(name: &[u8], ending: &[u8]) -> bool {
    let at = name.len().checked_sub(ending.len()).filter(|at| *at > 0);
    at.and_then(|at| name.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(ending))
}

/// The name of a header without `.hdr`.
fn header_stem(name: &OsStr) -> Option<OsString> {
    let bytes = name.as_bytes();
    if !ends_with(bytes, b".hdr") {
        return None;
    }
    bytes.get(..bytes.len() - 4).map(|stem| OsString::from_vec(stem.to_vec()))
}

/// The name of a data file without its ending, and the ending.
fn data_stem(name: &OsStr) -> Option<(OsString, &'static str)> {
    let bytes = name.as_bytes();
    DATA_ENDINGS.iter().find_map(|ending| {
        let at = bytes.len().checked_sub(ending.len() + 1)?;
        let (stem, tail) = bytes.split_at_checked(at)?;
        let fits = !stem.is_empty()
            && tail.strip_prefix(b".").is_some_and(|e| e.eq_ignore_ascii_case(ending.as_bytes()));
        fits.then(|| (OsString::from_vec(stem.to_vec()), *ending))
    })
}

/// What is wrong with a file's name, if anything.
fn name_fault(name: &OsStr) -> Option<String> {
    let shown = printable_name(name);
    let Some(text) = name.to_str() else { return Some(format!("the name {shown} is not UTF-8")) };
    if text.len() > MAX_FRAME_NAME_BYTES {
        return Some(format!(
            "the name has {} bytes; at most {MAX_FRAME_NAME_BYTES} are allowed",
            text.len()
        ));
    }
    (!safe_name(text)).then(|| format!("the name {shown} holds characters that a product's name can't"))
}

/// A file name for people: one line, escapes for what can't be shown, at most 80 characters.
pub fn printable_name(name: &OsStr) -> String {
    let shown: String = name.to_string_lossy().escape_debug().take(80).collect();
    format!("\"{shown}\"")
}

/// The name of a refused frame: of the header without its ending, only plain characters.
fn display_name(file: &OsStr) -> String {
    let stem = header_stem(file).unwrap_or_else(|| file.to_owned());
    let plain = |c: char| if c.is_control() || matches!(c, '/' | '\\' | '\u{fffd}') { '_' } else { c };
    let mut name = String::new();
    for c in stem.to_string_lossy().chars().map(plain) {
        if name.len() + c.len_utf8() > 100 {
            break;
        }
        name.push(c);
    }
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { settle_ms: 2_000, orphan_ms: 60_000, max_frame_bytes: 1_000_000 };

    fn file(name: impl Into<OsString>, bytes: u64) -> Entry {
        Entry { name: name.into(), kind: Kind::File, bytes, changed_ns: 1, inode: 1 }
    }

    fn frame(name: &str, header: &str, data: &str) -> Vec<Action> {
        vec![Action::Take(FrameFiles { name: name.into(), header: header.into(), data: data.into() })]
    }

    /// Looks at the same listing at each time; every header describes 100 bytes.
    fn looks(listing: &[Entry], times: &[u64]) -> Vec<Action> {
        let mut camera = Camera::new(LIMITS);
        times.iter().flat_map(|t| camera.look(*t, listing.to_vec(), |_| Ok(100))).collect()
    }

    fn refusal(listing: &[Entry]) -> (String, Vec<OsString>, String) {
        assert_eq!(looks(listing, &[0, 200, 1_999]), [], "must wait until it is quiet");
        match looks(listing, &[0, 2_000]).as_slice() {
            [Action::Refuse { name, files, reason }] => (name.clone(), files.clone(), reason.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_whole_frame_is_taken_at_the_second_look() {
        for (data, header, name) in [
            ("a.bil", "a.hdr", "a"),
            ("a.BSQ", "a.HDR", "a"),
            ("a", "a.hdr", "a"),
            ("a.img", "a.img.hdr", "a"),
            ("a.v2", "a.v2.hdr", "a.v2"),
        ] {
            let listing = [file(data, 100), file(header, 50)];
            assert_eq!(looks(&listing, &[0, 19]), []);
            assert_eq!(looks(&listing, &[0, 200]), frame(name, header, data));
        }
    }

    #[test]
    fn a_growing_file_is_waited_for() {
        let mut camera = Camera::new(LIMITS);
        let mut look = |t, bytes| camera.look(t, vec![file("a.bil", bytes), file("a.hdr", 5)], |_| Ok(100));
        assert_eq!(look(0, 10), []);
        assert_eq!(look(1_900, 50), []);
        assert_eq!(look(3_800, 99), [], "it grew 1.9 s ago");
        assert_eq!(look(3_900, 100), [], "it changed since the last look");
        assert_eq!(look(4_000, 100), frame("a", "a.hdr", "a.bil"));
    }

    #[test]
    fn what_never_becomes_a_frame_is_refused_with_a_reason() {
        let (name, files, reason) = refusal(&[file("a.bil", 99), file("a.hdr", 5)]);
        assert_eq!((name.as_str(), files), ("a", vec!["a.bil".into(), "a.hdr".into()]));
        assert_eq!(reason, "the header describes 100 bytes, the data file has 99");
        assert!(refusal(&[file("a.hdr", 5)]).2.contains("no data file"));
        assert!(
            refusal(&[file("a.bil", 100), file("a.img", 100), file("a.hdr", 5)]).2.contains("2 data files")
        );
        assert!(
            refusal(&[file("a.bil", 100), file("a.hdr", 2 << 20)]).2.contains("a header of 2097152 bytes")
        );
        assert!(refusal(&[file("a.bil", 1_000_001), file("a.hdr", 5)]).2.contains("at most 1000000"));
        let mut link = file("a.bil", 100);
        link.kind = Kind::Other("a symbolic link");
        assert!(refusal(&[link, file("a.hdr", 5)]).2.contains("a symbolic link, not a regular file"));
    }

    #[test]
    fn a_header_that_lies_is_asked_once_and_refused() {
        let mut camera = Camera::new(LIMITS);
        let mut asked = 0;
        let mut actions = Vec::new();
        for t in [0, 1_000, 2_000] {
            actions = camera.look(t, vec![file("a.bil", 9), file("a.hdr", 5)], |_| {
                asked += 1;
                Err("`samples` is missing".into())
            });
        }
        assert!(matches!(&actions[..], [Action::Refuse { reason, .. }] if reason == "`samples` is missing"));
        assert_eq!(asked, 1);
    }

    #[test]
    fn odd_names_are_refused() {
        let odd = OsString::from_vec(b"fr\xffame.hdr".to_vec());
        let data = OsString::from_vec(b"fr\xffame.bil".to_vec());
        let (name, files, reason) = refusal(&[file(data, 100), file(odd, 5)]);
        assert!(name == "fr_ame" && files.len() == 2 && reason.contains("not UTF-8"), "{name} {reason}");
        let (name, _, reason) = refusal(&[file("a\nb.bil", 100), file("a\nb.hdr", 5)]);
        assert!(name == "a_b" && reason.contains("characters"), "{reason}");
        let long = "n".repeat(200);
        assert!(refusal(&[file(format!("{long}.bil"), 100), file(format!("{long}.hdr"), 5)]).0.len() <= 100);
    }

    #[test]
    fn strangers_wait_longer_and_hidden_files_are_passed_over() {
        let strangers = [file("notes.txt", 1), file(".x.hdr", 1), file("b.bil.part", 9), file("c.TMP", 9)];
        assert_eq!(looks(&strangers, &[0, 59_999]), []);
        let actions = looks(&strangers, &[0, 60_000]);
        assert!(matches!(&actions[..], [Action::Refuse { files, .. }] if *files == ["notes.txt"]));
        let mut pipe = file("pipe", 0);
        pipe.kind = Kind::Other("a pipe");
        assert_eq!(looks(&[pipe], &[0, 2_000]).len(), 1);
    }

    #[test]
    fn what_the_disk_cannot_tell_anything_of_is_waited_for() {
        let times = [0, 2_000, 100_000];
        let [data, header] = [file("a.bil", 100), file("a.hdr", 5)];
        assert_eq!(looks(&[Entry::unknown("a.bil".into()), header.clone()], &times), []);
        assert_eq!(looks(&[data, Entry::unknown("a.hdr".into())], &times), []);
        assert_eq!(looks(&[Entry::unknown("lone".into())], &times), []);
        assert!(refusal(&[header]).2.contains("no data file"));
    }

    #[test]
    fn a_deferred_frame_is_left_alone_for_a_while() {
        let mut camera = Camera::new(LIMITS);
        let listing = || vec![file("a.bil", 100), file("a.hdr", 5)];
        camera.look(0, listing(), |_| Ok(100));
        camera.defer("a.hdr", 9_000);
        assert_eq!(camera.look(1_000, listing(), |_| Ok(100)), []);
        assert_eq!(camera.look(8_999, listing(), |_| Ok(100)), []);
        assert_eq!(camera.look(9_000, listing(), |_| Ok(100)), frame("a", "a.hdr", "a.bil"));
    }
    #[test]
    fn folders_are_left_alone_and_told_once() {
        let folder = |name: &str| Entry { kind: Kind::Other(FOLDER), ..file(name, 0) };
        let mut camera = Camera::new(LIMITS);
        for (t, new) in [(0, vec!["a.bil", "d.hdr"]), (2_000, vec![]), (700_000, vec![])] {
            let listing = ["lost+found", "a.bil", "d.hdr", ".hidden"].map(folder);
            assert_eq!(camera.look(t, listing.to_vec(), |_| Ok(100)), []);
            assert_eq!(camera.take_new_folders(), new);
        }
        camera.look(800_000, vec![folder("e")], |_| Ok(100));
        assert_eq!(camera.take_new_folders(), ["e"]);
    }

    #[test]
    fn a_refusal_that_failed_is_tried_again_less_and_less_often() {
        let mut camera = Camera::new(LIMITS);
        for (listing, files) in
            [(vec![file("a.hdr", 5)], vec![OsString::from("a.hdr")]), (vec![file("x", 5)], vec!["x".into()])]
        {
            camera.look(0, listing.clone(), |_| Ok(100));
            let mut refusals = Vec::new();
            for t in (60_000..10_000_000).step_by(500) {
                let actions = camera.look(t, listing.clone(), |_| Ok(100));
                assert_eq!(camera.was_refused(&files), !refusals.is_empty());
                if !actions.is_empty() {
                    refusals.push(t);
                    camera.refusal_failed(&files, t);
                }
            }
            let gaps: Vec<_> = refusals.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert_eq!(gaps[..4], [2_000, 4_000, 8_000, 16_000]);
            assert!(gaps.len() < 15 && gaps.iter().all(|gap| *gap <= 3_600_000), "{gaps:?}");
        }
    }

    #[test]
    fn frames_that_were_never_tried_go_first_and_those_that_were_go_last() {
        let mut camera = Camera::new(LIMITS);
        let pair = |name: &str, age: i128| {
            [("bil", 100), ("hdr", 5)]
                .map(|(end, bytes)| Entry { changed_ns: age, ..file(format!("{name}.{end}"), bytes) })
        };
        let mut listing = [pair("old", 1), pair("older", 0)].concat();
        camera.look(0, listing.clone(), |_| Ok(100));
        for name in ["old.hdr", "older.hdr"] {
            camera.defer(name, 3_000);
        }
        assert_eq!(camera.waiting(), 2);
        listing.push(file("odd.hdr", 5));
        listing.extend(pair("new", 9));
        camera.look(1_000, listing.clone(), |_| Ok(100));
        let actions = camera.look(3_000, listing, |_| Ok(100));
        let names: Vec<_> = actions
            .iter()
            .map(|action| match action {
                Action::Take(files) => files.name.as_str(),
                Action::Refuse { name, .. } => name.as_str(),
            })
            .collect();
        assert_eq!(names, ["new", "odd", "older", "old"]);
    }
}
