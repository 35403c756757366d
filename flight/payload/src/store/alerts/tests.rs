use passband_proto::alert::seal_alert;
use passband_proto::dict::EventCode;
use passband_proto::keys::EpochKey;
use redb::Database;
use redb::backends::InMemoryBackend;

use super::super::tests::{alert, bundle, memory};
use super::*;
use crate::products::Kind;

fn frame(id: u32) -> FrameId {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&id.to_be_bytes());
    FrameId(bytes)
}

/// Seals, with the number as the nonce.
fn sealed(number: u32, probability_permille: u16) -> (Alert, Vec<u8>) {
    let alert = alert(number, probability_permille);
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&number.to_be_bytes());
    let sealed = seal_alert(&EpochKey::new(1, 1, [1; 32]), nonce, &alert).unwrap();
    (alert, sealed.to_vec())
}

fn add(catalogue: &Catalogue, id: u32, permille: u16) -> Option<(AlertRecord, bool)> {
    catalogue.add_alert(frame(id), &mut |number| Some(sealed(number, permille))).unwrap()
}

fn codes(catalogue: &Catalogue) -> Vec<String> {
    catalogue.events(Some(0), 1000).unwrap().into_iter().map(|event| event.code).collect()
}

#[test]
fn a_frame_has_one_alert_however_often_it_is_looked_at_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.redb");
    let catalogue = Catalogue::new(Database::create(&path).unwrap()).unwrap();
    let (first, new) = add(&catalogue, 1, 990).unwrap();
    assert!(new && first.number == 1 && first.state == AlertState::Pending);
    assert_eq!(
        (first.frame_name.as_str(), first.gas.as_str(), first.evidence),
        ("leak", "ch4", Some(BundleId([3; 12])))
    );
    assert_eq!(add(&catalogue, 1, 999), Some((first.clone(), false)));
    drop(catalogue);
    let catalogue = Catalogue::new(Database::create(&path).unwrap()).unwrap();
    assert_eq!(add(&catalogue, 1, 999), Some((first.clone(), false)), "the very same message");
    assert_eq!(add(&catalogue, 2, 985).unwrap().0.number, 2);
    assert_eq!(catalogue.add_alert(frame(3), &mut |_| None).unwrap(), None, "none could be made");
    assert_eq!(catalogue.alerts().unwrap().len(), 2);
}

#[test]
fn the_evidence_that_is_in_the_store_in_the_end_is_the_alerts() {
    let catalogue = memory();
    let (record, _) = add(&catalogue, 1, 990).unwrap();
    let mut new = super::super::tests::frame(1);
    (new.frame.id, new.alert) = (frame(9), Some(frame(1)));
    let linked = catalogue.add_frame(&new).unwrap().unwrap();
    assert_eq!(linked, AlertRecord { evidence: Some(BundleId([1; 12])), ..record });
    assert_eq!(catalogue.alerts().unwrap(), [linked]);
    let mut other = super::super::tests::frame(2);
    other.bundles = vec![bundle(2, passband_proto::ids::Class::Routine, Kind::Cube, 5)];
    assert_eq!(catalogue.add_frame(&other).unwrap(), None);
}

#[test]
fn what_was_sent_is_kept_and_never_undoes_an_acknowledgement() {
    let catalogue = memory();
    let (mut one, _) = add(&catalogue, 1, 990).unwrap();
    let (two, _) = add(&catalogue, 2, 990).unwrap();
    (one.sends, one.age_ms, one.noted_unix_ms) = (3, 20_000, 99);
    let report = Report::info(EventCode::AlertSent, "x");
    assert!(catalogue.note_alert_sent(&one, &[], None).unwrap());
    assert_eq!(catalogue.alerts().unwrap(), [one.clone(), two.clone()]);
    let acknowledged = AlertState::Acknowledged(Acknowledger::Evidence);
    let changed = catalogue.settle_alerts(5, &[1, 9], acknowledged).unwrap();
    assert_eq!(changed.iter().map(|a| a.number).collect::<Vec<_>>(), [1]);
    // The radio has sent it again meanwhile, and knows it as pending.
    one.sends = 4;
    assert!(!catalogue.note_alert_sent(&one, &[], None).unwrap());
    let kept = catalogue.alerts().unwrap();
    assert_eq!((kept[0].state, kept[0].sends, kept[1].state), (acknowledged, 4, AlertState::Pending));
    // The newer one stands in the place of the older, but for what is acknowledged.
    assert!(catalogue.note_alert_sent(&AlertRecord { sends: 1, ..two }, &[1], Some(&report)).unwrap());
    assert_eq!(catalogue.alerts().unwrap()[0].state, acknowledged);
    assert_eq!(codes(&catalogue), ["alert-acknowledged", "alert-sent"]);
    assert!(!catalogue.note_alert_sent(&AlertRecord { number: 77, ..one }, &[], None).unwrap(), "it is gone");
    assert_eq!(catalogue.alerts().unwrap().len(), 2);
}

