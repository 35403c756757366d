//! The console as a state machine: keys and times in, what is to be done out. It knows no terminal, clock or disk.

mod steps;
#[cfg(test)]
mod tests;

use passband_proto::dict::Order;
use passband_proto::packet::Mode;

use super::commanding::{Commanding, StepState};
use super::entry::Entry;
use super::guard::Guard;
use crate::screen::draft::{self, Draft};

/// A key, as far as the console knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// A character with Ctrl.
    Ctrl(char),
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Tab.
    Tab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// To the left.
    Left,
    /// To the right.
    Right,
    /// To the front of the line.
    Home,
    /// To its end.
    End,
    /// Up: the line before.
    Up,
    /// Down: the line behind.
    Down,
    /// Events further back.
    PageUp,
    /// And forth.
    PageDown,
}

/// How a message is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Good, or neither.
    Plain,
    /// Something is to be known.
    Warning,
    /// Something was not done.
    Error,
}

/// The console.
#[derive(Debug)]
pub struct App {
    entry: Entry,
    guard: Option<Guard>,
    message: (String, Tone),
    /// What can be said of the line.
    draft: Draft,
    /// Events that are scrolled over.
    scrolled: usize,
    /// How long an order stays armed, ms.
    arm_ms: u64,
    /// The spacecraft that is heard.
    spacecraft: Option<u16>,
    ended: bool,
    /// Lines for the history's file.
    written: Vec<String>,
}

/// What is said at first.
const BEGIN: &str = "Type an order; Tab completes, Enter gives it, Ctrl-C ends.";

impl App {
    /// A console with lines that were typed before, the oldest first, whose orders stay armed for `arm_ms`.
    #[must_use]
    pub fn new(history: Vec<String>, arm_ms: u64) -> Self {
        let message = (BEGIN.to_owned(), Tone::Plain);
        Self {
            entry: Entry::new(history),
            guard: None,
            message,
            draft: Draft::of(""),
            scrolled: 0,
            arm_ms,
            spacecraft: None,
            ended: false,
            written: Vec::new(),
        }
    }

    /// Takes a key at a time, ms of a steady clock. Orders go to `commanding`.
    pub fn key(&mut self, key: Key, now_ms: u64, commanding: &mut dyn Commanding) {
        self.tick(now_ms, commanding);
        match key {
            Key::Ctrl('c' | 'd') if self.guard.is_none() => self.ended = true,
            Key::PageUp => self.scrolled = self.scrolled.saturating_add(5).min(500),
            Key::PageDown => self.scrolled = self.scrolled.saturating_sub(5),
            _ => match self.guard.take() {
                Some(guard) => self.guarded(guard, key, now_ms, commanding),
                None => self.typed(key, commanding),
            },
        }
        self.draft = Draft::of(&self.entry.text());
    }

    /// Takes pasted text: it never presses Enter, and never fires.
    pub fn paste(&mut self, text: &str) {
        if self.guard.is_some() {
            self.say("what is pasted doesn't count here", Tone::Warning);
            return;
        }
        text.trim_end().chars().for_each(|c| self.entry.put(c));
        self.draft = Draft::of(&self.entry.text());
    }

    /// Time goes on: what is armed may be over, and what was given have left or been answered.
    pub fn tick(&mut self, now_ms: u64, commanding: &dyn Commanding) {
        let Some(mut guard) = self.guard.take() else { return };
        if guard.is_over(now_ms) {
            if matches!(guard, Guard::Fired { .. }) {
                self.say("the time is over: what is fired now is refused on board", Tone::Warning);
            } else {
                self.say("NOT fired: disarmed: its time was over before it was fired", Tone::Warning);
            }
            return;
        }
        match &mut guard {
            Guard::ToFire { number, arming, until_ms, .. } if *number != 0 => {
                match commanding.step(*number) {
                    StepState::Armed(left_ms) => {
                        *arming = None;
                        // What the satellite says may be less than was believed here.
                        *until_ms =
                            left_ms.map_or(*until_ms, |left| now_ms.saturating_add(left).min(*until_ms));
                    }
                    StepState::Waits(state) | StepState::Sent(state) => *arming = Some(state),
                    StepState::Over(state) => return self.say(format!("NOT armed: {state}"), Tone::Error),
                }
            }
            Guard::Fired { number, state, order, .. } => match commanding.step(*number) {
                StepState::Waits(now) => *state = now,
                StepState::Sent(now) | StepState::Over(now) => {
                    let said = format!("given: {number} fire {order}: {now}");
                    return self.say(said, Tone::Plain);
                }
                StepState::Armed(_) => return,
            },
            Guard::ToArm(_) | Guard::ToFire { .. } => {}
        }
        self.guard = Some(guard);
    }

