//! What `passband triage` keeps resident, as a process, for frames of growing length; peers beside.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::child::{self, args};
use super::exchange;
use super::frames::{Frame, Series, frame, scene, seed};
use super::peers::{self, Cost, Job, PEERS, Peer, WINDOW};
use super::{Bench, Op, Row, Sink, ours, work_folder};
use crate::scene::SceneParams;

const LIMIT_MIB: f64 = 64.0;
const PATIENCE: Duration = Duration::from_mins(30);
/// Lines of the frame that longer ones repeat.
const LINES: usize = 256;
/// The bands of the frame: one window of the gas, and what clouds are told by.
const BANDS_NM: [[f64; 2]; 6] =
    [[455.0, 480.0], [545.0, 555.0], [635.0, 665.0], [860.0, 870.0], [1645.0, 1655.0], [2122.0, 2488.0]];

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let samples = bench.pick(64, 1024, 4096);
    let lengths: &[usize] = bench.pick(&[256, 512], &[256, 1024, 4096, 8192], &[256, 1024, 4096, 8192]);
    let params = scene(seed(bench.seed, Series::Speed, 1), (samples, LINES), &[2000.0]);
    // Few bands, so that the longest frame fits on a disk.
    let bands_nm = Some(BANDS_NM.to_vec());
    let block = frame("memory".into(), &SceneParams { f32_radiance: false, bands_nm, ..params })?;
    let mut own = Vec::new();
    for &lines in lengths {
        let mib = own_mib(bench, &block, lines)?;
        let bands = block.header.bands;
        let what = format!("resident memory of `passband triage`, a frame of {samples} × {lines} × {bands}");
        sink(Row::new("memory", what, Some(mib), "MiB", Op::AtMost, LIMIT_MIB))?;
        own.push((lines, mib));
    }
    let Some(command) = peers::command_or_row(bench, "memory", sink)? else { return Ok(()) };
    // The peers hold the frame whole, some of them several times: as long a frame as they can hold.
    let Some(&(lines, mib)) = own.get(bench.pick(1, 1, 0)) else { return Ok(()) };
    let long = repeated(&block, lines);
    let dir = work_folder()?;
    let all = vec![true; samples * lines];
    let written = exchange::write(dir.path(), "frame", &long.cube()?, &ours::target(), &all)?;
    let run: Vec<Peer> =
        PEERS.into_iter().filter(|p| p.cost == Cost::Small || p.name == "mag1c-f32").collect();
    let job = Job { peers: &run, settings: &[WINDOW], turns: 1 };
    for answer in peers::run(command, dir.path(), &[written], &job)? {
        let what = format!("resident memory, a frame of {samples} × {lines}");
        let row = Row::new("memory", what, Some(mib), "MiB", Op::AtMost, LIMIT_MIB)
            .beside(answer.name(), answer.peak_mib);
        let libraries = answer.import_mib.map(|m| format!("{m:.0} MiB of it are Python and libraries"));
        let note = [libraries, answer.note].into_iter().flatten().collect::<Vec<_>>().join("; ");
        sink(row.note(note))?;
    }
    Ok(())
}

/// Runs the flight binary on a frame that repeats a block of lines.
fn own_mib(bench: &Bench, block: &Frame, lines: usize) -> Result<f64> {
    let passband = bench.program.with_file_name("passband");
    ensure!(
        passband.is_file(),
        "{} is not there: build passband-flight beside passband-ground",
        passband.display()
    );
    let dir = work_folder()?;
    let header = write_repeated(dir.path(), block, lines)?;
    let out = dir.path().join("out");
    let arguments = args([&"triage", &"--json", &"--out", &out.as_path(), &header.as_path()]);
    let done = child::run(&passband, &arguments, PATIENCE)?;
    Ok(done.resident_bytes as f64 / f64::from(1 << 20))
}

/// The frame with its lines repeated, in memory.
fn repeated(block: &Frame, lines: usize) -> Frame {
    let mut header = block.header.clone();
    header.lines = lines;
    let line_bytes = block.data.len() / block.header.lines;
    let data = block.data.iter().copied().cycle().take(line_bytes * lines).collect();
    Frame { header, data, ..block.clone() }
}

/// The same as files, without holding it.
fn write_repeated(dir: &Path, block: &Frame, lines: usize) -> Result<PathBuf> {
    let path = dir.join("frame.bil");
    let at = || format!("writing {}", path.display());
    let mut file = File::create(&path).with_context(at)?;
    let line_bytes = block.data.len() / block.header.lines;
    let mut left = line_bytes * lines;
    while left > 0 {
        let part = left.min(block.data.len());
        file.write_all(&block.data[..part]).with_context(at)?;
        left -= part;
    }
    let mut header = block.header.clone();
    header.lines = lines;
    let path = dir.join("frame.hdr");
    fs::write(&path, header.to_text()).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
