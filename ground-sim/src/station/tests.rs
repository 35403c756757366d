use std::fs;
use std::path::Path;

use passband_proto::bundle::{FileEntry, FileHeader, Manifest, SealOptions, seal_bundle};
use passband_proto::datagram::{SymbolHeader, encode};
use passband_proto::fountain::BlockEncoder;
use passband_proto::ids::{BundleId, Class};
use passband_proto::keyring::KeyRing;
use passband_proto::keys::EpochKey;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::*;

const ID: BundleId = BundleId([6; 12]);

fn key() -> EpochKey {
    EpochKey::new(1, 1, [5; 32])
}

fn keys() -> KeyRing {
    let mut ring = KeyRing::default();
    ring.insert(key());
    ring
}

fn content() -> Vec<u8> {
    (0..60_000_u32).map(|i| u8::try_from(i * i % 251).unwrap()).collect()
}

/// The datagrams of a bundle of one file, `extra` repair symbols a block.
fn datagrams(content: &[u8], extra: u32) -> Vec<Vec<u8>> {
    datagrams_of(content, extra, &[])
}

/// With a preview in the head.
fn datagrams_of(content: &[u8], extra: u32, preview: &[u8]) -> Vec<Vec<u8>> {
    let mut m = Manifest::new("frame 1", "cube", Class::Suspect, 5);
    m.files = vec![FileEntry {
        name: "cube.bil".into(),
        bytes: content.len() as u64,
        sha256: Sha256::digest(content).into(),
    }];
    if !preview.is_empty() {
        let (bytes, sha256) = (preview.len() as u64, Sha256::digest(preview).into());
        m.preview = Some(FileEntry { name: "quicklook.png".into(), bytes, sha256 });
    }
    let options = SealOptions { symbol_bytes: 128, segment_symbols: 100, ..SealOptions::default() };
    let mut sealed = Vec::new();
    let g = seal_bundle(&key(), ID, &m, preview, &mut &*content, &mut sealed, &options).unwrap();
    assert_eq!(FileHeader::decode(sealed.first_chunk().unwrap()).unwrap().geometry, g);
    let mut out = Vec::new();
    for block in 0..g.block_count {
        let start = usize::try_from(g.block_offset(block).unwrap()).unwrap();
        let block_bytes = g.block_bytes(block).unwrap();
        let mut encoder =
            BlockEncoder::new(&sealed[start..start + block_bytes as usize], g.symbol_bytes).unwrap();
        let k = encoder.source_symbols();
        encoder
            .symbols(0, k + extra, |esi, symbol| {
                let header = SymbolHeader {
                    spacecraft: 1,
                    epoch: 1,
                    bundle: ID,
                    block,
                    class: Class::Suspect,
                    esi,
                    block_bytes,
                    block_count: g.block_count,
                    link_seq: out.len() as u64,
                };
                let mut d = vec![0; 128 + 64];
                encode(&header, symbol, &key().tag_key(), &mut d).unwrap();
                out.push(d);
            })
            .unwrap();
    }
    out
}

fn push_all<'a>(station: &mut Station, datagrams: impl IntoIterator<Item = &'a Vec<u8>>) {
    for d in datagrams {
        station.push(d).unwrap();
    }
}

fn station(dir: &Path) -> Station {
    Station::open(keys(), &dir.join("store"), &dir.join("out")).unwrap()
}

#[test]
fn a_bundle_comes_back_out_of_order_with_losses_duplicates_and_noise() {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut all = datagrams(&content, 80);
    for i in (1..all.len()).rev() {
        all.swap(i, rng.random_range(0..=i));
    }
    let mut station = station(dir.path());
    for d in &all {
        if rng.random_bool(0.3) {
            continue;
        }
        let mut bad = d.clone();
        bad[rng.random_range(0..d.len())] ^= 1 << rng.random_range(0..8);
        assert!(matches!(station.push(&bad).unwrap(), Verdict::Rejected(_)));
        station.push(d).unwrap();
        station.push(d).unwrap();
    }
    station.settle().unwrap();
    let report = &station.report()[0];
    assert!(report.complete, "{report:?}");
    assert_eq!(station.take_finished().len(), 1);
    let output = report.output.clone().unwrap();
    assert!(output.file_name().unwrap().to_str().unwrap().starts_with("frame-1-"));
    assert_eq!(fs::read(output.join("cube.bil")).unwrap(), content);
    assert_eq!(report.files[0].sha256, sha256_hex(&content));
    assert!(!dir.path().join("out/partial").exists(), "no trace of what was partial");
    let loss = station.counters().link_loss().unwrap();
    assert!(loss.heard < loss.sent, "every datagram was heard twice, which counts once");
    assert!(*station.counters().rejected.get("crc").unwrap() > 100);
}

