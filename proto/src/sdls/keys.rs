//! Role keys: the secret that one holder and one spacecraft share for the uplink.
//!
//! A key belongs to a *holder*, named by its security parameter index (SPI): a station, a console, a planning system. Two
//! holders never share one, or they would share a counter; several may have the same role, which is what says what a
//! holder may order. A new secret takes a new SPI: what was used of the old one, or that it was retired, is remembered by
//! its SPI. A secret is used for nothing but derivation (HKDF-SHA-256, RFC 5869; no salt):
//!
//! | derived | info |
//! | --- | --- |
//! | frame key, AES-256-GCM | `passband/v1/command-frame` |
//! | plan key, AES-128-CMAC | `passband/v1/plan-tag` |
//! | fingerprint, 4 bytes, not secret | `passband/v1/command-fingerprint` |
//!
//! with spacecraft and SPI (two bytes each, big endian) appended to the info. Secrets are zeroised when dropped and
//! never shown, neither by `Debug` nor in an error.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::parse_hex;
use crate::keys::{SECRET_BYTES, SealKey, TagKey, expand, number};

/// The highest SPI of a key. Those above it name sources of orders that come by no frame.
pub const MAX_SPI: u16 = 0xFFF0;

/// The first word of a line of a file of role keys.
const LINE_WORD: &str = "passband-command-key";

/// What the holder of a key is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Flies the satellite.
    Operator,
    /// Uploads plans.
    Planner,
    /// Uploads software.
    Updater,
    /// Asks for data and changes what is looked for.
    Science,
    /// Kept in a safe, for when the others are lost or stolen.
    Recovery,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Operator, Self::Planner, Self::Updater, Self::Science, Self::Recovery];

    /// The name used in every file, output and command.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Planner => "planner",
            Self::Updater => "updater",
            Self::Science => "science",
            Self::Recovery => "recovery",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownRole;

impl fmt::Display for UnknownRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a role is one of operator, planner, updater, science, recovery")
    }
}

impl core::error::Error for UnknownRole {}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

/// The key of one holder.
#[derive(Clone)]
pub struct RoleKey {
    spacecraft: u16,
    spi: u16,
    role: Role,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl RoleKey {
    /// A key of a secret that was drawn from a cryptographic random source.
    ///
    /// # Errors
    /// [`BadRoleKey::Spi`]: 0, or above [`MAX_SPI`].
    pub fn new(
        spacecraft: u16,
        spi: u16,
        role: Role,
        secret: [u8; SECRET_BYTES],
    ) -> Result<Self, BadRoleKey> {
        if !(1..=MAX_SPI).contains(&spi) {
            return Err(BadRoleKey::Spi);
        }
        Ok(Self { spacecraft, spi, role, secret: Zeroizing::new(secret) })
    }

    /// The spacecraft that obeys it.
    #[must_use]
    pub fn spacecraft(&self) -> u16 {
        self.spacecraft
    }

    /// The security parameter index: names the holder.
    #[must_use]
    pub fn spi(&self) -> u16 {
        self.spi
    }

    /// What the holder is there for.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The key that seals frames.
    #[must_use]
    pub fn frame_key(&self) -> SealKey {
        SealKey::new(self.derive(b"passband/v1/command-frame"))
    }

    /// The key that signs plans.
    #[must_use]
    pub fn plan_key(&self) -> TagKey {
        TagKey::new(&self.derive(b"passband/v1/plan-tag"))
    }

    /// What tells this key from others in a listing: says nothing of the secret.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 4] {
        *self.derive(b"passband/v1/command-fingerprint")
    }

    /// Reads one line of a key file; `None` for a blank line or a comment.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn parse_line(line: &str) -> Result<Option<Self>, BadRoleKey> {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            return Ok(None);
        }
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some(LINE_WORD) || words.next() != Some("v1") {
            return Err(BadRoleKey::Start);
        }
        let spacecraft = number(words.next(), "spacecraft=").ok_or(BadRoleKey::Spacecraft)?;
        let spi = number(words.next(), "spi=").ok_or(BadRoleKey::Spi)?;
        let role = words.next().and_then(|word| word.strip_prefix("role=")?.parse().ok());
        let role = role.ok_or(BadRoleKey::Role)?;
        let secret = Zeroizing::new(words.next().and_then(parse_hex).ok_or(BadRoleKey::Secret)?);
        match words.next() {
            None => Self::new(spacecraft, spi, role, *secret).map(Some),
            Some(_) => Err(BadRoleKey::Trailing),
        }
    }

    /// Writes the line of a key file that [`RoleKey::parse_line`] reads: the secret in clear.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_line(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let Self { spacecraft, spi, role, secret } = self;
        write!(out, "{LINE_WORD} v1 spacecraft={spacecraft} spi={spi} role={role} ")?;
        secret.iter().try_for_each(|b| write!(out, "{b:02x}"))
    }

    pub(super) fn shares_secret(&self, other: &Self) -> bool {
        self.secret == other.secret
    }

    fn derive<const N: usize>(&self, label: &[u8]) -> Zeroizing<[u8; N]> {
        expand(&self.secret, None, label, [self.spacecraft, self.spi])
    }
}

