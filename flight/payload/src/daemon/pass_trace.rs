//! The trace of the pass that is on, as it is kept in `<state>/pass.0` and `.1`, and what becomes of one that the start
//! before left.

use std::path::Path;
use std::sync::Arc;

use passband_proto::dict::EventCode;

use super::shared::Shared;
use crate::adapters::disk::Disk;
use crate::adapters::twin::Twin;
use crate::command::date;
use crate::config::TransmitMode;
use crate::downlink::{Gate, Rest, TRACE_BYTES, Trace};
use crate::telemetry::Report;

const NAME: &str = "pass";
/// One that could not be kept is tried again after so long, ms.
const RETRY_MS: u64 = 1_000;

/// The trace on disk.
#[derive(Debug)]
pub(crate) struct PassTrace {
    twin: Twin,
    /// [`Gate::mark`] of what is kept.
    kept: Option<Mark>,
    not_before_ms: u64,
}

type Mark = (Option<(u64, u64)>, u64, Option<u64>);

/// What the start before left.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) trace: Trace,
    /// The latest time that was noted before this start, ms since 1970-01-01 UTC.
    pub(crate) seen_unix_ms: u64,
}

impl PassTrace {
    /// The trace that is kept in a state folder; what it says, and what is wrong with it.
    pub(crate) fn open(disk: &Arc<dyn Disk>, state: &Path) -> (Self, Trace, Vec<Report>) {
        let (twin, held) = Twin::open(Arc::clone(disk), state, NAME, TRACE_BYTES);
        let told = held.faults.into_iter().map(|fault| Report::warning(EventCode::RecordDamaged, fault));
        let mut told: Vec<_> = told.collect();
        let trace =
            held.payload.as_deref().map_or(Some(Trace::default()), Trace::decode).unwrap_or_else(|| {
                let text = "the trace of a pass is of another format: a pass that was on is forgotten";
                told.push(Report::warning(EventCode::RecordDamaged, text));
                Trace::default()
            });
        // Nothing is written for as long as there is nothing to say.
        let kept = (trace == Trace::default()).then(Mark::default);
        (Self { twin, kept, not_before_ms: 0 }, trace, told)
    }

    /// Keeps how the gate stands, if that is another than is kept.
    ///
    /// # Errors
    /// Those of the disk: it is tried again later.
    pub(crate) fn keep(&mut self, gate: &Gate, steady_ms: u64, unix_ms: u64) -> std::io::Result<()> {
        let mark = gate.mark();
        if self.kept == Some(mark) || steady_ms < self.not_before_ms {
            return Ok(());
        }
        self.not_before_ms = steady_ms.saturating_add(RETRY_MS);
        self.twin.write(&gate.trace(steady_ms, unix_ms).encode())?;
        (self.kept, self.not_before_ms) = (Some(mark), 0);
        Ok(())
    }
}

/// Tells the end of a pass that the start before didn't end, and goes on with what is left of an operator's.
pub(crate) fn go_on(shared: &Shared, left: &Left) {
    let (Left { trace, seen_unix_ms }, now_unix_ms) = (left, shared.clock.unix_ms());
    let rest = trace.rest(now_unix_ms, *seen_unix_ms);
    if trace.is_of_pass() {
        let text = format!(
            "LOS: the pass of {} was cut off (the start before: {}){}",
            date(trace.since_unix_ms),
            shared.pulse.start.before,
            rest_in_words(rest, trace, shared.config.downlink.transmit)
        );
        shared.event(&Report::info(EventCode::PassClosed, text));
    }
    let pass = if let Rest::Left(left_ms) = rest { Some((left_ms, trace.rate_bps)) } else { None };
    let held_ms = trace.held_ms(now_unix_ms, *seen_unix_ms);
    shared.gate(|gate| (gate.resume(shared.clock.now_ms(), pass, held_ms), ()));
}

fn rest_in_words(rest: Rest, trace: &Trace, mode: TransmitMode) -> String {
    let until = || date(trace.until_unix_ms);
    match rest {
        _ if mode == TransmitMode::Always => String::new(),
        Rest::OfAnother => format!("; whether it goes on is up to the {}", mode.name()),
        Rest::Left(_) => format!("; it goes on until {}", until()),
        Rest::Over => format!("; it was to last until {}", until()),
        Rest::ClockLost => format!(
            "; it was to last until {}, and doesn't go on: the clock stands behind what was noted before",
            until()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::disk::LinuxDisk;
    use crate::config::Config;

    /// A start on a folder, and what it tells of passes.
    fn start(folder: &Path, seen_unix_ms: u64) -> (Shared, Vec<String>) {
        let config = Config::parse("[downlink]\ntransmit = 'manual'", &folder.join("c.toml")).unwrap();
        let shared = Shared::for_tests(config, folder);
        let disk: Arc<dyn Disk> = Arc::new(LinuxDisk);
        let (file, trace, told) = PassTrace::open(&disk, folder);
        assert_eq!(told, []);
        shared.keep_trace_in(file);
        go_on(&shared, &Left { trace, seen_unix_ms });
        let events = shared.catalogue.events(None, 100).unwrap();
        (shared, events.into_iter().map(|event| event.text).collect())
    }

    fn open_for(shared: &Shared, seconds: u64) {
        shared.gate(|gate| (gate.start(shared.clock.now_ms(), seconds, Some(9_600)).unwrap(), ()));
    }

    #[test]
    fn the_rest_of_an_operators_pass_goes_on_after_a_kill_and_only_until_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let (shared, told) = start(dir.path(), 0);
        assert_eq!(told, [""; 0]);
        open_for(&shared, 60);
        drop(shared);
        for _kill in 0..2 {
            let (shared, told) = start(dir.path(), 0);
            let [los, aos] = &told[..] else { panic!("{told:?}") };
            assert!(los.starts_with("LOS: the pass of ") && los.contains("it goes on until "), "{los}");
            assert_eq!(aos, "AOS: transmitter open at 9600 bit/s");
            let left_ms = shared.open_now().unwrap().left_ms.unwrap();
            assert!((50_000..=60_000).contains(&left_ms), "{left_ms}");
        }
        let (shared, _) = start(dir.path(), 0);
        shared.gate(|gate| (gate.stop(shared.clock.now_ms()).unwrap(), ()));
        assert_eq!(start(dir.path(), 0).1, [""; 0], "a pass that was ended is no more told");
    }

    #[test]
    fn a_pass_isnt_gone_on_with_by_a_clock_that_was_lost_or_after_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let (shared, _) = start(dir.path(), 0);
        open_for(&shared, 60);
        let (shared, told) = start(dir.path(), shared.clock.unix_ms() + 60_000);
        assert!(told[0].contains("the clock stands behind") && told.len() == 1, "{told:?}");
        assert_eq!(shared.open_now(), None);
        open_for(&shared, 1);
        std::thread::sleep(std::time::Duration::from_millis(1_050));
        let (shared, told) = start(dir.path(), 0);
        assert!(told[0].contains("it was to last until") && told.len() == 1, "{told:?}");
        assert_eq!((shared.open_now(), start(dir.path(), 0).1), (None, vec![]), "told once");
    }
}
