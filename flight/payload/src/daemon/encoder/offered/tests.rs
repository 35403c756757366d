use std::path::Path;

use passband_proto::bundle::Geometry;
use passband_proto::dict::EventCode;
use passband_proto::ids::Class;
use passband_proto::keyring::KeyRing;
use passband_proto::keys::EpochKey;
use passband_proto::transfer::SenderConfig;
use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::queue::item_of;
use crate::store::BundleRecord;
use crate::store::tests::bundle;

const RATE_BPS: u64 = 100_000_000;

fn offered(folder: &Path) -> Offered {
    let config = Config::parse("", &folder.join("c.toml")).unwrap();
    let mut keys = KeyRing::default();
    keys.insert(EpochKey::new(1, 1, [8; 32]));
    let sender = Sender::new(&SenderConfig::default(), keys);
    Offered::new(Arc::new(Shared::for_tests(config, folder)), sender, 0)
}

/// A bundle that is but a head of two symbols.
fn tiny(n: u16, class: Class) -> BundleRecord {
    let mut record = bundle(1, class, Kind::Evidence, 5 + u64::from(n));
    record.id.0[..2].copy_from_slice(&n.to_be_bytes());
    record.geometry = Geometry { block_count: 1, tail_bytes: record.geometry.head_bytes, ..record.geometry };
    record
}

/// Stores bundles, and puts them into the queue.
fn add(offered: &Offered, records: &[BundleRecord]) {
    let shared = &offered.shared;
    shared.catalogue.add_adopted(records, 0, 5, &Report::info(EventCode::Other, "x")).unwrap();
    for record in records {
        let inserted = shared.queue(|queue| queue.insert(&item_of(record, queue.settings())));
        assert!(inserted.unwrap().changed);
    }
}

fn state(offered: &Offered, id: &BundleId) -> State {
    offered.shared.queue(|queue| queue.get(id)).unwrap().state
}

#[test]
fn what_is_more_urgent_finds_a_place_among_all_that_the_sender_can_have() {
    let folder = TempDir::new().unwrap();
    let mut offered = offered(folder.path());
    let many: Vec<_> = (0..1_100).map(|n| tiny(n, Class::Suspect)).collect();
    add(&offered, &many);
    offered.refill(RATE_BPS);
    assert_eq!((offered.levels.len(), offered.sender.offered()), (MAX_OFFERED, MAX_OFFERED));
    assert!(offered.sender.backlog_symbols() < MIN_BACKLOG_SYMBOLS, "more would be handed over");
    // As many again as it has: the same class finds no place, a lower one neither, a higher one does.
    add(&offered, &[tiny(2_000, Class::Suspect), tiny(2_001, Class::Routine)]);
    offered.refill(RATE_BPS);
    let urgent: Vec<_> = (3_000..3_010).map(|n| tiny(n, Class::Alert)).collect();
    add(&offered, &urgent);
    offered.refill(RATE_BPS);
    assert_eq!(offered.levels.len(), MAX_OFFERED);
    for record in &urgent {
        assert_eq!(state(&offered, &record.id), State::OnLink);
        assert!(offered.sender.wants(&record.id));
    }
    let back = many[..MAX_OFFERED].iter().filter(|record| state(&offered, &record.id) == State::Waiting);
    assert_eq!(back.count(), 10, "their turn comes again");
    assert_eq!(offered.shared.queue(|queue| queue.on_link().count()), MAX_OFFERED);
    for n in [2_000, 2_001] {
        assert_eq!(state(&offered, &tiny(n, Class::Routine).id), State::Waiting);
    }
}

#[test]
fn what_can_not_be_offered_has_a_turn_again_at_the_next_pass() {
    let folder = TempDir::new().unwrap();
    let mut offered = offered(folder.path());
    let unknown_key = BundleRecord { epoch: 9, ..tiny(1, Class::Alert) };
    add(&offered, &[unknown_key.clone(), tiny(2, Class::Routine)]);
    offered.refill(RATE_BPS);
    assert_eq!(offered.levels.keys().copied().collect::<Vec<_>>(), [tiny(2, Class::Routine).id]);
    assert_eq!(state(&offered, &unknown_key.id), State::OnLink, "not again in this pass");
    offered.settle_all();
    assert_eq!(state(&offered, &unknown_key.id), State::Waiting);
    assert_eq!(offered.shared.queue(|queue| queue.on_link().count()), 0);
    assert_eq!(offered.sender.offered(), 0);
}

