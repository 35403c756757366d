//! The console as a state machine: keys and times in, what is to be done out. It knows no terminal, clock or disk.

use passband_proto::dict::Order;
use passband_proto::packet::Mode;

use super::commanding::Commanding;
use super::entry::Entry;
use super::guard::{FIRE, Guard};
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
    ended: bool,
    /// Lines for the history's file.
    written: Vec<String>,
}

/// What an order stays armed for unless told otherwise, ms: the default of `command.arm`.
pub const ARM_MS: u64 = 60_000;

impl App {
    /// A console with lines that were typed before, the oldest first, whose orders stay armed for `arm_ms`.
    #[must_use]
    pub fn new(history: Vec<String>, arm_ms: u64) -> Self {
        let message = ("Type an order; Tab completes, Enter gives it, Ctrl-C ends.".to_owned(), Tone::Plain);
        Self {
            entry: Entry::new(history),
            guard: None,
            message,
            draft: Draft::of(""),
            scrolled: 0,
            arm_ms,
            ended: false,
            written: Vec::new(),
        }
    }

    /// Takes a key at a time, ms of a steady clock. Orders go to `commanding`.
    pub fn key(&mut self, key: Key, now_ms: u64, commanding: &mut dyn Commanding) {
        self.tick(now_ms);
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

    /// Time goes on: what is armed may be over.
    pub fn tick(&mut self, now_ms: u64) {
        if self.guard.as_ref().is_some_and(|guard| guard.is_over(now_ms)) {
            self.guard = None;
            self.say("NOT fired: the time is over; the satellite disarms by itself", Tone::Warning);
        }
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

    /// A key while a hazardous order is at its steps.
    fn guarded(&mut self, mut guard: Guard, key: Key, now_ms: u64, commanding: &mut dyn Commanding) {
        match (&guard, key) {
            (Guard::ToArm(order), Key::Char('y')) => {
                let order = order.clone();
                let number = self.give(Mode::Arm, &order, commanding);
                // Of two keys it is the other's holder who fires.
                if let Some(number) = number.filter(|_| !guard.takes_two_keys()) {
                    self.guard = Some(guard.armed(number, now_ms, self.arm_ms));
                }
            }
            (Guard::ToArm(_), Key::Char('f')) if guard.takes_two_keys() => {
                self.say("only if the holder of another key has armed it", Tone::Warning);
                self.guard = Some(guard.armed(0, now_ms, self.arm_ms));
            }
            (Guard::ToArm(_), _) => self.say("given up: nothing was armed", Tone::Plain),
            (Guard::ToFire { .. }, Key::Escape | Key::Ctrl(_)) => {
                self.say("NOT fired: given up; the satellite disarms by itself", Tone::Warning);
            }
            (Guard::ToFire { order, number, .. }, Key::Enter) if guard.fires(now_ms) => {
                let order = order.clone();
                // What another key's holder armed has no number here.
                let armed = if *number == 0 { Ok(()) } else { commanding.armed(*number) };
                if let Err(why) = armed {
                    self.say(
                        format!("NOT fired: it isn't armed yet: {why}; Enter tries again"),
                        Tone::Warning,
                    );
                    self.guard = Some(guard);
                    return;
                }
                self.give(Mode::Fire, &order, commanding);
            }
            (Guard::ToFire { .. }, key) => {
                match key {
                    Key::Char(c) => guard.put(c),
                    Key::Backspace => guard.erase(),
                    Key::Enter => self.say(format!("type {FIRE}, or Esc to give it up"), Tone::Warning),
                    _ => {}
                }
                self.guard = Some(guard);
            }
        }
    }

    /// Hands an order over; its number.
    fn give(&mut self, step: Mode, order: &Order, commanding: &mut dyn Commanding) -> Option<u32> {
        match commanding.send(step, order) {
            Ok(number) => {
                self.say(format!("given: {number} {} {order}", step.name()), Tone::Plain);
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

#[cfg(test)]
mod tests {
    use super::super::commanding::Outgoing;
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Model {
        given: Vec<(Mode, String)>,
        refuses: bool,
        /// Whether the satellite is silent.
        silent: bool,
    }

    impl Commanding for Model {
        fn source(&self) -> u16 {
            2
        }

        fn send(&mut self, step: Mode, order: &Order) -> Result<u32, String> {
            if self.refuses {
                return Err("no room".to_owned());
            }
            self.given.push((step, order.to_string()));
            Ok(u32::try_from(self.given.len()).unwrap())
        }

        fn armed(&self, _number: u32) -> Result<(), String> {
            if self.silent { Err("sent once".to_owned()) } else { Ok(()) }
        }

        fn outgoing(&self) -> Vec<Outgoing> {
            Vec::new()
        }
    }

    fn type_in(app: &mut App, model: &mut Model, text: &str, now_ms: u64) {
        for c in text.chars() {
            app.key(if c == '\n' { Key::Enter } else { Key::Char(c) }, now_ms, model);
        }
    }

    #[test]
    fn a_typo_is_told_and_the_line_stays_to_be_mended() {
        let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
        type_in(&mut app, &mut model, "pass start 3oo", 0);
        assert!(app.draft().error.as_ref().unwrap().contains("is not a whole number"), "as it is typed");
        type_in(&mut app, &mut model, "\n", 0);
        assert_eq!((app.entry().text().as_str(), app.message().1), ("pass start 3oo", Tone::Error));
        (0..2).for_each(|_| app.key(Key::Backspace, 0, &mut model));
        type_in(&mut app, &mut model, "00\n", 0);
        assert_eq!(model.given, [(Mode::Run, "pass start 300 --rate 0".to_owned())]);
        assert_eq!(app.take_written(), ["pass start 300"]);
    }

    #[test]
    fn a_hazardous_order_takes_both_prompts() {
        let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
        type_in(&mut app, &mut model, "board reboot\n", 1000);
        assert!(model.given.is_empty() && matches!(app.guard(), Some(Guard::ToArm(_))));
        type_in(&mut app, &mut model, "y", 2000);
        assert_eq!(model.given.len(), 1);
        assert_eq!(app.guard().unwrap().left_ms(12_000), Some(50_000));
        type_in(&mut app, &mut model, "fire\n", 3000);
        assert_eq!(model.given.len(), 1, "in capitals");
        (0..4).for_each(|_| app.key(Key::Backspace, 3000, &mut model));
        type_in(&mut app, &mut model, "FIRE\n", 4000);
        assert_eq!(model.given.last().unwrap(), &(Mode::Fire, "board reboot".to_owned()));
        assert!(app.guard().is_none());
    }

    #[test]
    fn nothing_is_fired_before_the_satellite_has_said_that_it_is_armed() {
        let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model { silent: true, ..Model::default() });
        type_in(&mut app, &mut model, "board reboot\nyFIRE\n", 1000);
        assert_eq!(model.given.len(), 1);
        assert!(app.message().0.contains("it isn't armed yet: sent once"), "{:?}", app.message());
        model.silent = false;
        type_in(&mut app, &mut model, "\n", 2000);
        assert_eq!(model.given.last().unwrap(), &(Mode::Fire, "board reboot".to_owned()));
    }

    #[test]
    fn of_two_keys_one_console_arms_and_another_fires() {
        let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
        type_in(&mut app, &mut model, "keys retire 3\n", 0);
        assert!(app.guard().is_some_and(Guard::takes_two_keys), "{:?}", app.message());
        type_in(&mut app, &mut model, "y", 0);
        assert!(app.guard().is_none(), "whoever armed it can't fire it");
        type_in(&mut app, &mut model, "keys retire 3\nfFIRE\n", 0);
        assert_eq!(model.given.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [Mode::Arm, Mode::Fire]);
    }

    #[test]
    fn giving_up_the_time_or_a_refusal_ends_it() {
        let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
        type_in(&mut app, &mut model, "board reboot\nn", 0);
        assert!(app.guard().is_none() && model.given.is_empty());
        type_in(&mut app, &mut model, "board reboot\ny", 0);
        app.tick(ARM_MS);
        assert!(app.guard().is_none() && app.message().0.contains("time is over"));
        type_in(&mut app, &mut model, "board reboot\ny", 0);
        type_in(&mut app, &mut model, "FIR", 10);
        type_in(&mut app, &mut model, "E\n", ARM_MS);
        assert!(
            model.given.iter().all(|(step, _)| *step == Mode::Arm),
            "what is typed too late is a new line"
        );
        app.key(Key::Escape, ARM_MS, &mut model);
        model.refuses = true;
        type_in(&mut app, &mut model, "board reboot\ny", 0);
        assert!(app.guard().is_none() && app.message().0.contains("NOT given: no room"));
    }

    #[test]
    fn what_is_pasted_gives_nothing() {
        let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
        app.paste("ping\nsafe enter\n");
        assert_eq!((app.entry().text().as_str(), model.given.len()), ("ping safe enter", 0));
        app.key(Key::Ctrl('u'), 0, &mut model);
        type_in(&mut app, &mut model, "board reboot\ny", 0);
        app.paste("FIRE\n");
        app.key(Key::Enter, 1, &mut model);
        assert_eq!(model.given.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn nothing_is_fired_but_what_was_armed_before(keys in prop::collection::vec(0..8_u8, 0..120)) {
            let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
            for (at, key) in keys.into_iter().enumerate() {
                let now_ms = at as u64 * 5000;
                match key {
                    0 => type_in(&mut app, &mut model, "board reboot\n", now_ms),
                    1 => type_in(&mut app, &mut model, "y", now_ms),
                    2 => type_in(&mut app, &mut model, "FIRE", now_ms),
                    3 => app.key(Key::Enter, now_ms, &mut model),
                    4 => app.key(Key::Escape, now_ms, &mut model),
                    5 => app.paste("FIRE\n"),
                    6 => type_in(&mut app, &mut model, "ping\n", now_ms),
                    _ => app.key(Key::Tab, now_ms, &mut model),
                }
            }
            let mut armed = false;
            for (step, _) in &model.given {
                prop_assert!(*step != Mode::Fire || armed);
                armed = *step == Mode::Arm;
            }
        }
    }
}
