//! What every decoder of outside bytes has to stand: any bytes at all, without a panic, a wrong answer or
//! memory without bound. Each target is a plain function, so that it runs under libFuzzer (`cargo fuzz`) and
//! under the [`replay`](../replay/index.html) of this crate, which needs no nightly toolchain.

pub mod release;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use passband_delta::{Delta, Options, Piece};
use passband_flight::adapters::disk::{Disk, write_file};
use passband_flight::adapters::last;
use passband_flight::config::Config;
use passband_flight::faults::SimDisk;
use passband_flight::orders::{Giver, Keep, Ledger, MAX_KEPT, MAX_OPEN, Moment, OrderId, Run, Step, Taken};
use passband_proto::alert::{open_alert, seal_alert};
use passband_proto::bundle::{FileHeader, Geometry, Head, Manifest, Opener};
use passband_proto::bus::Transmit;
use passband_proto::datagram::{Datagram, encode};
use passband_proto::dict::{self, Hazard, Mode, ParameterId, ParametersState, Source, Stage};
use passband_proto::fountain::BlockDecoder;
use passband_proto::keyring::KeyRing;
use passband_proto::keys::EpochKey;
use passband_proto::packet::{
    CommandPacket, MAX_PACKET_BYTES, TelemetryPacket, may_begin_telemetry, seal_telemetry,
};
use passband_proto::plan::{self, MAX_FAULTS, Orders, SIGNATURE_BYTES, SignedPlan};
use passband_proto::report::{
    Gate, MAX_ACKNOWLEDGED, codes, open_acknowledgement, open_report, seal_acknowledgement, seal_report,
};
use passband_proto::sdls::{
    Associations, Channel, Content, Limits, Mark, Role, RoleKey, RoleKeys, Sender, State,
};
use passband_proto::slot::SlotRecord;
use passband_spectral::cube::{ColumnScale, Cube};
use passband_spectral::envi::{DataType, Header};
use passband_spectral::target::Target as Gas;
use passband_spectral::triage::{MAX_RECORD_BYTES, Maps, Params, Record, triage as look};

/// A target: a function that stands any bytes.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 28] = [
    ("acknowledgement", acknowledgement),
    ("alert", alert),
    ("bundle", bundle),
    ("bus", bus),
    ("capture", capture),
    ("command", command),
    ("config", config),
    ("datagram", datagram),
    ("delta", delta),
    ("envi", envi),
    ("fountain", fountain),
    ("keyring", keyring),
    ("orders", orders),
    ("packet", packet),
    ("parameters", parameters),
    ("passes", passes),
    ("plan", plan),
    ("record", record),
    ("release", release::release),
    ("report", report),
    ("report_body", report_body),
    ("role_keys", role_keys),
    ("saved", saved),
    ("slot", slot),
    ("station", station),
    ("triage", triage),
    ("uplink", uplink),
    ("gas", gas),
];

/// Largest cube that is made to be looked at, samples of data: large ones take long and say no more than small ones.
const MAX_CUBE_VALUES: usize = 1 << 16;

/// The key that everything in the corpus is sealed and tagged with.
#[must_use]
pub fn key() -> EpochKey {
    EpochKey::new(1, 1, [7; 32])
}

/// A key ring with that key.
#[must_use]
pub fn keys() -> KeyRing {
    let mut ring = KeyRing::default();
    ring.insert(key());
    ring
}

/// A datagram that parses is written again to the same bytes, but for the tag, which is checked.
pub fn datagram(data: &[u8]) {
    let Ok(read) = Datagram::parse(data) else { return };
    let tag_key = key().tag_key();
    let mut again = vec![0; data.len()];
    let written = encode(read.header(), read.symbol(), &tag_key, &mut again);
    assert_eq!(written, Ok(data.len()));
    let body = data.len() - 20;
    assert_eq!(again[..body], data[..body]);
    assert_eq!(read.verify(&tag_key), again[body..body + 16] == data[body..body + 16]);
    assert!(read.source_symbols() > 0);
}

/// A key file that parses is written and read again to the same keys; errors never show what stands in it.
pub fn keyring(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match KeyRing::parse(text) {
        Ok(ring) => {
            let mut again = String::new();
            for key in ring.iter() {
                key.write_line(&mut again).expect("writing to memory");
                again.push('\n');
            }
            let read = KeyRing::parse(&again).expect("what was written");
            let prints = |ring: &KeyRing| ring.iter().map(EpochKey::fingerprint).collect::<Vec<_>>();
            assert_eq!(prints(&ring), prints(&read));
        }
        Err(e) => {
            let said = format!("{e} {e:?}");
            let secret = text.split_ascii_whitespace().find(|word| word.len() >= 16);
            assert!(secret.is_none_or(|secret| !said.contains(secret)), "a secret in an error");
        }
    }
}

