//! Keys while a hazardous order is at its steps: armed by one, fired by a word, taken back by another.

use passband_proto::packet::Mode;

use super::super::commanding::Commanding;
use super::super::guard::{FIRE, Guard};
use super::{App, Key, Tone};

impl App {
    /// A key while a hazardous order is at its steps.
    pub(super) fn guarded(&mut self, guard: Guard, key: Key, now_ms: u64, commanding: &mut dyn Commanding) {
        match guard {
            Guard::ToArm(_) => self.at_arming(guard, key, now_ms, commanding),
            Guard::ToFire { .. } => self.at_firing(guard, key, now_ms, commanding),
            Guard::Fired { number, armed, .. } => {
                if key == Key::Escape {
                    return self.take_back(&[number, armed], commanding);
                }
                // It is on its way; what is typed is a new line.
                self.typed(key, commanding);
            }
        }
    }

    fn at_arming(&mut self, guard: Guard, key: Key, now_ms: u64, commanding: &mut dyn Commanding) {
        match key {
            Key::Char('y') => {
                let number = self.give(Mode::Arm, &guard.order().clone(), commanding);
                // Of two keys it is the other's holder who fires.
                if let Some(number) = number.filter(|_| !guard.takes_two_keys()) {
                    self.guard = Some(guard.arming(number, now_ms, self.arm_ms));
                    self.tick(now_ms, commanding);
                }
            }
            Key::Char('f') if guard.takes_two_keys() => {
                self.say("only if the holder of another key has armed it", Tone::Warning);
                self.guard = Some(guard.arming(0, now_ms, self.arm_ms));
            }
            _ => self.say("given up: nothing was armed", Tone::Plain),
        }
    }

    fn at_firing(&mut self, mut guard: Guard, key: Key, now_ms: u64, commanding: &mut dyn Commanding) {
        let Guard::ToFire { number, arming, .. } = &guard else { return };
        match key {
            // What another key's holder armed isn't ours to give up.
            Key::Escape | Key::Ctrl(_) if *number == 0 => {
                return self.say("NOT fired: given up", Tone::Warning);
            }
            Key::Escape | Key::Ctrl(_) => return self.take_back(&[*number], commanding),
            Key::Enter if guard.fires(now_ms) => {
                if let Some(why) = arming {
                    let why = format!("NOT fired: it isn't armed yet: {why}; Enter tries again");
                    self.say(why, Tone::Warning);
                } else {
                    let order = guard.order().clone();
                    if let Some(number) = self.give(Mode::Fire, &order, commanding) {
                        self.guard = Some(guard.fired(number));
                    }
                    return;
                }
            }
            Key::Char(c) => guard.put(c),
            Key::Backspace => guard.erase(),
            Key::Enter => self.say(format!("type {FIRE}, or Esc to give it up"), Tone::Warning),
            _ => {}
        }
        self.guard = Some(guard);
    }

    /// Takes steps back that haven't left, and gives up what is armed; says what became of the first.
    fn take_back(&mut self, numbers: &[u32], commanding: &mut dyn Commanding) {
        let numbers = numbers.iter().filter(|number| **number != 0);
        let done: Vec<_> = numbers.map(|number| (*number, commanding.take_back(*number))).collect();
        match done.first() {
            Some((number, Ok(what))) => self.say(format!("{number}: {what}"), Tone::Warning),
            Some((number, Err(why))) => self.say(format!("{number} is NOT taken back: {why}"), Tone::Error),
            None => {}
        }
    }
}
