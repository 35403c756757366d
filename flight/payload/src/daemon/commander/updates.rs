//! Orders about the update, and what the update itself does second by second.

use std::path::PathBuf;

use passband_proto::dict::{Confirms, EventCode, Order, Reason, SlotName, UpdateState, UploadKind};
use passband_proto::slot::{Slot, SlotRecord};

use super::hands::Worker;
use super::{Parts, Then};
use crate::command::hex;
use crate::orders::desk::Outcome;
use crate::orders::{Moment, Run};
use crate::telemetry::Report;
use crate::update::contract::Vitals;
use crate::update::kept::Phase;
use crate::update::updater::{Next, Refused, Updater};

/// The beginning of 2020, s since 1970.
const LEAST_UNIX_S: u64 = 1_577_836_800;

impl Worker<'_> {
    pub(super) fn update(&mut self, now: Moment, run: &Run) -> Outcome {
        let Some(updater) = self.parts.updater.as_mut() else {
            return Outcome::failed(Reason::NotPossible, "nothing can be updated here");
        };
        let done = match &run.order {
            Order::UpdateStart { id } => updater.start(*id).map(|()| (Next::Stay, begun(*id))),
            Order::UpdateAbort {} => updater.abort().map(|next| (next, "ended".to_owned())),
            Order::UpdateTry {} => updater.try_out().map(|next| (next, "its trial begins".to_owned())),
            Order::UpdateConfirm { health } => updater
                .confirm(*health == Confirms::Anyway, unix_s(now))
                .map(|report| (Next::Stay, report.text)),
            Order::UpdateBack { slot } => {
                let slot = slot_of(*slot);
                updater.back(slot).map(|next| (next, format!("slot {slot} is started")))
            }
            _ => return Outcome::failed(Reason::NotPossible, "it is no order about updates"),
        };
        match done {
            Ok((next, text)) => {
                self.works.event(&Report::info(EventCode::UpdateChanged, told(&run.order, &text)));
                if next == Next::Switch {
                    self.parts.once_kept = Some((run.id, Then::Switch));
                }
                Outcome::done(text)
            }
            Err(Refused { reason, text }) => Outcome::failed(reason, text),
        }
    }
}

fn begun(id: [u8; 4]) -> String {
    format!("update {} is begun", hex(&id))
}

/// What is told of an order that was done: it may stand alone in a list.
fn told(order: &Order, text: &str) -> String {
    match order {
        Order::UpdateAbort {} => format!("the update is {text}"),
        Order::UpdateTry {} => format!("the update: {text}"),
        Order::UpdateBack { .. } => format!("by order: {text}"),
        _ => text.to_owned(),
    }
}

fn slot_of(name: SlotName) -> Slot {
    match name {
        SlotName::A => Slot::A,
        SlotName::B => Slot::B,
        SlotName::Golden => Slot::Golden,
    }
}

/// The time, if the clock can be believed.
fn unix_s(now: Moment) -> Option<u64> {
    believable(now.unix_ms)
}

/// The time, s since 1970, if it can be one: a board whose clock has no battery starts in 1970.
pub(crate) fn believable(unix_ms: u64) -> Option<u64> {
    Some(unix_ms / 1_000).filter(|s| *s >= LEAST_UNIX_S)
}

impl Parts {
    /// The update file that is whole and wanted, and waits to be made an image of.
    pub(crate) fn update_file(&self) -> Option<([u8; 4], PathBuf)> {
        let id = self.updater.as_ref()?.wanted()?;
        let whole = self.uploads.as_ref()?.complete();
        let mut images = whole.into_iter().filter(|upload| upload.kind == UploadKind::Image);
        images.find(|upload| upload.id == id).map(|upload| (id, upload.path))
    }

    /// A second went by; gives back what there is to be told.
    pub(crate) fn update_second(&mut self, vitals: &Vitals, now_unix_s: Option<u64>) -> Vec<Report> {
        let Some(updater) = &mut self.updater else { return Vec::new() };
        let (reports, next) = updater.second(vitals, now_unix_s);
        if next == Next::Switch {
            self.then = Some(Then::Switch);
        }
        reports
    }

    /// Where an update stands.
    pub(super) fn update_state(&self) -> UpdateState {
        let received = self.image() == Some(true);
        self.updater.as_ref().map_or(UpdateState::Idle, |updater| updater.state(received))
    }

    /// More about it.
    pub(super) fn update_text(&self) -> Option<String> {
        let kept = self.updater.as_ref()?.kept()?;
        Some(format!("update {}: {}", hex(&kept.id), self.update_words()?))
    }

    /// How far the update that is under way is, or why the last one failed.
    pub(super) fn update_words(&self) -> Option<String> {
        let updater = self.updater.as_ref()?;
        let kept = updater.kept()?;
        let slot = kept.slot.map_or("?", Slot::name);
        Some(match kept.phase {
            Phase::Wanted => match (updater.progress(), self.image()) {
                (Some(progress), _) => {
                    let percent = progress.done.saturating_mul(100).checked_div(progress.of).unwrap_or(0);
                    format!("its image is made, {percent} %")
                }
                (None, None) => "nothing of its file has come up".to_owned(),
                (None, Some(false)) => "its file comes up".to_owned(),
                (None, Some(true)) => "its file is whole".to_owned(),
            },
            Phase::Staged => format!("its image is in slot {slot}; `update try` starts it"),
            Phase::Trying => trial(updater, slot),
            Phase::Failed => kept.why.clone(),
        })
    }

    /// Whether the file of the update is whole; none: nothing of it is there.
    pub(super) fn image(&self) -> Option<bool> {
        let (id, uploads) = (self.updater.as_ref()?.kept()?.id, self.uploads.as_ref()?);
        let report = uploads.report(id).filter(|upload| upload.kind == UploadKind::Image);
        report.map(|upload| upload.missing == 0)
    }

    /// What each slot holds, and which runs.
    pub(super) fn slots_text(&self) -> Option<String> {
        let updater = self.updater.as_ref()?;
        let running = updater.running();
        if running.launcher == 0 {
            return None;
        }
        Some(slots(&updater.slots().record(), running.slot))
    }
}

fn trial(updater: &Updater, slot: &str) -> String {
    let record = updater.slots().record();
    let attempts = record.trial.map_or(0, |trial| trial.attempts_left);
    let health =
        updater.healthy().map_or_else(|why| why, |()| "healthy; `update confirm` keeps it".to_owned());
    if updater.running().interlude {
        return format!(
            "slot {slot} is on trial, but the power went time after time: what was before it runs for a while"
        );
    }
    format!("slot {slot} is on trial, failures left {attempts}: {health}")
}

fn slots(record: &SlotRecord, running: Slot) -> String {
    let of = |slot: Slot| {
        let held = record.held(slot);
        format!("{slot} {} {:.8}", held.mark.name(), held.image)
    };
    format!("slot {running} runs; {}; {}", of(Slot::A), of(Slot::B))
}
