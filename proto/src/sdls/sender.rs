//! The sending end of one key: seals data into frames, each under a counter of its own.
//!
//! Counters are reserved durably in blocks of [`BLOCK`] before they are used: after a crash a sender goes on behind the
//! block, and the receiver takes any jump ahead. Should the mark itself be an old one (a ground restored
//! from a backup), counters come again, but not nonces: each start draws a new salt, and two starts share one once
//! in 2³². The receiver then refuses the frames as replays until the sender goes ahead.
//!
//! A sender that has lost its count goes on from the time, in milliseconds since 1970 ([`Sender::skip_to`]): that is above
//! any counter it can have used, since the line carries less than a thousand frames a second. Two senders must never
//! use one key at a time: that is why each holder has its own.

use core::fmt;

use aes_gcm::Aes256Gcm;

use super::fault::SealError;
use super::frame::{Channel, Iv, RESYNC_SALT, seal};
use super::keys::RoleKey;
use super::receiver::CHALLENGE_BYTES;

/// Counters that are reserved at a time.
pub const BLOCK: u64 = 16;

/// Seals frames under one key.
#[derive(Debug)]
pub struct Sender {
    cipher: Aes256Gcm,
    channel: Channel,
    spi: u16,
    salt: [u8; 4],
    next: u64,
    /// Counters up to this one are reserved on disk.
    durable: u64,
}

impl Sender {
    /// A sender that starts. `salt` is fresh from a cryptographic random source; `durable` is the last mark that was
    /// written, 0 for a new key: all counters up to it count as used.
    ///
    /// # Errors
    /// [`SenderError::Salt`]: draw another one.
    pub fn new(key: &RoleKey, vcid: u8, salt: [u8; 4], durable: u64) -> Result<Self, SenderError> {
        if salt == RESYNC_SALT {
            return Err(SenderError::Salt);
        }
        Ok(Self {
            cipher: key.frame_key().cipher(),
            channel: Channel { spacecraft: key.spacecraft(), vcid },
            spi: key.spi(),
            salt,
            next: durable.saturating_add(1),
            durable,
        })
    }

    /// The mark to write before the next frame can be sealed; `None` if there is nothing to write.
    #[must_use]
    pub fn must_persist(&self) -> Option<u64> {
        (self.next > self.durable).then(|| self.next.saturating_add(BLOCK - 1))
    }

    /// A mark is on disk.
    pub fn persisted(&mut self, mark: u64) {
        self.durable = mark;
    }

    /// The exact mark: to be written at an orderly end, after which nothing may be sealed.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Goes on behind this counter, if it isn't there yet.
    pub fn skip_to(&mut self, used: u64) {
        self.next = self.next.max(used.saturating_add(1));
    }

    /// Seals data into the next frame.
    ///
    /// # Errors
    /// Nothing is reserved, the counter is at its end, or the data fit no frame.
    pub fn seal(&mut self, data: &[u8]) -> Result<Vec<u8>, SenderError> {
        if self.next == u64::MAX {
            return Err(SenderError::Exhausted);
        }
        if self.next > self.durable {
            return Err(SenderError::NoReserve { next: self.next });
        }
        let iv = Iv { salt: self.salt, counter: self.next };
        let frame = seal(&self.cipher, self.channel, self.spi, iv, data).map_err(SenderError::Data)?;
        self.next += 1;
        Ok(frame)
    }

    /// A frame that has the board go on behind this sender's counter: all up to it is refused from then on, all behind it is
    /// accepted. So a sender that isn't sure of its count skips to the time first. `challenge` is the one in telemetry; `fresh` is from
    /// a cryptographic random source, anew for each such frame.
    ///
    /// # Errors
    /// None that can be provoked.
    pub fn resynchronise(
        &self,
        challenge: [u8; CHALLENGE_BYTES],
        fresh: [u8; 8],
    ) -> Result<Vec<u8>, SenderError> {
        let iv = Iv { salt: RESYNC_SALT, counter: u64::from_be_bytes(fresh) };
        let body = [challenge, self.used().to_be_bytes()];
        seal(&self.cipher, self.channel, self.spi, iv, body.as_flattened()).map_err(SenderError::Data)
    }
}

/// Why nothing is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderError {
    /// The salt is the one of re-synchronisations.
    Salt,
    /// The next counter isn't reserved on disk.
    NoReserve {
        /// The next counter.
        next: u64,
    },
    /// The counter is at its end: the key has to be replaced.
    Exhausted,
    /// The data fit no frame.
    Data(SealError),
}

impl fmt::Display for SenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Salt => f.write_str("the salt is reserved for re-synchronisations; draw another one"),
            Self::NoReserve { next } => write!(f, "counter {next} isn't reserved; write the mark first"),
            Self::Exhausted => f.write_str("all counters of this key are used; replace it"),
            Self::Data(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for SenderError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Frame, Role};
    use super::*;

    fn key() -> RoleKey {
        RoleKey::new(1, 2, Role::Operator, [3; 32]).unwrap()
    }

    fn counter(frame: &[u8]) -> u64 {
        Frame::parse(frame, Channel { spacecraft: 1, vcid: 0 }).unwrap().iv().counter
    }

    #[test]
    fn nothing_is_sealed_without_a_durable_reserve() {
        let mut sender = Sender::new(&key(), 0, [1; 4], 40).unwrap();
        assert_eq!(sender.seal(b"x"), Err(SenderError::NoReserve { next: 41 }));
        assert_eq!(sender.must_persist(), Some(56));
        sender.persisted(56);
        for expected in 41..=56 {
            assert_eq!(sender.must_persist(), None);
            assert_eq!(counter(&sender.seal(b"x").unwrap()), expected);
        }
        assert_eq!(sender.seal(b"x"), Err(SenderError::NoReserve { next: 57 }));
        assert_eq!(sender.used(), 56);
    }

    #[test]
    fn no_counter_comes_twice_over_crashes_at_any_point() {
        let (mut disk, mut seen) = (0, BTreeSet::new());
        for crash_after in (0..40).chain(0..40) {
            let mut sender = Sender::new(&key(), 0, [1; 4], disk).unwrap();
            for step in 0..crash_after {
                if let Some(mark) = sender.must_persist() {
                    disk = mark;
                    if step + 1 == crash_after {
                        break;
                    }
                    sender.persisted(mark);
                }
                assert!(seen.insert(counter(&sender.seal(b"x").unwrap())));
            }
        }
    }

    #[test]
    fn the_end_of_the_counter_and_the_reserved_salt_are_refused() {
        assert_eq!(Sender::new(&key(), 0, RESYNC_SALT, 0).err(), Some(SenderError::Salt));
        let mut sender = Sender::new(&key(), 0, [1; 4], u64::MAX - 2).unwrap();
        sender.persisted(sender.must_persist().unwrap());
        assert_eq!(counter(&sender.seal(b"x").unwrap()), u64::MAX - 1);
        assert_eq!(sender.seal(b"x"), Err(SenderError::Exhausted));
        assert_eq!(sender.used(), u64::MAX - 1);
        let over = vec![0; super::super::MAX_DATA_BYTES + 1];
        let mut sender = Sender::new(&key(), 0, [1; 4], 0).unwrap();
        sender.persisted(16);
        assert!(matches!(sender.seal(&over), Err(SenderError::Data(_))));
        assert_eq!(sender.used(), 0, "and no counter was spent");
    }
}
