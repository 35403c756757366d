//! Notes of the payload itself, made into bundles now and then: how it is, and what happened.

use passband_proto::dict::EventCode;
use passband_proto::ids::Class;
use passband_proto::keys::EpochKey;

use super::frames::seal_options;
use super::intake::{Sealer, random_id};
use super::operator::status;
use super::shared::Shared;
use crate::adapters::blackbox::read_blackbox;
use crate::adapters::script::Finished;
use crate::json;
use crate::products::{Draft, Kind, notes_draft, script_draft};
use crate::store::{BundleRecord, MAX_EVENTS_READ};
use crate::telemetry::{Event, Report};
use crate::triage::ProductFile;

/// Most events of one log.
const MAX_EVENTS: usize = 5_000;

/// Makes the housekeeping and the log that are due, by the configuration; each is handed to `made`.
///
/// # Errors
/// What kept one from being made, in words.
pub(super) fn make_notes(
    shared: &Shared,
    key: &EpochKey,
    made: &mut dyn FnMut(BundleRecord),
) -> Result<(), String> {
    let rules = &shared.config.products;
    if let Some(class) = rules.housekeeping.0 {
        made(housekeeping(shared, key, class)?);
    }
    if let Some(class) = rules.log.0
        && let Some(log) = log(shared, key, class)?
    {
        made(log);
    }
    Ok(())
}

/// Makes a bundle of the black box as it is now: the stream of telemetry packets that it holds.
///
/// # Errors
/// There is none, or what kept the bundle from being made, in words.
pub(super) fn make_blackbox(shared: &Shared, key: &EpochKey) -> Result<BundleRecord, String> {
    let bytes = read_blackbox(shared.disk.as_ref(), &shared.config.paths.state)
        .map_err(|e| format!("reading the black box: {e}"))?;
    let unix_ms = shared.clock.unix_ms();
    let file = ProductFile { name: format!("blackbox-{unix_ms}.tlm"), bytes };
    seal(shared, key, &notes_draft(Kind::Log, Class::Suspect, unix_ms, file), (Kind::Log, None))
}

/// How the payload is, as `passband status --json` says it.
fn housekeeping(shared: &Shared, key: &EpochKey, class: Class) -> Result<BundleRecord, String> {
    let unix_ms = shared.clock.unix_ms();
    let mut bytes =
        json::text(&status(shared).map_err(|e| e.to_string())?).map_err(|e| e.to_string())?.into_bytes();
    bytes.push(b'\n');
    let file = ProductFile { name: format!("housekeeping-{unix_ms}.json"), bytes };
    seal(shared, key, &notes_draft(Kind::Housekeeping, class, unix_ms, file), (Kind::Housekeeping, None))
}

/// The events since the last log, one a line as `passband events --json` says them; none if there are none.
fn log(shared: &Shared, key: &EpochKey, class: Class) -> Result<Option<BundleRecord>, String> {
    let catalogue = &shared.catalogue;
    let since = catalogue.logged_seq().map_err(|e| e.to_string())?;
    let mut events: Vec<Event> = Vec::new();
    while events.len() < MAX_EVENTS {
        let from = events.last().map_or(since, |event| event.seq);
        let more = catalogue.events(Some(from), MAX_EVENTS_READ).map_err(|e| e.to_string())?;
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(None) };
    let name = format!("events-{}-{}.jsonl", first.seq, last.seq);
    let mut bytes = Vec::new();
    for event in &events {
        bytes.extend(json::text(event).map_err(|e| e.to_string())?.into_bytes());
        bytes.push(b'\n');
    }
    let draft = notes_draft(Kind::Log, class, shared.clock.unix_ms(), ProductFile { name, bytes });
    seal(shared, key, &draft, (Kind::Log, Some(last.seq))).map(Some)
}

/// What a script said and how it ended: a bundle as valuable as housekeeping, which the operator waits for.
pub(super) fn make_script_output(
    shared: &Shared,
    key: &EpochKey,
    finished: &Finished,
) -> Result<BundleRecord, String> {
    let Finished { record, output, .. } = finished;
    let stem = format!("script-{}-{}", record.name, record.id);
    let json = record.encode().map_err(|e| e.to_string())?;
    let about = ProductFile { name: format!("{stem}.json"), bytes: json };
    let output = ProductFile { name: format!("{stem}.txt"), bytes: output.clone() };
    let draft = script_draft(Class::Suspect, shared.clock.unix_ms(), about, output);
    seal(shared, key, &draft, (Kind::ScriptOutput, None))
}

