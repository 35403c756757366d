//! The role keys that one end holds, read from a key file.
//!
//! A key file is text: one key a line, as [`RoleKey::write_line`] writes it; `#` begins a comment.

use core::fmt;
use std::collections::BTreeMap;

use super::keys::{BadRoleKey, RoleKey};

/// The most keys one file may hold.
pub const MAX_ROLE_KEYS: usize = 64;

/// Role keys by spacecraft and SPI.
#[derive(Debug, Clone, Default)]
pub struct RoleKeys(BTreeMap<(u16, u16), RoleKey>);

impl RoleKeys {
    /// Reads the text of a key file.
    ///
    /// # Errors
    /// The first line that is not a key, names a holder twice, has another's secret, or is one too many.
    pub fn parse(text: &str) -> Result<Self, RoleKeyFileError> {
        let mut keys = Self::default();
        for (line, content) in (1..).zip(text.lines()) {
            let at = |what| RoleKeyFileError { line, what };
            let key = RoleKey::parse_line(content).map_err(|e| at(RoleKeyFileFault::Line(e)))?;
            if let Some(key) = key {
                keys.insert(key).map_err(at)?;
            }
        }
        Ok(keys)
    }

    /// Adds a key.
    ///
    /// # Errors
    /// There is a key of this spacecraft and SPI already, another key has this secret, or there are
    /// [`MAX_ROLE_KEYS`].
    pub fn insert(&mut self, key: RoleKey) -> Result<(), RoleKeyFileFault> {
        let name = (key.spacecraft(), key.spi());
        if self.0.contains_key(&name) {
            return Err(RoleKeyFileFault::Twice);
        }
        if self.0.values().any(|other| other.shares_secret(&key)) {
            return Err(RoleKeyFileFault::SharedSecret);
        }
        if self.0.len() >= MAX_ROLE_KEYS {
            return Err(RoleKeyFileFault::TooMany);
        }
        self.0.insert(name, key);
        Ok(())
    }

    /// The key of a spacecraft and SPI.
    #[must_use]
    pub fn get(&self, spacecraft: u16, spi: u16) -> Option<&RoleKey> {
        self.0.get(&(spacecraft, spi))
    }

    /// All keys, by spacecraft and SPI.
    pub fn iter(&self) -> impl Iterator<Item = &RoleKey> {
        self.0.values()
    }

    /// Whether it holds no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A file of role keys that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleKeyFileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: RoleKeyFileFault,
}

/// What is wrong with a file of role keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleKeyFileFault {
    /// The line is not a key.
    Line(BadRoleKey),
    /// The same spacecraft and SPI stand in an earlier line.
    Twice,
    /// An earlier line has the same secret: who holds it could speak for both.
    SharedSecret,
    /// More than [`MAX_ROLE_KEYS`] keys.
    TooMany,
}

impl fmt::Display for RoleKeyFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(e) => e.fmt(f),
            Self::Twice => f.write_str("this spacecraft and SPI have a key already"),
            Self::SharedSecret => f.write_str("another line has the same secret; draw one for each holder"),
            Self::TooMany => write!(f, "more than {MAX_ROLE_KEYS} keys"),
        }
    }
}

impl fmt::Display for RoleKeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl core::error::Error for RoleKeyFileError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(spi: usize) -> String {
        format!("passband-command-key v1 spacecraft=1 spi={spi} role=planner {:064x}\n", spi + 1_000_000)
    }

    #[test]
    fn reads_keys_and_refuses_what_would_confuse_holders() {
        let text = format!("# two planners\n{}\n{}", line(1), line(2));
        let keys = RoleKeys::parse(&text).unwrap();
        assert_eq!(keys.iter().map(RoleKey::spi).collect::<Vec<_>>(), [1, 2]);
        assert!(keys.get(1, 2).is_some() && keys.get(2, 2).is_none());
        let fault = |more: &str| RoleKeys::parse(&format!("{text}{more}")).unwrap_err();
        assert_eq!(fault(&line(2)), RoleKeyFileError { line: 5, what: RoleKeyFileFault::Twice });
        let shared = line(2).replace("spi=2", "spi=3");
        assert_eq!(fault(&shared).what, RoleKeyFileFault::SharedSecret);
        assert!(!fault(&shared).to_string().contains("f4242"), "no secret is shown");
    }

    #[test]
    fn a_file_holds_64_keys_and_no_more() {
        let most: String = (1..=MAX_ROLE_KEYS).map(line).collect();
        assert_eq!(RoleKeys::parse(&most).unwrap().iter().count(), MAX_ROLE_KEYS);
        let over = RoleKeys::parse(&(most + &line(MAX_ROLE_KEYS + 1))).unwrap_err();
        assert_eq!(over, RoleKeyFileError { line: 65, what: RoleKeyFileFault::TooMany });
    }
}
