//! The gate of the transmitter: whether the fast link may be used, until when and at what rate.
//!
//! Opened by the bus computer's messages, which it repeats while they hold, by the pass plan, by the operator, or
//! always. Handed times of a steady clock, ms; it never reads one, and never sends anything.

use passband_proto::bus::{MAX_ON_FOR_MS, Transmit};
pub use passband_proto::dict::{MAX_RATE_BPS, MIN_RATE_BPS};

use super::trace::Trace;
use crate::config::TransmitMode;

/// Whether the transmitter may be used.
#[derive(Debug, Clone)]
pub struct Gate {
    mode: TransmitMode,
    configured_rate_bps: u64,
    open: Option<Open>,
    /// Until when it was to be open, ms, as it was said when it was opened, or by the operator since.
    declared_until_ms: u64,
    /// The LOS of the planned pass that is on, ms.
    planned_until_ms: Option<u64>,
    /// Until when the plan has no say, ms: the operator ended its pass.
    held_until_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    since_ms: u64,
    /// `None`: for ever.
    until_ms: Option<u64>,
    rate_bps: u64,
    by_hand: bool,
}

/// A planned pass that is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// How long until its LOS, ms.
    pub left_ms: u64,
    /// Its rate, bit/s of UDP payload; none: the configured one.
    pub rate_bps: Option<u64>,
}

/// The gate at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateState {
    /// Since when it is open, ms.
    pub since_ms: u64,
    /// For how long it stays open, ms; `None`: for ever.
    pub left_ms: Option<u64>,
    /// The rate, bit/s of UDP payload.
    pub rate_bps: u64,
}

/// What became of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It stays as it was.
    None,
    /// It opened: AOS.
    Opened,
    /// It closed, LOS, after being open for so long, ms.
    Closed {
        /// For how long it was open, ms.
        open_ms: u64,
    },
}

/// Why the operator can't use the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The transmitter is always open.
    Always,
    /// A pass of no time, or of more than the limit.
    Seconds,
    /// A rate out of range.
    Rate,
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Always => f.write_str("the transmitter is always open (transmit = \"always\")"),
            Self::Seconds => write!(f, "a pass lasts 1 to {} s", MAX_ON_FOR_MS / 1000),
            Self::Rate => write!(f, "a rate is {MIN_RATE_BPS} to {MAX_RATE_BPS} bit/s"),
        }
    }
}

impl Gate {
    /// A closed gate; open from `now_ms` on if it always is.
    pub fn new(mode: TransmitMode, rate_bps: u64, now_ms: u64) -> Self {
        let open = Open { since_ms: now_ms, until_ms: None, rate_bps, by_hand: false };
        let open = (mode == TransmitMode::Always).then_some(open);
        Self {
            mode,
            configured_rate_bps: rate_bps,
            open,
            declared_until_ms: 0,
            planned_until_ms: None,
            held_until_ms: None,
        }
    }

    /// Who opens it.
    pub fn mode(&self) -> TransmitMode {
        self.mode
    }

    /// The rate that holds unless a pass has its own, bit/s.
    pub fn configured_rate_bps(&self) -> u64 {
        self.configured_rate_bps
    }

    /// A message of the bus computer. Only counts where the bus computer opens the transmitter.
    pub fn on_bus(&mut self, now_ms: u64, message: Transmit) -> Change {
        if self.mode != TransmitMode::Bus {
            return Change::None;
        }
        let rate_bps = match message.rate_kbps {
            0 => self.configured_rate_bps,
            kbps => u64::from(kbps).saturating_mul(1000).clamp(MIN_RATE_BPS, MAX_RATE_BPS),
        };
        self.set(now_ms, u64::from(message.on_for_ms), rate_bps, false)
    }

