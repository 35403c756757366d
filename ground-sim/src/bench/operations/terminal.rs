//! A shell in a pseudo-terminal, as `sshd` gives an operator one, and what is seen of it at the other end of a line.
//!
//! The pseudo-terminal is made by `script` (util-linux); when that is killed, the shell and what runs in it get SIGHUP, as
//! when a connection is dropped. What is typed and what is shown goes over a [`Line`] each way: its time is waited for, or,
//! with [`Pace::Counted`], added up, which gives the same seconds as long as one side speaks after the other.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::board::{Board, PATIENCE};
use super::line::Line;

/// What the shell says when it waits.
const PROMPT: &str = "board$ ";
/// What has come in so long belongs together.
const TOGETHER: Duration = Duration::from_millis(5);
/// What a log in says before there is a shell, bytes up and down in turn: versions; algorithms (`KEXINIT`); the exchange of
/// keys with sntrup761 and x25519, and the host's ed25519 key; the service; the user; the key that is offered; a signature
/// by it; the channel, what the host offers besides, its terminal and its shell. RFC 4253 and 4254 say what these are; how
/// long they are was counted between `ssh` and `sshd` of OpenSSH 9.2 with ed25519 keys and nothing else configured.
/// (`KexAlgorithms curve25519-sha256`, the choice of the OpenSSH 7.6 of Ubuntu 18.04, saves 2.3 kB of it.)
const LOGIN: [(usize, usize); 9] = [
    (41, 41),
    (1_560, 1_088),
    (1_208, 1_564),
    (60, 44),
    (60, 76),
    (140, 100),
    (308, 28),
    (112, 424),
    (180, 120),
];

/// How the line's time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It is waited for.
    Real,
    /// It is added to what the clock says.
    Counted,
}

/// The two directions of a line.
#[derive(Debug)]
pub(super) struct Lines {
    /// To the board.
    pub(super) up: Line,
    /// From the board.
    pub(super) down: Line,
    /// How their time passes.
    pub(super) pace: Pace,
}

/// A shell on a board.
pub(super) struct Terminal {
    child: Child,
    stdin: ChildStdin,
    shown: Receiver<Vec<u8>>,
    lines: Lines,
    begun: Instant,
    /// The line's time that was not waited for.
    counted: Duration,
}

impl Terminal {
    /// Logs in: the exchange of SSH, then a shell in a pseudo-terminal, until it waits for its first command.
    pub(super) fn log_in(board: &Board, lines: Lines) -> Result<Self> {
        let begun = Instant::now();
        let rc = board.dir().join("shell.rc");
        fs::write(&rc, rc_text(board))?;
        let mut child = Command::new("script")
            .args(["--quiet", "--flush", "--command"])
            .arg(format!("exec bash --noprofile --noediting --rcfile '{}' -i", rc.display()))
            .arg("/dev/null")
            .current_dir(board.dir())
            .env("TERM", "dumb")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting script, of util-linux, for a pseudo-terminal")?;
        let stdin = child.stdin.take().context("the terminal's input")?;
        let mut stdout = child.stdout.take().context("the terminal's output")?;
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(bytes @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..bytes].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut terminal = Self { child, stdin, shown, lines, begun, counted: Duration::ZERO };
        for (up, down) in LOGIN {
            terminal.up(up);
            terminal.down(down);
        }
        terminal.until_prompt()?;
        Ok(terminal)
    }

    /// Types a command and waits until the shell waits again; what was shown meanwhile.
    pub(super) fn command(&mut self, line: &str) -> Result<String> {
        self.send(format!("{line}\n").as_bytes())?;
        self.until_prompt()
    }

    /// Types keys and waits for nothing.
    pub(super) fn send(&mut self, keys: &[u8]) -> Result<()> {
        self.up(keys.len());
        self.stdin.write_all(keys).and_then(|()| self.stdin.flush()).context("typing")
    }

    /// Logs out, and how long all of it took.
    pub(super) fn log_out(mut self) -> Result<(Duration, Lines)> {
        self.send(b"exit\n")?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                bail!("the shell doesn't end");
            }
            std::thread::sleep(TOGETHER);
        }
        let mut last = 0;
        while let Ok(bytes) = self.shown.recv_timeout(TOGETHER) {
            last += bytes.len();
        }
        self.down(last);
        let took = self.begun.elapsed() + self.counted;
        let Self { lines, .. } = self;
        Ok((took, lines))
    }

    /// Drops the line: the terminal is gone, and the shell is hung up on.
    pub(super) fn drop_line(mut self) -> Result<()> {
        self.child.kill().context("dropping the line")?;
        self.child.wait().context("dropping the line")?;
        Ok(())
    }

    fn until_prompt(&mut self) -> Result<String> {
        let (begun, mut text, mut part) = (Instant::now(), Vec::new(), 0);
        loop {
            let wait = if part == 0 { PATIENCE } else { TOGETHER };
            match self.shown.recv_timeout(wait) {
                Ok(bytes) => {
                    part += bytes.len();
                    text.extend(bytes);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) if part > 0 => {}
                Err(e) => bail!("the shell is silent: {e}; it said {:?}", String::from_utf8_lossy(&text)),
            }
            self.down(std::mem::take(&mut part));
            if text.ends_with(PROMPT.as_bytes()) {
                return Ok(String::from_utf8_lossy(&text).into_owned());
            }
            if begun.elapsed() > PATIENCE * 4 {
                bail!("the shell never came back; it said {:?}", String::from_utf8_lossy(&text));
            }
        }
    }

    fn up(&mut self, bytes: usize) {
        let took = self.lines.up.carry(bytes);
        self.pass(took);
    }

    fn down(&mut self, bytes: usize) {
        let took = self.lines.down.carry(bytes);
        self.pass(took);
    }

    fn pass(&mut self, took: Duration) {
        match self.lines.pace {
            Pace::Real => std::thread::sleep(took),
            Pace::Counted => self.counted += took,
        }
    }
}

/// What the shell begins with: the board's own `passband`, which finds its daemon as on a satellite, by no option.
fn rc_text(board: &Board) -> String {
    let (program, config) = (board.program().display(), board.config().display().to_string());
    format!(
        "PS1='{PROMPT}'\nunset HISTFILE\npassband() {{\n  if (( $# > 1 )); then '{program}' \"$1\" \"$2\" --config \
         '{config}' \"${{@:3}}\"; else '{program}' \"$1\" --config '{config}'; fi\n}}\n"
    )
}
