//! Sustained ingest: the real daemon, from frames in its spool to their products sealed on disk.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use passband_spectral::envi::{DataType, Header};

use crate::bench::{Bench, Op, Row, Sink, work_folder};

const GROUP: &str = "ingest";
const SAMPLES: usize = 512;
const BANDS: usize = 200;
/// What no daemon takes.
const PATIENCE: Duration = Duration::from_mins(5);

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let what =
        "raw bytes a second from frames in the spool to products sealed on disk, the daemon as it flies";
    let daemon = bench.program.with_file_name("passband");
    if !daemon.is_file() {
        let note = format!("not measured: there is no {}", daemon.display());
        return sink(Row::new(GROUP, what, None, "MB/s", Op::AtLeast, 200.0).note(note));
    }
    let (frames, lines) = bench.pick((2, 256), (6, 1024), (12, 2048));
    let folder = work_folder()?;
    let bytes = prepare(folder.path(), frames, lines)?;
    let begun = Instant::now();
    let mut child = Command::new(&daemon)
        .args(["run", "--config"])
        .arg(folder.path().join("passband.toml"))
        .env("PASSBAND_LOG", "warn")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the daemon")?;
    let spool = folder.path().join("state/spool");
    let took = loop {
        let left = fs::read_dir(&spool)?.count();
        if left == 0 {
            break begun.elapsed();
        }
        if begun.elapsed() > PATIENCE || child.try_wait()?.is_some() {
            child.kill().ok();
            child.wait()?;
            ensure!(false, "the daemon left {left} files in its spool");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    child.kill()?;
    child.wait()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let note = format!(
        "{frames} frames of {SAMPLES} × {lines} × {BANDS} u16, {:.1} GB, {:.1} s with the start, on {cores} cores",
        bytes as f64 / 1e9,
        took.as_secs_f64()
    );
    let rate = bytes as f64 / 1e6 / took.as_secs_f64();
    sink(Row::new(GROUP, what, Some(rate), "MB/s", Op::AtLeast, 200.0).note(note))
}

/// A configuration, a key and frames in the spool; how many bytes the frames have.
fn prepare(folder: &Path, frames: usize, lines: usize) -> Result<u64> {
    let spool = folder.join("state/spool");
    fs::create_dir_all(&spool)?;
    fs::write(
        folder.join("state/keys.txt"),
        format!("passband-key v1 spacecraft=1 epoch=1 {}\n", "5a".repeat(32)),
    )?;
    // Nobody listens, and nothing is sent.
    let config = "[paths]\nstate = \"state\"\n[camera]\npoll_ms = 20\n[downlink]\ntransmit = \"manual\"\n";
    fs::write(folder.join("passband.toml"), config)?;
    frames_into_spool(&spool, frames, lines)
}

/// Puts frames into a daemon's spool; how many bytes they have.
pub(in crate::bench) fn frames_into_spool(spool: &Path, frames: usize, lines: usize) -> Result<u64> {
    let mut bytes = 0;
    for n in 0..frames {
        let mut header = Header::new(SAMPLES, lines, BANDS, DataType::U16);
        let nm = |band| 400.0 + 2100.0 * band as f64 / BANDS as f64;
        header.wavelengths_nm = Some((0..BANDS).map(nm).collect());
        header.description = Some(format!("frame {n}"));
        let mut data = File::create(spool.join(format!("f{n}.bil")))?;
        for line in 0..lines {
            let value =
                |i: usize| 2_000 + u16::try_from((i * 7_919 + line * 104_729 + n * 31) % 61).unwrap_or(0);
            let row: Vec<u8> = (0..SAMPLES * BANDS).flat_map(|i| value(i).to_le_bytes()).collect();
            data.write_all(&row)?;
        }
        bytes += header.data_bytes();
        fs::write(spool.join(format!("f{n}.hdr")), header.to_text())?;
    }
    Ok(bytes)
}