/// A file of role keys that parses is written and read again to the same keys; errors never show what stands in it.
pub fn role_keys(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match RoleKeys::parse(text) {
        Ok(keys) => {
            let mut again = String::new();
            for key in keys.iter() {
                key.write_line(&mut again).expect("writing to memory");
                again.push('\n');
            }
            let read = RoleKeys::parse(&again).expect("what was written");
            let prints =
                |keys: &RoleKeys| keys.iter().map(|key| (key.role(), key.fingerprint())).collect::<Vec<_>>();
            assert_eq!(prints(&keys), prints(&read));
        }
        Err(e) => {
            let said = format!("{e} {e:?}");
            let secret = text.split_ascii_whitespace().find(|word| word.len() >= 24);
            assert!(secret.is_none_or(|secret| !said.contains(secret)), "a secret in an error");
        }
    }
}

/// The challenge of the board that [`uplink`] tries.
const CHALLENGE: [u8; 8] = [0xC0; 8];

/// The keys of that board.
#[must_use]
pub fn command_keys() -> [RoleKey; 2] {
    let key = |spi, role, secret| RoleKey::new(1, spi, role, [secret; 32]).expect("a key");
    [key(1, Role::Operator, 7), key(2, Role::Recovery, 8)]
}

/// All frames that were ever sealed for it.
#[must_use]
pub fn uplink_frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for key in command_keys() {
        let mut sender = Sender::new(&key, 0, [1, 2, 3, 4], 0).expect("a sender");
        sender.persisted(16);
        frames.push(sender.seal(b"x").expect("a frame"));
        frames.push(sender.seal(&[0x55; 60]).expect("a frame"));
        sender.skip_to(9);
        frames.push(sender.seal(&[0xAA; 987]).expect("a frame"));
        frames.push(sender.resynchronise(CHALLENGE, [5; 8]).expect("a frame"));
    }
    frames
}

/// Any bytes as a protected frame, and as a stream of them (each a length, two bytes, and bytes). Nothing is accepted that
/// wasn't sealed, but for its frame sequence number, nor anything twice; and what is refused moves nothing.
pub fn uplink(data: &[u8]) {
    let mut keys = RoleKeys::default();
    command_keys().into_iter().for_each(|key| keys.insert(key).expect("two keys"));
    let channel = Channel { spacecraft: 1, vcid: 0 };
    let mut board = Associations::new(channel, &keys, Limits::UNLIMITED);
    assert!(board.restore(&Mark::fresh(1)));
    board.set_challenge(CHALLENGE, 0);
    board.set_reserve(1, 3);
    static KNOWN: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let known =
        KNOWN.get_or_init(|| uplink_frames().iter().map(|frame| without_sequence_number(frame)).collect());
    let mut frames = vec![data];
    let mut rest = data;
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let (frame, more) = more.split_at(usize::from(u16::from_be_bytes(*length)).min(more.len()));
        frames.push(frame);
        rest = more;
    }
    // As they are, and with a length and an FECF that are right, so that what lies behind these is met too.
    let frames = frames.into_iter().flat_map(|frame| [frame.to_vec(), with_fecf(frame)]);
    for frame in frames {
        let frame = frame.as_slice();
        let before = board.marks();
        let Ok(opened) = board.open(0, frame) else {
            assert_eq!(board.marks(), before, "a refused frame moved something");
            continue;
        };
        assert!(known.contains(&without_sequence_number(frame)), "accepted though it wasn't sealed");
        assert!(board.open(0, frame).is_err(), "accepted twice");
        assert_eq!(board.state(opened.spi), Some(State::Operational));
        assert!(opened.content == Content::Resynchronised || opened.spi == 1 || before.len() == 2);
        if let Some(mark) = opened.must_persist {
            assert!(mark.spi == opened.spi && mark.highest >= opened.counter);
            board.persisted(&mark);
        }
    }
}