impl fmt::Debug for RoleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spacecraft, spi, role, .. } = self;
        write!(f, "RoleKey(spacecraft {spacecraft}, SPI {spi}, {role}, secret hidden)")
    }
}

/// What is wrong with a role key or its line. Never shows any of it: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRoleKey {
    /// It doesn't begin with `passband-command-key v1`.
    Start,
    /// The second field is not `spacecraft=N` with N from 0 to 65535.
    Spacecraft,
    /// The third field is not `spi=N` with N from 1 to 65520.
    Spi,
    /// The fourth field is not `role=R` with a role that is known.
    Role,
    /// The secret is not 64 hexadecimal digits.
    Secret,
    /// There is something behind the secret.
    Trailing,
}

impl fmt::Display for BadRoleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "does not begin with 'passband-command-key v1'",
            Self::Spacecraft => "second field is not 'spacecraft=N', N from 0 to 65535",
            Self::Spi => "third field is not 'spi=N', N from 1 to 65520",
            Self::Role => {
                "fourth field is not 'role=R', R one of operator, planner, updater, science, recovery"
            }
            Self::Secret => "the secret is not 64 hexadecimal digits",
            Self::Trailing => "there is text behind the secret",
        })
    }
}

impl core::error::Error for BadRoleKey {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> RoleKey {
        RoleKey::new(7, 3, Role::Operator, [0x42; 32]).unwrap()
    }

    #[test]
    fn derived_keys_differ_by_purpose_spacecraft_and_holder() {
        let other = RoleKey::new(7, 4, Role::Operator, [0x42; 32]).unwrap();
        let far = RoleKey::new(7 + 1024, 3, Role::Operator, [0x42; 32]).unwrap();
        let seal = |key: &RoleKey| *key.derive::<32>(b"passband/v1/command-frame");
        assert_ne!(seal(&key()), seal(&other));
        assert_ne!(seal(&key()), seal(&far), "the same ten bits in a frame, another spacecraft");
        assert_ne!(key().plan_key().tag(b"plan"), other.plan_key().tag(b"plan"));
        assert_ne!(key().fingerprint(), other.fingerprint());
        let epoch = crate::keys::EpochKey::new(7, 3, [0x42; 32]);
        assert_ne!(key().plan_key().tag(b"x"), epoch.telemetry_key().tag(b"x"), "labels of their own");
    }

    #[test]
    fn a_line_survives_and_errors_show_no_secret() {
        for role in Role::ALL {
            let mut line = String::new();
            RoleKey::new(7, MAX_SPI, role, [0x42; 32]).unwrap().write_line(&mut line).unwrap();
            let read = RoleKey::parse_line(&line).unwrap().unwrap();
            assert_eq!((read.spacecraft, read.spi, read.role, *read.secret), (7, MAX_SPI, role, [0x42; 32]));
            assert!(!format!("{read:?}").contains("42"));
        }
        assert!(matches!(RoleKey::parse_line("  # nothing"), Ok(None)));
    }

    #[test]
    fn each_field_is_refused_by_name() {
        let hex = "42".repeat(32);
        for (line, what) in [
            (format!("passband-key v1 spacecraft=1 spi=1 role=operator {hex}"), BadRoleKey::Start),
            (format!("passband-command-key v2 spacecraft=1 spi=1 role=operator {hex}"), BadRoleKey::Start),
            (format!("passband-command-key v1 spi=1 role=operator {hex}"), BadRoleKey::Spacecraft),
            (format!("passband-command-key v1 spacecraft=1 spi=65536 role=operator {hex}"), BadRoleKey::Spi),
            (format!("passband-command-key v1 spacecraft=1 spi=65521 role=operator {hex}"), BadRoleKey::Spi),
            (format!("passband-command-key v1 spacecraft=1 spi=0 role=operator {hex}"), BadRoleKey::Spi),
            (format!("passband-command-key v1 spacecraft=1 spi=1 role=Operator {hex}"), BadRoleKey::Role),
            (format!("passband-command-key v1 spacecraft=1 spi=1 role=operator {hex}0"), BadRoleKey::Secret),
            (
                format!("passband-command-key v1 spacecraft=1 spi=1 role=operator {hex} x"),
                BadRoleKey::Trailing,
            ),
        ] {
            let error = RoleKey::parse_line(&line).unwrap_err();
            assert_eq!(error, what, "{line}");
            assert!(!error.to_string().contains("4242"));
        }
    }
}
