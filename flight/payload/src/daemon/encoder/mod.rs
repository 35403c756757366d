//! The encoder: turns what is to be sent into datagrams, a little ahead of the radio, while the gate is
//! open. The queue says whose turn it is; [`Sender`] has what the next seconds of the link can carry, and decides
//! which datagram goes next.

mod blocks;
mod offered;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use passband_proto::dict::EventCode;
use passband_proto::ids::BundleId;
use passband_proto::keys::EpochKey;
use passband_proto::report;
use passband_proto::transfer::{Burst, Sender, SenderConfig, Worker, burst_datagrams, datagrams_in};

use self::offered::Offered;
use super::bursts::Bursts;
use super::keys_for;
use super::shared::{Passes, Shared};
use crate::adapters::os::FileState;
use crate::config::TransmitMode;
use crate::health::Task;
use crate::ordered;
use crate::queue::Queue;
use crate::telemetry::Report;

/// How far the encoder may be ahead of the link, ns of the link's time; at least one burst. With the burst that
/// is being made it has to stay below [`WRITE_NS`]: what waits longer could be credited before it has left.
const AHEAD_NS: u64 = 120_000_000;
/// The marks are written once in so much of the link's time, ns.
const WRITE_NS: u64 = 150_000_000;
/// A link that is always open begins a new pass in so long, ms.
const ALWAYS_PASS_MS: u64 = 60_000;
/// Reports that are taken at a time: each is a write to the disk, and the link must not wait for many.
const REPORTS_AT_A_TIME: usize = 2;
/// The longest sleep: how soon the thread sees that the daemon stops.
const NAP: Duration = Duration::from_millis(100);

/// A change of what is to be sent.
#[derive(Debug)]
pub(crate) enum QueueChange {
    /// Something new waits, or stands elsewhere.
    News,
    /// It is to be sent no more.
    Withdraw(BundleId),
    /// What the ground says it has.
    Heard(Box<report::Report>),
}

/// The thread that encodes.
pub(crate) struct Encoder {
    shared: Arc<Shared>,
    bursts: Arc<Bursts>,
    changes: Receiver<QueueChange>,
    worker: Worker,
    offered: Offered,
    passes: Passes,
    always_pass_ms: u64,
    rate_bps: u64,
    key_file: FileState,
}

impl Encoder {
    pub(crate) fn new(
        shared: Arc<Shared>,
        bursts: Arc<Bursts>,
        changes: Receiver<QueueChange>,
        worker: Worker,
        seed: u64,
        esi_offset: u32,
    ) -> Self {
        // Of a catalogue in memory the number of this start is not its own: one from the upper half is drawn.
        let number = if shared.in_memory { seed | 0x80_0000 } else { shared.session };
        let config = SenderConfig {
            session: u32::try_from(number & 0xFF_FFFF).unwrap_or_default(),
            expected_loss: shared.config.downlink.expected_loss,
            seed,
            encode_elsewhere: true,
            always_open: shared.config.downlink.transmit == TransmitMode::Always,
            ..SenderConfig::default()
        };
        let sender = Sender::new(&config, shared.keys().as_ref().clone());
        Self {
            key_file: FileState::of(&shared.config.paths.keys),
            offered: Offered::new(Arc::clone(&shared), sender, esi_offset),
            shared,
            bursts,
            changes,
            worker,
            passes: Passes::default(),
            always_pass_ms: 0,
            rate_bps: 0,
        }
    }

    /// Runs until the daemon stops; then makes exact what was sent.
    pub(crate) fn run(mut self) {
        let beat = self.shared.beat(Task::Encoder);
        while !self.shared.stopping() {
            beat.check_in();
            if !self.take_changes() {
                break;
            }
            self.follow_passes();
            match self.shared.open_now() {
                Some(open) if self.is_ahead(open.rate_bps, open.left_ms) => {
                    self.bursts.wait(Duration::from_millis(5));
                }
                Some(open) => self.encode(open.rate_bps),
                None => self.wait_for_change(),
            }
            self.offered.note_progress(false);
        }
        self.checkpoint();
        self.offered.settle_all();
    }

