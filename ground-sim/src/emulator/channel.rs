//! A lossy channel. Seeded: the same datagrams at the same times fare the same.
//!
//! Losses come from a Gilbert–Elliott chain (Gilbert 1960, Elliott 1963) whose bad state loses everything
//! and whose good state loses nothing: mean loss p and mean burst length b give the probabilities
//! bad → good = 1/b and good → bad = p / (b (1 − p)).

use std::collections::BinaryHeap;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Datagrams that may be on their way at a time.
const MAX_IN_FLIGHT: usize = 65_536;

/// What a channel does.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelParams {
    /// Mean share of datagrams lost, 0 … 1.
    pub loss: f64,
    /// Mean length of a burst of losses, datagrams; 1 or less: independent losses.
    pub burst_len: f64,
    /// Probability that a datagram arrives damaged.
    pub corrupt: f64,
    /// Probability that it is cut short.
    pub truncate: f64,
    /// Probability that it arrives twice.
    pub duplicate: f64,
    /// Probability that it is held up.
    pub reorder: f64,
    /// How many later datagrams may overtake one that is held up.
    pub reorder_depth: u32,
    /// Rate, bit/s of UDP payload; 0: no limit. What exceeds it queues for a quarter of a second and is
    /// lost beyond that.
    pub rate_bps: u64,
    /// One-way delay, ms.
    pub delay_ms: f64,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for ChannelParams {
    fn default() -> Self {
        Self {
            loss: 0.0,
            burst_len: 1.0,
            corrupt: 0.0,
            truncate: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_depth: 16,
            rate_bps: 0,
            delay_ms: 0.0,
            seed: 1,
        }
    }
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It arrives as it was sent.
    Delivered,
    /// It arrives damaged or cut short.
    Damaged,
    /// It is lost on the link.
    Lost,
    /// It is lost because the link's queue is full.
    Overrun,
    /// There is no pass.
    NoContact,
}

/// Counts of one pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ChannelStats {
    /// Datagrams sent into the link.
    pub offered: u64,
    /// Their bytes.
    pub offered_bytes: u64,
    /// Delivered as sent.
    pub delivered: u64,
    /// Lost on the link.
    pub lost: u64,
    /// Lost because the link's queue was full.
    pub overrun: u64,
    /// Delivered damaged or cut short.
    pub corrupted: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Held up.
    pub reordered: u64,
    /// Sent while there was no pass.
    pub no_contact: u64,
}

/// A datagram that arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    due_us: u64,
    order: u64,
    /// Its bytes on arrival.
    pub bytes: Vec<u8>,
}

impl Ord for Delivery {
    /// The earliest is the greatest: it is on top of the heap.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.due_us, other.order).cmp(&(self.due_us, self.order))
    }
}

impl PartialOrd for Delivery {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The channel.
#[derive(Debug)]
pub struct Channel {
    params: ChannelParams,
    rng: ChaCha8Rng,
    /// Losses have a stream of their own: they don't change with what else is asked of the channel.
    loss_rng: ChaCha8Rng,
    bad: bool,
    busy_until_us: u64,
    order: u64,
    in_flight: BinaryHeap<Delivery>,
    stats: ChannelStats,
}

impl Channel {
    /// A channel in its good state.
    #[must_use]
    pub fn new(params: ChannelParams) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(params.seed);
        let mut loss_rng = rng.clone();
        loss_rng.set_stream(1);
        Self {
            params,
            rng,
            loss_rng,
            bad: false,
            busy_until_us: 0,
            order: 0,
            in_flight: BinaryHeap::new(),
            stats: ChannelStats::default(),
        }
    }

