//! The line that is typed: a cursor, words that go on, and what was typed before.

use crate::screen::draft::{MAX_LINE_BYTES, complete};

/// Most lines of history.
pub const MOST_LINES: usize = 1000;

/// A line and what was typed before.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    text: Vec<char>,
    cursor: usize,
    /// The oldest first.
    history: Vec<String>,
    /// Which of these is shown, and what was typed before one was.
    back: Option<(usize, String)>,
    /// How a word goes on that was completed last: the candidates, which one stands there, and where the word begins.
    turn: Option<(Vec<String>, usize, usize)>,
}

impl Entry {
    /// An empty line, with the lines that were typed before, the oldest first.
    #[must_use]
    pub fn new(mut history: Vec<String>) -> Self {
        history.drain(..history.len().saturating_sub(MOST_LINES));
        Self { history, ..Self::default() }
    }

    /// What stands there.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// Characters in front of the cursor.
    #[must_use]
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Puts a character at the cursor; one that can't be seen becomes a blank, one that is too much is left out.
    pub fn put(&mut self, c: char) {
        let c = if c.is_control() { ' ' } else { c };
        let bytes: usize = self.text.iter().map(|c| c.len_utf8()).sum();
        if bytes + c.len_utf8() <= MAX_LINE_BYTES {
            self.text.insert(self.cursor, c);
            self.cursor += 1;
        }
        self.touched();
    }

    /// Removes the character in front of the cursor.
    pub fn erase(&mut self) {
        if self.cursor > 0 {
            self.cursor -= 1;
            self.text.remove(self.cursor);
        }
        self.touched();
    }

    /// Removes the character at the cursor.
    pub fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
        self.touched();
    }

    /// Removes the word in front of the cursor.
    pub fn erase_word(&mut self) {
        let before = |this: &Self| this.cursor.checked_sub(1).and_then(|at| this.text.get(at)).copied();
        while before(self).is_some_and(char::is_whitespace) {
            self.erase();
        }
        while before(self).is_some_and(|c| !c.is_whitespace()) {
            self.erase();
        }
    }

    /// Empties the line.
    pub fn clear(&mut self) {
        self.set("");
        self.touched();
    }

    /// Moves the cursor by so many characters, as far as there are some.
    pub fn step(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by).min(self.text.len());
        self.turn = None;
    }

    /// Moves the cursor to the front.
    pub fn home(&mut self) {
        self.step(isize::MIN);
    }

    /// Moves the cursor to the end.
    pub fn end(&mut self) {
        self.step(isize::MAX);
    }

    /// The line before in the history.
    pub fn older(&mut self) {
        let at = self.back.as_ref().map_or(self.history.len(), |(at, _)| *at);
        let Some(line) = at.checked_sub(1).and_then(|at| self.history.get(at)).cloned() else { return };
        let typed = self.back.take().map_or_else(|| self.text(), |(_, typed)| typed);
        self.set(&line);
        self.back = Some((at - 1, typed));
    }

    /// The line behind in the history, and at its end what was typed.
    pub fn newer(&mut self) {
        let Some((at, typed)) = self.back.take() else { return };
        match self.history.get(at + 1).cloned() {
            Some(line) => {
                self.set(&line);
                self.back = Some((at + 1, typed));
            }
            None => self.set(&typed),
        }
    }

    /// Completes the word in front of the cursor: what all ways to go on have in common; called again, one after another.
    pub fn complete(&mut self) {
        if let Some((words, at, start)) = self.turn.take() {
            let at = (at + 1) % words.len().max(1);
            let word = words.get(at).cloned().unwrap_or_default();
            self.replace(start, &word);
            self.turn = Some((words, at, start));
            return;
        }
        let front: String = self.text.iter().take(self.cursor).collect();
        let words = complete(&front);
        let length = front.chars().rev().take_while(|c| !c.is_whitespace()).count();
        let start = self.cursor - length;
        match words.as_slice() {
            [] => {}
            [word] => self.replace(start, &format!("{word} ")),
            [first, ..] => {
                let common = common(&words);
                if common.chars().count() > length {
                    self.replace(start, &common);
                } else {
                    self.replace(start, &first.clone());
                    self.turn = Some((words, 0, start));
                }
            }
        }
    }

    /// Takes the line into the history and begins a new one; `None` for an empty one. What is given beside is whether it
    /// is to be written down: the same line twice in a row is not.
    pub fn enter(&mut self) -> Option<(String, bool)> {
        let line = self.text().trim().to_owned();
        self.clear();
        if line.is_empty() {
            return None;
        }
        let new = self.history.last() != Some(&line);
        if new {
            self.history.push(line.clone());
            self.history.drain(..self.history.len().saturating_sub(MOST_LINES));
        }
        Some((line, new))
    }

    /// Puts a line back, for it to be mended.
    pub fn put_back(&mut self, line: &str) {
        self.set(line);
    }

    fn touched(&mut self) {
        (self.back, self.turn) = (None, None);
    }

    fn set(&mut self, line: &str) {
        self.text = line.chars().collect();
        self.cursor = self.text.len();
        self.turn = None;
    }

    fn replace(&mut self, start: usize, word: &str) {
        let old = start..self.cursor.max(start).min(self.text.len());
        self.text.splice(old, word.chars());
        self.cursor = start + word.chars().count();
    }
}

