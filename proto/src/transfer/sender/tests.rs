use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::datagram::Datagram;
use crate::fountain::BlockDecoder;
use crate::keys::EpochKey;

const T: u16 = 64;

/// Blocks and marks in memory; every call counts as a write that may be the last one.
#[derive(Default)]
struct Memory {
    blocks: BTreeMap<(BundleId, u32), Vec<u8>>,
    marks: BTreeMap<(BundleId, u32), BlockMark>,
    writes_left: Option<usize>,
}

impl BlockStore for Memory {
    type Error = &'static str;

    fn read_block(&mut self, id: &BundleId, block: u32, out: &mut Vec<u8>) -> Result<(), Self::Error> {
        *out = self.blocks.get(&(*id, block)).ok_or("no such block")?.clone();
        Ok(())
    }

    fn reserve(&mut self, id: &BundleId, marks: &[BlockMark]) -> Result<(), Self::Error> {
        if let Some(left) = &mut self.writes_left {
            *left = left.checked_sub(1).ok_or("power cut")?;
        }
        self.marks.extend(marks.iter().map(|m| ((*id, m.block), *m)));
        Ok(())
    }
}

fn keys() -> KeyRing {
    let mut ring = KeyRing::default();
    ring.insert(EpochKey::new(1, 1, [1; 32]));
    ring
}

fn bundle(store: &mut Memory, id: BundleId, segments: u32) -> Offer {
    let geometry = Geometry {
        symbol_bytes: T,
        block_count: segments + 1,
        head_bytes: 700,
        segment_bytes: 6400,
        tail_bytes: 3000,
    };
    for block in 0..geometry.block_count {
        let bytes = geometry.block_bytes(block).unwrap() as usize;
        let fill = (0..bytes).map(|i| u8::try_from((i * 31 + block as usize) % 256).unwrap()).collect();
        store.blocks.insert((id, block), fill);
    }
    let marks = (0..geometry.block_count).filter_map(|b| store.marks.get(&(id, b)).copied()).collect();
    Offer { id, spacecraft: 1, epoch: 1, class: Class::Routine, rank: 1, geometry, marks }
}

fn sender(session: u32) -> Sender {
    Sender::new(&SenderConfig { session, ..SenderConfig::default() }, keys())
}

const ID: BundleId = BundleId([8; 12]);

#[test]
fn what_is_sent_with_every_third_datagram_lost_decodes_to_what_is_stored() {
    let mut store = Memory::default();
    let offer = bundle(&mut store, ID, 3);
    let mut sender = sender(5);
    sender.offer(&offer).unwrap();
    let tag_key = keys().get(1, 1).unwrap().tag_key();
    let mut decoders: BTreeMap<u32, BlockDecoder> = BTreeMap::new();
    let mut whole = BTreeMap::new();
    let mut burst = Burst::default();
    let mut seq = 5 << 40;
    while let Some(run) = sender.poll_transmit(&mut store, &mut burst).unwrap() {
        assert_eq!(burst.datagrams().count(), run.count as usize);
        for bytes in burst.datagrams() {
            let d = Datagram::parse(bytes).unwrap();
            assert!(d.verify(&tag_key));
            assert_eq!(d.header().link_seq, seq);
            seq += 1;
            if seq % 3 == 0 {
                continue;
            }
            let block = d.header().block;
            let decoder = decoders
                .entry(block)
                .or_insert_with(|| BlockDecoder::new(d.header().block_bytes, d.symbol_bytes()).unwrap());
            if let Some(bytes) = decoder.decode([(d.header().esi, d.symbol().to_vec())]) {
                whole.entry(block).or_insert(bytes);
            }
        }
    }
    for block in 0..4 {
        assert_eq!(whole.get(&block), store.blocks.get(&(ID, block)), "block {block}");
    }
    assert!(sender.progress(&ID).unwrap().reached_target);
}

#[test]
fn no_symbol_is_ever_sent_twice_over_crashes_at_every_write() {
    let mut sent = BTreeSet::new();
    let mut store = Memory::default();
    for session in 1..60 {
        let offer = bundle(&mut store, ID, 2);
        store.writes_left = Some(session as usize % 7);
        let mut sender = sender(session);
        sender.offer(&offer).unwrap();
        let mut burst = Burst::default();
        loop {
            match sender.poll_transmit(&mut store, &mut burst) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(e) => {
                    assert!(matches!(e.fault, SendFault::Store("power cut")));
                    assert_eq!(burst.bytes(), 0);
                    break;
                }
            }
            for bytes in burst.datagrams() {
                let h = *Datagram::parse(bytes).unwrap().header();
                assert!(sent.insert((h.block, h.esi)), "session {session}: block {} esi {}", h.block, h.esi);
            }
        }
    }
    assert!(sent.len() > 1000);
}

#[test]
fn a_crash_right_after_a_reservation_does_not_count_as_sent() {
    let mut store = Memory::default();
    let offer = bundle(&mut store, ID, 1);
    let mut first = sender(1);
    first.offer(&offer).unwrap();
    first.poll_transmit(&mut store, &mut Burst::default()).unwrap();
    drop(first);
    let mut second = sender(2);
    second.offer(&bundle(&mut store, ID, 1)).unwrap();
    assert_eq!(second.progress(&ID).unwrap().sent_symbols, 0);
    let mut burst = Burst::default();
    second.poll_transmit(&mut store, &mut burst).unwrap();
    second.checkpoint(&mut store).unwrap();
    let mut third = sender(3);
    third.offer(&bundle(&mut store, ID, 1)).unwrap();
    assert_eq!(third.progress(&ID).unwrap().sent_symbols, burst.datagrams().count() as u64);
}

#[test]
fn a_bundle_that_can_not_be_read_is_withdrawn_and_the_others_go_on() {
    let mut store = Memory::default();
    let other = BundleId([9; 12]);
    let mut sender = sender(1);
    let bad = Offer { rank: 0, ..bundle(&mut store, other, 1) };
    sender.offer(&bad).unwrap();
    sender.offer(&bundle(&mut store, ID, 1)).unwrap();
    store.blocks.get_mut(&(other, 0)).unwrap().pop();
    let mut burst = Burst::default();
    let e = sender.poll_transmit(&mut store, &mut burst).unwrap_err();
    assert!(e.id == other && matches!(e.fault, SendFault::Size { block: 0, bytes: 699 }));
    assert_eq!(sender.poll_transmit(&mut store, &mut burst).unwrap().unwrap().id, ID);
    let stranger = Offer { epoch: 9, ..bad };
    assert_eq!(sender.offer(&stranger), Err(OfferError::NoKey { spacecraft: 1, epoch: 9 }));
}