    /// A datagram is sent at `now_us`.
    pub fn send(&mut self, now_us: u64, datagram: &[u8]) -> Verdict {
        self.stats.offered += 1;
        self.stats.offered_bytes += datagram.len() as u64;
        let Some(sent_us) = self.queue(now_us, datagram.len()) else {
            self.stats.overrun += 1;
            return Verdict::Overrun;
        };
        if self.loses() {
            self.stats.lost += 1;
            return Verdict::Lost;
        }
        let mut bytes = datagram.to_vec();
        let damaged = self.damage(&mut bytes);
        let duplicate = self.rng.random_bool(probability(self.params.duplicate));
        let held = self.rng.random_bool(probability(self.params.reorder));
        let order = self.order
            + if held { u64::from(self.rng.random_range(0..=self.params.reorder_depth)) * 2 + 1 } else { 0 };
        self.order += 2;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a delay is small and positive"
        )]
        let delay_us = (self.params.delay_ms.clamp(0.0, 1e7) * 1e3) as u64;
        // What is held up leaves with the datagrams that overtook it, a moment later.
        let due_us = sent_us
            + delay_us
            + if held { self.slot_us(datagram.len()) * (order + 2 - self.order) / 2 } else { 0 };
        if duplicate {
            self.stats.duplicated += 1;
            self.arrive(Delivery { due_us, order: order + 1, bytes: bytes.clone() });
        }
        self.arrive(Delivery { due_us, order, bytes });
        self.stats.reordered += u64::from(held);
        if damaged {
            self.stats.corrupted += 1;
            Verdict::Damaged
        } else {
            self.stats.delivered += 1;
            Verdict::Delivered
        }
    }

    /// A datagram is sent while there is no pass.
    pub fn send_in_vain(&mut self) -> Verdict {
        self.stats.no_contact += 1;
        Verdict::NoContact
    }

    /// The next datagram that has arrived by `now_us`.
    pub fn receive(&mut self, now_us: u64) -> Option<Vec<u8>> {
        if self.in_flight.peek()?.due_us > now_us {
            return None;
        }
        self.in_flight.pop().map(|d| d.bytes)
    }

    /// When the next datagram arrives, µs.
    #[must_use]
    pub fn next_us(&self) -> Option<u64> {
        self.in_flight.peek().map(|d| d.due_us)
    }

    /// The counts since they were last taken.
    pub fn take_stats(&mut self) -> ChannelStats {
        std::mem::take(&mut self.stats)
    }

    fn arrive(&mut self, delivery: Delivery) {
        if self.in_flight.len() < MAX_IN_FLIGHT {
            self.in_flight.push(delivery);
        }
    }

    /// When the last bit of a datagram of this size leaves; `None`: the queue is full.
    fn queue(&mut self, now_us: u64, bytes: usize) -> Option<u64> {
        const QUEUE_US: u64 = 250_000;
        if self.params.rate_bps == 0 {
            return Some(now_us);
        }
        let start = self.busy_until_us.max(now_us);
        if start - now_us > QUEUE_US {
            return None;
        }
        self.busy_until_us = start + bytes as u64 * 8_000_000 / self.params.rate_bps;
        Some(self.busy_until_us)
    }

    /// How long a datagram of this size takes; a millisecond where the rate is not limited.
    fn slot_us(&self, bytes: usize) -> u64 {
        (bytes as u64 * 8_000_000).checked_div(self.params.rate_bps).unwrap_or(200)
    }

    fn loses(&mut self) -> bool {
        let loss = probability(self.params.loss);
        let burst = self.params.burst_len;
        if burst.is_nan() || burst <= 1.0 || loss >= 1.0 {
            return self.loss_rng.random_bool(loss);
        }
        let change = if self.bad { 1.0 / burst } else { probability(loss / (burst * (1.0 - loss))) };
        if self.loss_rng.random_bool(change) {
            self.bad = !self.bad;
        }
        self.bad
    }

    /// Damages a datagram as the parameters say; whether it did.
    fn damage(&mut self, bytes: &mut Vec<u8>) -> bool {
        if bytes.is_empty() {
            return false;
        }
        let corrupt = self.rng.random_bool(probability(self.params.corrupt));
        if corrupt {
            // One bit, or a few bytes in a row.
            let at = self.rng.random_range(0..bytes.len());
            if self.rng.random_bool(0.5) {
                bytes[at] ^= 1 << self.rng.random_range(0..8);
            } else {
                let end = (at + self.rng.random_range(1..=8)).min(bytes.len());
                for byte in &mut bytes[at..end] {
                    *byte ^= u8::try_from(self.rng.next_u32() % 255 + 1).unwrap_or(1);
                }
            }
        }
        let truncate = self.rng.random_bool(probability(self.params.truncate));
        if truncate {
            bytes.truncate(self.rng.random_range(0..bytes.len()));
        }
        corrupt || truncate
    }
}

