//! Opens a sealed bundle in memory: what `passband-ground open` writes to a folder, as values. Never writes a file.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use passband_proto::bundle::{
    FILE_HEADER_BYTES, FileEntry, FileHeader, Geometry, Manifest, OpenError, Opener,
};
use passband_proto::keyring::KeyRing;
use sha2::{Digest, Sha256};

use crate::fault::Fault;

/// A bundle whose seals held.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What it is, as `bundle.json`.
    pub(crate) manifest_json: String,
    /// The preview, if there is one.
    pub(crate) preview: Option<Vec<u8>>,
    /// Its content: all files together.
    pub(crate) content: Vec<u8>,
    /// Name of each file and where it stands in the content, in order.
    pub(crate) files: Vec<(String, Range<usize>)>,
}

/// Opens a bundle in memory, every block and every file of it checked.
pub(crate) fn open(path: &Path, keys: &KeyRing) -> Result<Opened, Fault> {
    let mut bundle = Bundle::open(path, keys)?;
    let head = bundle.block(0)?;
    let head = passband_proto::bundle::Head::parse(&head, bundle.header.geometry.block_count);
    let head = head.map_err(|e| bundle.fault(e))?;
    let mut content = head.content.unwrap_or_default();
    for block in 1..bundle.header.geometry.block_count {
        content.extend(bundle.block(block)?);
    }
    if content.len() as u64 != head.manifest.content_bytes() {
        return Err(bundle.fault("the content is not as long as its files together"));
    }
    let mut files = Vec::with_capacity(head.manifest.files.len());
    let mut from = 0;
    for entry in &head.manifest.files {
        // They add up to the content: see above.
        let to = content.len().min(from + usize::try_from(entry.bytes).unwrap_or(usize::MAX - from));
        if *Sha256::digest(&content[from..to]).as_slice() != entry.sha256 {
            return Err(bundle.fault(format!("{} has another SHA-256 than its manifest says", entry.name)));
        }
        files.push((entry.name.clone(), from..to));
        from = to;
    }
    let preview = head.manifest.preview.is_some().then_some(head.preview);
    Ok(Opened { manifest_json: describe(&bundle.header, &head.manifest), preview, content, files })
}

/// A sealed file of which every block can be opened.
struct Bundle<'a> {
    path: &'a Path,
    file: File,
    header: FileHeader,
    opener: Opener,
}

impl<'a> Bundle<'a> {
    fn open(path: &'a Path, keys: &KeyRing) -> Result<Self, Fault> {
        let at = |what: String| Fault::at(path.display(), what);
        let disk = |e| Fault::file(path, &e);
        // Before it is opened: a pipe would wait for its other end.
        if !fs::metadata(path).map_err(disk)?.is_file() {
            return Err(at("not a regular file".to_owned()));
        }
        let mut file = File::open(path).map_err(disk)?;
        let size = file.metadata().map_err(disk)?.len();
        if size < FILE_HEADER_BYTES as u64 {
            return Err(at(format!("{size} bytes are shorter than a bundle's header")));
        }
        let mut header = [0; FILE_HEADER_BYTES];
        file.read_exact(&mut header).map_err(disk)?;
        let header = FileHeader::decode(&header).map_err(|e| at(e.to_string()))?;
        let expected = header.geometry.sealed_bytes();
        if size != expected {
            return Err(at(format!(
                "the file has {size} bytes, its header says {expected}: cut off or damaged"
            )));
        }
        let FileHeader { spacecraft, epoch, .. } = header;
        let key = keys.get(spacecraft, epoch);
        let key = key.ok_or_else(|| at(format!("no key for spacecraft {spacecraft}, epoch {epoch}")))?;
        let opener = Opener::new(key, &header.id, header.geometry.block_count);
        Ok(Self { path, file, header, opener })
    }

    fn fault(&self, what: impl core::fmt::Display) -> Fault {
        Fault::at(self.path.display(), what)
    }

    /// The plain bytes of a block.
    fn block(&mut self, block: u32) -> Result<Vec<u8>, Fault> {
        let (offset, mut bytes) = self.place(&self.header.geometry, block)?;
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| Fault::file(self.path, &e))?;
        match self.opener.open(block, &mut bytes) {
            Ok(()) => Ok(bytes),
            Err(e @ OpenError::Seal { block: 0 }) => {
                Err(self.fault(format!("{e}: sealed under another key, or damaged")))
            }
            // The head opened: the key is the right one.
            Err(e) => Err(self.fault(format!("{e}: damaged"))),
        }
    }

    /// Where a block begins, and room for it.
    fn place(&self, geometry: &Geometry, block: u32) -> Result<(u64, Vec<u8>), Fault> {
        let place = geometry.block_offset(block).zip(geometry.block_bytes(block));
        let (offset, bytes) = place.ok_or_else(|| self.fault(format!("no block {block}")))?;
        Ok((offset, vec![0; bytes as usize]))
    }
}

/// As `passband-ground open` writes `bundle.json`.
fn describe(header: &FileHeader, manifest: &Manifest) -> String {
    let entry =
        |f: &FileEntry| serde_json::json!({ "name": f.name, "bytes": f.bytes, "sha256": hex(&f.sha256) });
    let labels: serde_json::Map<String, serde_json::Value> =
        manifest.labels.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
    serde_json::json!({
        "schema": 1,
        "id": header.id.to_string(),
        "spacecraft": header.spacecraft,
        "epoch": header.epoch,
        "name": manifest.name,
        "product": manifest.product,
        "class": manifest.class,
        "created_unix_ms": manifest.created_unix_ms,
        "frame": manifest.frame,
        "labels": labels,
        "preview": manifest.preview.as_ref().map(entry),
        "files": manifest.files.iter().map(entry).collect::<Vec<_>>(),
    })
    .to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