#[test]
fn a_restart_at_any_moment_goes_on_where_the_last_flush_was() {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    for (pass, datagrams) in datagrams(&content, 4).chunks(37).enumerate() {
        let mut station = station(dir.path());
        push_all(&mut station, datagrams);
        // Half of the time nothing is waited for: the thread that decodes is stopped at its next job.
        if pass % 2 == 0 {
            station.flush().unwrap();
        } else {
            station.settle().unwrap();
        }
        let report = &station.report()[0];
        assert_eq!(report.complete, report.percent >= 100.0, "pass {pass}: {report:?}");
    }
    station(dir.path()).settle().unwrap();
    let mut after = station(dir.path());
    let report = after.report().remove(0);
    assert!(report.complete && report.faults.is_empty(), "{report:?}");
    assert_eq!(fs::read(report.output.unwrap().join("cube.bil")).unwrap(), content);
    assert_eq!(after.push(&datagrams(&content, 0)[0]).unwrap(), Verdict::Known);
}

#[test]
fn other_keys_other_spacecraft_and_conflicting_claims_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    let all = datagrams(&content, 2);
    let mut stranger = KeyRing::default();
    stranger.insert(EpochKey::new(1, 2, [5; 32]));
    let mut other = Station::open(stranger, &dir.path().join("s2"), &dir.path().join("o2")).unwrap();
    assert_eq!(other.push(&all[0]).unwrap(), Verdict::Spooled);
    assert_eq!(other.push(&all[0]).unwrap(), Verdict::Known);
    let mut wrong = KeyRing::default();
    wrong.insert(EpochKey::new(1, 1, [6; 32]));
    let mut other = Station::open(wrong, &dir.path().join("s3"), &dir.path().join("o3")).unwrap();
    assert_eq!(other.push(&all[0]).unwrap(), Verdict::Rejected("tag"));
    assert!(other.report().is_empty());

    let mut station = station(dir.path());
    let header = SymbolHeader {
        block_count: 99,
        ..*passband_proto::datagram::Datagram::parse(&all[0]).unwrap().header()
    };
    let mut liar = vec![0; 192];
    encode(&header, &[0; 128], &key().tag_key(), &mut liar).unwrap();
    station.push(&all[0]).unwrap();
    assert_eq!(station.push(&liar).unwrap(), Verdict::Rejected("conflict"));
    for noise in [&b""[..], b"PB", &[0; 2000]] {
        assert!(matches!(station.push(noise).unwrap(), Verdict::Rejected(_)));
    }
    push_all(&mut station, &all);
    station.settle().unwrap();
    assert!(station.report()[0].complete);
}

#[test]
fn a_store_with_rubbish_in_it_still_opens() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    for (name, file) in
        [("a", "about.json"), ("b", "other"), ("1-1-060606060606060606060606", "00000000.sym")]
    {
        fs::create_dir_all(store.join(name)).unwrap();
        fs::write(store.join(name).join(file), b"rubbish").unwrap();
    }
    let mut station = station(dir.path());
    push_all(&mut station, &datagrams(&content(), 2));
    station.settle().unwrap();
    assert!(station.report().iter().any(|b| b.complete));
}

