//! The operator's end of the command socket.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{ErrorAnswer, MAX_ANSWER_BYTES, Request};
use crate::json;

/// The longest wait for the daemon.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest line that says why not, bytes: a sentence, and of the request at most each byte as `\u0000`.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nobody listens, or whoever does says nothing, in words.
    Silence(String),
    /// The daemon says why not, or can't be talked with.
    Refusal(String),
}

impl NoAnswer {
    /// Why, in words.
    pub fn why(self) -> String {
        match self {
            Self::Silence(why) | Self::Refusal(why) => why,
        }
    }
}

/// Asks the daemon at `socket`, or where nobody listens there at one of `spare`; returns the line of its answer.
///
/// # Errors
/// The daemon isn't there, doesn't answer, or says why not.
pub fn ask(socket: &Path, spare: &[PathBuf], request: &Request) -> Result<String, NoAnswer> {
    let at = socket.display();
    let line = request.clone().line().map_err(|e| NoAnswer::Refusal(e.to_string()))?;
    let connected = UnixStream::connect(socket).or_else(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            spare.iter().find_map(|path| UnixStream::connect(path).ok()).ok_or(e)
        }
        _ => Err(e),
    });
    let mut stream = connected.map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => NoAnswer::Silence(format!(
            "the daemon isn't running: nobody listens at {at} (start it with `passband run`)"
        )),
        _ => NoAnswer::Refusal(format!("connecting to {at}: {e}")),
    })?;
    let answer = exchange(&mut stream, &line).map_err(|e| match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            NoAnswer::Silence(format!("the daemon at {at} doesn't answer"))
        }
        _ => NoAnswer::Refusal(format!("talking to the daemon at {at}: {e}")),
    })?;
    if answer.len() > MAX_REFUSAL_BYTES {
        return Ok(answer);
    }
    match json::read::<ErrorAnswer>(answer.as_bytes()) {
        Ok(refusal) => Err(NoAnswer::Refusal(refusal.error)),
        Err(_) => Ok(answer),
    }
}

fn exchange(stream: &mut UnixStream, line: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).take(MAX_ANSWER_BYTES).read_line(&mut answer)?;
    if answer.ends_with('\n') { Ok(answer) } else { Err(io::Error::other("the answer was cut short")) }
}
