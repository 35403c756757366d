//! The camera's spool folder, and `rejected/` beside it.
//!
//! Files are opened without following links and only if they are regular, and removed only while they
//! are still the ones that were opened.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use passband_spectral::cube::ReadAt;
use passband_spectral::envi::{Header, MAX_HEADER_BYTES};

use super::disk::{Disk, DiskFile, LinuxDisk};
use super::rejected::{Pruned, RejectedFolder};
use crate::camera::{Entry, FrameFiles, Kind, data_beside, partners};
use crate::ordered;
use crate::store::FileIdentity;

/// Most entries of the spool that are listed at a time.
pub const MAX_ENTRIES: usize = 10_000;

/// The spool and where refused files go.
#[derive(Debug)]
pub struct Spool {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    rejected: RejectedFolder,
}

/// What is in the spool.
#[derive(Debug)]
pub struct Listing {
    /// Its entries.
    pub entries: Vec<Entry>,
    /// There is more than these.
    pub cut_off: bool,
}

/// A data file, open for reading at any place.
#[derive(Debug)]
pub struct DataFile(Box<dyn DiskFile>);

/// A frame whose files are open.
#[derive(Debug)]
pub struct OpenFrame {
    /// Names of its files.
    pub files: FrameFiles,
    /// The header's bytes.
    pub header: Vec<u8>,
    /// The data.
    pub data: DataFile,
    /// Data and header as they were opened, to remove just these.
    pub identities: [FileIdentity; 2],
}

/// What became of refused files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The folder they are in now.
    pub folder: PathBuf,
    /// Folders of files refused earlier that were removed, as all together had become too large.
    pub removed: Vec<OsString>,
    /// A folder that should have been removed and couldn't be, and why.
    pub stuck: Option<String>,
}

impl ReadAt for DataFile {
    fn size(&self) -> u64 {
        self.0.bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)
    }
}

impl DataFile {
    /// Opens a regular file without following a link.
    pub fn open(path: &Path) -> io::Result<Self> {
        LinuxDisk.open(path).map(Self)
    }
}

impl Spool {
    /// Opens a spool, making its folder and the one for refused files, of which at most
    /// `rejected_limit_bytes` are kept, the newest.
    pub fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        rejected: &Path,
        rejected_limit_bytes: u64,
    ) -> io::Result<Self> {
        for path in [folder, rejected] {
            match disk.make_folder(path) {
                Err(e) if e.kind() != ErrorKind::ReadOnlyFilesystem => {
                    return Err(io::Error::new(e.kind(), format!("making {}: {e}", path.display())));
                }
                // What can't be written may be read still.
                _ => {}
            }
        }
        let (folder, rejected) = (folder.to_owned(), rejected.to_owned());
        let limit_bytes = rejected_limit_bytes;
        let rejected = RejectedFolder { disk: Arc::clone(&disk), folder: rejected, limit_bytes };
        Ok(Self { disk, folder, rejected })
    }

    /// What is in the spool now. Of a spool that holds more than can be looked at it is a part, in which no file is
    /// alone that has another of its frame.
    pub fn list(&self) -> io::Result<Listing> {
        self.list_at_most(MAX_ENTRIES)
    }

    /// The size of the data that a header describes, bytes, or what is wrong with the header.
    pub fn described_bytes(&self, header: &OsStr) -> Result<u64, String> {
        let bytes = self.read_header(header).map_err(|e| format!("reading the header: {e}"))?.0;
        parse_header(&bytes).map(|header| header.data_bytes())
    }

    /// Opens the files of a frame.
    pub fn open_frame(&self, files: FrameFiles) -> io::Result<OpenFrame> {
        let (header, header_file) = self.read_header(OsStr::new(&files.header))?;
        let data = self.disk.open(&self.folder.join(&files.data))?;
        let identity = |name: &str, file: &dyn DiskFile| FileIdentity {
            name: name.to_owned(),
            inode: file.inode(),
            bytes: file.bytes(),
        };
        let identities =
            [identity(&files.data, data.as_ref()), identity(&files.header, header_file.as_ref())];
        Ok(OpenFrame { header, data: DataFile(data), identities, files })
    }

    /// Size of a frame's files, bytes; a file that isn't there counts as empty.
    pub fn bytes(&self, files: &FrameFiles) -> u64 {
        let bytes = |name: &str| self.disk.about(&self.folder.join(name)).map_or(0, |about| about.bytes);
        bytes(&files.header).saturating_add(bytes(&files.data))
    }

    /// The files that are there of the frame with this header, the data before the header.
    pub fn files_of(&self, header: &str) -> Vec<OsString> {
        let path = self.folder.join(header);
        let is_file = |path: &Path| self.disk.about(path).is_ok_and(|about| about.kind == Kind::File);
        let data = data_beside(&path, is_file);
        let name = |path: &Path| path.file_name().map(OsStr::to_owned);
        data.as_deref().and_then(name).into_iter().chain(name(&path)).collect()
    }

    /// Removes a file of the spool if it is still this one. `false`: it isn't there any more.
    pub fn remove(&self, identity: &FileIdentity) -> io::Result<bool> {
        let path = self.folder.join(&identity.name);
        remove_if_still(self.disk.as_ref(), &path, identity.inode, identity.bytes)
    }

    /// Makes durable what was removed.
    pub fn sync(&self) -> io::Result<()> {
        self.disk.sync_folder(&self.folder)
    }

    /// Moves files to a new folder in `rejected/`, with the reason beside them.
    ///
    /// # Errors
    /// Those of the disk: the files are in the spool still.
    pub fn reject(&self, name: &str, files: &[OsString], reason: &str) -> io::Result<Rejected> {
        let folder = self.rejected.take(&self.folder, name, files, reason)?;
        let Pruned { removed, failed } = self.rejected.prune(&folder);
        Ok(Rejected { folder, removed, stuck: failed })
    }

    fn list_at_most(&self, most: usize) -> io::Result<Listing> {
        let mut entries = self.disk.list(&self.folder, most.saturating_add(1))?;
        let cut_off = entries.len() > most;
        if cut_off {
            entries.truncate(most);
            entries = self.with_partners(entries);
        }
        Ok(Listing { entries, cut_off })
    }

    /// Part of a listing, and for each file in it that would be alone the other of its frame.
    fn with_partners(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut all: BTreeMap<_, _> =
            ordered::gathered(entries.into_iter().map(|entry| (entry.name.clone(), entry)));
        for name in all.keys().cloned().collect::<Vec<_>>() {
            if partners(&name).any(|partner| all.contains_key(&partner)) {
                continue;
            }
            let partner = partners(&name).find_map(|partner| self.find(partner));
            all.extend(partner.map(|entry| (entry.name.clone(), entry)));
        }
        all.into_values().collect()
    }

    /// What has this name, if it isn't a folder.
    fn find(&self, name: OsString) -> Option<Entry> {
        match self.disk.about(&self.folder.join(&name)) {
            Ok(entry) => Some(entry).filter(|entry| !entry.is_folder()),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(_) => Some(Entry::unknown(name)),
        }
    }

    fn read_header(&self, name: &OsStr) -> io::Result<(Vec<u8>, Box<dyn DiskFile>)> {
        header_of(self.disk.open(&self.folder.join(name))?)
    }
}