/// A frame as anyone can make it: its length field says its length, its FECF holds.
fn with_fecf(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let [.., _, _] = frame.as_slice() else { return frame };
    let end = frame.len() - 2;
    if let (Some(room), Ok(length)) = (frame.get_mut(2..4), u16::try_from(end + 1)) {
        let room: &mut [u8; 2] = room.try_into().expect("two bytes");
        *room = (u16::from_be_bytes(*room) & 0xFC00 | length & 0x03FF).to_be_bytes();
    }
    let crc = frame[..end].iter().fold(0xFFFF_u16, |crc, byte| {
        (0..8)
            .fold(crc ^ u16::from(*byte) << 8, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    });
    frame[end..].copy_from_slice(&crc.to_be_bytes());
    frame
}

/// A frame but for what may change on its way: N(S), and the FECF over it.
fn without_sequence_number(frame: &[u8]) -> Vec<u8> {
    let mut same = frame.to_vec();
    same.truncate(frame.len().saturating_sub(2));
    if let Some(number) = same.get_mut(4) {
        *number = 0;
    }
    same
}

/// A sealed file: its header, its head, its blocks; and any bytes as what stands in a head.
pub fn bundle(data: &[u8]) {
    if let Some(head) = data.first_chunk()
        && let Ok(header) = FileHeader::decode(head)
    {
        // Reserved bytes may say anything: they are for versions to come.
        assert_eq!(FileHeader::decode(&header.encode()), Ok(header));
        let opener = Opener::new(&key(), &header.id, header.geometry.block_count);
        let rest = data.get(head.len()..).unwrap_or_default();
        let take = rest.len().min(header.geometry.head_bytes as usize);
        let _any = opener.open_head(rest[..take].to_vec());
        let _any = opener.open(1, &mut rest.to_vec());
        let _any = opener.open_piece(1, 16, &mut rest.to_vec());
    }
    let Some((count, plain)) = data.split_first() else { return };
    let count = u32::from(*count).max(1);
    if let Ok(head) = Head::parse(plain, count) {
        assert!(head.manifest.check().is_ok());
        let inline = head.content.as_ref().map_or(0, Vec::len) as u64;
        assert!(inline == 0 || inline == Manifest::content_bytes(&head.manifest));
    }
}

/// An alert that opens is sealed again to one that says the same.
pub fn alert(data: &[u8]) {
    let Ok(alert) = open_alert(&key(), data) else { return };
    let sealed = seal_alert(&key(), [3; 12], &alert).expect("it fitted before");
    let again = open_alert(&key(), &sealed).expect("what was sealed");
    assert_eq!(format!("{again:?}"), format!("{alert:?}"));
}

/// A bus message that is understood is written again to the same bytes.
pub fn bus(data: &[u8]) {
    if let Some(message) = Transmit::decode(data) {
        assert_eq!(message.encode(), data);
    }
}

/// A packet that parses is written again to the same bytes, but for a tag by another key; and the bytes as a stream. Bytes that begin with 255 are
/// given a right CRC first, so that what lies behind it is met too.
pub fn packet(data: &[u8]) {
    let mut bytes = data.to_vec();
    if let Some((255, end)) = data.first().copied().zip(data.len().checked_sub(4)) {
        bytes[0] = 0x09;
        let crc = passband_proto::crc32c::checksum(&bytes[..end]);
        bytes[end..].copy_from_slice(&crc.to_be_bytes());
    }
    let mut again = [0; MAX_PACKET_BYTES];
    if let Ok(read) = TelemetryPacket::parse(&bytes) {
        let (apid, count, time) = (read.apid(), read.sequence_count(), read.time());
        assert!(may_begin_telemetry(&bytes, apid, bytes.len()));
        let tag_key = key().telemetry_key();
        let written = seal_telemetry(&mut again, apid, count, time, read.data(), Some(&tag_key));
        assert_eq!(written, Ok(bytes.len()));
        let body = bytes.len() - 12;
        assert_eq!(again[..body], bytes[..body]);
        assert_eq!(read.verify(&tag_key), again[body..body + 8] == read.tag());
    }
    let mut reader = passband_ground::telemetry::Reader::new(passband_ground::telemetry::proof::lengths);
    let (mut found, (a, b)) = (0, data.split_at(data.len() / 2));
    [a, b].iter().for_each(|part| reader.push(part, |packet| found += packet.bytes().len() as u64));
    reader.idle(|packet| assert!(packet.bytes().len() < data.len()));
    reader.finish(|_| ());
    assert!(found + reader.stats().skipped_bytes <= data.len() as u64);
    if let Ok(read) = CommandPacket::parse(&bytes) {
        assert_eq!(read.write(&mut again), Ok(bytes.len()));
        assert_eq!(again[..bytes.len()], bytes);
    }
}

/// A slot record that is understood is written again to the same bytes.
pub fn slot(data: &[u8]) {
    if let Ok(record) = SlotRecord::decode(data) {
        assert_eq!(record.encode(), data);
    }
    let (a, b) = data.split_at(data.len() / 2);
    let _any = passband_proto::slot::choose([Some(a), Some(b), None]);
}

/// The base that deltas are against: instructions, addresses of them, and text.
#[must_use]
pub fn delta_base() -> Vec<u8> {
    let code = (0..400_u32).flat_map(|n| (0x9400_0000 | (n.wrapping_mul(37) % 400)).to_le_bytes());
    let pointers = (0..40_u64).flat_map(|n| (0x40_0000 + n * 24).to_le_bytes());
    code.chain(pointers).chain(*b"a base that is there, and of which much is copied").collect()
}

/// How deltas are made that are small and quickly applied.
#[must_use]
pub fn delta_options() -> Options {
    Options { segment_bytes: Some(1_000), table: Some(1), window: 10, learns: Some(true) }
}

/// A delta that is understood comes to as many bytes as it tells, or to an error; and any bytes can be told as one.
pub fn delta(data: &[u8]) {
    let base = delta_base();
    // What else is tried takes as long for any bytes: now and then is enough.
    if data.first().is_some_and(|byte| byte & 15 == 15) && data.len() < 4_096 {
        let made = passband_delta::encode(Some(&base), data, &delta_options());
        assert!(made.is_ok(), "{made:?}");
    }
    let Ok(delta) = Delta::read(data) else { return };
    assert!(delta.memory_bytes() <= passband_delta::MAX_MEMORY_BYTES);
    // Long results take long and say no more than short ones.
    if delta.result_bytes() > 1 << 16 {
        return;
    }
    let mut out = [0; 512];
    for number in 0..delta.segments().min(8) {
        let Ok(mut run) = delta.begin(number, &base, data) else { return };
        let mut left = run.segment().len as usize;
        loop {
            let Ok(piece) = run.piece(&base, data, &mut out) else { return };
            let (Piece::More(made) | Piece::Done(made)) = piece;
            left -= made;
            assert_eq!(left, run.left() as usize);
            if matches!(piece, Piece::Done(_)) {
                break;
            }
        }
        assert_eq!(left, 0);
    }
}

/// Any sizes and symbols for a decoder.
pub fn fountain(data: &[u8]) {
    let Some((head, mut rest)) = data.split_first_chunk::<6>() else { return };
    let [a, b, c, d, e, f] = *head;
    let symbol_bytes = u16::from_be_bytes([e, f]);
    let Ok(mut decoder) = BlockDecoder::new(u32::from_be_bytes([a, b, c, d]), symbol_bytes) else { return };
    // Large blocks take long and say no more than small ones.
    if decoder.source_symbols() > 60 {
        return;
    }
    let mut symbols = Vec::new();
    while let Some((esi, more)) = rest.split_first_chunk::<4>() {
        let (symbol, more) = more.split_at(more.len().min(usize::from(symbol_bytes)));
        symbols.push((u32::from_be_bytes(*esi), symbol.to_vec()));
        rest = more;
    }
    let _any = decoder.decode(symbols);
}

/// A report that opens is sealed again to one that says the same, and passes a gate once.
pub fn report(data: &[u8]) {
    let mut gate = Gate::default();
    let opened = gate.open(&keys(), data);
    assert!(opened.is_err() || gate.open(&keys(), data).is_err(), "let through twice");
    let Ok(report) = open_report(&key(), data) else { return };
    let sealed = seal_report(&key(), [4; 12], &report).expect("it fitted before");
    assert_eq!(open_report(&key(), &sealed).as_ref(), Ok(&report));
}

/// An acknowledgement that opens is sealed again to the same body, and passes a gate once, whose numbers it shares with
/// reports.
pub fn acknowledgement(data: &[u8]) {
    let mut gate = Gate::default();
    let opened = gate.open_any(&keys(), data);
    assert!(opened.is_err() || gate.open_any(&keys(), data).is_err(), "let through twice");
    let Ok(said) = open_acknowledgement(&key(), data) else { return };
    assert!(open_report(&key(), data).is_err(), "two kinds at once");
    assert!(said.alerts.len() <= MAX_ACKNOWLEDGED);
    let sealed = seal_acknowledgement(&key(), [4; 12], &said).expect("it fitted before");
    assert_eq!((sealed.len(), open_acknowledgement(&key(), &sealed)), (data.len(), Ok(said)));
}

/// Codes of any bytes stay within their bound, and say the same when written again.
pub fn report_body(data: &[u8]) {
    let Some(missing) = codes::decode(data, 65_536) else { return };
    assert!(missing.len() <= 65_536);
    let again = codes::encode(&missing);
    assert!(again.len() <= data.len());
    assert_eq!(codes::decode(&again, 65_536), Some(missing));
}

/// Any file read as a capture: an end, and no more candidates than bytes.
pub fn capture(data: &[u8]) {
    let source = std::io::Cursor::new(data.to_vec());
    let Ok(mut reader) = passband_ground::capture::CaptureReader::from_reader("fuzz", source) else { return };
    let mut count = 0_usize;
    while let Ok(Some(candidate)) = reader.next_candidate() {
        assert!(candidate.bytes.len() <= 1 << 17);
        count += 1;
        // A compressed capture may hold far more than its own size.
        if count > 100_000 {
            break;
        }
    }
}

/// A stream of datagrams into a station: each is a length (two bytes) and bytes. Those that begin with 255
/// are given a right CRC and tag first, so that what lies behind those is met too.
pub fn station(data: &[u8]) {
    thread_local! {
        static PLACE: RefCell<Option<(tempfile::TempDir, u32)>> = const { RefCell::new(None) };
    }
    let root = PLACE.with_borrow_mut(|place| {
        let (dir, number) = place.get_or_insert_with(|| (tempfile::tempdir().expect("a folder"), 0));
        *number += 1;
        dir.path().join(number.to_string())
    });
    let mut rest = data;
    let mut station = passband_ground::station::Station::open(keys(), &root.join("store"), &root.join("out"))
        .expect("a new store");
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(more.len());
        let (bytes, more) = more.split_at(length);
        rest = more;
        let bytes = repaired(bytes);
        station.push(&bytes).expect("only a disk fails");
    }
    station.settle().expect("only a disk fails");
    for bundle in station.report() {
        assert!(bundle.percent <= 100.0 && (bundle.complete || bundle.percent < 100.0));
    }
    drop(station);
    let _ = std::fs::remove_dir_all(root);
}

