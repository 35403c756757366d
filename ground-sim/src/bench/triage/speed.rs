//! CPU seconds of one core for one frame, beside the peers' filters alone on the same frame.

use anyhow::Result;

use super::clock::{best_of, covariance_bound_s, multiply_adds_a_second};
use super::exchange;
use super::frames::{Series, Wanted, frame};
use super::peers::{self, BOTH, Job, PEERS, Peer, README, WINDOW};
use super::{Bench, Op, Row, Scale, Sink, ours, work_folder};

const WHOLE_S: f64 = 0.4;
const RAW_GB_S: f64 = 1.5;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let (samples, lines) = bench.pick((64, 128), (512, 1024), (512, 1024));
    let turns = bench.pick(1, 3, 5);
    let wanted = Wanted {
        seed: bench.seed,
        series: Series::Speed,
        nth: 0,
        samples,
        lines,
        plume_ppm_m: Some(4000.0),
        clouds: 0.0,
        fault: None,
    };
    let frame = frame(&wanted)?;
    let cube = frame.cube()?;
    let (whole_s, report) = best_of(turns, || ours::look_only(&cube));
    let report = report?;
    let raw_bytes = frame.data.len();
    let on =
        format!("{samples} × {lines} × {} of {} bytes", frame.header.bands, frame.header.data_type.bytes());
    let rate = multiply_adds_a_second(turns);
    let bound_s = covariance_bound_s(samples * lines, report.bands_used, rate);
    let row =
        Row::new("speed", format!("whole triage of {on}, one core"), Some(whole_s), "s", Op::AtMost, WHOLE_S);
    sink(row.note(format!(
        "{} bands used; this core does {:.1} G multiply-adds/s: the symmetric covariance takes {bound_s:.4} s at least",
        report.bands_used,
        rate * 1e-9
    )))?;
    let what = "raw cube through the whole triage, one core";
    sink(Row::new("speed", what, Some(raw_bytes as f64 * 1e-9 / whole_s), "GB/s", Op::AtLeast, RAW_GB_S))?;
    let Some(command) = peers::command_or_row(bench, "speed", sink)? else { return Ok(()) };
    let dir = work_folder()?;
    let all = vec![true; samples * lines];
    let written = exchange::write(dir.path(), "frame", &cube, &ours::target(), &all)?;
    let quick = bench.scale == Scale::Quick;
    let run: Vec<Peer> = PEERS.into_iter().filter(|p| !p.slow || bench.scale == Scale::Full).collect();
    let settings: &[&str] = if quick { &[WINDOW] } else { &[WINDOW, BOTH, README] };
    let job = Job { peers: &run, settings, turns };
    for answer in peers::run(command, dir.path(), &[written], &job)? {
        let bands = answer.bands.unwrap_or_default();
        let what = format!("whole triage, beside the peer's filter alone ({bands} bands)");
        let row = Row::new("speed", what, Some(whole_s), "s", Op::AtMost, WHOLE_S);
        let row = row.beside(answer.name(), answer.cpu_s);
        sink(match answer.note {
            Some(note) => row.note(note),
            None => row,
        })?;
    }
    Ok(())
}
