//! What orders of a plan would do, told beforehand: a small model of transmitter, parameters, plans and shedding.
//!
//! Of what depends on the satellite's content (does that bundle exist, does a script end well) it says what is assumed: that
//! the order is done. It never says that something works which the dictionary refuses.

use std::collections::BTreeMap;

use passband_flight::passes::Pass;
use passband_proto::dict::{Order, ParameterDef, ParameterId, Shed};

/// A model of the satellite in a dry run. Times are ms since 1970-01-01 UTC.
#[derive(Debug)]
pub struct Model {
    now_unix_ms: u64,
    passes: Vec<Pass>,
    /// The configured rate, bit/s of UDP payload.
    rate_bps: u64,
    /// Until when the transmitter is open, and since when, at which rate.
    open: Option<Opening>,
    staged: BTreeMap<ParameterId, String>,
    shed: Shed,
    safe: bool,
    totals: Totals,
}

#[derive(Debug, Clone, Copy)]
struct Opening {
    from_unix_ms: u64,
    until_unix_ms: u64,
    rate_bps: u64,
}

/// Sums over a dry run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Orders given.
    pub orders: u32,
    /// Time with an open transmitter in which a station listens, ms.
    pub heard_ms: u64,
    /// Time with an open transmitter in which none does, ms.
    pub unheard_ms: u64,
    /// What the link carries in that time, bytes.
    pub carried_bytes: u64,
}

impl Model {
    /// A satellite with these passes, whose transmitter is closed.
    #[must_use]
    pub fn new(passes: Vec<Pass>, rate_bps: u64, start_unix_ms: u64) -> Self {
        let (staged, totals) = (BTreeMap::new(), Totals::default());
        let shed = Shed::Automatic;
        Self { now_unix_ms: start_unix_ms, passes, rate_bps, open: None, staged, shed, safe: false, totals }
    }

    /// What it came to by `end_unix_ms`.
    #[must_use]
    pub fn totals(mut self, end_unix_ms: u64) -> Totals {
        self.now_unix_ms = end_unix_ms;
        self.close();
        self.totals
    }

    /// What an order does at a moment.
    fn do_order(&mut self, order: &Order) -> String {
        match order {
            Order::PassStart { seconds, rate } => self.open_for(*seconds, *rate),
            Order::PassStop {} => match self.close() {
                Some(open) => format!(
                    "the transmitter closes, {} s early",
                    left_s(open.until_unix_ms, self.now_unix_ms)
                ),
                None => "the transmitter isn't open: nothing changes".to_owned(),
            },
            Order::ParamsSet { name, value } => {
                self.staged.insert(*name, value.as_str().to_owned());
                format!("{name} = {value} is staged; params commit puts it in force")
            }
            Order::ParamsDiscard {} => {
                format!("{} staged values are forgotten", std::mem::take(&mut self.staged).len())
            }
            Order::ParamsCommit { within } => self.commit(*within),
            Order::ParamsConfirm {} => "what is on trial is kept".to_owned(),
            Order::ParamsRollback {} => "the values before are put back".to_owned(),
            Order::HealthShed { level } => {
                let before = std::mem::replace(&mut self.shed, *level);
                format!("shed: {before} → {level}")
            }
            Order::SafeEnter {} => {
                self.safe = true;
                self.close();
                "safe mode: the daemon starts anew without camera, queue and transmitter".to_owned()
            }
            order => said(order),
        }
    }

    fn open_for(&mut self, seconds: u32, rate: u64) -> String {
        self.close();
        let rate_bps = if rate == 0 { self.rate_bps } else { rate };
        let from_unix_ms = self.now_unix_ms;
        let until_unix_ms = from_unix_ms.saturating_add(u64::from(seconds) * 1000);
        self.open = Some(Opening { from_unix_ms, until_unix_ms, rate_bps });
        let heard_ms = self.heard_ms(from_unix_ms, until_unix_ms);
        let volume = megabytes(bytes_in(heard_ms, rate_bps));
        let of = format!("the transmitter opens for {seconds} s");
        let mode = if self.safe { "; in safe mode nothing is sent" } else { "" };
        match heard_ms / 1000 {
            0 => format!("{of}, and no station listens{mode}"),
            heard_s => format!("{of}; stations listen for {heard_s} s of it: up to {volume}{mode}"),
        }
    }

    /// Closes the transmitter, and counts what it was open for.
    fn close(&mut self) -> Option<Opening> {
        let open = self.open.take()?;
        let until = open.until_unix_ms.min(self.now_unix_ms);
        let heard_ms = self.heard_ms(open.from_unix_ms, until);
        self.totals.heard_ms += heard_ms;
        self.totals.unheard_ms += until.saturating_sub(open.from_unix_ms).saturating_sub(heard_ms);
        self.totals.carried_bytes += bytes_in(heard_ms, open.rate_bps);
        (open.until_unix_ms > self.now_unix_ms).then_some(open)
    }

