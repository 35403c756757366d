use std::collections::{BTreeMap, BTreeSet};

use super::super::PoolLimits;
use super::*;
use crate::datagram::Datagram;
use crate::fountain::BlockDecoder;
use crate::keys::EpochKey;
use crate::report::Item;

const T: u16 = 64;

/// Blocks and marks in memory; every call counts as a write that may be the last one.
#[derive(Default)]
struct Memory {
    blocks: BTreeMap<(BundleId, u32), Vec<u8>>,
    marks: BTreeMap<(BundleId, u32), BlockMark>,
    writes_left: Option<usize>,
    writes: usize,
    read_bytes: usize,
}

impl BlockStore for Memory {
    type Error = &'static str;

    fn read_block(
        &mut self,
        id: &BundleId,
        block: u32,
        offset: u32,
        out: &mut [u8],
    ) -> Result<(), Self::Error> {
        let stored = self.blocks.get(&(*id, block)).ok_or("no such block")?;
        let range = offset as usize..offset as usize + out.len();
        out.copy_from_slice(stored.get(range).ok_or("the block ends too soon")?);
        self.read_bytes += out.len();
        Ok(())
    }

    fn reserve(&mut self, marks: &[(BundleId, BlockMark)]) -> Result<(), Self::Error> {
        self.writes += 1;
        if let Some(left) = &mut self.writes_left {
            *left = left.checked_sub(1).ok_or("power cut")?;
        }
        self.marks.extend(marks.iter().map(|(id, m)| ((*id, m.block), *m)));
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
    while let Some(datagrams) = sender.poll_transmit(&mut store, &mut burst).unwrap() {
        assert_eq!(burst.datagrams().count(), datagrams);
        assert_eq!(burst.bundles(), [ID]);
        for bytes in burst.datagrams() {
            let d = Datagram::parse(bytes).unwrap();
            assert!(d.verify(&tag_key));
            assert_eq!(d.header().link_seq, seq);
            seq += 1;
            let block = d.header().block;
            if seq % 3 == 0 || whole.contains_key(&block) {
                continue;
            }
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

/// Sends for some time and gives what was sent, `(bundle, block, esi)`; a failed write ends it.
fn send(
    sender: &mut Sender,
    store: &mut Memory,
    datagrams: usize,
    mut each: impl FnMut((BundleId, u32, u32)),
) -> usize {
    let mut sent = 0;
    let mut burst = Burst::of_at_most(7);
    while sent < datagrams {
        let polled = sender.poll_transmit(store, &mut burst);
        for bytes in burst.datagrams() {
            let h = *Datagram::parse(bytes).unwrap().header();
            each((h.bundle, h.block, h.esi));
            sent += 1;
        }
        match polled {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(e) => {
                assert!(matches!(e.fault, SendFault::Store("power cut")));
                break;
            }
        }
    }
    sent
}

#[test]
fn no_symbol_is_ever_sent_twice_over_crashes_at_every_write() {
    for ahead in [1, 16, 200, 5000] {
        let config = SenderConfig { reserve_symbols: ahead, ..SenderConfig::default() };
        let mut sent = BTreeSet::new();
        let mut store = Memory::default();
        for session in 1..40 {
            let offers = [bundle(&mut store, ID, 2), bundle(&mut store, BundleId([9; 12]), 5)];
            store.writes_left = Some(session as usize % 9);
            let mut sender = Sender::new(&SenderConfig { session, ..config }, keys());
            offers.iter().for_each(|offer| sender.offer(offer).unwrap());
            send(&mut sender, &mut store, 300, |symbol| {
                assert!(sent.insert(symbol), "{ahead} ahead, session {session}: {symbol:?}");
            });
            if session % 3 == 0 {
                // An orderly stop, unless the power goes.
                let _cut = sender.checkpoint(&mut store);
            }
        }
        assert!(sent.len() > 200, "{ahead}: {}", sent.len());
    }
}

#[test]
fn a_failed_write_does_not_count_as_written_when_the_sender_goes_on() {
    let mut sent = BTreeSet::new();
    let mut store = Memory::default();
    let offers = [bundle(&mut store, ID, 2), bundle(&mut store, BundleId([9; 12]), 2)];
    let mut first = sender(1);
    offers.iter().for_each(|offer| first.offer(offer).unwrap());
    store.writes_left = Some(0);
    assert_eq!(send(&mut first, &mut store, 10, |s| assert!(sent.insert(s))), 0);
    store.writes_left = None;
    send(&mut first, &mut store, 100, |s| assert!(sent.insert(s)));
    let offers = [bundle(&mut store, ID, 2), bundle(&mut store, BundleId([9; 12]), 2)];
    let mut second = sender(2);
    offers.iter().for_each(|offer| second.offer(offer).unwrap());
    send(&mut second, &mut store, 3000, |s| assert!(sent.insert(s)));
    assert!(sent.len() > 1000);
}

#[test]
fn a_crash_costs_the_knowledge_of_two_spans_at_most_and_credits_nothing_that_may_not_have_left() {
    const WAITING: u64 = 100;
    for sent in [1, 40, 333, 1000, 2500] {
        let mut store = Memory::default();
        let offer = bundle(&mut store, ID, 20);
        let config = SenderConfig { reserve_symbols: 100, ..SenderConfig::default() };
        let mut first = Sender::new(&config, keys());
        first.offer(&offer).unwrap();
        let sent = send(&mut first, &mut store, sent, |_| ());
        assert!(store.writes <= sent / 100 + 22, "{} writes for {sent} symbols", store.writes);
        drop(first);
        let mut second = sender(2);
        second.offer(&bundle(&mut store, ID, 20)).unwrap();
        let known = second.progress(&ID).unwrap().sent_symbols;
        let left = (sent as u64).saturating_sub(WAITING);
        assert!(known <= left && known + 330 >= left, "{known} of {sent}");
    }
}

#[test]
fn however_many_writes_a_burst_forces_none_credits_what_is_still_in_it() {
    let config = SenderConfig { reserve_symbols: 100, ..SenderConfig::default() };
    for symbols in 20..300 {
        let mut store = Memory::default();
        let mut sender = Sender::new(&config, keys());
        // In bands of their own they are not sent interleaved: each forces a write when its turn comes.
        let id = |i| BundleId([i; 12]);
        let offers: Vec<_> = (0..12)
            .map(|i| Offer { rank: u64::from(i) << 60, ..bundle(&mut store, id(i), u32::from(i % 3) + 1) })
            .collect();
        offers.iter().for_each(|offer| sender.offer(offer).unwrap());
        let sent = send(&mut sender, &mut store, symbols, |_| ());
        let credited: u32 = store.marks.values().map(|mark| mark.sent).sum();
        assert!(u64::from(credited) <= (sent as u64).saturating_sub(100), "{credited} of {sent}");
    }
}

#[test]
fn what_was_sent_before_a_bundle_is_withdrawn_stays_known_and_is_credited_once_it_has_left() {
    const WAITING: u64 = 100;
    let (mut store, other) = (Memory::default(), BundleId([9; 12]));
    let config = SenderConfig { reserve_symbols: 100, ..SenderConfig::default() };
    let mut first = Sender::new(&config, keys());
    let offer = bundle(&mut store, ID, 1);
    first.offer(&offer).unwrap();
    let sent = send(&mut first, &mut store, 60, |_| ()) as u64;
    first.withdraw(&ID);
    let credited = |store: &Memory| -> u64 {
        store.marks.iter().filter(|((id, _), _)| *id == ID).map(|(_, mark)| u64::from(mark.sent)).sum()
    };
    assert_eq!(credited(&store), 0, "it may be waiting still");
    // Offered again, it goes on from there; and so it does when withdrawn once more.
    first.offer(&bundle(&mut store, ID, 1)).unwrap();
    assert_eq!(first.progress(&ID).unwrap().sent_symbols, sent);
    first.withdraw(&ID);
    first.offer(&bundle(&mut store, other, 20)).unwrap();
    let mut more = 0;
    while more < 4 * WAITING {
        more += send(&mut first, &mut store, 1, |_| ()) as u64;
        assert!(
            credited(&store) <= (sent + more).saturating_sub(WAITING),
            "{} after {more}",
            credited(&store)
        );
    }
    assert_eq!(credited(&store), sent);
    // At the end of a pass it is written at once.
    first.offer(&bundle(&mut store, ID, 1)).unwrap();
    first.withdraw(&other);
    let sent = sent + send(&mut first, &mut store, 30, |_| ()) as u64;
    first.withdraw(&ID);
    first.checkpoint(&mut store).unwrap();
    assert_eq!(credited(&store), sent);
}

#[test]
fn an_orderly_stop_costs_nothing() {
    let mut store = Memory::default();
    let offer = bundle(&mut store, ID, 1);
    let mut first = sender(1);
    first.offer(&offer).unwrap();
    let sent = send(&mut first, &mut store, 77, |_| ());
    first.checkpoint(&mut store).unwrap();
    let writes = store.writes;
    first.checkpoint(&mut store).unwrap();
    assert_eq!(store.writes, writes, "nothing new, nothing written");
    let mut second = sender(2);
    second.offer(&bundle(&mut store, ID, 1)).unwrap();
    assert_eq!(second.progress(&ID).unwrap().sent_symbols, sent as u64);
    let mut first_esis = BTreeMap::new();
    send(&mut second, &mut store, 50, |(_, block, esi)| {
        first_esis.entry(block).or_insert(esi);
    });
    assert!(first_esis.values().all(|esi| *esi > 0));
}

#[test]
fn many_small_bundles_share_a_write() {
    let mut store = Memory::default();
    let mut sender = sender(1);
    for i in 0..100 {
        let mut offer = bundle(&mut store, BundleId([i; 12]), 0);
        offer.geometry.tail_bytes = 700;
        sender.offer(&offer).unwrap();
    }
    let sent = send(&mut sender, &mut store, 1500, |_| ());
    assert!(store.writes <= sent / 300, "{} writes for {sent} symbols", store.writes);
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
    assert!(e.id == other && matches!(e.fault, SendFault::Store("the block ends too soon")));
    assert!(sender.poll_transmit(&mut store, &mut burst).unwrap().is_some());
    assert_eq!(burst.bundles(), [ID]);
    let stranger = Offer { epoch: 9, ..bad };
    assert_eq!(sender.offer(&stranger), Err(OfferError::NoKey { spacecraft: 1, epoch: 9 }));
}

#[test]
fn a_small_pool_and_encoding_elsewhere_give_the_same_datagrams() {
    let all = |bytes: usize, encode_elsewhere: bool| {
        let mut store = Memory::default();
        let offer = bundle(&mut store, ID, 6);
        let config = SenderConfig { pool: PoolLimits { bytes }, encode_elsewhere, ..SenderConfig::default() };
        let mut sender = Sender::new(&config, keys());
        sender.offer(&offer).unwrap();
        let mut burst = Burst::default();
        let (mut out, mut most) = (Vec::new(), 0);
        while sender.poll_transmit(&mut store, &mut burst).unwrap().is_some() {
            out.extend_from_slice(burst.as_bytes());
            most = most.max(sender.pool.held_bytes());
            if let Some(job) = sender.poll_encode(&mut store).unwrap().filter(|_| encode_elsewhere) {
                sender.encoded(job.run());
            }
        }
        assert!(most <= bytes + bytes / 4 + 70_000, "{most} bytes held of {bytes}");
        (out, store.read_bytes)
    };
    let (plenty, read) = all(10 << 20, false);
    assert!(plenty.len() > 300_000);
    let (tight, read_tight) = all(20_000, false);
    assert!(plenty == tight && read_tight > read);
    assert!(plenty == all(10 << 20, true).0 && plenty == all(20_000, true).0);
}

fn item(sender: &Sender, need: u32) -> Item {
    let blocks = sender.planner.get(&ID).unwrap().blocks();
    let as_of = blocks.iter().map(|b| b.next_esi).max().unwrap();
    Item::Blocks { id: ID, first_block: 0, as_of, missing: vec![need; blocks.len()] }
}

fn report(number: u64, items: Vec<Item>) -> Report {
    Report { station: 1, number, link: None, items }
}

#[test]
fn a_report_that_all_is_there_ends_it_and_later_words_revoke_that() {
    let mut store = Memory::default();
    let offer = bundle(&mut store, ID, 2);
    let mut sender = sender(1);
    sender.offer(&offer).unwrap();
    send(&mut sender, &mut store, 400, |_| ());
    let effect = sender.hear(&report(1, vec![Item::Whole(ID)]));
    assert_eq!(effect, Effect { news: vec![ID], ..Effect::default() });
    assert!(sender.progress(&ID).unwrap().known);
    assert_eq!(send(&mut sender, &mut store, 10, |_| ()), 0);
    assert!(sender.hear(&report(1, vec![Item::Whole(ID)])).news.is_empty());
    let missing = item(&sender, 30);
    assert_eq!(sender.hear(&report(2, vec![missing])).news, [ID]);
    assert!(send(&mut sender, &mut store, 100, |_| ()) >= 100);
}

#[test]
fn reports_that_can_not_be_true_change_nothing() {
    let mut store = Memory::default();
    let offer = bundle(&mut store, ID, 3);
    let mut sender = sender(1);
    sender.offer(&offer).unwrap();
    send(&mut sender, &mut store, 60, |_| ());
    let blocks = |first_block, as_of, missing: &[u32]| Item::Blocks {
        id: ID,
        first_block,
        as_of,
        missing: missing.to_vec(),
    };
    let good = item(&sender, 90);
    for items in [
        vec![Item::Whole(ID)],
        vec![blocks(1, 50, &[0])],
        vec![blocks(0, 1 << 20, &[50])],
        vec![blocks(3, 1, &[9, 9])],
        vec![blocks(900, 1, &[9])],
        vec![blocks(0, 1, &[])],
    ] {
        let effect = sender.hear(&report(9, items.clone()));
        assert_eq!(effect, Effect { contradictory: 1, odd_items: vec![0], ..Effect::default() }, "{items:?}");
    }
    let effect = sender.hear(&report(9, vec![good.clone(), item(&sender, 80)]));
    assert_eq!(effect.contradictory, 2, "it says two things of one block");
    assert_eq!(effect.odd_items, [0, 1]);
    let effect = sender.hear(&report(9, vec![Item::Whole(BundleId([3; 12]))]));
    assert_eq!(effect.unknown, 1);
    assert!(!sender.progress(&ID).unwrap().known);
    assert_eq!(sender.hear(&report(10, vec![good])).news, [ID], "and the next good one counts");
}
