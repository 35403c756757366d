//! CFDP (CCSDS 727.0-B-5), class 2, by the `cfdp-rs` crate: acknowledged, with lists of what is missing.
//!
//! Its timers run only in contact, as if it were suspended and resumed around every gap.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicU16;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use cfdp::dest::DestinationHandler;
use cfdp::filestore::NativeFilestore;
use cfdp::lost_segments::LostSegmentsList;
use cfdp::request::PutRequestOwned;
use cfdp::source::SourceHandler;
use cfdp::time::Countdown;
use cfdp::user::{CfdpUser, FileSegmentRecvdParams, MetadataReceivedParams, TransactionFinishedParams};
use cfdp::{
    FaultInfo, IndicationConfig, LocalEntityConfig, PduOwnedWithInfo, PduProvider, RemoteEntityConfig,
    TimerContext, TimerCreator, TransactionId, UserFaultHook,
};
use passband_ground::bench::transfer::scenario::{DATAGRAM_BYTES, Figures, RETURNS, Return, Scenario};
use spacepackets::cfdp::{ChecksumType, ConditionCode, TransmissionMode};
use spacepackets::util::UnsignedByteFieldU16;

const SATELLITE: UnsignedByteFieldU16 = UnsignedByteFieldU16::new(1);
const GROUND: UnsignedByteFieldU16 = UnsignedByteFieldU16::new(2);
/// Datagrams' time with nothing to send after which nothing will come any more, in passes.
const SILENT_PASSES: u64 = 20;

/// Measures it over each way back.
pub fn measure(
    scenario: &Scenario,
    file: &Path,
    content: &[u8],
    dir: &Path,
    each: &mut dyn FnMut(&Figures) -> Result<()>,
) -> Result<()> {
    for way_back in RETURNS {
        for setup in [USUAL, STUBBORN] {
            let out = dir.join(format!("cfdp-{way_back:?}-{:?}.bin", setup.limit));
            each(&transfer(scenario, file, content, &out, way_back, setup)?)?;
        }
    }
    Ok(())
}

/// How soon it gives up.
#[derive(Clone, Copy)]
struct Setup {
    name: &'static str,
    /// Timers that may run out before it does.
    limit: Option<u32>,
}

const USUAL: Setup = Setup { name: "cfdp-rs 0.3 (class 2, its limits)", limit: None };
const STUBBORN: Setup = Setup { name: "cfdp-rs 0.3 (class 2, no limits)", limit: Some(1_000_000) };

/// Contact time, ns.
type Clock = Rc<Cell<u64>>;

/// What became of it, as either end saw it.
type Log = Rc<RefCell<Vec<String>>>;

#[derive(Debug)]
struct Timer {
    clock: Clock,
    start: u64,
    length: u64,
}

impl Countdown for Timer {
    fn has_expired(&self) -> bool {
        self.clock.get() >= self.start + self.length
    }

    fn reset(&mut self) {
        self.start = self.clock.get();
    }
}

struct Timers(Clock);

impl TimerCreator for Timers {
    type Countdown = Timer;

    fn create_countdown(&self, context: TimerContext) -> Timer {
        let length = match context {
            TimerContext::CheckLimit { .. } => Duration::from_secs(10),
            TimerContext::NakActivity { expiry_time } | TimerContext::PositiveAck { expiry_time } => {
                expiry_time
            }
        };
        let length = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Timer { start: self.0.get(), length, clock: Rc::clone(&self.0) }
    }
}

struct Faults(Log);

impl Faults {
    fn note(&self, what: &str, info: &FaultInfo) {
        self.0.borrow_mut().push(format!("{what} ({:?})", info.condition_code()));
    }
}

impl UserFaultHook for Faults {
    fn notice_of_suspension_cb(&mut self, info: FaultInfo) {
        self.note("suspended", &info);
    }
    fn notice_of_cancellation_cb(&mut self, info: FaultInfo) {
        self.note("cancelled", &info);
    }
    fn abandoned_cb(&mut self, info: FaultInfo) {
        self.note("abandoned", &info);
    }
    fn ignore_cb(&mut self, _: FaultInfo) {}
}

/// Listens to nothing but the end.
#[derive(Default)]
struct User {
    finished: bool,
}

impl CfdpUser for User {
    fn transaction_indication(&mut self, _: &TransactionId) {}
    fn eof_sent_indication(&mut self, _: &TransactionId) {}
    fn transaction_finished_indication(&mut self, _: &TransactionFinishedParams) {
        self.finished = true;
    }
    fn metadata_recvd_indication(&mut self, _: &MetadataReceivedParams) {}
    fn file_segment_recvd_indication(&mut self, _: &FileSegmentRecvdParams) {}
    fn report_indication(&mut self, _: &TransactionId) {}
    fn suspended_indication(&mut self, _: &TransactionId, _: ConditionCode) {}
    fn resumed_indication(&mut self, _: &TransactionId, _: u64) {}
    fn fault_indication(&mut self, _: &TransactionId, _: ConditionCode, _: u64) {}
    fn abandoned_indication(&mut self, _: &TransactionId, _: ConditionCode, _: u64) {}
    fn eof_recvd_indication(&mut self, _: &TransactionId) {}
}

/// What comes back from the ground.
struct WayBack {
    kind: Return,
    losses: passband_ground::bench::transfer::losses::Losses,
    sent: u64,
    /// What is on its way, and the first datagram's time at which it arrives.
    queue: VecDeque<(u64, PduOwnedWithInfo)>,
}