/// Seals a note, puts it in place and makes it known; and up to which event the log goes with it.
fn seal(
    shared: &Shared,
    key: &EpochKey,
    draft: &Draft,
    (kind, logged_seq): (Kind, Option<u64>),
) -> Result<BundleRecord, String> {
    let id = random_id().map_err(|e| e.to_string())?;
    let options = seal_options(&shared.config.downlink);
    let sealer = Sealer { vault: &shared.vault, key, options, threads: 1, stop: shared.stop_flag() };
    let what = (&draft.manifest, &[][..], true);
    let sealed = sealer.seal(id, what, &mut draft.content(), kind, None).map_err(|e| e.to_string());
    let placed = sealed.and_then(|record| {
        shared.vault.publish(&[id]).map_err(|e| e.to_string())?;
        Ok(record)
    });
    let record = placed.inspect_err(|_| drop(shared.vault.remove(&id)))?;
    let report = Report::info(
        EventCode::NotesMade,
        format!("{} ({} bytes) is to go down", record.name, record.bytes()),
    );
    let unix_ms = shared.clock.unix_ms();
    shared.catalogue.add_note(&record, logged_seq, unix_ms, &report).map_err(|e| e.to_string())?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::blackbox::Recorder;
    use crate::adapters::sealed::SealedBundle;
    use crate::config::Config;
    use crate::telemetry::{Record, Sample, Writing, packets};
    use passband_spectral::cube::ReadAt;
    use std::sync::Arc;

    #[test]
    fn housekeeping_and_log_are_bundles_and_no_event_is_logged_twice() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::parse("[paths]\nstate = \".\"", &dir.path().join("c.toml")).unwrap();
        let shared = Shared::for_tests(config, dir.path());
        let key = EpochKey::new(1, 1, [8; 32]);
        shared.event(&Report::info(EventCode::Other, "one"));
        let read = |record: &BundleRecord| {
            let bundle = SealedBundle::open(&shared.vault, &key, record).unwrap();
            let name = bundle.manifest().files[0].name.clone();
            let mut bytes = vec![0; usize::try_from(bundle.manifest().content_bytes()).unwrap()];
            bundle.content().read_at(0, &mut bytes).unwrap();
            (name, String::from_utf8(bytes).unwrap())
        };
        let mut made = Vec::new();
        make_notes(&shared, &key, &mut |note| made.push(note)).unwrap();
        let kinds: Vec<_> = made.iter().map(|record| (record.kind, record.class)).collect();
        assert_eq!(kinds, [(Kind::Housekeeping, Class::Suspect), (Kind::Log, Class::Routine)]);
        assert!(read(&made[0]).1.starts_with("{\"schema\":1,\"version\""));
        let (name, log) = read(&made[1]);
        // The making of the housekeeping was an event, too.
        assert_eq!((name.as_str(), log.lines().count()), ("events-1-2.jsonl", 2));
        let event: Event = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        assert_eq!((event.code.as_str(), event.text.as_str()), ("other", "one"));
        let mut again = Vec::new();
        make_notes(&shared, &key, &mut |note| again.push(note)).unwrap();
        assert_eq!(read(&again[1]).0, "events-3-4.jsonl");
        assert_eq!(shared.catalogue.bundles().unwrap().len(), 4);
        assert!(make_blackbox(&shared, &key).unwrap_err().contains("black box"), "there is none yet");
        let mut recorder = Recorder::new(Arc::clone(&shared.disk), dir.path());
        let record = || Record::of(1, &Sample::default().housekeeping());
        recorder.write(0, &Writing { records: vec![record()], sync: true }, &record).unwrap();
        let blackbox = make_blackbox(&shared, &key).unwrap();
        assert_eq!((blackbox.kind, blackbox.class), (Kind::Log, Class::Suspect));
        let bundle = SealedBundle::open(&shared.vault, &key, &blackbox).unwrap();
        let mut bytes = vec![0; usize::try_from(bundle.manifest().content_bytes()).unwrap()];
        bundle.content().read_at(0, &mut bytes).unwrap();
        assert!(bundle.manifest().files[0].name.starts_with("blackbox-") && packets(&bytes).count() == 2);
        assert_eq!(shared.catalogue.logged_seq().unwrap(), 4, "no log went with it");
    }
}
