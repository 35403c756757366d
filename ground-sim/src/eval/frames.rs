//! Frames and their maps of truth on disk: finds them by name, opens them, and says which file is wrong and why. Knows
//! nothing of what is in them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use passband_spectral::cube::{Cube, ReadAt};
use passband_spectral::envi::{Header, MAX_HEADER_BYTES};

/// What the name of a data file beside its header may end with.
const DATA_ENDINGS: [&str; 7] = ["bil", "bip", "bsq", "img", "dat", "raw", "bin"];
/// What the names of the maps of truth end with: they are no frames.
const NO_FRAMES: [&str; 2] = ["-truth", "-mask"];

/// A data file, open for reading at any place.
#[derive(Debug)]
pub(super) struct DataFile {
    file: File,
    bytes: u64,
}

impl ReadAt for DataFile {
    fn size(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

/// A frame, not yet opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FrameFile {
    /// Its name: that of the header without its endings.
    pub(super) name: String,
    /// Its header.
    pub(super) header: PathBuf,
}

/// The frames of a folder, in the order of their names.
pub(super) fn list(folder: &Path) -> Result<Vec<FrameFile>> {
    let at = || format!("the folder of frames {}", folder.display());
    let mut frames = Vec::new();
    for entry in fs::read_dir(folder).with_context(at)? {
        let header = entry.with_context(at)?.path();
        let is_header = header.extension().is_some_and(|e| e.eq_ignore_ascii_case("hdr"));
        let stem = header.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        if !is_header || stem.is_empty() || stem.starts_with('.') {
            continue;
        }
        let name = DATA_ENDINGS
            .iter()
            .find_map(|ending| stem.strip_suffix(ending)?.strip_suffix('.'))
            .unwrap_or(stem)
            .to_owned();
        if !NO_FRAMES.iter().any(|end| name.ends_with(end)) {
            frames.push(FrameFile { name, header });
        }
    }
    frames.sort();
    ensure!(!frames.is_empty(), "{}: there is no header (NAME.hdr) in it", at());
    if let Some(twice) = frames.windows(2).find(|w| w[0].name == w[1].name) {
        bail!("{}: there are two frames {}", at(), twice[0].name);
    }
    Ok(frames)
}

/// Opens a header and the data beside it.
pub(super) fn open(header_path: &Path) -> Result<Cube<DataFile>> {
    let at = || header_path.display().to_string();
    let mut text = String::new();
    let file = File::open(header_path).with_context(at)?;
    file.take(MAX_HEADER_BYTES as u64 + 1).read_to_string(&mut text).with_context(at)?;
    let header = Header::parse(&text).with_context(at)?;
    let data_path = data_beside(header_path)
        .with_context(|| format!("{}: no data file beside it (.{})", at(), DATA_ENDINGS.join(", .")))?;
    let at = || data_path.display().to_string();
    let file = File::open(&data_path).with_context(at)?;
    let bytes = file.metadata().with_context(at)?.len();
    Cube::new(header, DataFile { file, bytes }).with_context(at)
}

fn data_beside(header: &Path) -> Option<PathBuf> {
    let stem = header.with_extension("");
    let endings = DATA_ENDINGS.iter().flat_map(|e| [(*e).to_owned(), e.to_uppercase()]);
    let with_ending = |ending: String| {
        let mut name = stem.clone().into_os_string();
        name.push(".");
        name.push(ending);
        PathBuf::from(name)
    };
    std::iter::once(stem.clone()).chain(endings.map(with_ending)).find(|path| path.is_file())
}

/// Reads a map of one band that has to fit a frame of `lines × samples`; `None` if there is none of that name.
pub(super) fn map(folder: &Path, name: &str, lines: usize, samples: usize) -> Result<Option<Vec<f32>>> {
    let path = folder.join(format!("{name}.hdr"));
    if !path.is_file() {
        return Ok(None);
    }
    let cube = open(&path)?;
    let header = cube.header();
    ensure!(header.bands == 1, "{}: a map has one band, this has {}", path.display(), header.bands);
    ensure!(
        (header.lines, header.samples) == (lines, samples),
        "{}: {} lines of {} samples do not fit the frame's {lines} of {samples}",
        path.display(),
        header.lines,
        header.samples
    );
    let (gain, offset) = header.scale(0);
    let mut values = Vec::new();
    cube.lines_f32(0, lines, &[0], &mut values).with_context(|| path.display().to_string())?;
    if (gain, offset) != (1.0, 0.0) {
        values.iter_mut().for_each(|v| *v = super::f32_of(f64::from(*v) * gain + offset));
    }
    Ok(Some(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_by_their_headers_and_maps_are_not_taken_for_frames() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["b.hdr", "a.bil.hdr", "a-truth.hdr", "a-mask.hdr", ".c.hdr", "d.txt", "a.bil"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let names: Vec<String> = list(dir.path()).unwrap().into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["a", "b"]);
        fs::write(dir.path().join("a.hdr"), "").unwrap();
        assert!(list(dir.path()).unwrap_err().to_string().contains("two frames a"));
        assert!(list(&dir.path().join("none")).is_err());
    }

    #[test]
    fn a_map_that_does_not_fit_is_refused() {
        use passband_spectral::envi::DataType;
        let dir = tempfile::tempdir().unwrap();
        let mut header = Header::new(3, 2, 1, DataType::F32);
        fs::write(dir.path().join("m.hdr"), header.to_text()).unwrap();
        let bytes: Vec<u8> = (0..6_u8).flat_map(|v| f32::from(v).to_le_bytes()).collect();
        fs::write(dir.path().join("m.bil"), bytes).unwrap();
        assert_eq!(map(dir.path(), "m", 2, 3).unwrap().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(map(dir.path(), "m", 3, 2).unwrap_err().to_string().contains("do not fit"));
        assert!(map(dir.path(), "n", 2, 3).unwrap().is_none());
        header.bands = 2;
        fs::write(dir.path().join("m.hdr"), header.to_text()).unwrap();
        assert!(map(dir.path(), "m", 2, 3).is_err());
    }
}