    fn commit(&mut self, within_s: u32) -> String {
        let staged = std::mem::take(&mut self.staged);
        if staged.is_empty() {
            return "nothing is staged by this plan: what others have staged is put in force".to_owned();
        }
        let restarts = staged.keys().filter_map(|id| ParameterDef::get(*id)).any(|def| def.restarts);
        let names: Vec<_> = staged.keys().map(|id| id.name()).collect();
        let how = if restarts { "once the daemon starts anew" } else { "at once" };
        format!("{} in force {how}, on trial; put back in {within_s} s unless confirmed", names.join(", "))
    }

    /// For how long at least one station listens in a stretch of time, ms.
    fn heard_ms(&self, from_unix_ms: u64, until_unix_ms: u64) -> u64 {
        let (mut at, mut heard) = (from_unix_ms, 0);
        for pass in &self.passes {
            let (aos, los) = (pass.aos_unix_ms.max(at), pass.los_unix_ms.min(until_unix_ms));
            heard += los.saturating_sub(aos);
            at = at.max(los);
        }
        heard
    }

    /// Sets the clock: whoever plays the plan knows when an order is given.
    pub fn set_now(&mut self, unix_ms: u64) {
        self.now_unix_ms = unix_ms;
        if self.open.is_some_and(|open| open.until_unix_ms <= unix_ms) {
            self.close();
        }
    }

    /// What an order does now.
    pub fn effect(&mut self, order: &Order) -> String {
        self.totals.orders += 1;
        self.do_order(order)
    }
}

/// How long an order is under way, ms: a script takes all the time that it may.
#[must_use]
pub fn takes_ms(order: &Order) -> u64 {
    match order {
        Order::ScriptRun { wall, .. } => u64::from(*wall) * 1000,
        _ => 0,
    }
}

/// What an order does of which nothing is modelled.
fn said(order: &Order) -> String {
    match order {
        Order::ScriptRun { name, wall, .. } => {
            format!("script {name} runs, {wall} s at most (assumed: so long)")
        }
        Order::QueuePromote { id } => format!("bundle {id} goes first, if it is there"),
        Order::QueueDrop { id } => format!("bundle {id} is removed for good, if it is there"),
        order => order.def().map_or_else(String::new, |def| def.doc.trim().trim_end_matches('.').to_owned()),
    }
}

fn bytes_in(ms: u64, rate_bps: u64) -> u64 {
    let bytes = u128::from(ms) * u128::from(rate_bps) / 8000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Bytes as people say them.
#[must_use]
pub fn megabytes(bytes: u64) -> String {
    match bytes {
        0..10_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

fn left_s(until_unix_ms: u64, now_unix_ms: u64) -> u64 {
    until_unix_ms.saturating_sub(now_unix_ms) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_flight::passes::Source;

    fn pass(aos_s: u64, los_s: u64) -> Pass {
        Pass {
            aos_unix_ms: aos_s * 1000,
            los_unix_ms: los_s * 1000,
            station: "Svalbard".into(),
            rate_bps: None,
            max_elevation_deg: None,
            source: Source::Window,
            stale: false,
        }
    }

    fn does(model: &mut Model, at_s: u64, line: &str) -> String {
        model.set_now(at_s * 1000);
        model.effect(&Order::from_line(line).unwrap())
    }

    #[test]
    fn the_transmitter_carries_what_stations_hear_of_it() {
        // Two stations that overlap, and one alone.
        let mut model = Model::new(vec![pass(100, 200), pass(150, 250), pass(900, 1000)], 8_000_000, 0);
        let said = does(&mut model, 50, "pass start 300");
        assert_eq!(said, "the transmitter opens for 300 s; stations listen for 150 s of it: up to 150.0 MB");
        assert_eq!(does(&mut model, 120, "pass stop"), "the transmitter closes, 230 s early");
        assert_eq!(does(&mut model, 300, "pass stop"), "the transmitter isn't open: nothing changes");
        let said = does(&mut model, 400, "pass start 100");
        assert_eq!(said, "the transmitter opens for 100 s, and no station listens");
        let totals = model.totals(2_000_000);
        assert_eq!((totals.heard_ms, totals.unheard_ms, totals.carried_bytes), (20_000, 150_000, 20_000_000));
        assert_eq!(totals.orders, 4);
    }

    #[test]
    fn what_is_staged_comes_in_force_by_a_commit() {
        let mut model = Model::new(Vec::new(), 1, 0);
        assert!(does(&mut model, 1, "params commit").contains("nothing is staged by this plan"));
        does(&mut model, 2, "params set telemetry.beacon 60");
        does(&mut model, 2, "params set triage.wind 3");
        let said = does(&mut model, 3, "params commit --within 600");
        assert_eq!(
            said,
            "triage.wind, telemetry.beacon in force once the daemon starts anew, on trial; put back in 600 s unless confirmed"
        );
    }
}
