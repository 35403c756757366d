//! The real terminal: raw mode, keys, signals, and a screen that is drawn when something changes.
//!
//! SIGHUP (the terminal is gone), SIGTERM and SIGINT end the console at once: what is typed is thrown away, nothing is
//! sent. The terminal is put back into its state on every way out.

use std::io::{self, IsTerminal, Stdout};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::app::{App, Key};
use super::commanding::Commanding;
use super::view::{Scene, draw};
use crate::screen::Feed;

/// How long a key is waited for.
const PATIENCE: Duration = Duration::from_millis(100);
/// Keys that are taken before the screen is drawn again.
const MOST_KEYS: usize = 4096;
/// How long the console may take to end after a signal.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs the console until it is ended. `write` takes lines for the history's file; `arm` is for how long an order stays armed,
/// ms, and none: as telemetry says.
///
/// # Errors
/// Standard output is no terminal, or it can't be written to.
pub fn run(
    feed: &Feed,
    app: &mut App,
    commanding: &mut dyn Commanding,
    arm: Option<u64>,
    mut write: impl FnMut(&str),
) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGHUP, signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("catching signals")?;
    }
    watch(&stop)?;
    let mut screen = Screen::open()?;
    let start = Instant::now();
    let now_ms = || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    while !app.is_ended() && !stop.load(Ordering::Relaxed) {
        if let Some(arm_ms) = arm.or_else(|| feed.arm_ms()).or_else(|| commanding.arm_ms()) {
            app.set_arm_ms(arm_ms);
        }
        app.set_spacecraft(feed.spacecraft());
        app.tick(now_ms(), commanding);
        let turn =
            screen.show(feed, app, commanding, now_ms()).and_then(|()| keys(&stop, app, now_ms, commanding));
        if let Err(e) = turn {
            // A terminal that is gone fails before or after its signal is here.
            std::thread::sleep(PATIENCE);
            return if stop.load(Ordering::Relaxed) { Ok(()) } else { Err(e).context("the terminal") };
        }
        app.take_written().iter().for_each(|line| write(line));
    }
    Ok(())
}

/// Takes the keys that are there; waits for one, not for long. A signal that came meanwhile counts before a key does.
fn keys(
    stop: &AtomicBool,
    app: &mut App,
    now_ms: impl Fn() -> u64,
    commanding: &mut dyn Commanding,
) -> io::Result<()> {
    wait_for_key()?;
    // Also without a key: a new size of the terminal that crossterm hasn't heard of keeps the next key from it.
    for _ in 0..MOST_KEYS {
        if app.is_ended() || stop.load(Ordering::Relaxed) || !event::poll(Duration::ZERO)? {
            break;
        }
        take(event::read()?, app, now_ms(), commanding);
    }
    Ok(())
}

/// Waits for something to read, for [`PATIENCE`]. An error where the terminal is gone: crossterm (0.29) would read it for ever.
fn wait_for_key() -> io::Result<()> {
    let stdin = io::stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(PATIENCE.subsec_nanos()) };
    match poll(&mut polled, Some(&wait)) {
        // A signal: of another size of the terminal, or to end.
        Ok(0) | Err(Errno::INTR) => return Ok(()),
        Ok(_) => {}
        Err(e) => return Err(e.into()),
    }
    let [polled] = polled;
    if polled.revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the terminal is gone"));
    }
    Ok(())
}

/// Ends the program should the terminal have gone between two looks, and whoever reads it not come back.
fn watch(stop: &Arc<AtomicBool>) -> Result<()> {
    let stop = Arc::clone(stop);
    let watch = move || {
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(PATIENCE);
        }
        std::thread::sleep(LAST_WORDS);
        std::process::exit(0);
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(watch).context("starting a thread")?;
    Ok(())
}

fn take(event: Event, app: &mut App, now_ms: u64, commanding: &mut dyn Commanding) {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            if let Some(key) = key_of(key) {
                app.key(key, now_ms, commanding);
            }
        }
        Event::Paste(text) => app.paste(&text),
        _ => {}
    }
}

fn key_of(key: KeyEvent) -> Option<Key> {
    Some(match key.code {
        KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Ctrl(c),
        KeyCode::Char(c) if key.modifiers.difference(KeyModifiers::SHIFT).is_empty() => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Tab => Key::Tab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        _ => return None,
    })
}

/// The terminal as long as it is ours.
struct Screen {
    /// Never dropped: its own end would say on a terminal that is gone that it is gone, and panic.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
}

impl Screen {
    fn open() -> Result<Self> {
        ensure!(io::stdin().is_terminal() && io::stdout().is_terminal(), "the console needs a terminal");
        enable_raw_mode().context("the terminal")?;
        // Whatever fails from here on, `drop` puts the terminal back.
        let made = Terminal::new(CrosstermBackend::new(io::stdout()));
        let terminal = ManuallyDrop::new(made.inspect_err(|_| restore()).context("the terminal")?);
        let mut screen = Self { terminal };
        // Not `Terminal::clear`, which asks the terminal where its cursor is, and waits for it.
        let begin = (EnterAlternateScreen, Clear(ClearType::All), EnableBracketedPaste);
        execute!(screen.terminal.backend_mut(), begin.0, begin.1, begin.2).context("the terminal")?;
        Ok(screen)
    }

    fn show(&mut self, feed: &Feed, app: &App, commanding: &dyn Commanding, now_ms: u64) -> io::Result<()> {
        let (shown, outgoing, source) = (feed.snapshot(), commanding.outgoing(), commanding.source());
        let key = commanding.key().map(|(_, key)| key);
        let scene = Scene { shown: &shown, app, outgoing: &outgoing, source, key, now_ms };
        self.terminal.draw(|frame| draw(frame, &scene)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// What fails here fails as the terminal is gone.
fn restore() {
    let _ = execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}
