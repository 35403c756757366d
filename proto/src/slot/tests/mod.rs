//! The record's bytes; what is decided by it, and how it changes, stand in files of their own.

mod changes;
mod starts;

use super::*;

pub(super) fn held(image: u8, mark: Mark) -> Held {
    if mark == Mark::Empty { Held::EMPTY } else { Held { image: ImageId([image; 32]), mark } }
}

/// Every record that can be, but for numbers, of which there are few.
pub(super) fn every_record() -> Vec<SlotRecord> {
    let lasts = |slots: [Slot; 2]| {
        let phases = [Phase::Begun, Phase::Well, Phase::Ordered];
        let last = move |slot| phases.map(|phase| Some(Last { slot, phase, boot: 0x0102_0304_0506_0708 }));
        slots.into_iter().flat_map(last).chain([None])
    };
    let mut all = Vec::new();
    let marks = Mark::ALL.into_iter().flat_map(|a| Mark::ALL.map(|b| (held(0xAA, a), held(0xBB, b))));
    for (a, b) in marks {
        let some = |slot| Cause::ALL.map(move |why| Some((slot, why)));
        for reverted in [None].into_iter().chain(some(Slot::A)).chain(some(Slot::B)) {
            for active in Slot::ALL {
                let plain = SlotRecord { generation: 10, active, a, b, reverted, ..SlotRecord::FACTORY };
                all.push(plain);
                for (fallback, attempts_left) in
                    Slot::ALL.into_iter().flat_map(|f| [0, 1, 3, 255].map(|n| (f, n)))
                {
                    let trials = [(0, 0), (7, 3_600), (8, 1), (255, u32::MAX)];
                    let trials = trials.map(|(brown_outs, deadline_s)| Trial {
                        fallback,
                        attempts_left,
                        brown_outs,
                        deadline_s,
                    });
                    for (trial, last) in
                        trials.into_iter().flat_map(|t| lasts([active, fallback]).map(move |l| (t, l)))
                    {
                        all.push(SlotRecord { trial: Some(trial), last, ..plain });
                    }
                }
            }
        }
    }
    all.retain(SlotRecord::is_sound);
    all
}

fn sample() -> SlotRecord {
    SlotRecord {
        generation: 0x0102_0304_0506_0708,
        active: Slot::B,
        a: held(0xAA, Mark::Good),
        b: held(0xBB, Mark::Staged),
        trial: Some(Trial { fallback: Slot::A, attempts_left: 3, brown_outs: 2, deadline_s: 86_400 }),
        last: Some(Last { slot: Slot::B, phase: Phase::Well, boot: 0x1112_1314_1516_1718 }),
        reverted: Some((Slot::A, Cause::Watchdog)),
    }
}

fn reseal(mut bytes: [u8; SLOT_RECORD_BYTES]) -> [u8; SLOT_RECORD_BYTES] {
    let (body, sum) = bytes.split_last_chunk_mut::<4>().unwrap();
    *sum = CRC.checksum(body).to_be_bytes();
    bytes
}

#[test]
fn the_bytes_are_those_of_the_module_s_table() {
    let bytes = sample().encode();
    assert_eq!(bytes[..16], *b"PS\x02\x01\x01\x02\x03\x04\x05\x06\x07\x08bgsa");
    assert_eq!(bytes[16..32], *b"\x03\x02\x00\x01\x51\x80b\x02\x11\x12\x13\x14\x15\x16\x17\x18");
    assert_eq!(bytes[32..64], [0xAA; 32]);
    assert_eq!(bytes[64..96], [0xBB; 32]);
    assert_eq!(bytes[96..100], *b"a\x02\0\0");
    assert_eq!(bytes[100..], crate::crc32c::checksum(&bytes[..100]).to_be_bytes());
}

#[test]
fn every_record_comes_back() {
    assert!(every_record().len() > 10_000);
    for record in every_record() {
        assert_eq!(SlotRecord::decode(&record.encode()), Ok(record));
    }
    assert_eq!(SlotRecord::decode(&SlotRecord::FACTORY.encode()), Ok(SlotRecord::FACTORY));
}

#[test]
fn any_one_or_two_flipped_bits_are_seen() {
    let good = sample().encode();
    let bits = good.len() * 8;
    let flip = |bytes: &mut [u8; SLOT_RECORD_BYTES], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
    for first in 0..bits {
        let mut one = good;
        flip(&mut one, first);
        assert_eq!(SlotRecord::decode(&one), Err(SlotError::Damaged), "bit {first}");
        for second in first + 1..bits {
            let mut two = one;
            flip(&mut two, second);
            assert_eq!(SlotRecord::decode(&two), Err(SlotError::Damaged), "bits {first}, {second}");
        }
    }
}

