//! The keys that one end holds, read from a key file.
//!
//! A key file is text: one key a line, as [`EpochKey::write_line`] writes it; `#` begins a comment.

use core::fmt;
use std::collections::BTreeMap;

use crate::keys::{BadKeyLine, EpochKey};

/// The most keys one file may hold.
pub const MAX_KEYS: usize = 4096;

/// Epoch keys by spacecraft and epoch.
#[derive(Debug, Clone, Default)]
pub struct KeyRing(BTreeMap<(u16, u16), EpochKey>);

impl KeyRing {
    /// Reads the text of a key file.
    ///
    /// # Errors
    /// The first line that is not a key, names a key twice, or is one too many.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut ring = Self::default();
        for (line, content) in (1..).zip(text.lines()) {
            let at = |what| KeyFileError { line, what };
            if let Some(key) = EpochKey::parse_line(content).map_err(|e| at(KeyFileFault::Line(e)))? {
                if ring.0.len() >= MAX_KEYS {
                    return Err(at(KeyFileFault::TooMany));
                }
                if ring.insert(key).is_some() {
                    return Err(at(KeyFileFault::Twice));
                }
            }
        }
        Ok(ring)
    }

    /// Adds a key; returns the one it replaces.
    pub fn insert(&mut self, key: EpochKey) -> Option<EpochKey> {
        self.0.insert((key.spacecraft(), key.epoch()), key)
    }

    /// The key of a spacecraft and epoch.
    #[must_use]
    pub fn get(&self, spacecraft: u16, epoch: u16) -> Option<&EpochKey> {
        self.0.get(&(spacecraft, epoch))
    }

    /// The key of the highest epoch of a spacecraft: the one to seal with.
    #[must_use]
    pub fn newest(&self, spacecraft: u16) -> Option<&EpochKey> {
        self.0.range((spacecraft, 0)..=(spacecraft, u16::MAX)).next_back().map(|(_, key)| key)
    }

    /// All keys, by spacecraft and epoch.
    pub fn iter(&self) -> impl Iterator<Item = &EpochKey> {
        self.0.values()
    }

    /// Whether it holds no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A key file that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: KeyFileFault,
}

/// What is wrong with a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFileFault {
    /// The line is not a key.
    Line(BadKeyLine),
    /// The same spacecraft and epoch stand in an earlier line.
    Twice,
    /// More than [`MAX_KEYS`] keys.
    TooMany,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match self.what {
            KeyFileFault::Line(e) => e.fmt(f),
            KeyFileFault::Twice => f.write_str("this spacecraft and epoch have a key already"),
            KeyFileFault::TooMany => write!(f, "more than {MAX_KEYS} keys"),
        }
    }
}

impl core::error::Error for KeyFileError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_keys_and_finds_the_newest() {
        let hex = "ab".repeat(32);
        let text = format!(
            "# mission keys\npassband-key v1 spacecraft=1 epoch=1 {hex}\n\npassband-key v1 spacecraft=1 epoch=9 {hex} # new\n"
        );
        let ring = KeyRing::parse(&text).unwrap();
        assert_eq!(ring.newest(1).map(EpochKey::epoch), Some(9));
        assert!(ring.newest(2).is_none() && ring.get(1, 1).is_some());
        assert_eq!(ring.iter().count(), 2);
        let twice = format!("{text}passband-key v1 spacecraft=1 epoch=1 {hex}");
        assert_eq!(KeyRing::parse(&twice).unwrap_err(), KeyFileError { line: 5, what: KeyFileFault::Twice });
    }
}
