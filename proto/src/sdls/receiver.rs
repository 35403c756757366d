//! The receiving end: opens frames, each once, over any number of reboots.
//!
//! Checks go from cheap to dear: shape, FECF, address, key, limits, tag. Only then is anything parsed or moved: what an
//! outsider sends costs one CRC and at most one pass of the cipher, and changes nothing but counts and limits.
//!
//! # Durable marks
//!
//! The caller keeps a [`Mark`] of each key, and writes it *ahead*: if [`Opened::must_persist`] holds one, it has to be
//! on disk before the frame is acted on; then [`Associations::persisted`] says that it is. Marks are written in
//! the order they come. If the write fails, the frame isn't acted on, and the next one asks for a write again. With a
//! reserve of 0 (the default) each frame asks for the exact window, so that a reboot changes nothing; with a reserve of N
//! ([`Associations::set_reserve`], for uploads in bulk) one mark covers the next N counters, which a reboot then skips unless
//! [`Associations::settle`] wrote the exact one when the line was idle. No counter is ever accepted twice.
//!
//! # Re-synchronisation
//!
//! A key whose marks are lost accepts nothing: any recorded frame might be the next. It wakes up by a frame under this
//! very key that names the present challenge of the board (8 random bytes, told in telemetry) and the
//! counter to go on from. The IV of such a frame begins with [`RESYNC_SALT`] and goes on with 8 random bytes.
//! A challenge serves each key once; [`Associations::needs_challenge`] asks for another one, but not so often that the holder of
//! one key could keep the others from using it. Used counters are never made free again: while marks are there, a counter
//! below the highest one is refused and the highest is named.

use std::collections::BTreeMap;

use aes_gcm::Aes256Gcm;

use super::frame::{Channel, Frame, MAX_DATA_BYTES, RESYNC_SALT};
use super::key_file::RoleKeys;
use super::keys::Role;
use super::rate::{Bucket, Limits};
use super::reject::{Counts, Reject};
use super::window::{Mark, Place, Window};
use crate::wire::Reader;

/// How long a challenge is kept, once a key has used it, so that the others can use it too.
pub const CHALLENGE_LIFE_MS: u64 = 600_000;

/// Bytes of a challenge.
pub(super) const CHALLENGE_BYTES: usize = 8;
/// A challenge and a counter.
const RESYNC_BYTES: usize = CHALLENGE_BYTES + 8;

/// The security associations of one spacecraft, as it holds them.
#[derive(Debug)]
pub struct Associations {
    pub(super) channel: Channel,
    pub(super) all: BTreeMap<u16, Association>,
    pub(super) challenge: Option<Challenge>,
    pub(super) counts: Counts,
    limits: Limits,
    pool: Bucket,
    room: Box<[u8; MAX_DATA_BYTES]>,
}

/// The present challenge, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Challenge {
    pub(super) bytes: [u8; CHALLENGE_BYTES],
    pub(super) since_ms: u64,
}

/// One key, as the spacecraft holds it.
#[derive(Debug)]
pub(super) struct Association {
    pub(super) role: Role,
    pub(super) retired: bool,
    /// None: the marks are lost.
    pub(super) window: Option<Window>,
    /// What is known to be on disk.
    pub(super) durable: Option<Mark>,
    pub(super) reserve: u64,
    /// Whether the present challenge was used with this key.
    pub(super) spent: bool,
    pub(super) counts: Counts,
    cipher: Aes256Gcm,
    share: Bucket,
    holder: Bucket,
}

/// A frame that was let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Who sent it.
    pub spi: u16,
    /// The holder's role.
    pub role: Role,
    /// Its counter; of a re-synchronisation the counter that is gone on from.
    pub counter: u64,
    /// What it carries.
    pub content: Content,
    /// What has to be on disk before the frame is acted on or acknowledged.
    pub must_persist: Option<Mark>,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Data, 1 to [`MAX_DATA_BYTES`] bytes.
    Data(Vec<u8>),
    /// A re-synchronisation, which is done: there is nothing else to do.
    Resynchronised,
}

impl Associations {
    /// The associations of all keys of this channel's spacecraft. None has marks yet: see [`Associations::restore`].
    #[must_use]
    pub fn new(channel: Channel, keys: &RoleKeys, limits: Limits) -> Self {
        let mut new = Self {
            channel,
            all: BTreeMap::new(),
            challenge: None,
            counts: Counts::default(),
            limits,
            pool: Bucket::new(limits.pool),
            room: Box::new([0; MAX_DATA_BYTES]),
        };
        new.set_keys(keys);
        new
    }

