//! What telemetry says of what was sent.
//!
//! Answers and associations of other holders, and beacons of other spacecraft, say nothing here. A number or counter beyond
//! half of all there are is not believed: it would leave none for us.

use anyhow::Result;
use passband_proto::dict::{
    Answer, Association, Beacon, Event, EventCode, KeyState, Packet, Parameter, ParameterId, Reason, Stage,
    Upload as Report, UploadFate, UploadKind,
};
use passband_proto::packet::Mode;
use passband_proto::sdls::WINDOW;

use super::super::entry::{Entry, Told};
use super::super::hold::{ARM_S, seconds_armed};
use super::super::shelf::Shelf;
use super::pace::Pace;
use super::{Live, Moment, Outbox, Resync};

/// Telemetry that is heard after so long a silence, ms, begins a contact.
const SILENCE_MS: u64 = 60_000;
/// So often the state of an upload is asked for while telemetry is heard, before it is believed to be gone.
const ASKS: u32 = 6;

/// What a packet changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noticed {
    /// An order of ours stands otherwise.
    Order(u32),
    /// An upload is further, or can't be done.
    Upload([u8; 4]),
    /// The board has lost the counters of our key: it is asked to go on from ours.
    CountersLost,
    /// The board's counter is above ours, which goes on from there: another outbox uses the key, or ours is an old copy.
    CounterBehind {
        /// Ours.
        ours: u64,
        /// The board's.
        board: u64,
    },
    /// The board knows orders of ours above the last number given here: another outbox uses the key, or ours is an old
    /// copy.
    NumbersBehind {
        /// The board's highest number.
        board: u32,
    },
    /// The key is retired: nothing is taken under it any more.
    Retired,
    /// The board has another order under the number of one of ours: that isn't done, and ours is an old copy.
    NumberTaken(u32),
    /// The board holds another key than ours under our association: nothing is taken of what is sent.
    OtherKey {
        /// What tells the board's key from others.
        board: [u8; 4],
    },
    /// The board refuses our frames, in its words: it doesn't know our association, or the tag doesn't hold.
    Refuses(String),
    /// Orders stay armed for another time than was believed, ms.
    ArmedFor(u64),
}

impl Outbox {
    /// Takes a packet: its application process, when it was made (ms since 1970-01-01 UTC) and its user data.
    ///
    /// # Errors
    /// Those of the shelf.
    pub fn hear(
        &mut self,
        now: Moment,
        (apid, unix_ms, data): (u16, u64, &[u8]),
        shelf: &mut dyn Shelf,
    ) -> Result<Vec<Noticed>> {
        self.heard(now);
        let mut noticed = Vec::new();
        if apid == Answer::DEF.apid {
            match Answer::read(data) {
                Some(answer) if answer.source == self.spi => {
                    self.answer(now, &answer, shelf, &mut noticed)?
                }
                Some(answer) => self.others_fire(&answer, shelf, &mut noticed)?,
                None => {}
            }
        } else if apid == Association::DEF.apid {
            if let Some(state) = Association::read(data).filter(|state| state.spi == self.spi) {
                self.association(now, &state, shelf, &mut noticed)?;
            }
        } else if apid == Beacon::DEF.apid {
            if let Some(beacon) = Beacon::read(data).filter(|beacon| beacon.spacecraft == self.spacecraft) {
                self.challenge(now, beacon.challenge);
            }
        } else if apid == Event::DEF.apid {
            noticed.extend(Event::read(data).and_then(|event| self.refuses(&event)));
        } else if apid == Parameter::DEF.apid {
            if let Some(parameter) = Parameter::read(data).filter(|p| p.id == ParameterId::ArmFor) {
                let seconds = parameter.value.0.as_str().parse().ok();
                self.learn_arm(seconds, shelf, &mut noticed)?;
            }
        } else if apid == Report::DEF.apid
            && let Some(report) = Report::read(data)
        {
            self.report(unix_ms, &report, data, shelf, &mut noticed)?;
        }
        self.miss_uploads(shelf)?;
        Ok(noticed)
    }