/// A datagram whose first byte is 255 made authentic, as far as it has the shape of one.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let body = bytes.len().saturating_sub(20);
    if bytes.first() == Some(&255) && body >= 44 {
        bytes[..8].copy_from_slice(&[b'P', b'B', 1, 1, 0, 1, 0, 1]);
        let tag = key().tag_key().tag(&bytes[..body]);
        bytes[body..body + 16].copy_from_slice(&tag);
        let crc = passband_proto::crc32c::checksum(&bytes[..body + 16]);
        bytes[body + 16..].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

/// A command that parses is written again to one that parses to the same.
pub fn command(data: &[u8]) {
    let Ok(request) = passband_flight::command::Request::parse(data) else { return };
    let line = request.clone().line().expect("it was read");
    let again = passband_flight::command::Request::parse(line.as_bytes());
    assert_eq!(again, Ok(request));
}

/// Any orders of any givers in any order, each taken by the ledger and done, with restarts in between: no order is done
/// twice, no hazardous one unless its very bytes were armed before, by another where it takes two keys; what is kept stays
/// within its bounds. The bytes are moves: giver, number, step, a length and an order.
pub fn orders(data: &[u8]) {
    let mut rest = data;
    let mut board = Board::default();
    while let Some((&[who, number, step, length], more)) = rest.split_first_chunk::<4>() {
        let (bytes, more) = more.split_at(usize::from(length).min(more.len()));
        board.take(who, number.into(), step, bytes);
        rest = more;
    }
    assert!(board.ledger.iter().count() <= 4 * (MAX_KEPT + MAX_OPEN));
}

/// A ledger, and what was kept and done.
#[derive(Default)]
struct Board {
    ledger: Ledger,
    kept: Vec<Keep>,
    done: BTreeSet<OrderId>,
    /// What each giver has armed.
    armed: BTreeMap<u16, (OrderId, Vec<u8>)>,
    now_ms: u64,
}

impl Board {
    fn take(&mut self, who: u8, number: u32, step: u8, bytes: &[u8]) {
        let roles = [Source::Operator, Source::Recovery, Source::Science, Source::Planner];
        let giver = Giver { source: u16::from(who % 4) + 1, role: roles[usize::from(who % 4)] };
        let step = [Step::Run, Step::Arm, Step::Fire][usize::from(step % 3)];
        self.now_ms += u64::from(who) * 100;
        let now =
            Moment { steady_ms: self.now_ms, unix_ms: self.now_ms, mode: Mode::Nominal, arm_ms: 60_000 };
        let known = self.ledger.get(&OrderId { source: giver.source, number }).is_some();
        let Taken { keep, run, answer, .. } = self.ledger.take(now, giver, number, step, bytes);
        self.keep(&keep);
        assert!(run.is_none() || answer.is_some(), "done, and not told");
        if let Some(run) = &run {
            assert!(self.done.insert(run.id), "done twice");
            assert_eq!(run.order.encode(), bytes);
            self.check_hazard(run, step, bytes);
        }
        if let Some((id, record)) = answer.filter(|_| !known) {
            if record.stage == Stage::Armed {
                self.armed.insert(giver.source, (id, record.bytes));
            } else if !matches!(record.reason, dict::Reason::TooOld | dict::Reason::Busy) {
                self.armed.remove(&giver.source);
            }
        }
        match (who >> 4, run) {
            // The power goes: before it is done, and it is resumed; or behind.
            (0, run) => {
                self.ledger = Ledger::restore(self.kept.iter().cloned());
                self.armed.clear();
                let resumed: Vec<_> = self.ledger.resume().into_iter().map(|run| run.id).collect();
                assert!(run.is_none_or(|run| resumed.contains(&run.id)), "forgotten while under way");
                resumed.into_iter().for_each(|id| self.finish(now, id));
            }
            (1, _) => {
                let seen = self.ledger.seen(giver.source, number, u32::MAX);
                self.keep(&seen);
            }
            // It goes on.
            (2, _) | (_, None) => {}
            (_, Some(run)) => self.finish(now, run.id),
        }
    }

    fn check_hazard(&mut self, run: &Run, step: Step, bytes: &[u8]) {
        let hazard = run.order.def().expect("it was taken").hazard;
        if hazard == Hazard::None {
            return;
        }
        assert_eq!(step, Step::Fire);
        let may = |id: &OrderId| hazard != Hazard::TwoKeys || id.source != run.id.source;
        let mut armed = self.armed.values().filter(|(id, armed)| armed == bytes && may(id));
        let id = armed.next().expect("it was armed").0;
        // Of several that fit it is for the ledger to choose; one that was armed alone is used up.
        if armed.next().is_none() {
            self.armed.remove(&id.source);
        }
    }

    fn finish(&mut self, now: Moment, id: OrderId) {
        let keep = self.ledger.finished(now, id, dict::Reason::None, "done");
        self.keep(keep.as_slice());
    }

    fn keep(&mut self, changes: &[Keep]) {
        changes.iter().for_each(|change| self.ledger.apply(change));
        self.kept.extend_from_slice(changes);
    }
}

/// Any bytes as the last saved state, and as a file of the black box: what is understood can be written and read again, and
/// the events of a board that is down come of them in order.
pub fn saved(data: &[u8]) {
    let (disk, state) = (SimDisk::default(), Path::new("/state"));
    disk.make_folder(&state.join("blackbox")).expect("a new disk");
    write_file(&disk, &state.join("last.json"), data).expect("there is room");
    if let Ok(saved) = last::load(&disk, state) {
        last::save(&disk, state, &saved).expect("it fitted before");
        let again = last::load(&disk, state).expect("what was written");
        assert_eq!((again.tally, again.answers.len()), (saved.tally, saved.answers.len()));
    }
    write_file(&disk, &state.join("blackbox/00000001.tlm"), data).expect("there is room");
    let kept: usize = passband_flight::telemetry::packets(data).map(|packet| packet.bytes().len()).sum();
    assert!(kept <= data.len());
    let events = last::read_events(&disk, state, None, 10).expect("there is a black box");
    assert!(events.len() <= 10 && events.is_sorted_by_key(|event| event.seq));
}

/// Any text as a configuration.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(e) = Config::parse(text, Path::new("passband.toml")) {
        assert!(e.to_string().contains("passband.toml"), "{e}");
    }
}

