//! Bursts of datagrams on their way from the encoder to the radio.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use passband_proto::transfer::Burst;

use super::shared::lock;

/// The longest wait for a burst.
const NAP: Duration = Duration::from_millis(100);

/// Bursts on their way from the encoder to the radio.
#[derive(Debug, Default)]
pub(crate) struct Bursts {
    waiting: Mutex<VecDeque<Burst>>,
    moved: Condvar,
    /// One was taken and is not wholly sent yet.
    in_hand: AtomicBool,
}

impl Bursts {
    /// The time on the link of what waits, ns.
    pub(crate) fn waiting_ns(&self, rate_bps: u64) -> u64 {
        let bytes: usize = lock(&self.waiting).iter().map(Burst::bytes).sum();
        link_ns(bytes, rate_bps)
    }

    pub(crate) fn push(&self, burst: Burst) {
        lock(&self.waiting).push_back(burst);
        self.moved.notify_all();
    }

    pub(crate) fn pop(&self) -> Option<Burst> {
        let mut waiting = lock(&self.waiting);
        if waiting.is_empty() {
            waiting = self.moved.wait_timeout(waiting, NAP).unwrap_or_else(PoisonError::into_inner).0;
        }
        let burst = waiting.pop_front();
        self.in_hand.store(burst.is_some(), Ordering::Relaxed);
        drop(waiting);
        self.moved.notify_all();
        burst
    }

    /// Waits until a burst goes, a little while at most.
    pub(crate) fn wait(&self, most: Duration) {
        let waiting = lock(&self.waiting);
        let _woken = self.moved.wait_timeout(waiting, most).unwrap_or_else(PoisonError::into_inner);
    }

    /// The burst that was taken is wholly sent.
    pub(crate) fn sent(&self) {
        self.in_hand.store(false, Ordering::Relaxed);
    }

    /// Whether all that was encoded is sent.
    pub(crate) fn all_sent(&self) -> bool {
        lock(&self.waiting).is_empty() && !self.in_hand.load(Ordering::Relaxed)
    }
}

fn link_ns(bytes: usize, rate_bps: u64) -> u64 {
    let ns = bytes as u128 * 8_000_000_000 / u128::from(rate_bps.max(1));
    u64::try_from(ns).unwrap_or(u64::MAX)
}
