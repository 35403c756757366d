use super::*;
use crate::keyring::KeyRing;

const A: BundleId = BundleId([7; 12]);
const B: BundleId = BundleId([8; 12]);

fn key() -> EpochKey {
    EpochKey::new(3, 2, [9; 32])
}

fn ring() -> KeyRing {
    let mut ring = KeyRing::default();
    ring.insert(key());
    ring
}

fn report(number: u64) -> Report {
    let link = Some(Observation { station: 4, first_seq: 77, span: 1000, heard: 801 });
    let missing = vec![0, 0, 5, 100, 100];
    let missing = missing.into_iter().map(|m| codes::value(codes::code(m))).collect();
    let blocks = Item::Blocks { id: B, first_block: 3, as_of: 12_345, missing };
    Report { station: 4, number, link, items: vec![Item::Whole(A), blocks] }
}

#[test]
fn what_is_sealed_opens_to_the_same_and_only_with_its_own_key() {
    let frame = seal_report(&key(), [1; 12], &report(5)).unwrap();
    assert!(frame.len() < 110);
    assert_eq!(addressee(&frame), Some((3, 2)));
    assert_eq!(open_report(&key(), &frame).unwrap(), report(5));
    let silent = Report { link: None, items: vec![], ..report(6) };
    let frame = seal_report(&key(), [2; 12], &silent).unwrap();
    assert_eq!(open_report(&key(), &frame).unwrap(), silent);
    assert_eq!(open_report(&EpochKey::new(3, 2, [8; 32]), &frame), Err(ReportError::Seal));
    assert_eq!(open_report(&EpochKey::new(3, 1, [9; 32]), &frame), Err(ReportError::OtherKey));
}

#[test]
fn damage_anywhere_and_any_other_length_is_refused() {
    let frame = seal_report(&key(), [1; 12], &report(5)).unwrap();
    for at in 0..frame.len() {
        let mut bad = frame.clone();
        bad[at] ^= 0x10;
        assert!(open_report(&key(), &bad).is_err(), "byte {at}");
        assert!(open_report(&key(), &frame[..at]).is_err(), "cut to {at}");
    }
    assert_eq!(open_report(&key(), &[0; 257]), Err(ReportError::TooLong));
}

#[test]
fn bodies_that_this_version_does_not_know_are_refused_without_a_panic() {
    let body = encode_body(&report(1)).unwrap();
    for at in 0..body.len() {
        let _any = decode_body(&body[..at]);
        for value in 0..=255 {
            let mut odd = body.clone();
            odd[at] = value;
            let _any = decode_body(&odd);
        }
    }
    let with = |tail: &[u8]| decode_body(&[&body[..FIXED_BYTES], tail].concat());
    assert_eq!(with(&[3; 30]), Err(ReportError::Shape("item kind")));
    let mut bomb = vec![2; 20];
    bomb.extend([3, 9, 254, 254]);
    assert_eq!(with(&bomb.repeat(1)), Err(ReportError::Shape("codes")), "two times 32,768 and one");
    assert_eq!(with(&[1; 12]), Err(ReportError::Shape("bundle id")));
}

fn gibibyte_of(blocks: &[BlockState]) -> BundleState {
    BundleState { id: A, blocks: blocks.to_vec() }
}

