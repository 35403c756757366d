//! CPU seconds of one core for one frame, beside the peers' filters on the same frame.
//!
//! Two things of ours: the matched-filter stage, which does what the peers do (statistics of the ground, filter,
//! enhancement of every pixel), and the whole triage. A peer's frame lies arranged in memory before its clock starts;
//! ours is read from the frame's bytes.

use anyhow::{Context, Result};
use passband_spectral::cube::Cube;
use passband_spectral::envi::Header;
use passband_spectral::triage::{Params, stages};

use super::clock::{best_of, covariance_bound_s, multiply_adds_a_second};
use super::exchange;
use super::frames::{Frame, Series, frame, scene, seed};
use super::peers::{self, BOTH, Cost, Job, PEERS, Peer, README, WINDOW};
use super::{Bench, Op, Row, Scale, Sink, ours, work_folder};
use crate::scene::SceneParams;

/// The stage, by the windows that are looked at: first wavelength, most seconds.
const STAGES: [(f64, f64); 2] = [(2100.0, 0.10), (0.0, 0.25)];
/// Least share of the symmetric bound of the covariance.
const OF_BOUND: f64 = 0.40;
const WHOLE_S: f64 = 0.4;
const RAW_GB_S: f64 = 1.5;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let size = bench.pick((64, 128), (512, 1024), (512, 1024));
    let turns = bench.pick(2, 5, 9);
    let rates = [300.0, 1000.0, 3000.0];
    // Every band: reading past those not looked at is part of the work.
    let params = SceneParams { bands_nm: None, ..scene(seed(bench.seed, Series::Speed, 0), size, &rates) };
    let frame = frame("speed".into(), &params)?;
    let cube = frame.cube()?;
    let on = format!(
        "{} × {} × {} of {} bytes",
        size.0,
        size.1,
        frame.header.bands,
        frame.header.data_type.bytes()
    );
    let rate = multiply_adds_a_second(turns);
    let mut stage_s = Vec::new();
    for (from_nm, target_s) in STAGES {
        let (bands, seconds) = stage(&frame, from_nm, turns)?;
        stage_s.push((bands, seconds));
        let what = format!("matched-filter stage, {bands} bands of {on}");
        sink(Row::new("speed", what, Some(seconds), "s", Op::AtMost, target_s))?;
        sink(kernel(size.0 * size.1, bands, rate, turns))?;
    }
    let (whole_s, report) = best_of(turns, || ours::look_only(&cube));
    let report = report?;
    let row = Row::new("speed", format!("whole triage of {on}"), Some(whole_s), "s", Op::AtMost, WHOLE_S);
    sink(row.note(format!("{} bands used, {} candidates", report.bands_used, report.candidates)))?;
    let raw_gb = frame.data.len() as f64 * 1e-9;
    let what = "raw cube through the whole triage, one core";
    sink(Row::new("speed", what, Some(raw_gb / whole_s), "GB/s", Op::AtLeast, RAW_GB_S))?;
    beside(bench, &cube, &stage_s, turns, sink)
}

/// The matched-filter stage on the bands from a wavelength on: their number and the seconds.
fn stage(frame: &Frame, from_nm: f64, turns: usize) -> Result<(usize, f64)> {
    let nm = frame.header.wavelengths_nm.as_ref().context("the scene has no wavelengths")?;
    let header =
        Header { bad_bands: Some(nm.iter().map(|nm| *nm < from_nm).collect()), ..frame.header.clone() };
    let cube = Cube::new(header, frame.data.as_slice())?;
    let (target, params) = (ours::target(), Params::default());
    let (seconds, filtered) = best_of(turns, || stages::matched_filter(&cube, &target, &params));
    let filtered = filtered?.context("the matched-filter stage found no background")?;
    Ok((filtered.bands, seconds))
}

/// The kernel of the covariance over as many pixels as the frame has, against what the core could do: on one tile again
/// and again, since triage fills a tile just before; from memory in the note.
fn kernel(pixels: usize, bands: usize, multiply_adds_a_second: f64, turns: usize) -> Row {
    // Values around 0, none of them a number that a processor finds hard.
    let value = |n: usize| ((n * 7919) % 2003) as f32 * 1e-3 - 1.0;
    let count = pixels.div_ceil(stages::TILE);
    let size = stages::TILE * bands;
    let values: Vec<f32> = (0..count * size).map(value).collect();
    let one = &values[..size];
    let (near_s, sums) = best_of(turns, || stages::covariance(core::iter::repeat_n(one, count), bands));
    core::hint::black_box(sums);
    let (far_s, sums) = best_of(turns, || stages::covariance(values.chunks_exact(size), bands));
    core::hint::black_box(sums);
    let bound = covariance_bound_s(count * stages::TILE, bands, multiply_adds_a_second);
    let what = format!("share of the symmetric bound, covariance of {pixels} pixels of {bands} bands");
    Row::new("speed", what, Some(bound / near_s), "1", Op::AtLeast, OF_BOUND).note(format!(
        "{near_s:.4} s on a tile in the cache, as triage has it, {far_s:.4} s with {:.0} MB read from memory, bound \
         {bound:.4} s: this core does {:.1} G multiply-adds/s, fused",
        size_of_val(values.as_slice()) as f64 * 1e-6,
        multiply_adds_a_second * 1e-9
    ))
}

/// The peers' filters beside our stage with the nearest number of bands.
fn beside(
    bench: &Bench,
    cube: &Cube<&[u8]>,
    stages: &[(usize, f64)],
    turns: usize,
    sink: &mut Sink,
) -> Result<()> {
    let Some(command) = peers::command_or_row(bench, "speed", sink)? else { return Ok(()) };
    let dir = work_folder()?;
    let all = vec![true; cube.header().samples * cube.header().lines];
    let written = [exchange::write(dir.path(), "frame", cube, &ours::target(), &all)?];
    let of = |cost: Cost| PEERS.into_iter().filter(|p| p.cost == cost).collect::<Vec<Peer>>();
    let settings: &[&str] = bench.pick(&[WINDOW], &[WINDOW, BOTH, README], &[WINDOW, BOTH, README]);
    let mut jobs = vec![(of(Cost::Small), settings, turns), (of(Cost::Great), &settings[..1], 1)];
    if bench.scale != Scale::Quick {
        // Minutes: one turn, and what shrinks by leaving one out with --full alone.
        let huge =
            of(Cost::Huge).into_iter().filter(|p| bench.scale == Scale::Full || p.name != "emit-ghg-loo");
        jobs.push((huge.collect(), &settings[..1], 1));
    }
    for (run, settings, turns) in jobs {
        for answer in peers::run(command, dir.path(), &written, &Job { peers: &run, settings, turns })? {
            let bands = answer.bands.unwrap_or_default();
            let nearest = stages.iter().min_by_key(|(own, _)| own.abs_diff(bands));
            let Some((own_bands, seconds)) = nearest else { continue };
            let target = STAGES[usize::from(stages[0].0 != *own_bands)].1;
            let what =
                format!("matched-filter stage ({own_bands} bands), beside the peer's filter ({bands} bands)");
            let row = Row::new("speed", what, Some(*seconds), "s", Op::AtMost, target);
            let row = row.beside(answer.name(), answer.cpu_s);
            sink(match answer.note {
                Some(note) => row.note(note),
                None => row,
            })?;
        }
    }
    Ok(())
}