fn probability(p: f64) -> f64 {
    if p.is_finite() { p.clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(params: ChannelParams, n: u64) -> (Vec<Verdict>, Vec<Vec<u8>>, ChannelStats) {
        let mut channel = Channel::new(params);
        let mut out = Vec::new();
        let verdicts = (0..n)
            .map(|i| {
                let verdict = channel.send(i * 100, &i.to_be_bytes());
                out.extend(std::iter::from_fn(|| channel.receive(i * 100)));
                verdict
            })
            .collect();
        out.extend(std::iter::from_fn(|| channel.receive(u64::MAX)));
        let stats = channel.take_stats();
        (verdicts, out, stats)
    }

    #[test]
    fn a_clean_channel_delivers_everything_in_order() {
        let (_, out, stats) = run(ChannelParams::default(), 1000);
        assert!(out.iter().zip(0_u64..).all(|(bytes, i)| *bytes == i.to_be_bytes()));
        assert_eq!((out.len(), stats.delivered), (1000, 1000));
    }

    #[test]
    fn loss_and_burst_length_are_what_was_asked_for() {
        for (loss, burst_len) in [(0.05, 1.0), (0.2, 3.0), (0.5, 50.0), (0.3, 200.0)] {
            let (verdicts, _, _) =
                run(ChannelParams { loss, burst_len, seed: 3, ..Default::default() }, 400_000);
            let lost = verdicts.iter().filter(|v| **v == Verdict::Lost).count() as f64;
            let bursts =
                verdicts.windows(2).filter(|w| w[0] != Verdict::Lost && w[1] == Verdict::Lost).count() as f64;
            assert!((lost / 400_000.0 - loss).abs() < 0.03, "{loss}: {}", lost / 400_000.0);
            let expected = if burst_len > 1.0 { burst_len } else { 1.0 / (1.0 - loss) };
            assert!((lost / bursts / expected - 1.0).abs() < 0.1, "{burst_len}: {}", lost / bursts);
        }
    }

    #[test]
    fn damage_duplicates_and_disorder_are_counted_and_seeded() {
        let params = ChannelParams {
            corrupt: 0.1,
            truncate: 0.05,
            duplicate: 0.1,
            reorder: 0.1,
            seed: 9,
            ..Default::default()
        };
        let (verdicts, out, stats) = run(params.clone(), 20_000);
        assert_eq!(run(params, 20_000).1, out);
        let damaged = verdicts.iter().filter(|v| **v == Verdict::Damaged).count();
        assert!((2500..3300).contains(&damaged), "{damaged}");
        assert_eq!(stats.corrupted, damaged as u64);
        assert_eq!(out.len() as u64, 20_000 + stats.duplicated);
        assert!(stats.reordered > 1500);
        let whole: Vec<u64> =
            out.iter().filter_map(|b| Some(u64::from_be_bytes(b.as_slice().try_into().ok()?))).collect();
        assert!(whole.windows(2).any(|w| w[0] > w[1]), "some come out of order");
    }

    #[test]
    fn a_damaged_datagram_is_never_what_was_sent() {
        let mut channel = Channel::new(ChannelParams { corrupt: 1.0, ..Default::default() });
        for i in 0..5000 {
            channel.send(i, &[0x55; 64]);
            assert_ne!(channel.receive(i), Some(vec![0x55; 64]));
        }
    }

    #[test]
    fn a_rate_limit_spreads_and_then_drops() {
        let mut channel = Channel::new(ChannelParams { rate_bps: 8_000_000, ..Default::default() });
        let verdicts: Vec<_> = (0..400).map(|_| channel.send(0, &[0; 1000])).collect();
        let kept = verdicts.iter().filter(|v| **v == Verdict::Delivered).count();
        assert_eq!(kept, 251, "a quarter of a second of a megabyte a second, and the one on its way");
        assert_eq!(channel.next_us(), Some(1000));
    }
}
