//! Crashes: a panic is a fault of ours. It leaves a note of what was worked on and ends the process, so
//! that whoever starts it again gets a clean state, and the frame that did it is set aside instead of
//! crashing every start.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::panic;
use std::path::Path;
use std::process;
use std::sync::{Mutex, PoisonError};

use crate::telemetry::printable;

/// Name of the note in the state folder.
const NOTE: &str = "crash.txt";
/// Longest note that is read, bytes.
const MAX_NOTE_BYTES: u64 = 4096;

/// The header of the frame that is worked on.
static AT_WORK_ON: Mutex<Option<String>> = Mutex::new(None);

/// What a crash left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The header of the frame that was worked on, if one was.
    pub frame: Option<String>,
    /// What happened.
    pub text: String,
}

/// Names the header of the frame that is worked on from now.
pub fn at_work_on(header: Option<&str>) {
    *AT_WORK_ON.lock().unwrap_or_else(PoisonError::into_inner) = header.map(str::to_owned);
}

/// From now on a panic leaves a note in `state` and ends the process.
pub fn leave_notes_in(state: &Path) {
    let path = state.join(NOTE);
    panic::set_hook(Box::new(move |info| {
        let frame = AT_WORK_ON.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let note = Note { frame, text: info.to_string() };
        // Nothing more can be done where the note can't be written.
        let _told = writeln!(io::stderr(), "passband: crash: {}", note.text);
        let _noted = write_note(&path, &note);
        process::abort();
    }));
}

/// Reads the note of a crash and removes it.
pub fn take_note(state: &Path) -> io::Result<Option<Note>> {
    let path = state.join(NOTE);
    let text = match super::os::read_text(&path, MAX_NOTE_BYTES) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        // A note that was cut short is still a crash.
        Err(e) => format!("\n{e}"),
        Ok(text) => text,
    };
    fs::remove_file(&path)?;
    let (frame, text) = text.split_once('\n').unwrap_or(("", &text));
    let frame = Some(frame.to_owned()).filter(|frame| !frame.is_empty());
    Ok(Some(Note { frame, text: text.trim().to_owned() }))
}

/// First line: the frame's header, or empty. Then what happened.
fn write_note(path: &Path, note: &Note) -> io::Result<()> {
    let mut file = File::create(path)?;
    writeln!(file, "{}\n{}", note.frame.as_deref().unwrap_or_default(), printable(&note.text))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_taken_once_whatever_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(take_note(dir.path()).unwrap(), None);
        let note = |frame: Option<&str>| Note {
            frame: frame.map(str::to_owned),
            text: "index out of bounds".into(),
        };
        for note in [note(Some("a frame.hdr")), note(None)] {
            write_note(&dir.path().join(NOTE), &note).unwrap();
            assert_eq!(take_note(dir.path()).unwrap(), Some(note));
            assert_eq!(take_note(dir.path()).unwrap(), None);
        }
        for odd in [&b""[..], &[0xFF; 90], &[b'x'; 9000]] {
            fs::write(dir.path().join(NOTE), odd).unwrap();
            assert_eq!(take_note(dir.path()).unwrap().and_then(|n| n.frame), None);
        }
    }
}