/// A record of parameters that is understood is written again to the same bytes, and leaves a configuration that is in order;
/// any lines of NAME=VALUE are staged, committed and put back.
pub fn parameters(data: &[u8]) {
    use passband_flight::parameters::{Now, OrderId, Parameters};
    let now = Now { steady_ms: 0, unix_ms: 1_800_000_000_000 };
    let sound = |parameters: &Parameters| {
        assert_eq!(parameters.config().fault(), None);
        let screen = parameters.summary("", now).text();
        let narrow = screen.lines().all(|line| line.chars().count() <= 80);
        assert!(narrow && screen.lines().count() <= 24, "{screen}");
        assert_eq!(parameters.packets().len(), parameters.list().len());
    };
    let mut parameters = Parameters::new(Config::default());
    if let Ok(read) = Parameters::restore(Config::default(), data) {
        assert!(read.record() == data, "another record");
        sound(&read);
        parameters = read;
    }
    let by = |number| OrderId { source: 1, number };
    let Ok(text) = std::str::from_utf8(data) else { return };
    for (line, number) in text.lines().take(100).zip(0..) {
        let Some((name, value)) = line.split_once('=') else { continue };
        let Some(id) = ParameterId::from_name(name) else { continue };
        let _refused = parameters.stage(id, value, by(number), now);
    }
    let (before, state) = (parameters.digest(), parameters.state());
    let _refused = parameters.commit(60, by(u32::MAX), now);
    sound(&parameters);
    let _refused = parameters.rollback(by(u32::MAX - 1));
    // An order that the record remembers isn't done again.
    let on_trial = [state, parameters.state()].contains(&ParametersState::OnTrial);
    assert!(on_trial || parameters.digest() == before);
}