#[test]
fn a_gibibyte_is_reported_in_one_short_frame_and_more_in_frames_that_stand_by_themselves() {
    let blocks = |count: u32, spread: u32| -> Vec<BlockState> {
        (0..count).map(|i| BlockState { missing: 1 + (i * 7919) % spread, as_of: 9_000 + i % 5 }).collect()
    };
    let gibibyte = gibibyte_of(&blocks(78, 9000));
    let reports = build(1, 100, report(1).link, std::slice::from_ref(&gibibyte));
    assert_eq!(reports.len(), 1);
    let frame = seal_report(&key(), [0; 12], &reports[0]).unwrap();
    assert!(frame.len() <= 165, "{}", frame.len());

    let large = BundleState { id: B, blocks: blocks(4900, 9000) };
    let whole = BundleState { id: BundleId([1; 12]), blocks: vec![] };
    let reports = build(1, 100, report(1).link, &[whole, gibibyte, large.clone()]);
    let mut next = 0;
    for (i, report) in (0..).zip(&reports) {
        assert_eq!(report.number, 100 + i);
        let frame = seal_report(&key(), [0; 12], report).unwrap();
        let opened = open_report(&key(), &frame).unwrap();
        for item in opened.items {
            let Item::Blocks { id, first_block, missing, as_of } = item else { continue };
            if id == B {
                assert_eq!((first_block, as_of), (next, 9004));
                for (block, missing) in (first_block as usize..).zip(&missing) {
                    let is = large.blocks[block].missing;
                    assert!((is..=is + is / 31 + 1).contains(missing));
                }
                next += u32::try_from(missing.len()).unwrap();
            }
        }
    }
    assert_eq!(next, 4900);

    // The head was heard of less far, and the last blocks not at all: as much as there was is taken into account.
    let mut apart = gibibyte_of(&blocks(78, 9000));
    apart.blocks[0] = BlockState { missing: 3, as_of: 40 };
    apart.blocks[1].missing = 0;
    apart.blocks[70..].fill(BlockState { missing: 10_001, as_of: 0 });
    let reports = build(1, 100, report(1).link, &[apart]);
    let items: Vec<_> = reports.iter().flat_map(|report| &report.items).collect();
    let of = |item: &&Item| match item {
        Item::Blocks { first_block, as_of, missing, .. } => (*first_block, *as_of, missing.len()),
        Item::Whole(_) => (0, 0, 0),
    };
    assert_eq!(items.iter().map(of).collect::<Vec<_>>(), [(0, 40, 2), (2, 9004, 68), (70, 0, 8)]);
    let bytes: usize = reports.iter().map(|r| seal_report(&key(), [0; 12], r).unwrap().len()).sum();
    assert!(bytes <= 300, "{bytes}");

    // Blocks that were sent by their needs end anywhere: that makes no more items than a few.
    let scattered = |i: u32| BlockState { missing: 1 + i, as_of: 9_000 + i * 7919 % 3000 };
    let reports = build(1, 100, report(1).link, &[gibibyte_of(&(0..78).map(scattered).collect::<Vec<_>>())]);
    let bytes: usize = reports.iter().map(|r| seal_report(&key(), [0; 12], r).unwrap().len()).sum();
    assert!(bytes <= 300, "{bytes}");
    assert!(build(1, 1, None, &[]).is_empty());
    assert_eq!(build(1, 1, report(1).link, &[]).len(), 1, "the link alone");
}

#[test]
fn each_report_passes_the_gate_once_in_any_order() {
    let mut gate = Gate::default();
    let frame = |number| seal_report(&key(), [1; 12], &report(number)).unwrap();
    for number in [1000, 1002, 1001, 1010, 970] {
        assert_eq!(gate.open(&ring(), &frame(number)).unwrap().number, number);
    }
    for number in [1000, 1010, 970, 940, 0] {
        assert_eq!(gate.open(&ring(), &frame(number)), Err(Refused::Replayed { station: 4, number }));
    }
    let mut forged = frame(2000);
    forged[40] ^= 1;
    assert!(gate.open(&ring(), &forged).is_err());
    assert!(gate.open(&ring(), b"PBxx").is_err());
    assert!(gate.open(&KeyRing::default(), &frame(3000)).is_err());
    let counts = GateCounts { accepted: 5, forged: 3, replayed: 5, malformed: 0 };
    assert_eq!(gate.counts(), counts);

    let mut restarted = Gate::default();
    restarted.restore(4, 1010);
    assert!(restarted.open(&ring(), &frame(1005)).is_err());
    assert!(restarted.open(&ring(), &frame(1011)).is_ok());
}

#[test]
fn acknowledgements_pass_the_same_gate_and_share_its_numbers() {
    let mut gate = Gate::default();
    let mark = AlertMark { number: 3, nonce: [1, 2, 3, 4] };
    let said = |number| Acknowledgement { station: 4, number, alerts: vec![mark] };
    let acknowledged = |number| seal_acknowledgement(&key(), [2; 12], &said(number)).unwrap();
    let reported = |number| seal_report(&key(), [1; 12], &report(number)).unwrap();
    assert_eq!(gate.open_any(&ring(), &acknowledged(9)), Ok(Frame::Acknowledgement(said(9))));
    let replayed = Err(Refused::Replayed { station: 4, number: 9 });
    assert_eq!(gate.open_any(&ring(), &acknowledged(9)), replayed);
    assert_eq!(gate.open_any(&ring(), &reported(9)), replayed, "one row of numbers for both kinds");
    assert_eq!(gate.open_any(&ring(), &reported(10)), Ok(Frame::Report(report(10))));
    assert_eq!(gate.open(&ring(), &acknowledged(11)), Err(Refused::Frame(ReportError::NotAReport)));
    let mut forged = acknowledged(12);
    forged[22] ^= 1;
    assert_eq!(gate.open_any(&ring(), &forged), Err(Refused::Frame(ReportError::Seal)));
    assert_eq!(gate.counts(), GateCounts { accepted: 3, forged: 1, replayed: 2, malformed: 0 });
}

#[test]
fn no_more_stations_than_can_be_told_apart() {
    let mut gate = Gate::default();
    for station in 0..70 {
        let frame = seal_report(&key(), [1; 12], &Report { station, ..report(1) }).unwrap();
        assert_eq!(gate.open(&ring(), &frame).is_ok(), station < 64);
    }
    assert_eq!(gate.counts().malformed, 6);
}