#[test]
fn half_of_the_source_symbols_are_half_of_the_content() {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    let mut station = station(dir.path());
    let is_head = |d: &[u8]| passband_proto::datagram::Datagram::parse(d).unwrap().header().block == 0;
    for (i, d) in datagrams(&content, 0).iter().enumerate() {
        if is_head(d) || i % 2 == 0 {
            station.push(d).unwrap();
        }
    }
    station.settle().unwrap();
    let report = station.report().remove(0);
    assert!(!report.complete && report.name.as_deref() == Some("frame 1"));
    let partial = report.partial.unwrap();
    let file = fs::read(partial.join("cube.bil")).unwrap();
    let about: serde_json::Value =
        serde_json::from_slice(&fs::read(partial.join("partial.json")).unwrap()).unwrap();
    let about = &about["files"][0];
    let missing: Vec<(usize, usize)> = serde_json::from_value(about["missing"].clone()).unwrap();
    assert_eq!(file.len(), content.len());
    let mut at = 0;
    let mut present = 0;
    for (from, to) in missing.into_iter().chain([(content.len(), content.len())]) {
        assert_eq!(file[at..from], content[at..from]);
        present += from - at;
        assert!(file[from..to].iter().all(|b| *b == 0));
        at = to;
    }
    assert_eq!(about["present_bytes"], present);
    let share = present as f64 / content.len() as f64;
    assert!((0.49..0.51).contains(&share), "{share}");

    push_all(&mut station, &datagrams(&content, 0));
    station.settle().unwrap();
    let report = station.report().remove(0);
    assert!(report.complete && !partial.exists());
    assert_eq!(fs::read(report.output.unwrap().join("cube.bil")).unwrap(), content);
}

#[test]
fn without_keys_datagrams_are_spooled_put_together_and_used_once_there_is_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    let all = datagrams(&content, 30);
    let (antenna, other) = (dir.path().join("antenna"), dir.path().join("other"));
    // Two antennas, each hears its part; one of them also hears forgeries with a right CRC.
    for (place, part) in [(&antenna, 0), (&other, 1)] {
        let mut station =
            Station::open(KeyRing::default(), &place.join("store"), &place.join("out")).unwrap();
        for d in all.iter().enumerate().filter(|(i, _)| i % 2 == part).map(|(_, d)| d) {
            assert_eq!(station.push(d).unwrap(), Verdict::Spooled);
        }
        if part == 1 {
            let header = *passband_proto::datagram::Datagram::parse(&all[7]).unwrap().header();
            let mut forged = vec![0; 192];
            encode(&header, &[7; 128], &EpochKey::new(9, 9, [9; 32]).tag_key(), &mut forged).unwrap();
            assert_eq!(station.push(&forged).unwrap(), Verdict::Spooled);
        }
        assert_eq!(station.assemble().unwrap()[0].unverified, None, "half is not enough");
    }
    let mut home = station(dir.path());
    home.take_store(&antenna.join("store")).unwrap();
    home.take_store(&other.join("store")).unwrap();
    home.settle().unwrap();
    let report = home.report().remove(0);
    assert!(report.complete, "{report:?}");
    assert_eq!(home.counters().rejected.get("tag"), Some(&1));

    // All of it at one antenna: sealed there, opened elsewhere.
    let mut alone = Station::open(KeyRing::default(), &antenna.join("store"), &antenna.join("out")).unwrap();
    push_all(&mut alone, &all);
    let sealed = alone.assemble().unwrap().remove(0).unverified.unwrap();
    let opened = open_sealed_file(&sealed, &keys(), &dir.path().join("opened")).unwrap();
    assert_eq!(fs::read(opened.output.join("cube.bil")).unwrap(), content);
    drop(alone);

    // And the keys come to the antenna.
    let mut keyed = Station::open(keys(), &antenna.join("store"), &antenna.join("out")).unwrap();
    keyed.settle().unwrap();
    assert!(keyed.report()[0].complete);
    assert!(keyed.assemble().unwrap().is_empty() && !sealed.exists(), "nothing is left to be verified");
}