    /// Takes what changed in the queue, but only so many reports; `false` once there is nobody to change it.
    fn take_changes(&mut self) -> bool {
        let mut reports = 0;
        while reports < REPORTS_AT_A_TIME {
            match self.changes.try_recv() {
                Ok(change) => {
                    reports += usize::from(matches!(change, QueueChange::Heard(_)));
                    self.apply(change);
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    fn wait_for_change(&mut self) {
        self.offered.note_progress(true);
        self.shared.wait_for_gate(NAP);
        if let Ok(change) = self.changes.try_recv() {
            self.apply(change);
        }
    }

    fn apply(&mut self, change: QueueChange) {
        match change {
            QueueChange::News => {}
            QueueChange::Withdraw(id) => self.offered.withdraw(&id),
            QueueChange::Heard(report) => self.offered.hear(&report),
        }
    }

    /// Makes marks exact at LOS, begins a pass at AOS.
    fn follow_passes(&mut self) {
        let always = self.shared.config.downlink.transmit == TransmitMode::Always;
        let mut passes = self.shared.passes();
        let now_ms = self.shared.clock.now_ms();
        if always && now_ms.saturating_sub(self.always_pass_ms) >= ALWAYS_PASS_MS {
            self.always_pass_ms = now_ms;
            passes.opened = self.passes.opened + 1;
        }
        let (closed, opened) = (passes.closed != self.passes.closed, passes.opened != self.passes.opened);
        if closed {
            self.checkpoint();
        }
        if closed || opened && !always {
            self.offered.settle_all();
        }
        if opened {
            self.look_at_keys();
            // A link that is always open has no gap in which the order could be made anew.
            self.offered.retry_faulty();
            self.shared.queue(Queue::begin_pass);
            self.offered.sender.begin_pass();
        }
        self.passes = passes;
    }

    /// Takes the key file again if it has changed: what is new is sealed under the newest key in it, what was
    /// sealed before goes on under its own. A file that can't be used changes nothing.
    fn look_at_keys(&mut self) {
        let now = self.key_file.now();
        if now == self.key_file {
            return;
        }
        let config = &self.shared.config;
        self.key_file = now;
        match keys_for(config) {
            Ok((keys, _)) => {
                let newest = keys.newest(config.spacecraft).map_or(0, EpochKey::epoch);
                let text = format!("the key file has changed: new bundles are sealed under epoch {newest}");
                self.offered.sender.set_keys(keys.clone());
                self.shared.set_keys(keys);
                self.shared.event(&Report::info(EventCode::KeysChanged, text));
            }
            Err(e) => {
                let text = format!("the key file has changed and can't be used, the keys stay: {e}");
                self.shared.event(&Report::error(EventCode::KeysUnusable, text));
            }
        }
    }

    /// Whether enough is encoded: for a while, or for all of the pass that is left.
    fn is_ahead(&self, rate_bps: u64, left_ms: Option<u64>) -> bool {
        let most_ns = left_ms.map_or(AHEAD_NS, |ms| AHEAD_NS.min(ms.saturating_mul(1_000_000)));
        let waiting_ns = self.bursts.waiting_ns(rate_bps);
        waiting_ns >= most_ns
    }

    fn encode(&mut self, rate_bps: u64) {
        self.follow_rate(rate_bps);
        self.offered.refill(rate_bps);
        let mut burst =
            Burst::of_at_most(burst_datagrams(self.rate_bps, self.shared.config.downlink.symbol_bytes));
        let Offered { sender, blocks, .. } = &mut self.offered;
        let polled = sender.poll_transmit(blocks, &mut burst);
        let bundles: BTreeSet<BundleId> = ordered::gathered(burst.bundles().iter().copied());
        if !burst.is_empty() {
            self.bursts.push(burst);
        }
        let polled = polled.and_then(|sent| {
            self.worker.run(sender, blocks)?;
            Ok(sent)
        });
        self.offered.follow_burst(bundles);
        match polled {
            Ok(Some(_)) => {}
            Ok(None) => self.idle(),
            Err(e) => {
                // It goes on with the others, and with this one at the next pass.
                if self.offered.failed(&e.id) {
                    let text = format!("sending failed until the next pass: {e}");
                    self.shared.throttled("send", &Report::error(EventCode::SendError, text));
                }
            }
        }
    }

    /// Fits the writing of marks to the rate of the link.
    fn follow_rate(&mut self, rate_bps: u64) {
        if rate_bps != self.rate_bps {
            self.rate_bps = rate_bps;
            let symbol_bytes = self.shared.config.downlink.symbol_bytes;
            let symbols = datagrams_in(rate_bps, WRITE_NS, symbol_bytes).clamp(64, 1 << 20);
            self.offered.sender.set_reserve_symbols(u32::try_from(symbols).unwrap_or(u32::MAX));
        }
    }

    /// Nothing can be improved by sending: waits for something new.
    fn idle(&mut self) {
        self.offered.note_progress(true);
        match self.changes.recv_timeout(Duration::from_millis(20)) {
            Ok(change) => self.apply(change),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    /// Makes durable what was sent. While something is encoded but not sent, the marks of the last
    /// reservation are the honest ones.
    fn checkpoint(&mut self) {
        if self.bursts.all_sent() {
            self.offered.checkpoint();
        }
    }
}