/// Removes a file if it still has this inode and size. `false`: it isn't there any more.
pub(super) fn remove_if_still(disk: &dyn Disk, path: &Path, inode: u64, bytes: u64) -> io::Result<bool> {
    match disk.about(path) {
        Ok(about) if about.inode == inode && about.bytes == bytes => disk.remove(path).map(|()| true),
        Ok(_) => Ok(false),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Reads an ENVI header's text; bytes that are not UTF-8 are replaced, as they can only stand in free
/// text.
pub fn parse_header(bytes: &[u8]) -> Result<Header, String> {
    Header::parse(&String::from_utf8_lossy(bytes)).map_err(|e| e.to_string())
}

/// Reads a header file, at most [`MAX_HEADER_BYTES`] long.
pub fn read_header(path: &Path) -> io::Result<Vec<u8>> {
    header_of(LinuxDisk.open(path)?).map(|(bytes, _)| bytes)
}

fn header_of(file: Box<dyn DiskFile>) -> io::Result<(Vec<u8>, Box<dyn DiskFile>)> {
    let bytes = usize::try_from(file.bytes()).ok().filter(|bytes| *bytes <= MAX_HEADER_BYTES);
    let bytes =
        bytes.ok_or_else(|| io::Error::other(format!("a header of more than {MAX_HEADER_BYTES} bytes")))?;
    let mut out = vec![0; bytes];
    file.read_at(0, &mut out)?;
    Ok((out, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn spool() -> (tempfile::TempDir, Spool) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let spool = Spool::open(Arc::new(LinuxDisk), &at("spool"), &at("rejected"), 1 << 20).unwrap();
        (dir, spool)
    }

    fn files(name: &str) -> FrameFiles {
        FrameFiles { name: name.into(), header: format!("{name}.hdr"), data: format!("{name}.bil") }
    }

    #[test]
    fn kinds_are_told_and_links_are_not_followed() {
        let (dir, spool) = spool();
        let at = |name: &str| dir.path().join("spool").join(name);
        fs::write(at("a.hdr"), "x").unwrap();
        fs::create_dir(at("d")).unwrap();
        symlink("/etc/passwd", at("l.bil")).unwrap();
        fs::write(at("l.hdr"), "x").unwrap();
        let mut listed = spool.list().unwrap().entries;
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        let kinds: Vec<_> = listed.iter().map(|e| (e.name.to_str().unwrap(), e.kind)).collect();
        let other = Kind::Other;
        let expected = [
            ("a.hdr", Kind::File),
            ("d", other("a directory")),
            ("l.bil", other("a symbolic link")),
            ("l.hdr", Kind::File),
        ];
        assert_eq!(kinds, expected);
        assert!(spool.open_frame(files("l")).is_err());
        assert!(DataFile::open(&at("d")).is_err());
    }

    #[test]
    fn refused_files_are_kept_with_the_reason_whatever_their_names() {
        let (dir, spool) = spool();
        for round in ["x", "x~2", "x~3"] {
            fs::write(dir.path().join("spool/x.hdr"), round).unwrap();
            let folder = spool.reject("x", &["x.hdr".into(), "gone.bil".into()], "it lies").unwrap().folder;
            assert_eq!(folder, dir.path().join("rejected").join(round));
            assert_eq!(fs::read_to_string(folder.join("x.hdr")).unwrap(), round);
            assert_eq!(fs::read_to_string(folder.join("reason.txt")).unwrap(), "it lies\n");
        }
        fs::write(dir.path().join("spool/reason.txt"), "mine").unwrap();
        let folder = spool.reject("reason.txt", &["reason.txt".into()], "a stranger").unwrap().folder;
        assert_eq!(fs::read_to_string(folder.join("reason.txt")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(folder.join("reason.passband.txt")).unwrap(), "a stranger\n");
        assert!(spool.list().unwrap().entries.is_empty());
    }

    #[test]
    fn the_oldest_of_what_was_refused_goes_when_it_is_too_much() {
        let (dir, spool) = spool();
        let rejected = dir.path().join("rejected");
        fs::write(rejected.join("a note of a person"), "stays").unwrap();
        let reject = |name: &str, bytes: usize| {
            fs::write(dir.path().join("spool").join(name), vec![0; bytes]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(20));
            spool.reject(name, &[name.into()], "odd").unwrap().removed
        };
        assert_eq!(reject("a", 400 << 10), [""; 0]);
        assert_eq!(reject("b", 400 << 10), [""; 0]);
        assert_eq!(reject("c", 400 << 10), ["a"]);
        assert_eq!(reject("d", 2 << 20), ["b", "c"], "the newest stays, whatever its size");
        let mut left: Vec<_> = fs::read_dir(rejected).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a note of a person", "d"]);
    }

    #[test]
    fn only_the_file_that_was_opened_is_removed() {
        let (dir, spool) = spool();
        let at = |name: &str| dir.path().join("spool").join(name);
        let header = "ENVI\nsamples = 2\nlines = 1\nbands = 3\ndata type = 12\ninterleave = bil\n";
        fs::write(at("a.hdr"), header).unwrap();
        fs::write(at("a.bil"), [0; 12]).unwrap();
        assert_eq!(spool.described_bytes(OsStr::new("a.hdr")), Ok(12));
        let frame = spool.open_frame(files("a")).unwrap();
        assert_eq!((frame.data.size(), frame.header.as_slice()), (12, header.as_bytes()));
        fs::write(at("new"), [1; 12]).unwrap();
        fs::rename(at("new"), at("a.bil")).unwrap();
        let [data, header] = &frame.identities;
        assert!(!spool.remove(data).unwrap(), "another file of the same name and size");
        assert!(spool.remove(header).unwrap());
        assert!(!spool.remove(header).unwrap());
        assert_eq!(fs::read(at("a.bil")).unwrap(), [1; 12]);
    }
    #[test]
    fn a_listing_that_is_cut_off_tears_no_frame_apart() {
        let (dir, spool) = spool();
        let pairs = [("a.bil", "a.hdr"), ("b.img", "b.img.hdr"), ("c", "c.HDR"), ("d.Raw", "d.Hdr")];
        for name in pairs.iter().flat_map(|(data, header)| [data, header]) {
            fs::write(dir.path().join("spool").join(name), "x").unwrap();
        }
        for name in ["lone.hdr", "notes.txt", ".e.hdr"] {
            fs::write(dir.path().join("spool").join(name), "x").unwrap();
        }
        assert!(!spool.list().unwrap().cut_off && !spool.list_at_most(11).unwrap().cut_off);
        for most in 1..11 {
            let Listing { entries, cut_off } = spool.list_at_most(most).unwrap();
            let names: Vec<_> = entries.iter().map(|entry| entry.name.to_str().unwrap()).collect();
            assert!(cut_off && names.len() >= most && names.len() <= 2 * most, "{names:?}");
            for (data, header) in &pairs {
                assert_eq!(names.contains(data), names.contains(header), "{names:?}");
            }
            let unique: std::collections::BTreeSet<_> = names.iter().collect();
            assert_eq!(unique.len(), names.len());
        }
    }
}
