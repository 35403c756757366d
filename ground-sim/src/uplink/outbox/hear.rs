//! What telemetry says of what was sent.
//!
//! Answers and associations of other holders, and beacons of other spacecraft, say nothing here. A number or counter beyond
//! half of all there are is not believed: it would leave none for us.

use anyhow::Result;
use passband_proto::dict::{
    Answer, Association, Beacon, Event, Packet, Parameter, ParameterId, Reason, Stage, Upload as Report,
};
use passband_proto::packet::Mode;

use super::super::entry::{Entry, Told};
use super::super::hold::seconds_armed;
use super::super::shelf::Shelf;
use super::pace::Pace;
use super::{Moment, Outbox, Resync};

/// Telemetry that is heard after so long a silence, ms, begins a contact.
const SILENCE_MS: u64 = 60_000;

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
    /// Telemetry is of another spacecraft than our key, and something of ours is unanswered: that is for nobody there. None: the board
    /// says that frames for ours reach it, and not which one it is.
    OtherSpacecraft {
        /// The spacecraft that is heard.
        board: Option<u16>,
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
                    self.answer(now, &answer, shelf, &mut noticed)?;
                }
                Some(answer) => self.others_fire(&answer, shelf, &mut noticed)?,
                None => {}
            }
        } else if apid == Association::DEF.apid {
            if let Some(state) = Association::read(data).filter(|state| state.spi == self.spi) {
                self.association(now, &state, shelf, &mut noticed)?;
            }
        } else if apid == Beacon::DEF.apid {
            match Beacon::read(data) {
                Some(beacon) if beacon.spacecraft == self.spacecraft => {
                    self.spacecraft_heard.ours = true;
                    self.challenge(now, beacon.challenge);
                    self.started(&beacon, unix_ms, shelf, &mut noticed)?;
                }
                Some(beacon) => noticed.extend(self.other_spacecraft(Some(beacon.spacecraft))),
                None => {}
            }
        } else if apid == Event::DEF.apid {
            if let Some(event) = Event::read(data) {
                noticed.extend(self.refuses(&event));
                self.event_of_armed(&event, shelf, &mut noticed)?;
            }
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
            let Resync { challenge, pace, refusal_told, .. } = self.resync;
            self.resync = Resync { challenge, pace, refusal_told, ..Resync::default() };
            self.ask_at_ms = self.ask_at_ms.min(now.steady_ms);
            self.orders.values_mut().for_each(|live| live.pace = Pace::at(now.steady_ms));
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
                        live.entry.armed_in_boot = self.boot;
                    }
                    shelf.keep_order(&live.entry)?;
                    noticed.push(Noticed::Order(number));
                    if answer.stage == Stage::Armed {
                        self.learn_arm(armed_s, shelf, noticed)?;
                        self.fired_by_others(shelf, noticed)?;
                    } else if step == Mode::Fire {
                        self.came_to_fire(answer, shelf)?;
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

    /// Takes an order of ours that has another number now.
    fn go_on_as(&mut self, now: Moment, renumbered: Option<Entry>, shelf: &mut dyn Shelf) -> Result<()> {
        let Some(entry) = renumbered else { return Ok(()) };
        shelf.keep_order(&entry)?;
        self.add(now, entry);
        Ok(())
    }
}
