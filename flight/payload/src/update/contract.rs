//! The health contract: what a version on trial has to show before it may be confirmed, and what ends its trial at once.

/// What has to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contract {
    /// Passes that ended in order.
    pub passes: u16,
    /// Time without a restart, s.
    pub up_s: u32,
}

impl Default for Contract {
    fn default() -> Self {
        Self { passes: 2, up_s: 600 }
    }
}

/// Passes in a row in which data waited and nothing was sent: the version doesn't do its work.
const MAX_SILENT_PASSES: u16 = 2;

/// How the payload does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// Since this start, s.
    pub up_s: u32,
    /// Passes that ended since this start.
    pub passes: u16,
    /// Bundles wait to be sent.
    pub waits: bool,
    /// Datagrams that were sent since this start.
    pub sent: u64,
    /// Channels beyond their red limits.
    pub red: u16,
    /// It runs in safe mode.
    pub safe: bool,
}

/// How a trial has done so far.
#[derive(Debug, Clone, Copy)]
pub struct Health {
    contract: Contract,
    /// Passes before this start.
    before: u16,
    last: Vitals,
    /// Datagrams that had been sent when the last pass ended.
    sent_before: u64,
    silent: u16,
}

impl Health {
    /// Of a trial that had so many passes before this start.
    pub fn new(contract: Contract, before: u16) -> Self {
        Self { contract, before, last: Vitals::default(), sent_before: 0, silent: 0 }
    }

    /// Looks at how the payload does, about once a second.
    pub fn look(&mut self, vitals: &Vitals) {
        if vitals.passes > self.last.passes {
            let was_silent = vitals.waits && vitals.sent == self.sent_before;
            self.silent = if was_silent { self.silent.saturating_add(1) } else { 0 };
            self.sent_before = vitals.sent;
        }
        self.last = *vitals;
    }

    /// Passes of the trial so far.
    pub fn passes(&self) -> u16 {
        self.before.saturating_add(self.last.passes)
    }

    /// Whether the contract is kept.
    ///
    /// # Errors
    /// What is missing.
    pub fn healthy(&self) -> Result<(), String> {
        let (passes, up_s) = (self.passes(), self.last.up_s);
        if passes < self.contract.passes {
            return Err(format!("{passes} of {} passes", self.contract.passes));
        }
        if up_s < self.contract.up_s {
            return Err(format!("up for {up_s} of {} s", self.contract.up_s));
        }
        if self.last.red > 0 {
            return Err(format!("{} channels are red", self.last.red));
        }
        if self.silent > 0 {
            return Err("nothing was sent in the last pass, though bundles wait".to_owned());
        }
        self.ill().map_or(Ok(()), |why| Err(why.to_owned()))
    }

    /// Why the trial is over.
    pub fn ill(&self) -> Option<&'static str> {
        if self.last.safe {
            return Some("it came up in safe mode");
        }
        (self.silent >= MAX_SILENT_PASSES).then_some("nothing was sent in two passes, though bundles wait")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Vitals = Vitals { up_s: 700, passes: 2, waits: true, sent: 9, red: 0, safe: false };

    fn after(vitals: &[Vitals]) -> Health {
        let mut health = Health::new(Contract::default(), 0);
        vitals.iter().for_each(|vitals| health.look(vitals));
        health
    }

    #[test]
    fn two_passes_and_ten_minutes_are_wanted() {
        let told = |vitals| after(&[vitals]).healthy().unwrap_err();
        assert_eq!(after(&[FINE]).healthy(), Ok(()));
        assert_eq!(told(Vitals { passes: 1, ..FINE }), "1 of 2 passes");
        assert_eq!(told(Vitals { up_s: 599, ..FINE }), "up for 599 of 600 s");
        assert_eq!(told(Vitals { red: 1, ..FINE }), "1 channels are red");
        assert_eq!(told(Vitals { safe: true, ..FINE }), "it came up in safe mode");
        let mut goes_on = Health::new(Contract::default(), 1);
        goes_on.look(&Vitals { passes: 1, ..FINE });
        assert_eq!((goes_on.passes(), goes_on.healthy()), (2, Ok(())), "passes before a restart count");
    }

    #[test]
    fn passes_in_which_nothing_is_sent_end_it() {
        let pass = |passes, sent, waits| Vitals { passes, waits, sent, ..FINE };
        let health = after(&[pass(1, 9, true), pass(2, 9, true)]);
        assert!(health.healthy().is_err() && health.ill().is_none(), "once may be the link");
        assert!(after(&[pass(1, 9, true), pass(2, 9, true), pass(3, 9, true)]).ill().is_some());
        assert!(after(&[pass(1, 9, true), pass(2, 9, true), pass(3, 10, true)]).healthy().is_ok());
        assert!(
            after(&[pass(1, 0, false), pass(2, 0, false), pass(3, 0, false)]).healthy().is_ok(),
            "nothing waits"
        );
    }
}