    /// What the pass plan says of now: the pass that is on, if there is one. To be told again and again, as a plan may
    /// change. Only counts where the plan opens the transmitter; what the operator opened keeps its rate and is closed
    /// at LOS at the earliest, and a pass that the operator closed stays closed until its LOS.
    pub fn on_plan(&mut self, now_ms: u64, pass: Option<Planned>) -> Change {
        if self.mode != TransmitMode::Plan {
            return Change::None;
        }
        self.planned_until_ms = pass.map(|pass| now_ms.saturating_add(pass.left_ms));
        let held = self.held_until_ms.is_some_and(|until| now_ms < until);
        let hand = self.open.filter(|open| open.by_hand && open.until_ms.is_some_and(|until| now_ms < until));
        match (pass, hand) {
            (Some(_), _) if held => self.poll(now_ms),
            (Some(pass), Some(hand)) => {
                let left_ms = hand.until_ms.map_or(0, |until| until.saturating_sub(now_ms));
                self.set(now_ms, left_ms.max(pass.left_ms), hand.rate_bps, true)
            }
            (Some(pass), None) => {
                self.set(now_ms, pass.left_ms, pass.rate_bps.unwrap_or(self.configured_rate_bps), false)
            }
            (None, Some(_)) => self.poll(now_ms),
            (None, None) => self.set(now_ms, 0, self.configured_rate_bps, false),
        }
    }

    /// The operator opens it for `seconds`.
    pub fn start(&mut self, now_ms: u64, seconds: u64, rate_bps: Option<u64>) -> Result<Change, Refused> {
        let on_for_ms =
            Some(seconds.saturating_mul(1000)).filter(|ms| (1..=u64::from(MAX_ON_FOR_MS)).contains(ms));
        let on_for_ms = on_for_ms.ok_or(Refused::Seconds)?;
        let rate_bps = rate_bps.unwrap_or(self.configured_rate_bps);
        if !(MIN_RATE_BPS..=MAX_RATE_BPS).contains(&rate_bps) {
            return Err(Refused::Rate);
        }
        match self.mode {
            TransmitMode::Always => Err(Refused::Always),
            TransmitMode::Bus | TransmitMode::Manual | TransmitMode::Plan => {
                self.held_until_ms = None;
                self.declared_until_ms = now_ms.saturating_add(on_for_ms);
                Ok(self.set(now_ms, on_for_ms, rate_bps, true))
            }
        }
    }

    /// What the start before had not ended goes on: an operator's pass for `left_ms` at a rate, and the plan's having no
    /// say for `held_ms`. To be called before anybody else works it.
    pub fn resume(&mut self, now_ms: u64, pass: Option<(u64, u64)>, held_ms: Option<u64>) -> Change {
        if self.mode == TransmitMode::Always {
            return Change::None;
        }
        self.held_until_ms = held_ms.map(|left_ms| now_ms.saturating_add(left_ms));
        pass.map_or(Change::None, |(left_ms, rate_bps)| {
            self.set(now_ms, left_ms, rate_bps.clamp(MIN_RATE_BPS, MAX_RATE_BPS), true)
        })
    }

    /// What is to be kept of it while it stands so, in a clock that is `steady_ms` at `unix_ms`. Whether something of it
    /// has changed is told by the times of the steady clock, [`Self::mark`].
    pub fn trace(&self, steady_ms: u64, unix_ms: u64) -> Trace {
        let (open, declared_until_ms, held_until_ms) = self.mark();
        let to_unix = |ms: u64| unix_ms.saturating_add(ms).saturating_sub(steady_ms);
        let (since_ms, rate_bps) = open.unwrap_or_default();
        let times = [since_ms, declared_until_ms].map(|ms| if open.is_some() { to_unix(ms) } else { 0 });
        let [since_unix_ms, until_unix_ms] = times;
        Trace { since_unix_ms, until_unix_ms, rate_bps, held_until_unix_ms: held_until_ms.map_or(0, to_unix) }
    }

    /// What changes only when another trace is to be kept: not with each word of the bus computer or the plan.
    pub fn mark(&self) -> (Option<(u64, u64)>, u64, Option<u64>) {
        // A transmitter that is always open has no passes.
        let open = self.open.filter(|open| open.until_ms.is_some());
        let open = open.map(|open| (open.since_ms, if open.by_hand { open.rate_bps } else { 0 }));
        (open, self.declared_until_ms, self.held_until_ms)
    }

