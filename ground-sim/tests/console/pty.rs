//! A program in a pseudo-terminal: its keys go in, and a terminal's screen is read back.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long something is waited for: much longer than it takes, as other tests may run beside.
const PATIENCE: Duration = Duration::from_secs(10);

/// The screen, and all that was said to it.
struct Seen {
    parser: vt100::Parser,
    said: Vec<u8>,
}

/// A program and its terminal.
pub(crate) struct Pty {
    child: Child,
    master: Option<File>,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Pty {
    /// Starts a program in a session of its own whose controlling terminal has so many columns and rows.
    pub(crate) fn start(program: &str, args: &[&str], size: (u16, u16)) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, winsize(size)).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        // Not this test's own controlling terminal, whoever runs it.
        let noctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
        let slave = OpenOptions::new().read(true).write(true).custom_flags(noctty).open(name).unwrap();
        let end = || slave.try_clone().unwrap();
        // Of util-linux; it becomes the program.
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(program)
            .args(args)
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let parser = vt100::Parser::new(size.1, size.0, 0);
        let seen = Arc::new(Mutex::new(Seen { parser, said: Vec::new() }));
        let (master, stop) = (File::from(master), Arc::new(AtomicBool::new(false)));
        let (from, into, until) = (master.try_clone().unwrap(), Arc::clone(&seen), Arc::clone(&stop));
        let reader = std::thread::spawn(move || read(from, &into, &until));
        Self { child, master: Some(master), seen, stop, reader: Some(reader) }
    }

    /// What stands on the screen.
    pub(crate) fn text(&self) -> String {
        self.seen.lock().unwrap().parser.screen().contents()
    }

    /// Whether something was ever said to the terminal.
    pub(crate) fn said(&self, what: &str) -> bool {
        self.seen.lock().unwrap().said.windows(what.len()).any(|said| said == what.as_bytes())
    }

    /// Types keys, as a terminal sends them.
    pub(crate) fn type_in(&mut self, keys: &str) {
        self.master.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until something is so.
    pub(crate) fn wait(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !so(self) {
            assert!(start.elapsed() < PATIENCE, "{what}; there is\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a text stands on the screen.
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait(text, |pty| pty.text().contains(text));
    }

    /// The terminal has another size.
    pub(crate) fn resize(&mut self, size: (u16, u16)) {
        self.seen.lock().unwrap().parser.screen_mut().set_size(size.1, size.0);
        tcsetwinsize(self.master.as_ref().unwrap(), winsize(size)).unwrap();
    }

    /// The terminal is gone: the program gets SIGHUP.
    pub(crate) fn hang_up(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.take().map(JoinHandle::join);
        self.master = None;
    }

    /// Waits until the program has ended; its exit status.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it said last is read, too.
                std::thread::sleep(Duration::from_millis(200));
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it goes on; there is\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.hang_up();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn winsize((columns, rows): (u16, u16)) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn read(mut from: File, into: &Mutex<Seen>, stop: &AtomicBool) {
    let mut bytes = [0; 16 << 10];
    while !stop.load(Ordering::Relaxed) {
        let wait = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let ready = poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&wait));
        if !ready.is_ok_and(|ready| ready > 0) {
            continue;
        }
        // EIO: nobody has the other end open.
        let Ok(count @ 1..) = from.read(&mut bytes) else { return };
        let mut seen = into.lock().unwrap();
        seen.parser.process(&bytes[..count]);
        seen.said.extend_from_slice(&bytes[..count]);
    }
}
