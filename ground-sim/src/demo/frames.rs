//! The frames that go into the camera's spool: synthetic ones, or a folder's.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::scene::{demo_set, generate, write_scene};
use crate::station::{hex, sha256_file};

/// Endings that a frame's data file may have.
const DATA_ENDINGS: [&str; 7] = ["bil", "bip", "bsq", "img", "dat", "raw", "bin"];

/// A frame before it goes in.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Its name: the header's without `.hdr`.
    pub(super) name: String,
    /// Data first, header last; each with the SHA-256 of its content.
    pub(super) files: Vec<(PathBuf, String)>,
}

/// Makes the seeded set of synthetic frames in `dir`.
pub(super) fn synthetic(dir: &Path, seed: u64) -> Result<Vec<Source>> {
    for (name, params) in demo_set(seed) {
        let scene = generate(&params)?;
        write_scene(dir, &name, &scene, Some(&dir.join("truth")))
            .with_context(|| format!("making the scene {name}"))?;
    }
    folder(dir)
}

/// The ENVI frames of a folder, by name.
pub(super) fn folder(dir: &Path) -> Result<Vec<Source>> {
    let mut headers = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        if path.is_file() && path.extension().is_some_and(|e| e.eq_ignore_ascii_case("hdr")) {
            headers.push(path);
        }
    }
    headers.sort();
    ensure!(!headers.is_empty(), "{} holds no ENVI frame (no .hdr file)", dir.display());
    headers.iter().map(|header| source(header)).collect()
}

fn source(header: &Path) -> Result<Source> {
    let stem = header.with_extension("");
    let name = stem.file_name().and_then(|n| n.to_str());
    let name = name.with_context(|| format!("{}: a name that is not UTF-8", header.display()))?.to_owned();
    let endings = DATA_ENDINGS.iter().map(|e| PathBuf::from(format!("{}.{e}", stem.display())));
    let data = std::iter::once(stem.clone()).chain(endings).find(|p| p.is_file());
    let paths = data.into_iter().chain([header.to_owned()]);
    let files = paths.map(|path| Ok((path.clone(), hex(&sha256_file(&path)?)))).collect::<Result<_>>()?;
    Ok(Source { name, files })
}

/// Puts a frame into the spool as a camera does: each file aside and renamed, the header last.
pub(super) fn expose(source: &Source, spool: &Path) -> Result<()> {
    fs::create_dir_all(spool).with_context(|| format!("making the folder {}", spool.display()))?;
    for (path, _) in &source.files {
        let name = path.file_name().and_then(|n| n.to_str()).context("a name that is not UTF-8")?;
        let aside = spool.join(format!(".{name}.part"));
        fs::copy(path, &aside).with_context(|| format!("copying {}", path.display()))?;
        fs::rename(&aside, spool.join(name)).with_context(|| format!("renaming {}", aside.display()))?;
    }
    Ok(())
}
