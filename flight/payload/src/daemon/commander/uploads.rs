//! What comes up in pieces, and what is done with it once it is whole.

use std::path::Path;

use passband_proto::dict::{EventCode, Order, Reason, UploadKind};

use super::hands::Worker;
use super::plans::Refusal;
use crate::adapters::disk::{Disk, write_file};
use crate::adapters::script::ScriptStore;
use crate::adapters::uploads::UploadFolder;
use crate::orders::Run;
use crate::orders::desk::Outcome;
use crate::script::{MAX_SCRIPT_BYTES, Name};
use crate::telemetry::Report;
use crate::uplink::uploads::{About, Begun, Complete, Piece, UploadError, Uploads};

/// What comes up, where it is kept.
pub(super) type Coming = Uploads<UploadFolder>;

/// Largest plan that is read, bytes.
const MAX_PLAN_BYTES: usize = (256 << 10) + 64;
/// Largest file that is put in its place, bytes.
const MAX_FILE_BYTES: usize = 64 << 20;
/// The folder of files that came up, in the state folder.
const FILES: &str = "files";

impl Worker<'_> {
    /// Does an order about uploads.
    pub(super) fn uploads(&mut self, run: &Run) -> Outcome {
        let Some(coming) = self.parts.uploads.as_mut() else {
            return Outcome::failed(Reason::Fault, "the folder of uploads can't be used");
        };
        match &run.order {
            Order::UploadBegin { id, kind, name, size, piece, sha256 } => {
                let about = About {
                    id: *id,
                    kind: *kind,
                    name: name.to_string(),
                    size: *size,
                    piece: *piece,
                    sha256: *sha256,
                    number: 0,
                };
                match coming.begin(about) {
                    Ok(Begun::New | Begun::Replaced) => Outcome::done("waits for its pieces"),
                    Ok(Begun::Again) => Outcome::done("was begun before"),
                    Err(e) => failed(&e),
                }
            }
            Order::UploadPiece { id, index, bytes } => match coming.piece(*id, *index, bytes) {
                Ok(Piece::Kept | Piece::Repeated) => Outcome::done(""),
                Ok(Piece::Complete(complete)) => {
                    self.parts.whole.push(complete);
                    Outcome::done("")
                }
                Ok(Piece::Spoilt(report)) => {
                    self.works.event(&report);
                    Outcome::done("")
                }
                Err(e) => failed(&e),
            },
            Order::UploadDrop { id } => match coming.drop_upload(*id) {
                Ok(true) => Outcome::done("forgotten"),
                Ok(false) => Outcome::failed(Reason::NotFound, "there is no such upload"),
                Err(e) => failed(&e),
            },
            _ => Outcome::failed(Reason::NotPossible, "it is no order about uploads"),
        }
    }

    /// Puts what is whole where it belongs, and says so.
    pub(super) fn take_whole(&mut self) {
        for complete in std::mem::take(&mut self.parts.whole) {
            // An image stays where it is: an update takes it from there.
            if complete.kind == UploadKind::Image {
                let text = format!("image {:?} is whole", complete.name);
                self.works.event(&Report::info(EventCode::UploadDone, text));
                continue;
            }
            let (kind, name) = (complete.kind, complete.name.clone());
            match self.put(&complete) {
                Ok(text) => {
                    let text = format!("{kind} {name:?}: {text}");
                    self.works.event(&Report::info(EventCode::UploadDone, text));
                }
                Err(why) => {
                    let code = if kind == UploadKind::Plan {
                        EventCode::PlanRefused
                    } else {
                        EventCode::UploadFailed
                    };
                    self.works.event(&Report::error(code, format!("{kind} {name:?}: {why}")));
                }
            }
            if let Some(coming) = self.parts.uploads.as_mut()
                && let Err(e) = coming.taken(complete.id)
            {
                self.works.event(&Report::error(EventCode::StoreError, format!("clearing an upload: {e}")));
            }
        }
    }

    fn put(&mut self, complete: &Complete) -> Result<String, String> {
        let Complete { kind, name, path, .. } = complete;
        self.load(*kind, name, path)
    }

    /// Takes a file as what it is said to be.
    pub(super) fn load(&mut self, kind: UploadKind, name: &str, path: &Path) -> Result<String, String> {
        let most = match kind {
            UploadKind::Plan => MAX_PLAN_BYTES,
            UploadKind::Script => MAX_SCRIPT_BYTES,
            UploadKind::File | UploadKind::Image => MAX_FILE_BYTES,
        };
        let disk = self.parts.disk.clone().ok_or("there is no disk")?;
        let bytes = crate::adapters::disk::read_file(disk.as_ref(), path, most).map_err(|e| e.to_string())?;
        match kind {
            UploadKind::Plan => self.load_plan(name, &bytes).map_err(|Refusal { text, .. }| text),
            UploadKind::Script => {
                let name: Name = name.parse().map_err(|e: crate::script::ScriptError| e.to_string())?;
                let store = ScriptStore::open(disk, &self.parts.state).map_err(|e| e.to_string())?;
                store.put(&name, &bytes).map_err(|e| e.to_string())?;
                Ok(format!("{} bytes, ready to run", bytes.len()))
            }
            UploadKind::File => put_file(disk.as_ref(), &self.parts.state, name, &bytes),
            UploadKind::Image => Err("an image comes up with an update".to_owned()),
        }
    }
}

/// Puts a file into the folder of files, in one step.
fn put_file(disk: &dyn Disk, state: &Path, name: &str, bytes: &[u8]) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
        return Err("its name is not of letters, digits, . - _".to_owned());
    }
    let folder = state.join(FILES);
    disk.make_folder(&folder).map_err(|e| e.to_string())?;
    write_file(disk, &folder.join(name), bytes).map_err(|e| e.to_string())?;
    Ok(format!("it is {}", folder.join(name).display()))
}

fn failed(error: &UploadError) -> Outcome {
    Outcome::failed(error.reason(), error.to_string())
}
