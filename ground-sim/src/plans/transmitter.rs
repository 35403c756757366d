//! The fast transmitter in a dry run: the very gate that flies, under the passes of that time.
//!
//! What the bus computer would open isn't known, and isn't counted.

use passband_flight::config::TransmitMode;
use passband_flight::downlink::{Change, Gate, Planned, Refused};
use passband_flight::passes::Pass;
use passband_proto::dict::Order;

/// Sums over a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Aired {
    /// Time with an open transmitter in which a station listens, ms.
    pub heard_ms: u64,
    /// Time with an open transmitter in which none does, ms.
    pub unheard_ms: u64,
    /// What the link carries in that time, bytes.
    pub carried_bytes: u64,
}

/// The transmitter, its passes, and what was sent so far. Times are ms since 1970-01-01 UTC.
#[derive(Debug, Clone)]
pub struct Transmitter {
    now_unix_ms: u64,
    /// By AOS.
    passes: Vec<Pass>,
    gate: Gate,
    /// Safe mode: whatever the gate says, nothing is sent.
    off: bool,
    aired: Aired,
}

impl Transmitter {
    /// One that is opened by `mode`, at `rate_bps` of UDP payload where nobody says another rate.
    pub fn new(mut passes: Vec<Pass>, mode: TransmitMode, rate_bps: u64, start_unix_ms: u64) -> Self {
        passes.sort_by_key(|pass| pass.aos_unix_ms);
        let gate = Gate::new(mode, rate_bps, start_unix_ms);
        let mut new = Self { now_unix_ms: start_unix_ms, passes, gate, off: false, aired: Aired::default() };
        new.follow_plan();
        new
    }

    /// Goes on to a time.
    pub fn advance(&mut self, to_unix_ms: u64) {
        while self.now_unix_ms < to_unix_ms {
            let now = self.now_unix_ms;
            let state = self.gate.state(now).filter(|_| !self.off);
            let closes = state.and_then(|state| state.left_ms).map(|left| now.saturating_add(left));
            let edges = self.passes.iter().flat_map(|pass| [pass.aos_unix_ms, pass.los_unix_ms]);
            let next = edges.chain(closes).filter(|edge| *edge > now).fold(to_unix_ms, u64::min);
            if let Some(state) = state {
                self.air(next - now, state.rate_bps);
            }
            self.now_unix_ms = next;
            self.follow_plan();
        }
    }

    fn air(&mut self, ms: u64, rate_bps: u64) {
        if self.current().is_none() {
            self.aired.unheard_ms += ms;
            return;
        }
        self.aired.heard_ms += ms;
        let bytes = u128::from(ms) * u128::from(rate_bps) / 8000;
        self.aired.carried_bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// The pass that is on.
    fn current(&self) -> Option<&Pass> {
        self.passes.iter().find(|pass| (pass.aos_unix_ms..pass.los_unix_ms).contains(&self.now_unix_ms))
    }

    fn follow_plan(&mut self) {
        let planned = self.current().map(|pass| Planned {
            left_ms: pass.los_unix_ms.saturating_sub(self.now_unix_ms),
            rate_bps: pass.rate_bps,
        });
        self.gate.on_plan(self.now_unix_ms, planned);
        self.gate.poll(self.now_unix_ms);
    }

    /// Why the gate would refuse an order, whenever it comes.
    pub fn refuses(&self, order: &Order) -> Option<Refused> {
        let (mut gate, now) = (self.gate.clone(), self.now_unix_ms);
        match order {
            Order::PassStart { seconds, rate } => {
                gate.start(now, u64::from(*seconds), (*rate != 0).then_some(*rate)).err()
            }
            Order::PassStop {} => gate.stop(now).err(),
            _ => None,
        }
    }

    /// The operator, or a plan of his, opens it; what will have been sent when it closes, if nothing else happens.
    ///
    /// # Errors
    /// Why it can't be opened so.
    pub fn start(&mut self, seconds: u32, rate_bps: u64) -> Result<Aired, Refused> {
        let rate_bps = (rate_bps != 0).then_some(rate_bps);
        self.gate.start(self.now_unix_ms, u64::from(seconds), rate_bps)?;
        let mut then = self.clone();
        then.aired = Aired::default();
        then.advance(self.now_unix_ms.saturating_add(u64::from(seconds) * 1000));
        Ok(then.aired)
    }

    /// The operator, or a plan of his, closes it; how long it would have been open else, ms: none if it was closed.
    ///
    /// # Errors
    /// It is never closed.
    pub fn stop(&mut self) -> Result<Option<u64>, Refused> {
        let left_ms = self.gate.state(self.now_unix_ms).and_then(|state| state.left_ms);
        let change = self.gate.stop(self.now_unix_ms)?;
        Ok(left_ms.filter(|_| matches!(change, Change::Closed { .. })))
    }

    /// Has nothing be sent any more: safe mode.
    pub fn turn_off(&mut self) {
        self.off = true;
    }

    /// What was sent so far.
    pub fn aired(&self) -> Aired {
        self.aired
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use passband_flight::passes::Source;

    /// A pass of a station, times in seconds.
    pub(in crate::plans) fn pass(aos_s: u64, los_s: u64) -> Pass {
        Pass {
            aos_unix_ms: aos_s * 1000,
            los_unix_ms: los_s * 1000,
            station: "a".into(),
            rate_bps: None,
            max_elevation_deg: None,
            source: Source::Predicted,
            stale: false,
        }
    }

    fn sent(transmitter: &Transmitter) -> (u64, u64, u64) {
        let Aired { heard_ms, unheard_ms, carried_bytes } = transmitter.aired();
        (heard_ms / 1000, unheard_ms / 1000, carried_bytes / 1000)
    }

    /// Two stations that overlap, and one alone; 1 kB a second.
    fn transmitter(mode: TransmitMode) -> Transmitter {
        Transmitter::new(vec![pass(900, 1000), pass(100, 200), pass(150, 250)], mode, 8_000, 0)
    }

    #[test]
    fn the_pass_plan_opens_it_and_an_operator_closes_it() {
        let mut plan = transmitter(TransmitMode::Plan);
        plan.advance(120_000);
        assert_eq!(sent(&plan), (20, 0, 20));
        assert_eq!(plan.stop(), Ok(Some(80_000)));
        plan.advance(500_000);
        assert_eq!(sent(&plan), (70, 0, 70), "the station after it has its own pass");
        let aired = plan.start(600, 16_000).unwrap();
        assert_eq!((aired.heard_ms, aired.carried_bytes), (100_000, 200_000));
        plan.advance(2_000_000);
        assert_eq!(sent(&plan), (170, 500, 270));
    }

    #[test]
    fn by_hand_it_is_open_for_what_was_said_and_always_is_always() {
        let mut manual = transmitter(TransmitMode::Manual);
        manual.advance(50_000);
        assert_eq!(sent(&manual), (0, 0, 0));
        assert_eq!(manual.start(300, 0).map(|aired| aired.heard_ms), Ok(150_000));
        manual.advance(120_000);
        assert_eq!(manual.stop(), Ok(Some(230_000)));
        assert_eq!(manual.stop(), Ok(None));
        manual.advance(2_000_000);
        assert_eq!(sent(&manual), (20, 50, 20));

        let mut always = transmitter(TransmitMode::Always);
        always.advance(1_000_000);
        assert_eq!(sent(&always), (250, 750, 250));
        assert_eq!(always.start(1, 0), Err(Refused::Always));
        always.turn_off();
        always.advance(2_000_000);
        assert_eq!(sent(&always), (250, 750, 250), "safe mode");
    }
}
