//! The camera's spool folder, and `rejected/` beside it.
//!
//! Files are opened without following links and only if they are regular, and removed only while they
//! are still the ones that were opened.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use passband_spectral::cube::ReadAt;
use passband_spectral::envi::{Header, MAX_HEADER_BYTES};
use rustix::fs::OFlags;

use super::os::sync_folder;
use crate::camera::{Entry, FrameFiles, Kind, data_beside};
use crate::store::FileIdentity;

/// Most entries of the spool that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// Most folders of one name in `rejected/`.
const MAX_SAME_NAME: u32 = 100_000;

/// The spool and where refused files go.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    rejected: PathBuf,
}

/// A data file, open for reading at any place.
#[derive(Debug)]
pub struct DataFile {
    file: File,
    bytes: u64,
}

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

impl ReadAt for DataFile {
    fn size(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

impl DataFile {
    /// Opens a regular file without following a link.
    pub fn open(path: &Path) -> io::Result<Self> {
        open_regular(path).map(|(file, metadata)| Self { file, bytes: metadata.len() })
    }
}

impl Spool {
    /// Opens a spool, making its folder and the one for refused files.
    pub fn open(folder: &Path, rejected: &Path) -> io::Result<Self> {
        for path in [folder, rejected] {
            fs::create_dir_all(path)
                .map_err(|e| io::Error::new(e.kind(), format!("making {}: {e}", path.display())))?;
        }
        Ok(Self { folder: folder.to_owned(), rejected: rejected.to_owned() })
    }

    /// What is in the spool now.
    pub fn list(&self) -> io::Result<Vec<Entry>> {
        let mut out = Vec::new();
        for entry in fs::read_dir(&self.folder)?.take(MAX_ENTRIES) {
            let entry = entry?;
            // A file that goes while we look is not there.
            if let Ok(metadata) = entry.metadata() {
                out.push(self::entry(entry.file_name(), &metadata));
            }
        }
        Ok(out)
    }

    /// The size of the data that a header describes, bytes, or what is wrong with the header.
    pub fn described_bytes(&self, header: &OsStr) -> Result<u64, String> {
        let (bytes, _) =
            read_header(&self.folder.join(header)).map_err(|e| format!("reading the header: {e}"))?;
        parse_header(&bytes).map(|header| header.data_bytes())
    }

    /// Opens the files of a frame.
    pub fn open_frame(&self, files: FrameFiles) -> io::Result<OpenFrame> {
        let (header, header_metadata) = read_header(&self.folder.join(&files.header))?;
        let (file, metadata) = open_regular(&self.folder.join(&files.data))?;
        let identity =
            |name: &str, m: &Metadata| FileIdentity { name: name.to_owned(), inode: m.ino(), bytes: m.len() };
        let identities = [identity(&files.data, &metadata), identity(&files.header, &header_metadata)];
        Ok(OpenFrame { header, data: DataFile { file, bytes: metadata.len() }, identities, files })
    }

    /// Size of a frame's files, bytes; a file that isn't there counts as empty.
    pub fn bytes(&self, files: &FrameFiles) -> u64 {
        let bytes = |name: &str| fs::symlink_metadata(self.folder.join(name)).map_or(0, |m| m.len());
        bytes(&files.header).saturating_add(bytes(&files.data))
    }

    /// The files that are there of the frame with this header, the data before the header.
    pub fn files_of(&self, header: &str) -> Vec<OsString> {
        let path = self.folder.join(header);
        let data = data_beside(&path, Path::is_file);
        let name = |path: &Path| path.file_name().map(OsStr::to_owned);
        data.as_deref().and_then(name).into_iter().chain(name(&path)).collect()
    }

    /// Removes a file of the spool if it is still this one. `false`: it isn't there any more.
    pub fn remove(&self, identity: &FileIdentity) -> io::Result<bool> {
        let path = self.folder.join(&identity.name);
        match fs::symlink_metadata(&path) {
            Ok(m) if m.ino() == identity.inode && m.len() == identity.bytes => {
                fs::remove_file(&path).map(|()| true)
            }
            Ok(_) => Ok(false),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Moves files to a new folder in `rejected/`, with the reason beside them; returns the folder.
    pub fn reject(&self, name: &str, files: &[OsString], reason: &str) -> io::Result<PathBuf> {
        let folder = self.new_rejected_folder(name)?;
        for file in files {
            move_file(&self.folder.join(file), &folder.join(file))?;
        }
        write_reason(&folder, reason)?;
        sync_folder(&folder)?;
        sync_folder(&self.rejected)?;
        Ok(folder)
    }

    fn new_rejected_folder(&self, name: &str) -> io::Result<PathBuf> {
        let name = match name {
            "." | ".." => "_",
            name => name,
        };
        for count in 1..MAX_SAME_NAME {
            let unique = if count == 1 { name.to_owned() } else { format!("{name}~{count}") };
            let folder = self.rejected.join(unique);
            match DirBuilder::new().mode(0o700).create(&folder) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                made => return made.map(|()| folder),
            }
        }
        Err(io::Error::other(format!("{MAX_SAME_NAME} folders of the name {name:?} in rejected/")))
    }
}

/// Reads an ENVI header's text; bytes that are not UTF-8 are replaced, as they can only stand in free
/// text.
pub fn parse_header(bytes: &[u8]) -> Result<Header, String> {
    Header::parse(&String::from_utf8_lossy(bytes)).map_err(|e| e.to_string())
}

/// Reads a header file, at most [`MAX_HEADER_BYTES`] long.
pub fn read_header(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    let (file, metadata) = open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_HEADER_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_HEADER_BYTES {
        return Err(io::Error::other(format!("a header of more than {MAX_HEADER_BYTES} bytes")));
    }
    Ok((bytes, metadata))
}

/// Moves a file, by copying where the folders are on different file systems; one that isn't there is
/// passed over.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == ErrorKind::CrossesDevices => {
            let (mut source, _) = open_regular(from)?;
            let mut copy = OpenOptions::new().write(true).create_new(true).open(to)?;
            io::copy(&mut source, &mut copy)?;
            copy.sync_all()?;
            fs::remove_file(from)
        }
        moved => moved,
    }
}

fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok((file, metadata))
}

fn entry(name: OsString, metadata: &Metadata) -> Entry {
    let kind = metadata.file_type();
    let kind = match () {
        () if kind.is_file() => Kind::File,
        () if kind.is_dir() => Kind::Other("a directory"),
        () if kind.is_symlink() => Kind::Other("a symbolic link"),
        () if kind.is_fifo() => Kind::Other("a pipe"),
        () if kind.is_socket() => Kind::Other("a socket"),
        () => Kind::Other("a device"),
    };
    let changed_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Entry { name, kind, bytes: metadata.len(), changed_ns, inode: metadata.ino() }
}

/// Writes the reason as `reason.txt`, or under another name if a refused file has that one.
fn write_reason(folder: &Path, reason: &str) -> io::Result<()> {
    for name in ["reason.txt", "reason.passband.txt"] {
        match OpenOptions::new().write(true).create_new(true).open(folder.join(name)) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
            Ok(mut file) => {
                file.write_all(reason.as_bytes())?;
                file.write_all(b"\n")?;
                return file.sync_all();
            }
        }
    }
    Err(io::Error::other("no name is free for the reason"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn spool() -> (tempfile::TempDir, Spool) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(&dir.path().join("spool"), &dir.path().join("rejected")).unwrap();
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
        let mut listed = spool.list().unwrap();
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
            let folder = spool.reject("x", &["x.hdr".into(), "gone.bil".into()], "it lies").unwrap();
            assert_eq!(folder, dir.path().join("rejected").join(round));
            assert_eq!(fs::read_to_string(folder.join("x.hdr")).unwrap(), round);
            assert_eq!(fs::read_to_string(folder.join("reason.txt")).unwrap(), "it lies\n");
        }
        fs::write(dir.path().join("spool/reason.txt"), "mine").unwrap();
        let folder = spool.reject("reason.txt", &["reason.txt".into()], "a stranger").unwrap();
        assert_eq!(fs::read_to_string(folder.join("reason.txt")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(folder.join("reason.passband.txt")).unwrap(), "a stranger\n");
        assert!(spool.list().unwrap().is_empty());
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
}
