//! What orders of a plan would do, told beforehand: a small model of transmitter, parameters, plans and shedding.
//!
//! Of what depends on the satellite's content (does that bundle exist, does a script end well) it says what is assumed: that
//! the order is done. It never says that something works which the dictionary refuses.

use std::collections::BTreeMap;

use super::transmitter::{Aired, Transmitter};
use passband_proto::dict::{Order, ParameterDef, ParameterId, Shed};

/// A model of the satellite in a dry run.
#[derive(Debug)]
pub struct Model {
    transmitter: Transmitter,
    staged: BTreeMap<ParameterId, String>,
    shed: Shed,
    orders: u32,
}

/// Sums over a dry run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Orders given.
    pub orders: u32,
    /// What the transmitter did.
    pub aired: Aired,
}

impl Model {
    /// A satellite with this transmitter.
    #[must_use]
    pub fn new(transmitter: Transmitter) -> Self {
        Self { transmitter, staged: BTreeMap::new(), shed: Shed::Automatic, orders: 0 }
    }

    /// What it came to by `end_unix_ms`, ms since 1970-01-01 UTC.
    #[must_use]
    pub fn totals(mut self, end_unix_ms: u64) -> Totals {
        self.transmitter.advance(end_unix_ms);
        Totals { orders: self.orders, aired: self.transmitter.aired() }
    }

    /// What an order does at a moment.
    fn do_order(&mut self, order: &Order) -> String {
        match order {
            Order::PassStart { seconds, rate } => self.open_for(*seconds, *rate),
            Order::PassStop {} => match self.transmitter.stop() {
                Ok(Some(left_ms)) => format!("the transmitter closes, {} s early", left_ms / 1000),
                Ok(None) => "the transmitter isn't open: nothing changes".to_owned(),
                Err(refused) => refused.to_string(),
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
                self.transmitter.turn_off();
                "safe mode: the daemon starts anew without camera, queue and transmitter, and plans rest"
                    .to_owned()
            }
            order => said(order),
        }
    }

    fn open_for(&mut self, seconds: u32, rate: u64) -> String {
        let aired = match self.transmitter.start(seconds, rate) {
            Ok(aired) => aired,
            Err(refused) => return refused.to_string(),
        };
        let of = format!("the transmitter opens for {seconds} s");
        match aired.heard_ms / 1000 {
            0 => format!("{of}, and no station listens"),
            heard_s => {
                let volume = megabytes(aired.carried_bytes);
                format!("{of}; stations listen for {heard_s} s of it: up to {volume}")
            }
        }
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

    /// Sets the clock, ms since 1970-01-01 UTC: whoever plays the plan knows when an order is given.
    pub fn set_now(&mut self, unix_ms: u64) {
        self.transmitter.advance(unix_ms);
    }

    /// What an order does now.
    pub fn effect(&mut self, order: &Order) -> String {
        self.orders += 1;
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

/// Bytes as people say them.
#[must_use]
pub fn megabytes(bytes: u64) -> String {
    match bytes {
        0..10_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::super::transmitter::tests::pass;
    use super::*;
    use passband_flight::config::TransmitMode;

    fn does(model: &mut Model, at_s: u64, line: &str) -> String {
        model.set_now(at_s * 1000);
        model.effect(&Order::from_line(line).unwrap())
    }

    #[test]
    fn the_transmitter_carries_what_stations_hear_of_it() {
        // Two stations that overlap, and one alone.
        let passes = vec![pass(100, 200), pass(150, 250), pass(900, 1000)];
        let mut model = Model::new(Transmitter::new(passes, TransmitMode::Bus, 8_000_000, 0));
        let said = does(&mut model, 50, "pass start 300");
        assert_eq!(said, "the transmitter opens for 300 s; stations listen for 150 s of it: up to 150.0 MB");
        assert_eq!(does(&mut model, 120, "pass stop"), "the transmitter closes, 230 s early");
        assert_eq!(does(&mut model, 300, "pass stop"), "the transmitter isn't open: nothing changes");
        let said = does(&mut model, 400, "pass start 100");
        assert_eq!(said, "the transmitter opens for 100 s, and no station listens");
        let totals = model.totals(2_000_000);
        let aired = Aired { heard_ms: 20_000, unheard_ms: 150_000, carried_bytes: 20_000_000 };
        assert_eq!(totals, Totals { orders: 4, aired });
    }

    #[test]
    fn what_is_staged_comes_in_force_by_a_commit() {
        let mut model = Model::new(Transmitter::new(Vec::new(), TransmitMode::Bus, 1000, 0));
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