#[test]
fn blocks_that_a_crash_of_the_system_has_taken_come_again() {
    let content = content();
    let all = datagrams(&content, 30);
    let of_block = |d: &[u8]| passband_proto::datagram::Datagram::parse(d).unwrap().header().block;
    for damaged in [0, 2] {
        let dir = tempfile::tempdir().unwrap();
        let mut before = station(dir.path());
        let last = all.iter().map(|d| of_block(d)).max().unwrap();
        push_all(&mut before, all.iter().filter(|d| of_block(d) != last));
        before.settle().unwrap();
        drop(before);
        // What the log says is there never came to the disk: zeros.
        let folder = folder::of(&dir.path().join("store"), &(1, 1, ID));
        let part = folder.join(format!("{ID}.part"));
        let mut bytes = fs::read(&part).unwrap();
        let start = if damaged == 0 { 64 } else { bytes.len() - 1000 };
        bytes[start..start + 8].fill(0);
        fs::write(&part, bytes).unwrap();

        let mut after = station(dir.path());
        push_all(&mut after, all.iter().filter(|d| of_block(d) == last));
        after.settle().unwrap();
        let report = after.report().remove(0);
        assert!(!report.complete && report.faults.is_empty(), "{report:?}");
        assert!(after.states(1, 1, 1)[0].blocks.iter().any(|block| block.missing > 0));
        push_all(&mut after, &all);
        after.settle().unwrap();
        let report = after.report().remove(0);
        assert!(report.complete, "block {damaged}: {report:?}");
        assert_eq!(fs::read(report.output.unwrap().join("cube.bil")).unwrap(), content);
    }
}

#[test]
fn without_a_head_its_content_is_there_as_far_as_it_came() {
    [false, true].into_iter().for_each(without_a_head);
}

/// `head`: it is known how large the head is, so that blocks can be put in their places.
fn without_a_head(head: bool) {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    let all = datagrams_of(&content, 30, &[7; 1000]);
    let mut station = station(dir.path());
    let of = |d: &[u8]| *passband_proto::datagram::Datagram::parse(d).unwrap().header();
    // One symbol of the head; block 1 as a whole, the even source symbols of block 2, nothing of the others.
    let came = |d: &&Vec<u8>| match of(d) {
        h if h.block == 0 => head && h.esi == 0,
        h if h.block == 1 => true,
        h => h.block == 2 && h.esi < 100 && h.esi % 2 == 0,
    };
    push_all(&mut station, all.iter().filter(came));
    station.settle().unwrap();
    let folder = station.report()[0].partial.clone().unwrap();
    let about: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("partial.json")).unwrap()).unwrap();
    let there = fs::read(folder.join("content.bin")).unwrap();
    let mut bytes = 0;
    for range in about["content"]["present"].as_array().unwrap() {
        let at = |i: usize| usize::try_from(range[i].as_u64().unwrap()).unwrap();
        assert_eq!(there[at(0)..at(1)], content[at(0)..at(1)]);
        bytes += at(1) - at(0);
    }
    let segment = usize::try_from(about["segment_bytes"].as_u64().unwrap()).unwrap();
    assert!(bytes > segment + segment / 3 && bytes <= segment * 3 / 2 + 128, "{bytes} of {segment}");
    push_all(&mut station, &all);
    station.settle().unwrap();
    let report = station.report().remove(0);
    assert!(report.complete && !folder.exists() && !dir.path().join("out/partial").exists());
    assert_eq!(fs::read(report.output.unwrap().join("cube.bil")).unwrap(), content);
}

#[test]
fn a_bundle_whose_description_is_damaged_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    let all = datagrams(&content, 30);
    let push = |all: &[Vec<u8>]| {
        let mut station = station(dir.path());
        push_all(&mut station, all);
        station.settle().unwrap();
        station.report()
    };
    push(&all[..300]);
    let folder = folder::of(&dir.path().join("store"), &(1, 1, ID));
    fs::write(folder.join("about.json"), "").unwrap();
    let report = push(&all).remove(0);
    assert!(report.complete, "{report:?}");
    // Of a version to come: that is left alone.
    let text = fs::read_to_string(folder.join("about.json")).unwrap();
    fs::write(folder.join("about.json"), text.replace("\"schema\":2", "\"schema\":9")).unwrap();
    fs::remove_file(folder.join("done.json")).unwrap();
    assert!(push(&all).is_empty() && folder.join(format!("{ID}.pbb")).exists());
    // And nobody else writes there meanwhile.
    let held = station(dir.path());
    let other = Station::open(keys(), &dir.path().join("other"), &dir.path().join("out"));
    assert!(other.unwrap_err().to_string().contains("in use"));
    drop(held);
}

