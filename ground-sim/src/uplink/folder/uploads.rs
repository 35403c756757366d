//! The files that go up: what is kept of each, and its content until all of it is there.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use passband_proto::dict::UploadKind;

use super::super::pieces::{MAX_BYTES, PieceSender};
use super::super::upload::{About, Upload};
use super::Folder;
use super::files::read_small;
use crate::station::hex;

impl Folder {
    /// Queues a file. One that is on its way already is left as it is; one that was taken back, refused or is there
    /// begins anew.
    ///
    /// # Errors
    /// Those of the disk; the file can't be sent up.
    pub fn queue_upload(
        &self,
        kind: UploadKind,
        name: &str,
        content: &[u8],
        piece: usize,
        unix_ms: u64,
    ) -> Result<About> {
        let id = PieceSender::new(kind, name, content.to_vec(), piece)?.id();
        if let Some(about) = self.upload(id)?.filter(About::is_open) {
            return Ok(about);
        }
        let about = About {
            id,
            kind,
            name: name.to_owned(),
            piece,
            queued_unix_ms: unix_ms,
            begin: self.take_number(unix_ms)?,
            told: None,
            report: None,
            whole: false,
            dropped: false,
        };
        self.write(&format!("uploads/{}.bin", hex(&id)), content)?;
        self.write_upload(&about)?;
        Ok(about)
    }

    /// The uploads that are kept.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn upload_ids(&self) -> Result<Vec<[u8; 4]>> {
        let id =
            |name: &String| Some(u32::from_str_radix(name.strip_suffix(".json")?, 16).ok()?.to_be_bytes());
        Ok(self.names("uploads")?.iter().filter_map(id).collect())
    }

    /// What is kept of an upload; none if there is none.
    ///
    /// # Errors
    /// Its document can't be read.
    pub fn upload(&self, id: [u8; 4]) -> Result<Option<About>> {
        let path = self.uploads().join(format!("{}.json", hex(&id)));
        let about = read_small(&path)?.map(|text| serde_json::from_slice(&text));
        about.transpose().with_context(|| format!("reading {}", path.display()))
    }

    /// An upload with its content, to be sent.
    ///
    /// # Errors
    /// The file can't be read, or is another one.
    pub fn load_upload(&self, about: About) -> Result<Upload> {
        let path = self.uploads().join(format!("{}.bin", hex(&about.id)));
        let size = fs::metadata(&path).with_context(|| format!("reading {}", path.display()))?.len();
        ensure!(size <= MAX_BYTES as u64, "{} is too large", path.display());
        let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Upload::new(about, content)
    }

    pub(super) fn write_upload(&self, about: &About) -> Result<()> {
        self.write(&format!("uploads/{}.json", hex(&about.id)), &serde_json::to_vec_pretty(about)?)
    }

    pub(super) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }
}