/// Any text as each file of the pass plan; what is read of it gives sound passes.
pub fn passes(data: &[u8]) {
    use passband_flight::passes::{Elements, PassPlan, parse_stations, parse_windows};
    let Ok(text) = std::str::from_utf8(data) else { return };
    let windows = parse_windows(text).unwrap_or_default();
    let mut stations = parse_stations(text).unwrap_or_default();
    let elements = Elements::parse(text).ok();
    if stations.is_empty() {
        stations = parse_stations("[[station]]\nname = 's'\nlatitude_deg = 70\nlongitude_deg = 0\n")
            .expect("a list");
    }
    let now = elements.as_ref().map_or(0, |e| e.epoch_unix_us / 1000);
    let plan = PassPlan::new(windows, elements.as_ref(), &stations, 1).expect("elements that were checked");
    let passes = plan.next(now, 3);
    assert!(passes.iter().all(|pass| pass.aos_unix_ms < pass.los_unix_ms && pass.los_unix_ms > now));
    assert!(passes.is_sorted_by_key(|pass| pass.aos_unix_ms));
}

/// Bytes signed as a plan: what is read is signed again to the same bytes, and its text compiles to the same plan. Any
/// text: what compiles is written, signed and read back as the same plan; what doesn't has its faults told.
pub fn plan(data: &[u8]) {
    let tag_key = key().tag_key();
    let mut signed = [data, &[0, 1]].concat();
    signed.extend_from_slice(&tag_key.tag(&signed));
    if let Ok(read) = SignedPlan::new(&signed).and_then(|signed| signed.verify(&tag_key)) {
        assert_eq!(plan::sign(&read, 1, &tag_key).as_ref(), Ok(&signed));
        if let Ok(text) = plan::write(&read, &Words) {
            let again = plan::compile(&text, "plan", &Words);
            assert!(text.len() > plan::MAX_TEXT_BYTES || again == Ok(read), "{text}");
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match plan::compile(text, "plan", &Words) {
        Ok(read) => {
            let signed = plan::sign(&read, 7, &tag_key).expect("the compiler checks its size");
            assert!(signed.len() > SIGNATURE_BYTES);
            let again = SignedPlan::new(&signed).and_then(|signed| signed.verify(&tag_key));
            assert_eq!(again.as_ref(), Ok(&read));
            let again = plan::write(&read, &Words).expect("what was compiled can be written");
            assert_eq!(plan::compile(&again, "plan", &Words).as_ref(), Ok(&read), "{again}");
        }
        Err(faults) => assert!((1..=MAX_FAULTS + 1).contains(&faults.len())),
    }
}

/// A dictionary whose orders are their words.
pub struct Words;

impl Orders for Words {
    fn encode(&self, words: &str) -> Result<Vec<u8>, String> {
        self.decode(words.as_bytes()).map(String::into_bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, String> {
        let words = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
        if words.contains(char::is_control) { Err("no words".to_owned()) } else { Ok(words.to_owned()) }
    }

    fn dictionary_digest(&self) -> [u8; 4] {
        *b"fuzz"
    }

    fn event(&self, name: &str) -> Option<u16> {
        (name == "event").then_some(3)
    }

    fn event_name(&self, event: u16) -> Option<String> {
        (event == 3).then(|| "event".to_owned())
    }

    fn channel(&self, name: &str) -> Option<u16> {
        (name == "channel").then_some(4)
    }

    fn channel_name(&self, channel: u16) -> Option<String> {
        (channel == 4).then(|| "channel".to_owned())
    }
}

/// An ENVI header that parses is written again to one that says the same.
pub fn envi(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(header) = Header::parse(text) else { return };
    let _size = header.data_bytes();
    let again = Header::parse(&header.to_text()).expect("what was written");
    let shape = |h: &Header| (h.samples, h.lines, h.bands, h.data_bytes());
    assert_eq!(shape(&again), shape(&header));
    let known = |h: &Header| (h.pixel_size_m, h.wind_m_s, h.sun_elevation_deg);
    assert_eq!(known(&again), known(&header));
    assert!(header.pixel_size_m.is_none_or(|m| (0.01..=100_000.0).contains(&m)));
    assert!(header.wind_m_s.is_none_or(|u| (0.0..=200.0).contains(&u)));
    assert!(header.band_names.is_none_or(|names| names.len() == header.bands));
}

/// Any text as the spectrum of a gas.
pub fn gas(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(target) = Gas::parse(text) else { return };
    assert!(target.molar_mass_g().is_none_or(|m| (1.0..=1000.0).contains(&m)));
    assert!(!target.windows_nm().is_empty() && target.columns_ppm_m().is_sorted());
    for [from, to] in target.windows_nm() {
        let middle = f64::midpoint(*from, *to);
        assert!(from < to && target.band_absorption(middle, 5.0).is_finite());
        let depths = target.band_depths(middle, 5.0);
        assert_eq!(depths.len(), target.columns_ppm_m().len());
        assert!(depths.iter().all(|d| !d.is_nan()), "{depths:?}");
    }
}

/// Any bytes as the record of a frame: what is understood is written again to one that says the same.
pub fn record(data: &[u8]) {
    let Ok(record) = Record::decode(data) else { return };
    assert!(data.len() <= MAX_RECORD_BYTES);
    // Numbers can be written longer than need be, never shorter.
    let again = record.encode().expect("it fitted before");
    assert!(again.len() <= data.len());
    assert_eq!(Record::decode(&again), Ok(record));
}

/// A frame of any samples under any header: looked at to the end, to the same bytes with one thread and with two. The
/// data is what follows the header's text (an empty line ends it), again and again, with a first byte that tells what
/// else is asked; the header's own size is cut down.
pub fn triage(data: &[u8]) {
    let Some((asked, rest)) = data.split_first() else { return };
    let end = rest.windows(2).position(|two| two == b"\n\n").unwrap_or(rest.len());
    let (text, samples) = rest.split_at(end);
    let Ok(mut header) = Header::parse(&String::from_utf8_lossy(text)) else { return };
    if header.samples.saturating_mul(header.bands) > MAX_CUBE_VALUES {
        return;
    }
    header.lines = header.lines.min(MAX_CUBE_VALUES / (header.samples * header.bands));
    header.header_offset = 0;
    let bytes = usize::try_from(header.data_bytes()).expect("it was cut down");
    let samples: Vec<u8> = samples.iter().skip(2).chain(&[0]).copied().cycle().take(bytes).collect();
    let mut cube = Cube::new(header, samples.as_slice()).expect("as long as it must be");
    if asked & 1 != 0 {
        cube = cube.clone().with_columns(calibration(&cube));
    }
    let params = Params {
        segment_pixels: if asked & 2 == 0 { 1 << 20 } else { 4096 },
        pixel_size_m: if asked & 4 == 0 { 0.0 } else { 30.0 },
        wind_m_s: if asked & 8 == 0 { 0.0 } else { 4.0 },
        ..Params::default()
    };
    let [one, two] = [1, 2].map(|threads| {
        let mut maps = Maps::default();
        let params = Params { threads, ..params.clone() };
        let found = look(&cube, &Gas::ch4(), &params, &mut maps).expect("memory doesn't fail");
        let pixels = found.report.lines * found.report.samples;
        assert_eq!((maps.mask.len(), found.labels().len()), (pixels, pixels));
        assert!((0.0..=1.0).contains(&found.report.probability));
        let record = Record::of(&found.report).encode().expect("a record fits");
        // Not a number is equal to nothing, not even itself: as text it is.
        (record, format!("{:?} {maps:?}", found.report))
    });
    assert!(one == two, "threads change the result");
}

/// A calibration that says something else of each detector.
fn calibration(cube: &Cube<&[u8]>) -> ColumnScale {
    let own = cube.header();
    let header = Header::new(own.samples, 2, own.bands, DataType::F32);
    let values = (0..2 * own.samples * own.bands).map(|at| 1.0 + (at % 7) as f32 / 8.0);
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    ColumnScale::read(&Cube::new(header, bytes).expect("its own size"), own).expect("all of it finite")
}

/// How the sample bundle of the corpus is cut.
#[must_use]
pub fn sample_geometry(sealed: &[u8]) -> Option<Geometry> {
    FileHeader::decode(sealed.first_chunk()?).ok().map(|header| header.geometry)
}