#[test]
fn a_product_that_is_gone_is_made_again_from_what_is_sound_of_its_sealed_file() {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    let all = datagrams(&content, 30);
    let push_all = |out: &str, remake: bool| {
        let mut station = Station::open(keys(), &dir.path().join("store"), &dir.path().join(out)).unwrap();
        if remake {
            station.remake_products();
        }
        push_all(&mut station, &all);
        station.settle().unwrap();
        // What turned out to be damaged comes again.
        push_all(&mut station, &all);
        station.settle().unwrap();
        station.report().remove(0)
    };
    let first = push_all("out", false);
    assert!(first.complete);
    let file = first.output.unwrap().join("cube.bil");
    fs::remove_file(&file).unwrap();
    assert!(push_all("out", false).complete && !file.exists(), "somebody has moved it on");
    assert!(push_all("out", true).complete);
    assert_eq!(fs::read(&file).unwrap(), content);
    // Into another folder, from a sealed file that was damaged since.
    let sealed = folder::of(&dir.path().join("store"), &(1, 1, ID)).join(format!("{ID}.pbb"));
    let mut bytes = fs::read(&sealed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&sealed, bytes).unwrap();
    let again = push_all("elsewhere", true);
    assert!(again.complete, "{again:?}");
    assert_eq!(fs::read(again.output.unwrap().join("cube.bil")).unwrap(), content);
}

#[test]
fn what_two_stations_with_keys_have_of_a_bundle_is_put_together() {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    let all = datagrams(&content, 30);
    let open = |name: &str| {
        let at = dir.path().join(name);
        (Station::open(keys(), &at.join("store"), &at.join("out")).unwrap(), at.join("store"))
    };
    // One hears the head and block 1 as a whole and some of block 2, the other the rest of it and all else.
    let (mut one, one_store) = open("one");
    let (mut other, other_store) = open("other");
    for d in &all {
        let datagram = passband_proto::datagram::Datagram::parse(d).unwrap();
        let (block, esi) = (datagram.header().block, datagram.header().esi);
        let station = if block < 2 || (block == 2 && esi % 3 == 0) { &mut one } else { &mut other };
        station.push(d).unwrap();
    }
    one.settle().unwrap();
    other.settle().unwrap();
    assert!(!one.report()[0].complete && !other.report()[0].complete);
    let files = |store: &Path| {
        let folder = fs::read_dir(store).unwrap().map(|e| e.unwrap().path()).find(|p| p.is_dir()).unwrap();
        let files = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        files.map(|p| (p.clone(), fs::read(p).unwrap())).collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = files(&one_store);
    let (mut home, home_store) = open("home");
    home.take_store(&one_store).unwrap();
    home.take_store(&other_store).unwrap();
    home.settle().unwrap();
    let report = home.report().remove(0);
    assert!(report.complete, "{report:?}");
    assert_eq!(fs::read(report.output.unwrap().join("cube.bil")).unwrap(), content);
    assert_eq!(files(&one_store), before, "nothing is changed there");
    // A bundle that is complete there is complete here.
    let (mut third, _) = open("third");
    third.take_store(&home_store).unwrap();
    third.settle().unwrap();
    assert!(third.report()[0].complete);
    assert!(third.counters().link_loss().is_none(), "no link was heard");
}

#[test]
fn a_report_says_what_is_missing_as_of_when() {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    let all = datagrams(&content, 10);
    let mut station = station(dir.path());
    for d in all.iter().filter(|d| d[23] < 3) {
        let datagram = passband_proto::datagram::Datagram::parse(d).unwrap();
        if datagram.header().block != 2 || datagram.header().esi % 2 == 0 {
            station.push(d).unwrap();
        }
    }
    station.settle().unwrap();
    let state = station.states(1, 1, 9).remove(0);
    assert_eq!(state.blocks[0].missing + state.blocks[1].missing, 0);
    assert_eq!((state.blocks[2].missing, state.blocks[2].as_of), (45, 109));
    assert_eq!((state.blocks[3].missing, state.blocks[3].as_of), (100, 0), "unheard of");
    assert!(station.states(1, 2, 9).is_empty());
    push_all(&mut station, &all);
    station.settle().unwrap();
    assert!(station.states(1, 1, 9)[0].blocks.is_empty(), "all of it is there");
    assert!(station.observation(1, 5).unwrap().span > 0);
}