    fn heard(&mut self, now: Moment) {
        let silent = self.heard_ms.is_none_or(|heard| now.steady_ms.saturating_sub(heard) >= SILENCE_MS);
        self.heard_ms = Some(now.steady_ms);
        if silent {
            self.resync =
                Resync { challenge: self.resync.challenge, pace: self.resync.pace, ..Resync::default() };
            self.ask_at_ms = self.ask_at_ms.min(now.steady_ms);
            self.orders.values_mut().for_each(|live| live.pace = Pace::at(now.steady_ms));
        }
    }

    /// A new challenge is answered at once if the counters are apart: what was sent under the one before is refused.
    fn challenge(&mut self, now: Moment, challenge: [u8; 8]) {
        let challenge = Some(challenge).filter(|challenge| *challenge != [0; 8]);
        if challenge != self.resync.challenge {
            self.resync.challenge = challenge;
            self.resync.pace = self.resync.pace.map(|_| Pace::at(now.steady_ms));
        }
    }

    fn answer(
        &mut self,
        now: Moment,
        answer: &Answer,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        let told = Told::from(answer);
        let number = answer.number;
        let settled = match self.orders.get_mut(&number) {
            // The answer to an order that had this number before: ours is refused for it.
            Some(live) if live.entry.check() != answer.check => {
                if live.entry.is_open() && self.taken_numbers.insert(number) {
                    noticed.push(Noticed::NumberTaken(number));
                }
                false
            }
            Some(live) => {
                let before = live.entry.told.as_ref();
                if !before.is_some_and(Told::is_final) && before != Some(&told) {
                    self.resync.arrives();
                    let step = live.entry.step;
                    if answer.stage == Stage::Refused && answer.reason == Reason::Busy {
                        live.pace.went(now.steady_ms);
                    }
                    live.entry.told = Some(told);
                    let renumbered = live.renumber(shelf)?;
                    let settled = live.entry.told.as_ref().is_some_and(Told::is_final);
                    let armed_s = seconds_armed(answer.text.0.as_str());
                    if answer.stage == Stage::Armed {
                        let for_ms = armed_s.filter(|_| self.learns_arm).map_or(self.arm_ms, |s| s * 1000);
                        live.armed(now, answer.unix, for_ms);
                    }
                    shelf.keep_order(&live.entry)?;
                    noticed.push(Noticed::Order(number));
                    if answer.stage == Stage::Armed {
                        self.learn_arm(armed_s, shelf, noticed)?;
                    } else if step == Mode::Fire && (settled || answer.stage != Stage::Refused) {
                        self.end_armed(number, |armed| armed.number < number, shelf)?;
                    }
                    self.go_on_as(now, renumbered, shelf)?;
                    settled
                } else {
                    before.is_some_and(Told::is_final)
                }
            }
            None => self.answer_of_begin(now, answer, told, shelf, noticed)?,
        };
        if settled {
            self.acknowledge.settle(now.steady_ms, number);
        }
        Ok(())
    }

    /// The board's word that it refused a frame that names our association, for what doesn't mend by itself: once.
    fn refuses(&mut self, event: &Event) -> Option<Noticed> {
        let (_, why) = event.text.0.as_str().split_once(&format!("SPI {}: ", self.spi))?;
        let for_good = why.starts_with("no key is known") || why.starts_with("the tag doesn't hold");
        if event.code != EventCode::UplinkRefused
            || !for_good
            || std::mem::replace(&mut self.foreign_told, true)
        {
            return None;
        }
        Some(Noticed::Refuses(why.to_owned()))
    }

    /// What an order of ours armed may be fired by the holder of another key.
    fn others_fire(
        &mut self,
        answer: &Answer,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        if matches!(answer.stage, Stage::Armed | Stage::Refused) {
            return Ok(());
        }
        // An answer that is repeated may be of an earlier time.
        let fires = |armed: &Entry| {
            armed.check() == answer.check
                && armed.told.as_ref().is_some_and(|told| told.unix_ms <= answer.unix)
        };
        let ended = self.end_armed(0, fires, shelf)?;
        noticed.extend(ended.into_iter().map(Noticed::Order));
        Ok(())
    }

