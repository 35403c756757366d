//! What comes up in pieces, and what is done with it once it is whole.

use std::path::Path;

use passband_proto::dict::{EventCode, Order, Reason, UploadKind, Wanted};

use super::hands::Worker;
use super::plans::{Refusal, refusal};
use crate::adapters::disk::{Disk, read_file, write_file};
use crate::adapters::script::ScriptStore;
use crate::adapters::uploads::UploadFolder;
use crate::orders::Run;
use crate::orders::desk::Outcome;
use crate::script::{MAX_SCRIPT_BYTES, Name, ScriptError};
use crate::telemetry::Report;
use crate::uplink::uploads::{About, Begun, Piece, UploadError, Uploads};

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
        let role = self.parts.role_of(run.id.source);
        let Some(coming) = self.parts.uploads.as_mut() else {
            return Outcome::failed(Reason::Fault, "the folder of uploads can't be used");
        };
        let kind = match &run.order {
            Order::UploadBegin { kind, .. } => Some(*kind),
            Order::UploadDrop { id } => coming.report(*id).map(|upload| upload.kind),
            _ => None,
        };
        if let Some(kind) = kind.filter(|kind| !kind.sources().has(role)) {
            return Outcome::failed(
                Reason::NotAllowed,
                format!("a {kind} is not for {role} to bring up or drop"),
            );
        }
        match &run.order {
            Order::UploadBegin { kind, size, .. } if u64::from(*size) > most_bytes(*kind) as u64 => {
                let text = format!("a {kind} has {} bytes at most", most_bytes(*kind));
                Outcome::failed(Reason::NotPossible, text)
            }
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
                    Ok(Begun::Again) => {
                        // One that could not be put in its place is tried again.
                        let waits = coming.complete().into_iter().find(|complete| complete.id == *id);
                        let whole = &mut self.parts.whole;
                        if let Some(complete) = waits.filter(|_| whole.iter().all(|known| known.id != *id)) {
                            whole.push(complete);
                        }
                        Outcome::done("was begun before")
                    }
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
            let put = self.load(kind, &name, &complete.path);
            let refused = put.as_ref().err().map(|refused| refused.reason);
            let waits = refused.filter(|reason| matches!(reason, Reason::Fault | Reason::Busy));
            let report = match put {
                Ok(text) => Report::info(EventCode::UploadDone, format!("{kind} {name:?}: {text}")),
                Err(Refusal { text, .. }) => {
                    let code = match kind {
                        UploadKind::Plan => EventCode::PlanRefused,
                        _ => EventCode::UploadFailed,
                    };
                    let again = if waits.is_some() {
                        "; it is kept: `upload begin` of the same tries again"
                    } else {
                        ""
                    };
                    Report::error(code, format!("{kind} {name:?}: {text}{again}"))
                }
            };
            self.works.event(&report);
            let Some(coming) = self.parts.uploads.as_mut() else { return };
            let cleared = match (waits, refused) {
                (Some(why), _) => {
                    coming.waits(complete.id, why);
                    Ok(())
                }
                (None, Some(why)) => coming.refused(complete.id, why),
                (None, None) => coming.taken(complete.id),
            };
            if let Err(e) = cleared {
                self.works.event(&Report::error(EventCode::StoreError, format!("clearing an upload: {e}")));
            }
            // Whoever brought it up learns what became of it.
            self.parts.wanted.insert(Wanted::Uploads);
        }
    }

    /// Takes a file as what it is said to be.
    pub(super) fn load(&mut self, kind: UploadKind, name: &str, path: &Path) -> Result<String, Refusal> {
        let fault = |text: String| refusal(Reason::Fault, text);
        let disk = self.parts.disk.clone().ok_or_else(|| fault("there is no disk".to_owned()))?;
        let bytes = read_file(disk.as_ref(), path, most_bytes(kind)).map_err(|e| fault(e.to_string()))?;
        match kind {
            UploadKind::Plan => self.load_plan(name, &bytes),
            UploadKind::Script => {
                let name: Name =
                    name.parse().map_err(|e: ScriptError| refusal(Reason::NotPossible, e.to_string()))?;
                let put =
                    ScriptStore::open(disk, &self.parts.state).and_then(|store| store.put(&name, &bytes));
                put.map_err(|e| {
                    let reason = match e {
                        ScriptError::Failed { .. } => Reason::Fault,
                        ScriptError::TooMany => Reason::Busy,
                        _ => Reason::NotPossible,
                    };
                    refusal(reason, e.to_string())
                })?;
                Ok(format!("{} bytes, ready to run", bytes.len()))
            }
            UploadKind::File => put_file(disk.as_ref(), &self.parts.state, name, &bytes),
            UploadKind::Image => Err(refusal(Reason::NotPossible, "an image comes up with an update")),
        }
    }
}

/// The largest file of a kind, bytes.
fn most_bytes(kind: UploadKind) -> usize {
    match kind {
        UploadKind::Plan => MAX_PLAN_BYTES,
        UploadKind::Script => MAX_SCRIPT_BYTES,
        UploadKind::File | UploadKind::Image => MAX_FILE_BYTES,
    }
}

/// Puts a file into the folder of files, in one step.
fn put_file(disk: &dyn Disk, state: &Path, name: &str, bytes: &[u8]) -> Result<String, Refusal> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
        return Err(refusal(Reason::NotPossible, "its name is not of letters, digits, . - _"));
    }
    let folder = state.join(FILES);
    let fault = |e: std::io::Error| refusal(Reason::Fault, e.to_string());
    disk.make_folder(&folder).map_err(fault)?;
    write_file(disk, &folder.join(name), bytes).map_err(fault)?;
    Ok(format!("it is {}", folder.join(name).display()))
}

fn failed(error: &UploadError) -> Outcome {
    Outcome::failed(error.reason(), error.to_string())
}
