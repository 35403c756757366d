//! The files of products in their frame's folder: hard links, which take no room, or copies where the file system
//! has none. Never a link to what is called like one of the catalogue's own files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::entry::{Product, ProductFile};

/// What the catalogue's own files in a frame's folder are called.
const OWN_FILES: [&str; 3] = ["frame.json", "item.json", "detections.geojson"];

/// Whether a name is that of one of the catalogue's own files in a frame's folder.
pub(super) fn is_reserved(name: &str) -> bool {
    OWN_FILES.contains(&name) || name.contains(".partial.")
}

/// The files of a product, its picture among them.
pub(super) fn of(product: &Product) -> impl Iterator<Item = &ProductFile> {
    product.files.iter().chain(&product.preview)
}

/// Whether a frame's folder holds all files of a product, which may then go.
pub(super) fn holds(folder: &Path, product: &Product) -> bool {
    let is_there = |file: &ProductFile| {
        fs::metadata(folder.join(&file.name)).is_ok_and(|about| about.is_file() && about.len() == file.bytes)
    };
    of(product).next().is_some() && of(product).all(is_there)
}

/// Links a file of a product's folder into the frame's, where another may be.
///
/// # Errors
/// Its name is reserved, or those of the disk.
pub(super) fn link(from: &Path, folder: &Path, name: &str) -> Result<()> {
    ensure!(!is_reserved(name), "{name:?} is what a file of the catalogue is called");
    let (from, to) = (from.join(name), folder.join(name));
    let source = fs::metadata(&from).with_context(|| format!("linking {}", from.display()))?;
    if fs::metadata(&to).is_ok_and(|there| (there.dev(), there.ino()) == (source.dev(), source.ino())) {
        return Ok(());
    }
    let aside = to.with_file_name(format!(".{name}.link"));
    let _ = fs::remove_file(&aside);
    if fs::hard_link(&from, &aside).is_err() {
        fs::copy(&from, &aside)
            .with_context(|| format!("copying {} to {}", from.display(), aside.display()))?;
    }
    fs::rename(&aside, &to).with_context(|| format!("renaming {}", aside.display()))
}