    /// What of ours is armed is so no more, since `by` came: the numbers of those orders.
    fn end_armed(
        &mut self,
        by: u32,
        which: impl Fn(&Entry) -> bool,
        shelf: &mut dyn Shelf,
    ) -> Result<Vec<u32>> {
        let mut ended = Vec::new();
        for live in self.orders.values_mut() {
            if live.entry.armed_until().is_some() && which(&live.entry) {
                live.entry.fired_by = Some(by);
                live.armed_until_ms = None;
                shelf.keep_order(&live.entry)?;
                ended.push(live.entry.number);
            }
        }
        Ok(ended)
    }

    /// For how long orders stay armed, as the satellite says, unless it was said here.
    fn learn_arm(
        &mut self,
        seconds: Option<u64>,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        let known = seconds.filter(|s| ARM_S.contains(s)).map(|s| s * 1000);
        if let Some(arm_ms) = known.filter(|arm_ms| self.learns_arm && *arm_ms != self.arm_ms) {
            self.arm_ms = arm_ms;
            shelf.keep_arm(arm_ms)?;
            noticed.push(Noticed::ArmedFor(arm_ms));
        }
        Ok(())
    }

    /// Takes an order of ours that has another number now.
    fn go_on_as(&mut self, now: Moment, renumbered: Option<Entry>, shelf: &mut dyn Shelf) -> Result<()> {
        let Some(entry) = renumbered else { return Ok(()) };
        shelf.keep_order(&entry)?;
        self.add(now, entry);
        Ok(())
    }