    /// Has these be the keys from now on. An association that stays keeps its window, its counts and its limits, also where
    /// its key is another one; of a new one the marks are to be restored.
    pub fn set_keys(&mut self, keys: &RoleKeys) {
        let mut before = core::mem::take(&mut self.all);
        for key in keys.iter().filter(|key| key.spacecraft() == self.channel.spacecraft) {
            let cipher = key.frame_key().cipher();
            let association = match before.remove(&key.spi()) {
                Some(association) => Association { role: key.role(), cipher, ..association },
                None => Association::new(key.role(), cipher, self.limits),
            };
            self.all.insert(key.spi(), association);
        }
    }

    /// Opens the bytes that came as one frame.
    ///
    /// # Errors
    /// Why it is refused; it is counted.
    pub fn open(&mut self, now_ms: u64, bytes: &[u8]) -> Result<Opened, Reject> {
        let opened = self.check(now_ms, bytes);
        let spi = match &opened {
            Ok(opened) => Some(opened.spi),
            Err(reject) => reject.spi(),
        };
        let one = spi.and_then(|spi| self.all.get_mut(&spi)).map(|association| &mut association.counts);
        for counts in one.into_iter().chain([&mut self.counts]) {
            match &opened {
                Ok(_) => counts.accept(),
                Err(reject) => counts.reject(reject.reason()),
            }
        }
        opened
    }

    fn check(&mut self, now_ms: u64, bytes: &[u8]) -> Result<Opened, Reject> {
        let frame = Frame::parse(bytes, self.channel).map_err(Reject::Frame)?;
        let spi = frame.spi();
        let association = self.all.get_mut(&spi).ok_or(Reject::UnknownSpi { spi })?;
        if association.retired {
            return Err(Reject::Retired { spi });
        }
        if !association.share.take(now_ms) && !self.pool.take(now_ms) {
            return Err(Reject::Flooded { spi });
        }
        let data = frame.open(&association.cipher, &mut self.room).ok_or(Reject::Tag { spi })?;
        // From here on its holder is known to have sealed it, now or at some time.
        let (counter, content, must_persist) = if frame.iv().salt == RESYNC_SALT {
            let (counter, mark) = association.resynchronise(now_ms, spi, data, self.challenge)?;
            (counter, Content::Resynchronised, Some(mark))
        } else {
            let counter = frame.iv().counter;
            let mark = association.accept(now_ms, spi, counter)?;
            (counter, Content::Data(data.to_vec()), mark)
        };
        Ok(Opened { spi, role: association.role, counter, content, must_persist })
    }
}

impl Association {
    fn new(role: Role, cipher: Aes256Gcm, limits: Limits) -> Self {
        Self {
            role,
            retired: false,
            window: None,
            durable: None,
            reserve: 0,
            spent: false,
            counts: Counts::default(),
            cipher,
            share: Bucket::new(limits.share),
            holder: Bucket::new(limits.holder),
        }
    }

    /// Uses a counter, if it is free. Gives the mark to write.
    fn accept(&mut self, now_ms: u64, spi: u16, counter: u64) -> Result<Option<Mark>, Reject> {
        let window = self.window.ok_or(Reject::Unsynchronised { spi })?;
        match window.place(counter) {
            Place::Used => return Err(Reject::Replayed { spi, counter }),
            Place::TooOld => return Err(Reject::TooOld { spi, counter }),
            Place::Free => {}
        }
        if !self.holder.take(now_ms) {
            return Err(Reject::Busy { spi });
        }
        let moved = window.with(counter);
        self.window = Some(moved);
        if self.reserve == 0 {
            return Ok(Some(self.mark(spi, moved)));
        }
        let covered = self.durable.is_some_and(|mark| window_of(&mark).covers(moved));
        let ahead = Window::up_to(moved.highest.saturating_add(self.reserve));
        Ok((!covered).then(|| self.mark(spi, ahead)))
    }

    /// Goes on from the counter that is proposed. Gives it, and the mark to write.
    fn resynchronise(
        &mut self,
        now_ms: u64,
        spi: u16,
        data: &[u8],
        challenge: Option<Challenge>,
    ) -> Result<(u64, Mark), Reject> {
        let mut r = Reader::new(data);
        let (Some(named), Some(counter), RESYNC_BYTES) = (r.array(), r.u64(), data.len()) else {
            return Err(Reject::ResyncShape { spi });
        };
        if self.spent || challenge.is_none_or(|present| present.bytes != named) {
            return Err(Reject::Challenge { spi });
        }
        if let Some(Window { highest, .. }) = self.window.filter(|window| counter < window.highest) {
            return Err(Reject::Backward { spi, highest });
        }
        if !self.holder.take(now_ms) {
            return Err(Reject::Busy { spi });
        }
        self.spent = true;
        let window = Window::up_to(counter);
        self.window = Some(window);
        Ok((counter, self.mark(spi, window)))
    }

    pub(super) fn mark(&self, spi: u16, window: Window) -> Mark {
        Mark { spi, highest: window.highest, seen: window.seen, retired: self.retired }
    }
}

pub(super) fn window_of(mark: &Mark) -> Window {
    Window { highest: mark.highest, seen: mark.seen }
}