    /// For how long an order stays armed on board, ms: what is armed from now on.
    pub fn set_arm_ms(&mut self, arm_ms: u64) {
        self.arm_ms = arm_ms;
    }

    /// The spacecraft that is heard, if one is.
    pub fn set_spacecraft(&mut self, spacecraft: Option<u16>) {
        self.spacecraft = spacecraft;
    }

    /// Whether it shall end.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The line.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What can be said of it.
    #[must_use]
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// A hazardous order that is at its steps.
    #[must_use]
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }

    /// What was said last.
    #[must_use]
    pub fn message(&self) -> (&str, Tone) {
        (&self.message.0, self.message.1)
    }

    /// Whether nothing was said yet but how to begin.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.message.0 == BEGIN
    }

    /// Events that are scrolled over.
    #[must_use]
    pub fn scrolled(&self) -> usize {
        self.scrolled
    }

    /// Lines for the history's file, since the last call.
    pub fn take_written(&mut self) -> Vec<String> {
        std::mem::take(&mut self.written)
    }

    fn typed(&mut self, key: Key, commanding: &mut dyn Commanding) {
        let entry = &mut self.entry;
        match key {
            Key::Char(c) => entry.put(c),
            Key::Backspace => entry.erase(),
            Key::Delete => entry.delete(),
            Key::Left => entry.step(-1),
            Key::Right => entry.step(1),
            Key::Home | Key::Ctrl('a') => entry.home(),
            Key::End | Key::Ctrl('e') => entry.end(),
            Key::Up | Key::Ctrl('p') => entry.older(),
            Key::Down | Key::Ctrl('n') => entry.newer(),
            Key::Tab => entry.complete(),
            Key::Ctrl('w') => entry.erase_word(),
            Key::Ctrl('u') | Key::Escape => entry.clear(),
            Key::Enter => self.enter(commanding),
            Key::Ctrl(_) | Key::PageUp | Key::PageDown => {}
        }
    }

    fn enter(&mut self, commanding: &mut dyn Commanding) {
        let Some((line, new)) = self.entry.enter() else { return };
        if ["quit", "exit"].contains(&line.as_str()) {
            self.ended = true;
            return;
        }
        let order = match draft::read(&line) {
            Ok(order) => order,
            Err(why) => {
                self.say(why, Tone::Error);
                self.entry.put_back(&line);
                return;
            }
        };
        if new {
            self.written.push(line);
        }
        match Guard::of(order.clone()) {
            Some(guard) => {
                self.say(format!("{order} is hazardous"), Tone::Warning);
                self.guard = Some(guard);
            }
            None => drop(self.give(Mode::Run, &order, commanding)),
        }
    }

    /// Hands an order over; its number.
    fn give(&mut self, step: Mode, order: &Order, commanding: &mut dyn Commanding) -> Option<u32> {
        match commanding.send(step, order) {
            Ok(number) => {
                let given = format!("given: {number} {} {order}", step.name());
                match commanding.key().zip(self.spacecraft) {
                    Some(((ours, key), heard)) if ours != heard => self.say(
                        format!("{given}; its key [{key}] is of spacecraft {ours}, and telemetry of {heard}: that one takes none of it"),
                        Tone::Warning,
                    ),
                    _ => self.say(given, Tone::Plain),
                }
                Some(number)
            }
            Err(why) => {
                self.say(format!("NOT given: {why}"), Tone::Error);
                None
            }
        }
    }

    fn say(&mut self, what: impl Into<String>, tone: Tone) {
        self.message = (what.into(), tone);
    }
}