    /// An answer to none of the orders: whether it is to be acknowledged.
    fn answer_of_begin(
        &mut self,
        now: Moment,
        answer: &Answer,
        told: Told,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<bool> {
        let (number, settled) = (answer.number, told.is_final());
        if let Some(upload) = self.uploads.iter_mut().find(|upload| upload.about.begin == number) {
            if upload.sender.begin_check() != answer.check {
                return Ok(false);
            }
            if answer.reason == Reason::NumberTaken {
                self.resync.arrives();
                upload.about.begin = shelf.new_number()?;
                shelf.keep_upload(&upload.about)?;
            } else if settled && upload.about.told.as_ref() != Some(&told) {
                self.resync.arrives();
                if told.is_good() {
                    // What is there already is told at once.
                    upload.sender.hear_begun();
                    self.ask_at_ms = self.ask_at_ms.min(now.steady_ms);
                }
                upload.about.told = Some(told);
                shelf.keep_upload(&upload.about)?;
                noticed.push(Noticed::Upload(upload.about.id));
            }
            return Ok(settled);
        }
        // Settled and forgotten here, or never ours: what is above the last number given here is looked after by the
        // board's word about our key.
        Ok(settled && number <= self.highest_number())
    }

    fn association(
        &mut self,
        now: Moment,
        state: &Association,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        self.resync.asked = true;
        if state.fingerprint != self.fingerprint && !std::mem::replace(&mut self.foreign_told, true) {
            noticed.push(Noticed::OtherKey { board: state.fingerprint });
        }
        match state.state {
            KeyState::Retired => {
                if !std::mem::replace(&mut self.retired, true) {
                    noticed.push(Noticed::Retired);
                }
            }
            KeyState::CountersLost => {
                if self.resync.pace.is_none() {
                    // Ours may be an old copy, too: the time is above all that was used.
                    self.go_ahead(now);
                }
                if !std::mem::replace(&mut self.resync.lost, true) {
                    noticed.push(Noticed::CountersLost);
                }
            }
            KeyState::Operational => {
                self.resync.pace = None;
                let ours = self.sender.used();
                if state.highest > ours && state.highest < u64::MAX / 2 {
                    self.sender.skip_to(state.highest);
                    // After a power cut a board skips what its marks cover ahead.
                    if state.highest - ours > WINDOW {
                        noticed.push(Noticed::CounterBehind { ours, board: state.highest });
                    }
                }
            }
        }
        let last = state.last_number;
        if last > self.highest_number() && last < u32::MAX / 2 {
            shelf.use_numbers(last)?;
            self.numbers_from = last;
            noticed.push(Noticed::NumbersBehind { board: last });
        }
        Ok(())
    }

    fn report(
        &mut self,
        unix_ms: u64,
        report: &Report,
        data: &[u8],
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        let Some(upload) = self.uploads.iter_mut().find(|upload| upload.about.id == report.id) else {
            return Ok(());
        };
        if !upload.about.takes_report(unix_ms) {
            return Ok(());
        }
        let before = (upload.progress().there, upload.about.fate());
        upload.asked = 0;
        upload.sender.hear(report, unix_ms);
        let now = upload.progress();
        if (now.there, Some((report.fate, report.reason))) != before {
            upload.about.report = Some((unix_ms, data.to_vec()));
            upload.about.whole = now.whole && is_settled(report);
            shelf.keep_upload(&upload.about)?;
            noticed.push(Noticed::Upload(report.id));
            self.resync.arrives();
        }
        Ok(())
    }

    /// What the board doesn't tell of, however often it is asked, begins anew under another number.
    fn miss_uploads(&mut self, shelf: &mut dyn Shelf) -> Result<()> {
        let missed = |upload: &&mut super::Upload| upload.asked >= ASKS && upload.about.is_open();
        for upload in self.uploads.iter_mut().filter(missed) {
            upload.asked = 0;
            let began = upload.about.report.take().is_some() | upload.about.told.take().is_some();
            if began {
                upload.about.begin = shelf.new_number()?;
                shelf.keep_upload(&upload.about)?;
                upload.sender.hear_of_none();
            }
        }
        Ok(())
    }

    fn highest_number(&self) -> u32 {
        let orders = self.orders.last_key_value().map_or(0, |(last, _)| *last);
        let begins = self.uploads.iter().map(|upload| upload.about.begin).max().unwrap_or(0);
        orders.max(begins).max(self.numbers_from)
    }
}

impl Resync {
    /// Something that was sent has arrived: the counters are as they should be. An answer that is repeated says nothing of
    /// that: it is of what arrived before.
    fn arrives(&mut self) {
        (self.unanswered, self.since_ms, self.pace, self.lost) = (0, None, None, false);
    }
}

impl Live {
    /// It is armed for so long, since `unix_ms` by the board's clock if that can be.
    fn armed(&mut self, now: Moment, unix_ms: u64, for_ms: u64) {
        let since =
            if (self.entry.queued_unix_ms..=now.unix_ms).contains(&unix_ms) { unix_ms } else { now.unix_ms };
        let until = since.saturating_add(for_ms);
        self.entry.armed_until_unix_ms = Some(until);
        self.armed_until_ms = Some(now.steady_ms + until.saturating_sub(now.unix_ms));
    }

    /// Gives an order another number that was refused for its number, which is another order's: it was not done. None if
    /// nothing of it is to be sent any more.
    fn renumber(&mut self, shelf: &mut dyn Shelf) -> Result<Option<Entry>> {
        let is_taken = |told: &Told| told.stage == Stage::Refused && told.reason == Reason::NumberTaken;
        if self.entry.dropped || self.entry.expired || !self.entry.told.as_ref().is_some_and(is_taken) {
            return Ok(None);
        }
        self.entry.goes_on_as = Some(shelf.new_number()?);
        Ok(self.entry.renumbered())
    }
}

/// Whether nothing more becomes of a file that is whole, unless somebody does something about it.
fn is_settled(report: &Report) -> bool {
    match report.fate {
        UploadFate::Coming => false,
        UploadFate::Waits => report.kind == UploadKind::Image || report.reason != Reason::None,
        UploadFate::Taken | UploadFate::Refused => true,
    }
}