/// What all words begin with.
fn common(words: &[String]) -> String {
    let Some((first, others)) = words.split_first() else { return String::new() };
    let same = |at: usize, c: char| others.iter().all(|word| word.chars().nth(at) == Some(c));
    first.chars().enumerate().take_while(|(at, c)| same(*at, *c)).map(|(_, c)| c).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(text: &str) -> Entry {
        let mut entry = Entry::new(Vec::new());
        text.chars().for_each(|c| entry.put(c));
        entry
    }

    #[test]
    fn a_word_goes_on_as_far_as_it_is_sure_then_one_after_another() {
        let mut entry = typed("heal");
        entry.complete();
        assert_eq!(entry.text(), "health ");
        let mut entry = typed("pass st");
        entry.complete();
        assert_eq!(entry.text(), "pass start");
        entry.complete();
        assert_eq!(entry.text(), "pass stop");
        entry.complete();
        assert_eq!(entry.text(), "pass start");
        entry.put('x');
        entry.complete();
        assert_eq!(entry.text(), "pass startx", "nothing goes on like this");
    }

    #[test]
    fn history_goes_back_and_forth_and_what_was_typed_is_not_lost() {
        let mut entry = Entry::new(vec!["one".into(), "two".into()]);
        entry.put('x');
        entry.older();
        entry.older();
        entry.older();
        assert_eq!(entry.text(), "one");
        entry.newer();
        entry.newer();
        assert_eq!(entry.text(), "x");
        assert_eq!(entry.enter(), Some(("x".into(), true)));
        entry.put('x');
        assert_eq!(entry.enter(), Some(("x".into(), false)));
        assert_eq!(entry.enter(), None);
    }

    #[test]
    fn characters_that_cannot_be_seen_become_blanks_and_lines_end() {
        assert_eq!(typed("a\nb\u{1b}c").text(), "a b c");
        assert_eq!(typed(&"x".repeat(5000)).text().len(), MAX_LINE_BYTES);
        let mut entry = typed("pass start  ");
        entry.erase_word();
        assert_eq!(entry.text(), "pass ");
    }

    proptest! {
        #[test]
        fn no_keys_panic(keys in prop::collection::vec(0..12_u8, 0..200), text in "\\PC{0,20}") {
            let mut entry = Entry::new(vec!["pass start 3".into(), "ping".into()]);
            let mut text = text.chars();
            for key in keys {
                match key {
                    0 => entry.erase(),
                    1 => entry.delete(),
                    2 => entry.step(-1),
                    3 => entry.step(1),
                    4 => entry.home(),
                    5 => entry.older(),
                    6 => entry.newer(),
                    7 | 8 => entry.complete(),
                    9 => entry.erase_word(),
                    10 => drop(entry.enter()),
                    _ => text.next().into_iter().for_each(|c| entry.put(c)),
                }
                prop_assert!(entry.cursor() <= entry.text().chars().count());
            }
        }
    }
}