impl WayBack {
    fn send(&mut self, scenario: &Scenario, n: u64, pdu: PduOwnedWithInfo) {
        self.sent += 1;
        let due = match self.kind {
            Return::Dead => return,
            Return::Lossy if self.losses.loses(self.sent) => return,
            Return::Lossy => n,
            Return::Late => (n / scenario.pass_datagrams + 1) * scenario.pass_datagrams,
        };
        self.queue.push_back((due, pdu));
    }

    fn receive(&mut self, n: u64) -> Option<PduOwnedWithInfo> {
        self.queue.pop_front_if(|(due, _)| *due <= n).map(|(_, pdu)| pdu)
    }
}

fn config(
    of: UnsignedByteFieldU16,
    scenario: &Scenario,
    way_back: Return,
    setup: Setup,
) -> RemoteEntityConfig {
    let size = usize::try_from(DATAGRAM_BYTES).unwrap_or(1472);
    let mode = TransmissionMode::Acknowledged;
    let mut config =
        RemoteEntityConfig::new_with_default_values(of.into(), size, true, false, mode, ChecksumType::Crc32);
    if let Some(limit) = setup.limit {
        config.positive_ack_timer_expiration_limit = limit;
        config.nak_timer_expiration_limit = limit;
    }
    if way_back == Return::Late {
        // An answer takes a pass: timers wait for two, or each transfer would end before it came.
        config.positive_ack_timer_interval = Duration::from_secs_f64(2.0 * scenario.pass_s);
        config.nak_timer_interval = Duration::from_secs_f64(2.0 * scenario.pass_s);
    }
    config
}

fn transfer(
    scenario: &Scenario,
    file: &Path,
    content: &[u8],
    out: &Path,
    way_back: Return,
    setup: Setup,
) -> Result<Figures> {
    let (clock, log) = (Clock::default(), Log::default());
    let (down, from_source) = channel::<PduOwnedWithInfo>();
    let (up, from_dest) = channel::<PduOwnedWithInfo>();
    let entity = |id: UnsignedByteFieldU16| {
        LocalEntityConfig::new(id.into(), IndicationConfig::default(), Faults(Rc::clone(&log)))
    };
    let mut source = SourceHandler::new(
        entity(SATELLITE),
        down,
        NativeFilestore::default(),
        config(GROUND, scenario, way_back, setup),
        Timers(Rc::clone(&clock)),
        AtomicU16::default(),
    );
    let mut dest = DestinationHandler::new(
        entity(GROUND),
        up,
        NativeFilestore::default(),
        config(SATELLITE, scenario, way_back, setup),
        Timers(Rc::clone(&clock)),
        LostSegmentsList::default(),
    );
    let (from, to) = (file.to_string_lossy(), out.to_string_lossy());
    let mode = Some(TransmissionMode::Acknowledged);
    let request = PutRequestOwned::new_regular_request(GROUND.into(), &from, &to, mode, Some(true));
    let request = request.map_err(|e| anyhow!("cfdp: {e:?}"))?;
    source.put_request(&request).map_err(|e| anyhow!("cfdp: {e}"))?;
    let (mut source_user, mut dest_user) = (User::default(), User::default());
    let mut back =
        WayBack { kind: way_back, losses: scenario.return_losses(), sent: 0, queue: VecDeque::new() };
    let mut losses = scenario.losses();
    let (mut n, mut bytes, mut silent) = (0, 0, 0);
    let slot_ns = scenario.pass_s * 1e9 / scenario.pass_datagrams as f64;
    while n < scenario.patience() && silent < SILENT_PASSES * scenario.pass_datagrams {
        clock.set(nanoseconds(n as f64 * slot_ns));
        while let Some(pdu) = back.receive(n) {
            note(&log, source.state_machine(&mut source_user, Some(&pdu)));
        }
        note(&log, source.state_machine_no_packet(&mut source_user));
        silent += 1;
        for pdu in drain(&from_source) {
            bytes += pdu.raw_pdu().len() as u64;
            if !losses.loses(n) {
                note(&log, dest.state_machine(&mut dest_user, Some(&pdu)));
            }
            (n, silent) = (n + 1, 0);
        }
        n += u64::from(silent > 0);
        note(&log, dest.state_machine_no_packet(&mut dest_user));
        for pdu in drain(&from_dest) {
            back.send(scenario, n, pdu);
        }
        if dest_user.finished {
            if fs::read(out).is_ok_and(|got| got == content) {
                let figures = Figures::down(setup.name, Some(way_back), scenario, n, bytes);
                let note = Some("its packets carry neither tag nor checksum".to_owned());
                return Ok(Figures { note, ..figures });
            }
            break;
        }
    }
    ensure!(bytes > 0, "cfdp-rs sent nothing");
    let happened = log.borrow().join(", ");
    let missing = if happened.is_empty() { "not in all passes".to_owned() } else { happened };
    let sent = bytes as f64 / scenario.file_bytes as f64;
    Ok(Figures::never(
        setup.name,
        Some(way_back),
        format!("{missing}, after {sent:.2} times the file's bytes"),
    ))
}

/// Notes an error once. It is about a single PDU; the machine goes on.
fn note<E: std::fmt::Display>(log: &Log, result: Result<u32, E>) {
    if let Err(e) = result {
        let text = format!("error: {e}");
        if !log.borrow().contains(&text) {
            log.borrow_mut().push(text);
        }
    }
}

fn drain(pdus: &Receiver<PduOwnedWithInfo>) -> Vec<PduOwnedWithInfo> {
    pdus.try_iter().collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of days at most")]
fn nanoseconds(ns: f64) -> u64 {
    ns as u64
}