/// A sender with one bundle, a routine one.
fn with_one(folder: &Path) -> (Offered, BundleId) {
    let mut offered = offered(folder);
    add(&offered, &[tiny(1, Class::Routine)]);
    offered.refill(RATE_BPS);
    (offered, tiny(1, Class::Routine).id)
}

#[test]
fn what_the_operator_did_meanwhile_is_not_written_over() {
    let folder = TempDir::new().unwrap();
    let (mut offered, id) = with_one(folder.path());
    let standing = |offered: &Offered| offered.shared.catalogue.standings().unwrap()[0].1.standing;
    let presumed = Progress { presumed: 0.9, ..offered.sender.progress(&id).unwrap() };
    offered.presume(&id, &presumed);
    let held = offered.shared.queue(|queue| queue.hold(&id, 77)).unwrap();
    offered.shared.keep_standings([held]).unwrap();
    // Told again without anything new, as of what shares in capacity that is left over.
    offered.presume(&id, &Progress { presumed: 0.5, ..presumed });
    offered.note_progress(true);
    let kept = standing(&offered);
    assert_eq!((kept.held_since_unix_ms, kept.state), (Some(77), State::Presumed));
    assert!((kept.presumed - 0.9).abs() < 0.01, "no less than before: {}", kept.presumed);
}

#[test]
fn a_change_is_kept_though_nothing_is_sent_any_more() {
    let folder = TempDir::new().unwrap();
    let (mut offered, id) = with_one(folder.path());
    let presumed = Progress { presumed: 0.9, ..offered.sender.progress(&id).unwrap() };
    offered.presume(&id, &presumed);
    offered.presume(&id, &presumed);
    offered.note_progress(true);
    assert_eq!(offered.shared.catalogue.standings().unwrap()[0].1.standing.state, State::Presumed);
}

#[test]
fn what_was_handed_over_again_before_it_is_withdrawn_waits_again() {
    let folder = TempDir::new().unwrap();
    let (mut offered, id) = with_one(folder.path());
    assert_eq!(state(&offered, &id), State::OnLink);
    offered.withdraw(&id);
    assert_eq!((state(&offered, &id), offered.sender.offered()), (State::Waiting, 0));
    assert!(offered.shared.queue(|queue| queue.hold(&id, 77)).unwrap().changed);
    offered.withdraw(&id);
    assert_eq!(state(&offered, &id), State::Held);
}

#[test]
fn ids_that_may_have_been_used_are_passed_over_once_and_not_at_every_turn() {
    let folder = TempDir::new().unwrap();
    let mut offered = Offered { esi_offset: 5_000, ..offered(folder.path()) };
    let record = tiny(1, Class::Routine);
    let marks = vec![BlockMark { block: 0, esi: 30, sent: 20 }];
    let moved = offered.offset(&record, marks);
    assert_eq!(moved, [BlockMark { block: 0, esi: 5_030, sent: 20 }]);
    assert_eq!(offered.offset(&record, moved.clone()), moved);
    assert_eq!(offered.offset(&tiny(2, Class::Routine), vec![])[0].esi, 5_000);
}

#[test]
fn many_that_can_not_be_offered_keep_the_link_waiting_for_a_few_only_and_are_told_once() {
    let folder = TempDir::new().unwrap();
    let mut offered = offered(folder.path());
    let unknown_key = |n| BundleRecord { epoch: 9, ..tiny(n, Class::Alert) };
    add(&offered, &(0..100).map(unknown_key).collect::<Vec<_>>());
    add(&offered, &[tiny(500, Class::Routine)]);
    offered.refill(RATE_BPS);
    assert_eq!(offered.faulty.len(), MAX_FAILED);
    (0..7).for_each(|_| offered.refill(RATE_BPS));
    assert_eq!((offered.faulty.len(), offered.sender.offered()), (100, 1));
    let told = offered.shared.catalogue.events(None, 99).unwrap();
    assert_eq!(told.iter().filter(|event| event.code == "bundle-unsendable").count(), 1);
}
