//! Crashes: a panic is a fault of ours. It leaves a note of what was worked on and ends the process, so
//! that whoever starts it again gets a clean state, and the frame that did it is set aside instead of
//! crashing every start. A frame is never blamed for a panic of a thread that has nothing to do with it.
//!
//! Which thread panicked is told by the name that Linux has for it: one that was given no name of its own has that of
//! the thread that started it (clone(2) copies it, prctl(2) `PR_GET_NAME` reads it), so whoever helps the thread that
//! works on a frame, in hashing, sealing or triage, has its name.

use std::ffi::CString;
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

/// What is worked on.
static AT_WORK_ON: Mutex<Option<Work>> = Mutex::new(None);

/// A frame that is worked on.
#[derive(Debug, Clone)]
struct Work {
    /// Its header.
    frame: String,
    /// The name of the thread that works on it, if it can be told.
    thread: Option<CString>,
}

/// What a crash left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The header of the frame that was worked on by the thread that panicked, or by one that this helped.
    pub frame: Option<String>,
    /// What happened.
    pub text: String,
}

/// Names the header of the frame that this thread works on from now, and the threads that it starts.
pub fn at_work_on(header: Option<&str>) {
    let work = header.map(|header| Work { frame: header.to_owned(), thread: thread_name() });
    *AT_WORK_ON.lock().unwrap_or_else(PoisonError::into_inner) = work;
}

/// The header of the frame that is worked on, if one is.
pub fn frame_at_work() -> Option<String> {
    AT_WORK_ON.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|work| work.frame.clone())
}

/// Leaves a note in `state` of an end that is no panic: what happened, and the frame that is to blame, if one is.
///
/// # Errors
/// Those of the disk.
pub fn leave_note(state: &Path, note: &Note) -> io::Result<()> {
    write_note(&state.join(NOTE), note)
}

/// The header of the frame that a panic of this thread is to be blamed on.
fn to_blame() -> Option<String> {
    let work = AT_WORK_ON.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
    // Where threads can't be told apart, a frame set aside does less harm than one that crashes every start.
    let strange = work.thread.is_some() && work.thread != thread_name();
    (!strange).then_some(work.frame)
}

fn thread_name() -> Option<CString> {
    rustix::thread::name().ok()
}

/// From now on a panic leaves a note in `state` and ends the process.
pub fn leave_notes_in(state: &Path) {
    let path = state.join(NOTE);
    panic::set_hook(Box::new(move |info| {
        let thread = thread_name().unwrap_or_default();
        let text = format!("thread {:?}: {info}", thread.to_string_lossy());
        let note = Note { frame: to_blame(), text };
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
    use std::thread;

    use super::*;

    #[test]
    fn a_frame_is_blamed_for_its_own_thread_and_its_helpers_only() {
        let named = |name: &str, work: fn() -> Option<String>| {
            thread::Builder::new().name(name.to_owned()).spawn(work).unwrap().join().unwrap()
        };
        let blamed = named("at a frame", || {
            at_work_on(Some("a.hdr"));
            thread::scope(|scope| {
                scope.spawn(|| thread::scope(|scope| scope.spawn(to_blame).join().unwrap())).join().unwrap()
            })
        });
        assert_eq!(blamed.as_deref(), Some("a.hdr"), "a helper's helper");
        assert_eq!(named("scrub", to_blame), None);
        assert_eq!(named("scrub", || thread::scope(|scope| scope.spawn(to_blame).join().unwrap())), None);
        assert_eq!(named("at a frame", to_blame).as_deref(), Some("a.hdr"));
        at_work_on(None);
        assert_eq!(named("at a frame", to_blame), None);
    }

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
