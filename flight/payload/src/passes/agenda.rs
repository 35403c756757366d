//! What of a plan is on now: a few passes ahead are kept, so that to ask many times a second costs next to nothing.

use std::sync::Arc;

use super::{Pass, PassPlan};

/// Passes kept ahead.
const AHEAD: usize = 8;
/// The plan is asked again after so long, ms.
const REFRESH_MS: u64 = 600_000;

/// The next passes of a plan.
#[derive(Debug, Clone, Default)]
pub struct Agenda {
    plan: Arc<PassPlan>,
    passes: Vec<Pass>,
    /// The time at which they were the next ones, ms since 1970-01-01 UTC.
    asked_unix_ms: Option<u64>,
}

impl Agenda {
    /// The agenda of a plan.
    pub fn new(plan: Arc<PassPlan>) -> Self {
        Self { plan, ..Self::default() }
    }

    /// The pass that is on: of several the one that began first, until its LOS. The clock may jump.
    pub fn current(&mut self, now_unix_ms: u64) -> Option<&Pass> {
        let fresh = self.asked_unix_ms.is_some_and(|asked| {
            let first_is_over = self.passes.first().is_some_and(|pass| pass.los_unix_ms <= now_unix_ms);
            now_unix_ms.checked_sub(asked).is_some_and(|age| age < REFRESH_MS) && !first_is_over
        });
        if !fresh {
            self.passes = self.plan.next(now_unix_ms, AHEAD);
            self.asked_unix_ms = Some(now_unix_ms);
        }
        let on = |pass: &&Pass| (pass.aos_unix_ms..pass.los_unix_ms).contains(&now_unix_ms);
        self.passes.iter().find(on)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Window;
    use super::*;

    fn window(station: &str, aos_s: u64, los_s: u64) -> Window {
        let (aos_unix_ms, los_unix_ms) = (aos_s * 1000, los_s * 1000);
        Window { station: station.into(), aos_unix_ms, los_unix_ms, rate_bps: None }
    }

    #[test]
    fn the_first_of_several_passes_is_on_until_it_ends() {
        let windows = vec![window("a", 100, 200), window("b", 150, 260), window("c", 5000, 5001)];
        let plan = PassPlan::new(windows, None, &[], 0).unwrap();
        let mut agenda = Agenda::new(Arc::new(plan));
        let mut at = |s: u64| agenda.current(s * 1000).map(|pass| pass.station.clone());
        assert_eq!([at(99), at(100), at(160)], [None, Some("a".into()), Some("a".into())]);
        assert_eq!([at(200), at(259), at(260)], [Some("b".into()), Some("b".into()), None]);
        assert_eq!([at(5000), at(5001)], [Some("c".into()), None]);
        assert_eq!(at(110), Some("a".into()), "a clock that is set back finds the passes of then");
    }
}