#[test]
fn what_was_given_up_may_still_be_acknowledged_and_nothing_else() {
    let catalogue = memory();
    add(&catalogue, 1, 990).unwrap();
    let become_ = |state| catalogue.settle_alerts(5, &[1], state).unwrap().len();
    assert_eq!(become_(AlertState::Stale), 1);
    assert_eq!([become_(AlertState::Through), become_(AlertState::Pending)], [0, 0]);
    assert_eq!(become_(AlertState::Acknowledged(Acknowledger::Operator)), 1);
    assert_eq!(become_(AlertState::Acknowledged(Acknowledger::Station(4))), 0);
    let events = catalogue.events(Some(0), 9).unwrap();
    assert_eq!(events[0].severity, crate::telemetry::Severity::Warning, "one that nobody was told of");
    assert!(events[1].text.ends_with("is acknowledged by the operator"), "{}", events[1].text);
}

#[test]
fn a_station_acknowledges_by_number_and_nonce_together() {
    let catalogue = memory();
    for id in 1..=3 {
        add(&catalogue, id, 990).unwrap();
    }
    let mark = |number: u32, nonce: u32| AlertMark { number, nonce: nonce.to_be_bytes() };
    // The second is an alert of another board that counts by itself.
    let alerts = vec![mark(1, 1), mark(2, 77), mark(9, 9)];
    let said = Acknowledgement { station: 4, number: 1_000, alerts };
    let changed = catalogue.acknowledge_alerts(5, &said).unwrap();
    assert_eq!(changed.iter().map(|a| a.number).collect::<Vec<_>>(), [1]);
    assert_eq!(changed[0].state, AlertState::Acknowledged(Acknowledger::Station(4)));
    assert_eq!(catalogue.acknowledge_alerts(5, &said).unwrap(), [], "absolute: again changes nothing");
    assert_eq!(catalogue.stations().unwrap(), [(4, 1_000)], "the number is used, also after a restart");
}

#[test]
fn a_full_table_lets_go_what_is_settled_then_what_was_sent_then_the_least_sure() {
    let catalogue =
        Catalogue::new(Database::builder().create_with_backend(InMemoryBackend::new()).unwrap()).unwrap();
    let fill = |txn: &WriteTransaction| {
        (1..=1000_u32).try_for_each(|id| {
            insert(txn, frame(id), &mut |number| Some(sealed(number, if id == 500 { 981 } else { 990 })))
                .map(drop)
        })
    };
    catalogue.write(fill).unwrap();
    catalogue.settle_alerts(5, &[7], AlertState::Acknowledged(Acknowledger::Operator)).unwrap();
    let mut sent = catalogue.alerts().unwrap()[8].clone();
    sent.sends = 1;
    catalogue.note_alert_sent(&sent, &[], Some(&Report::info(EventCode::AlertSent, "x"))).unwrap();
    let gone = |id: u32, permille: u16| {
        let before = catalogue.alerts().unwrap();
        let added = add(&catalogue, id, permille);
        let after = catalogue.alerts().unwrap();
        assert_eq!(after.len(), MAX_ALERTS);
        let gone = before.into_iter().find(|a| after.iter().all(|b| a.number != b.number)).map(|a| a.number);
        (added.is_some(), gone)
    };
    assert_eq!(gone(2001, 985), (true, Some(7)), "acknowledged");
    assert_eq!(gone(2002, 985), (true, Some(9)), "sent once");
    assert_eq!(gone(2003, 985), (true, Some(500)), "the least sure");
    assert_eq!(gone(2004, 984), (false, None), "all others are surer than the new one");
    let dropped = codes(&catalogue).iter().filter(|code| *code == "alert-dropped").count();
    assert_eq!(dropped, 3);
}

#[test]
fn evidence_that_is_made_anew_is_the_alerts_still() {
    let catalogue = memory();
    let (first, _) = add(&catalogue, 1, 990).unwrap();
    let mut new = super::super::tests::frame(1);
    (new.frame.id, new.alert) = (frame(9), Some(frame(1)));
    catalogue.add_frame(&new).unwrap();
    add(&catalogue, 2, 985).unwrap();
    let evidence = bundle(8, passband_proto::ids::Class::Alert, Kind::Evidence, 5);
    let report = Report::warning(EventCode::BundleResealed, "x");
    catalogue.replace_bundle(&BundleId([1; 12]), &evidence, 9, &report).unwrap();
    let links: Vec<_> = catalogue.alerts().unwrap().iter().map(|alert| alert.evidence).collect();
    assert_eq!(links, [Some(evidence.id), first.evidence], "and only that one's");
}