#[test]
fn any_flipped_bit_in_any_one_copy_is_tolerated() {
    for record in every_record().into_iter().step_by(97) {
        let good = record.encode();
        for (copy, bit) in (0..3).flat_map(|copy| (0..good.len() * 8).map(move |bit| (copy, bit))) {
            let mut copies = [good; 3];
            copies[copy][bit / 8] ^= 1 << (bit % 8);
            assert_eq!(choose(copies.each_ref().map(|c| Some(c.as_slice()))), Some(record));
        }
    }
}

#[test]
fn every_length_but_its_own_is_refused() {
    let good = sample().encode();
    let mut long = good.to_vec();
    long.push(0);
    for bytes in (0..good.len()).map(|n| &good[..n]).chain([&long[..]]) {
        assert_eq!(SlotRecord::decode(bytes), Err(SlotError::Length { bytes: bytes.len() }));
    }
}

#[test]
fn a_sound_record_that_makes_no_sense_is_refused() {
    let trial = sample();
    let good = SlotRecord { b: held(0xBB, Mark::Good), trial: None, last: None, ..trial };
    for (record, at, byte, why) in [
        (good, 12, b'c', "no such slot is active"),
        (good, 13, b'x', "no such mark"),
        (good, 13, b'e', "empty, with an image"),
        (good, 14, b's', "the active slot is not good"),
        (good, 14, b'f', "the active slot has failed"),
        (good, 16, 1, "attempts without a trial"),
        (good, 17, 1, "brown-outs without a trial"),
        (good, 21, 1, "a deadline without a trial"),
        (good, 22, b'b', "a last start without a trial, and without a phase"),
        (good, 31, 1, "a boot without a last start"),
        (good, 96, b'g', "golden was reverted"),
        (good, 96, 0, "a cause of no revert"),
        (good, 97, 8, "no such cause"),
        (good, 98, 1, "not zero"),
        (good, 99, 1, "not zero"),
        (trial, 12, b'g', "golden is on trial"),
        (trial, 14, b'g', "a good slot is on trial"),
        (trial, 15, b'b', "it falls back to itself"),
        (trial, 15, b'x', "it falls back to nothing"),
        (trial, 13, b's', "it falls back to what isn't good"),
        (trial, 22, b'g', "the last start is neither of the trial nor of its fallback"),
        (trial, 23, 4, "no such phase"),
        (trial, 23, 0, "no phase"),
    ] {
        let mut bytes = record.encode();
        assert_ne!(bytes[at], byte);
        bytes[at] = byte;
        assert_eq!(SlotRecord::decode(&reseal(bytes)), Err(SlotError::Field), "{why}");
    }
    let mut next = good.encode();
    next[2] = 3;
    assert_eq!(SlotRecord::decode(&reseal(next)), Err(SlotError::Kind { start: *b"PS\x03\x01" }));
}

#[test]
fn the_highest_sound_generation_is_true() {
    let record = |generation, active| {
        let (a, b) = (held(1, Mark::Good), held(2, Mark::Good));
        SlotRecord { generation, active, a, b, ..SlotRecord::FACTORY }.encode()
    };
    let (old, rival, new) = (record(7, Slot::A), record(7, Slot::B), record(8, Slot::B));
    let mut torn = record(9, Slot::Golden);
    torn[12..].fill(0);
    let active = |copies| choose::<3>(copies).map(|record| record.active);
    assert_eq!(active([Some(&old), Some(&new), Some(&old)]), Some(Slot::B));
    assert_eq!(active([Some(&new), Some(&old), Some(&old)]), Some(Slot::B));
    assert_eq!(active([Some(&torn), Some(&old), Some(&new)]), Some(Slot::B));
    assert_eq!(active([None, Some(&[]), Some(&old)]), Some(Slot::A));
    assert_eq!(active([Some(&rival), Some(&old), None]), Some(Slot::B), "first of equals");
    assert_eq!(active([Some(&torn), None, Some(&[])]), None);
}

#[test]
fn names_come_back() {
    for slot in Slot::ALL {
        assert_eq!(Slot::from_name(slot.name()), Some(slot));
    }
    assert_eq!(Slot::from_name("A"), None);
}