    /// The operator closes it. Where the bus computer opens it, its next message does so again; where the plan does,
    /// its next pass.
    pub fn stop(&mut self, now_ms: u64) -> Result<Change, Refused> {
        match self.mode {
            TransmitMode::Always => Err(Refused::Always),
            TransmitMode::Bus | TransmitMode::Manual | TransmitMode::Plan => {
                self.held_until_ms = self.planned_until_ms;
                Ok(self.set(now_ms, 0, self.configured_rate_bps, true))
            }
        }
    }

    /// The daemon ends, and with it a pass that is on. What the operator said of the plan's stays said.
    pub fn end(&mut self, now_ms: u64) -> Change {
        match self.mode {
            TransmitMode::Always => Change::None,
            TransmitMode::Bus | TransmitMode::Manual | TransmitMode::Plan => {
                self.set(now_ms, 0, self.configured_rate_bps, true)
            }
        }
    }

    /// Closes it when its time is up.
    pub fn poll(&mut self, now_ms: u64) -> Change {
        match self.open {
            Some(Open { since_ms, until_ms: Some(until_ms), .. }) if now_ms >= until_ms => {
                self.open = None;
                Change::Closed { open_ms: until_ms.saturating_sub(since_ms) }
            }
            _ => Change::None,
        }
    }

    /// Whether it is open at `now_ms`, and how.
    pub fn state(&self, now_ms: u64) -> Option<GateState> {
        let open = self.open?;
        let left_ms = open.until_ms.map(|until| until.saturating_sub(now_ms));
        (left_ms != Some(0)).then_some(GateState {
            since_ms: open.since_ms,
            left_ms,
            rate_bps: open.rate_bps,
        })
    }

