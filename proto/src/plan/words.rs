//! The words of a line, one after the other.

use super::fault::Wrong;

/// What is left of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line.trim() }
    }

    /// The next word, as it stands; empty at the end.
    pub(super) fn peek(&self) -> &'a str {
        self.rest.split_whitespace().next().unwrap_or_default()
    }

    /// Takes the next word; empty at the end.
    pub(super) fn next(&mut self) -> &'a str {
        let word = self.peek();
        self.rest = self.rest.strip_prefix(word).unwrap_or_default().trim_start();
        word
    }

    /// Takes the next word if it is this one.
    pub(super) fn skip(&mut self, word: &str) -> bool {
        let there = self.peek() == word;
        if there {
            self.next();
        }
        there
    }

    /// Goes on to the next of these words, which isn't taken; false if none is there.
    pub(super) fn skip_to(&mut self, wanted: &[&str]) -> bool {
        let mut ahead = *self;
        while !ahead.rest.is_empty() {
            if wanted.contains(&ahead.peek()) {
                *self = ahead;
                return true;
            }
            ahead.next();
        }
        false
    }

    /// Takes the next word, which has to be this one.
    pub(super) fn expect(&mut self, word: &str) -> Result<(), Wrong> {
        let found = self.next();
        if found == word { Ok(()) } else { Err(Wrong::word(found, format!("'{word}'"))) }
    }

    /// Takes a name that may stand in double quotes: the name, and whether it did.
    pub(super) fn name(&mut self) -> Result<(&'a str, bool), Wrong> {
        let Some(quoted) = self.rest.strip_prefix('"') else { return Ok((self.next(), false)) };
        let Some((name, rest)) = quoted.split_once('"') else {
            return Err(Wrong::new("a quote that isn't closed", "a second \""));
        };
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return Err(Wrong::new("a name in quotes that goes on behind them", "a space there"));
        }
        self.rest = rest.trim_start();
        Ok((name, true))
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a str {
        self.rest
    }

    /// Whether nothing is left.
    pub(super) fn end(self) -> Result<(), Wrong> {
        if self.rest.is_empty() { Ok(()) } else { Err(Wrong::word(self.peek(), "the end of the line")) }
    }
}
