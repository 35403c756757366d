//! What is wrong with the text of a plan: file, line, what, and what is expected instead.

use core::fmt;

/// Most faults that are told of one text; one more says how many there are besides.
pub const MAX_FAULTS: usize = 50;

/// One fault of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line, from 1; 0: the whole file.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What is expected instead; empty where `what` says it.
    pub expected: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        write!(f, " {}", self.what)?;
        if !self.expected.is_empty() {
            write!(f, "; expected {}", self.expected)?;
        }
        Ok(())
    }
}

impl core::error::Error for Fault {}

/// The faults of a text, of which the first [`MAX_FAULTS`] are kept.
#[derive(Default)]
pub(super) struct Faults {
    kept: Vec<Fault>,
    /// How many there are besides.
    more: usize,
    /// The line of the first of those.
    more_line: usize,
}

impl Faults {
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn add(&mut self, fault: Fault) {
        if self.kept.len() < MAX_FAULTS {
            return self.kept.push(fault);
        }
        if self.more == 0 {
            self.more_line = fault.line;
        }
        self.more += 1;
    }

    /// All that are kept, and how many there are besides.
    pub(super) fn told(mut self, file: &str) -> Vec<Fault> {
        if self.more > 0 {
            let what = format!("and {} more from here on", self.more);
            self.kept.push(Fault {
                file: file.to_owned(),
                line: self.more_line,
                what,
                expected: String::new(),
            });
        }
        self.kept
    }
}

/// A fault before its line is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) expected: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { what: what.into(), expected: expected.into() }
    }

    /// A word that isn't what should stand there.
    pub(super) fn word(word: &str, expected: impl Into<String>) -> Self {
        let what =
            if word.is_empty() { "the line ends early".to_owned() } else { format!("'{}'", cut(word)) };
        Self::new(what, expected)
    }
}

/// A word of the text as far as it is worth showing.
pub(super) fn cut(word: &str) -> String {
    const SHOWN: usize = 40;
    let mut out: String = word.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if word.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}