    fn set(&mut self, now_ms: u64, on_for_ms: u64, rate_bps: u64, by_hand: bool) -> Change {
        let overdue = self.poll(now_ms);
        let before = self.open;
        if on_for_ms == 0 {
            self.open = None;
            return before
                .map_or(overdue, |open| Change::Closed { open_ms: now_ms.saturating_sub(open.since_ms) });
        }
        let since_ms = before.map_or(now_ms, |open| open.since_ms);
        let until_ms = Some(now_ms.saturating_add(on_for_ms));
        self.open = Some(Open { since_ms, until_ms, rate_bps, by_hand });
        if before.is_none() {
            self.declared_until_ms = now_ms.saturating_add(on_for_ms);
            Change::Opened
        } else {
            Change::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 40_000_000;

    fn bus(on_for_ms: u32, rate_kbps: u32) -> Transmit {
        Transmit { on_for_ms, rate_kbps }
    }

    #[test]
    fn the_bus_computer_opens_refreshes_and_lets_it_run_out() {
        let mut gate = Gate::new(TransmitMode::Bus, RATE, 0);
        assert_eq!(gate.state(0), None);
        assert_eq!(gate.on_bus(100, bus(2_000, 0)), Change::Opened);
        assert_eq!(gate.on_bus(1_100, bus(2_000, 8_000)), Change::None);
        let state = GateState { since_ms: 100, left_ms: Some(1_600), rate_bps: 8_000_000 };
        assert_eq!(gate.state(1_500), Some(state));
        assert_eq!(gate.poll(3_099), Change::None);
        assert_eq!((gate.state(3_100), gate.poll(3_100)), (None, Change::Closed { open_ms: 3_000 }));
        assert_eq!(gate.poll(4_000), Change::None);
        assert_eq!(gate.on_bus(5_000, bus(100, 0)), Change::Opened);
        assert_eq!(gate.on_bus(5_010, bus(0, 0)), Change::Closed { open_ms: 10 });
    }

    #[test]
    fn the_operator_opens_and_closes_within_limits() {
        let mut gate = Gate::new(TransmitMode::Manual, RATE, 0);
        assert_eq!(gate.on_bus(0, bus(1_000, 0)), Change::None, "the bus has no say");
        assert_eq!(gate.start(0, 0, None), Err(Refused::Seconds));
        assert_eq!(gate.start(0, 901, None), Err(Refused::Seconds));
        assert_eq!(gate.start(0, u64::MAX, None), Err(Refused::Seconds));
        assert_eq!(gate.start(0, 10, Some(5)), Err(Refused::Rate));
        assert_eq!(gate.start(0, 10, Some(9_000)), Ok(Change::Opened));
        assert_eq!(gate.state(1).map(|s| (s.left_ms, s.rate_bps)), Some((Some(9_999), 9_000)));
        assert_eq!(gate.stop(500), Ok(Change::Closed { open_ms: 500 }));
        assert_eq!(gate.stop(501), Ok(Change::None));
    }

    fn pass(left_ms: u64, rate_bps: Option<u64>) -> Planned {
        Planned { left_ms, rate_bps }
    }

    #[test]
    fn the_plan_opens_at_aos_and_closes_at_los() {
        let mut gate = Gate::new(TransmitMode::Plan, RATE, 0);
        assert_eq!(gate.on_bus(0, bus(1_000, 0)), Change::None, "the bus has no say");
        assert_eq!(
            (gate.on_plan(0, None), gate.on_plan(100, Some(pass(900, Some(5_000))))),
            (Change::None, Change::Opened)
        );
        assert_eq!(gate.on_plan(150, Some(pass(850, Some(5_000)))), Change::None);
        assert_eq!(gate.state(500).map(|s| (s.left_ms, s.rate_bps)), Some((Some(500), 5_000)));
        assert_eq!(gate.on_plan(1_000, None), Change::Closed { open_ms: 900 });
        assert_eq!(gate.on_plan(2_000, Some(pass(1_000, None))), Change::Opened);
        assert_eq!(gate.state(2_000).map(|s| s.rate_bps), Some(RATE));
        assert_eq!(gate.on_plan(2_400, None), Change::Closed { open_ms: 400 }, "another plan without it");
        let mut other = Gate::new(TransmitMode::Manual, RATE, 0);
        assert_eq!(other.on_plan(0, Some(pass(1_000, None))), Change::None, "only where it opens the gate");
    }

    #[test]
    fn the_operator_goes_before_the_plan() {
        let mut gate = Gate::new(TransmitMode::Plan, RATE, 0);
        assert_eq!(gate.start(0, 1, Some(9_000)), Ok(Change::Opened));
        assert_eq!(gate.on_plan(100, None), Change::None, "opened by hand, it stays open");
        assert_eq!(gate.on_plan(200, Some(pass(5_000, Some(5_000)))), Change::None);
        assert_eq!(
            gate.state(200).map(|s| (s.left_ms, s.rate_bps)),
            Some((Some(5_000), 9_000)),
            "and longer"
        );
        assert_eq!(gate.stop(1_000), Ok(Change::Closed { open_ms: 1_000 }));
        assert_eq!(
            gate.on_plan(1_100, Some(pass(4_100, None))),
            Change::None,
            "closed by hand, it stays closed"
        );
        assert_eq!(gate.on_plan(5_199, Some(pass(1, None))), Change::None);
        assert_eq!(
            gate.on_plan(5_200, Some(pass(400, None))),
            Change::Opened,
            "the next pass follows at once"
        );
        assert_eq!(gate.stop(5_300), Ok(Change::Closed { open_ms: 100 }));
        assert_eq!(gate.start(5_400, 2, None), Ok(Change::Opened), "by hand again");
        assert_eq!(gate.on_plan(7_399, None), Change::None);
        assert_eq!(gate.on_plan(7_400, None), Change::Closed { open_ms: 2_000 });
    }

    #[test]
    fn always_is_always() {
        let mut gate = Gate::new(TransmitMode::Always, RATE, 7);
        assert_eq!(gate.state(u64::MAX).map(|s| (s.since_ms, s.left_ms)), Some((7, None)));
        assert_eq!((gate.poll(u64::MAX), gate.stop(9)), (Change::None, Err(Refused::Always)));
        assert_eq!(gate.start(9, 5, None), Err(Refused::Always));
    }
}
