//! The clocks: a steady one for durations, the wall clock for dates.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks; the steady one counts from when it was made.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock {
    /// Steady time, ms.
    pub fn now_ms(&self) -> u64 {
        whole_ms(self.start.elapsed())
    }

    /// Steady time, ns.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Wall clock, ms since 1970-01-01 UTC; 0 if it stands before.
    pub fn unix_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, whole_ms)
    }

    /// Wall clock, µs since 1970-01-01 UTC; 0 if it stands before.
    pub fn unix_us(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
