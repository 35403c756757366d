//! The manifest: what a bundle is and what its content is made of.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::Class;

/// Longest manifest, bytes of postcard.
pub const MAX_MANIFEST_BYTES: usize = 64 * 1024;
/// Largest preview, bytes.
pub const MAX_PREVIEW_BYTES: usize = 4 * 1024 * 1024;
/// Most files in a bundle.
pub const MAX_FILES: usize = 256;
/// Longest name of a file, bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 200;
/// The manifest format written and read by this version.
pub const FORMAT: u16 = 1;

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Plain file name without any folder; see [`safe_name`].
    pub name: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
}

/// What a bundle is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of this record, now [`FORMAT`].
    pub format: u16,
    /// Name of the product, for people.
    pub name: String,
    /// Kind of product, such as "cube", "evidence", "file".
    pub product: String,
    /// Class given at creation.
    pub class: Class,
    /// When it was created, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// Name of the frame it was made from.
    pub frame: Option<String>,
    /// Further facts, name and value.
    pub labels: Vec<(String, String)>,
    /// A quicklook that comes with the head.
    pub preview: Option<FileEntry>,
    /// The files that make up the content, in order.
    pub files: Vec<FileEntry>,
    /// Plain bytes of a content segment, set by sealing; 0: the content stands in the head.
    pub segment_bytes: u32,
}

impl Manifest {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A manifest of the present format without frame, labels, preview or files.
    #[must_use]
    pub fn new(name: &str, product: &str, class: Class, created_unix_ms: u64) -> Self {
        Self {
            format: FORMAT,
            name: name.to_owned(),
            product: product.to_owned(),
            class,
            created_unix_ms,
            frame: None,
            labels: Vec::new(),
            preview: None,
            files: Vec::new(),
            segment_bytes: 0,
        }
    }

    /// Bytes of the content: all files together.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// Whether it is of a known format and within the limits.
    ///
    /// # Errors
    /// The first thing that isn't.
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.format != FORMAT {
            return Err(ManifestError::Format(self.format));
        }
        if self.files.len() > MAX_FILES {
            return Err(ManifestError::TooManyFiles(self.files.len()));
        }
        let preview_bytes = self.preview.as_ref().map_or(0, |p| p.bytes);
        if preview_bytes > MAX_PREVIEW_BYTES as u64 {
            return Err(ManifestError::Preview(preview_bytes));
        }
        let mut names: Vec<&str> = Vec::with_capacity(self.files.len() + 1);
        for entry in self.files.iter().chain(&self.preview) {
            if !safe_name(&entry.name) || names.contains(&entry.name.as_str()) {
                return Err(ManifestError::Name(entry.name.clone()));
            }
            names.push(&entry.name);
        }
        Ok(())
    }
}

/// Whether a name is safe to create in any folder: not empty, not a path, no control characters, not
/// hidden, at most [`MAX_NAME_BYTES`].
#[must_use]
pub fn safe_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.starts_with('.')
        && !name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\'))
}

/// A manifest that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestError {
    /// Of a format this version doesn't know.
    Format(u16),
    /// More than [`MAX_FILES`].
    TooManyFiles(usize),
    /// A preview beyond [`MAX_PREVIEW_BYTES`].
    Preview(u64),
    /// A file name that is not safe to create, or stands there twice.
    Name(String),
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(format) => {
                write!(f, "manifest format {format} is not known (this version knows {FORMAT})")
            }
            Self::TooManyFiles(n) => write!(f, "manifest names {n} files; {MAX_FILES} are allowed"),
            Self::Preview(n) => write!(f, "preview of {n} bytes; {MAX_PREVIEW_BYTES} are allowed"),
            Self::Name(name) => {
                write!(
                    f,
                    "file name {:?} is not safe or not unique",
                    name.chars().take(80).collect::<String>()
                )
            }
        }
    }
}

impl core::error::Error for ManifestError {}
