//! Steps of the wall clock, told from the steady one.

/// A smaller difference is the clock's own correction, ms.
const STEP_MS: u64 = 2_000;

/// Watches the wall clock. Handed both clocks; reads neither.
#[derive(Debug, Clone, Default)]
pub struct ClockWatch {
    /// What the wall clock says less what the steady one says, ms, as last taken.
    offset_ms: Option<i128>,
    steps: u64,
}

impl ClockWatch {
    /// Looks at both clocks, ms; by how much the wall clock was set since the last look, ms, if it was: more than 2 s
    /// against the steady clock.
    pub fn look(&mut self, now_ms: u64, unix_ms: u64) -> Option<i64> {
        let offset_ms = i128::from(unix_ms) - i128::from(now_ms);
        let before = self.offset_ms.replace(offset_ms)?;
        let step = offset_ms - before;
        if step.unsigned_abs() <= u128::from(STEP_MS) {
            return None;
        }
        self.steps = self.steps.saturating_add(1);
        Some(i64::try_from(step).unwrap_or(if step < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Steps since the first look.
    pub fn steps(&self) -> u64 {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_clock_is_seen_once_and_a_slewed_one_never() {
        let mut watch = ClockWatch::default();
        assert_eq!(watch.look(0, 1_000_000), None);
        assert_eq!(watch.look(1_000, 1_003_000), None, "2 s are let pass");
        assert_eq!(watch.look(2_000, 1_006_001), Some(2_001));
        assert_eq!(watch.look(3_000, 1_007_001), None);
        assert_eq!(watch.look(4_000, 1_001), Some(-1_007_000));
        assert_eq!(watch.look(5_000, u64::MAX), Some(i64::MAX));
        assert_eq!(watch.steps(), 3);
    }
}
