//! `passband-ground uplink list`: what waits and for what, and what was answered.

use std::process::ExitCode;

use anyhow::Result;
use passband_proto::plan::show_utc;

use super::super::print_json;
use super::super::role_keys::key_words;
use super::{HolderArgs, existing, under, upload_state};
use crate::telemetry::feed::unix_ms;
use crate::uplink::{About, Entry, Hold};

/// What was armed and ended unfired is listed for so long, ms.
const DISARMED_SHOWN_MS: u64 = 2 * 3_600_000;

pub(super) fn list(args: &HolderArgs, all: bool, json: bool) -> Result<ExitCode> {
    let (folder, key) = existing(args)?;
    let key = key_words(&key);
    let mut orders = Vec::new();
    for number in folder.numbers()? {
        let entry = readable(folder.order(number)).map(|entry| entry.at(unix_ms()));
        orders.extend(entry.filter(|entry| all || is_to_see(entry, unix_ms())));
    }
    let mut uploads = Vec::new();
    for id in folder.upload_ids()? {
        uploads.extend(readable(folder.upload(id)).filter(|about| all || about.is_open()));
    }
    let is_open = orders.iter().any(Entry::is_open) || uploads.iter().any(About::is_open);
    let now = unix_ms();
    let hold = Hold::in_folder(&folder, now)?;
    if json {
        let orders: Vec<_> = orders.iter().map(|entry| with_waits(entry, &hold)).collect();
        print_json(&serde_json::json!({ "schema": 1, "orders": orders, "uploads": uploads }))?;
        return Ok(ExitCode::from(u8::from(is_open)));
    }
    for entry in &orders {
        say!(
            "{}  #{} {}: {}",
            show_utc(entry.queued_unix_ms),
            entry.number,
            entry.words(),
            under(entry, &hold.state(entry), &key)
        );
    }
    let files_wait = hold.words().filter(|_| uploads.iter().any(About::is_open));
    for about in uploads {
        let (there, pieces) = folder.load_upload(about.clone()).map_or((0, 0), |upload| {
            let progress = upload.progress();
            (progress.there, progress.pieces)
        });
        let waits = files_wait.as_ref().filter(|_| about.is_open()).map(|words| format!("; {words}"));
        let state = upload_state(&about, there, pieces);
        say!("{}  {about}: {state}{}", show_utc(about.queued_unix_ms), waits.unwrap_or_default());
    }
    if let Hold::Armed { number, .. } = hold {
        say!("#{number} is given up, and the others let go, with `passband-ground uplink drop {number}`");
    }
    Ok(ExitCode::from(u8::from(is_open)))
}

/// Whether an order is listed by itself: it is open; it is armed, and so in the way of the others; or it was so lately and ended
/// unfired, which is to be seen to.
fn is_to_see(entry: &Entry, now_unix_ms: u64) -> bool {
    let ended = entry.disarmed.filter(|_| entry.may_have_been_fired() && !entry.dropped);
    let is_late = now_unix_ms.saturating_sub(entry.queued_unix_ms) > DISARMED_SHOWN_MS;
    entry.is_open() || entry.armed_until().is_some() || (ended.is_some() && !is_late)
}

/// An order's document, where it stands, and why it waits.
fn with_waits(entry: &Entry, hold: &Hold) -> serde_json::Value {
    let mut json = entry.json();
    json["state"] = entry.state().into();
    json["waits"] = hold.words().filter(|_| hold.keeps(entry)).into();
    json
}

/// What is kept, unless its document is damaged: that is said, and hides nothing else.
fn readable<T>(kept: Result<Option<T>>) -> Option<T> {
    kept.unwrap_or_else(|e| {
        tracing::warn!("{e:#}");
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::Told;
    use passband_proto::dict::{Order, Reason, Stage};
    use passband_proto::packet::Mode;

    #[test]
    fn what_is_armed_no_more_is_listed_with_the_reason_and_what_to_do() {
        let mut entry = Entry::new(5, Mode::Arm, &Order::BoardReboot {}, 1_000);
        entry.told =
            Some(Told { stage: Stage::Armed, reason: Reason::None, unix_ms: 0, text: String::new() });
        entry.armed_until_unix_ms = Some(61_000);
        assert_eq!(entry.clone().at(60_999), entry);
        let over = entry.at(61_000);
        assert!(is_to_see(&over, 61_000) && !is_to_see(&over, 1_001 + DISARMED_SHOWN_MS));
        let json = with_waits(&over, &Hold::Nothing);
        assert_eq!(json["disarmed"], "time-over");
        let state = json["state"].as_str().unwrap();
        assert_eq!(
            state,
            "disarmed: its time was over before it was fired; arm it again if it is still to be done"
        );
        let fired = Entry { fired_by: Some(0), ..over };
        assert!(!is_to_see(&fired, 61_000));
    }
}
