//! What `send`, `receive` and `recover` keep resident, for bundles of any size.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::child::{self, AsArg, Done, args};
use super::real::write_keys;
use super::speed::{free_port, wait_for_port};
use super::{Bench, Op, Row, Sink, work_folder};

const LIMIT_MIB: f64 = 256.0;
/// Larger bundles go without a capture: the disk has to hold file, sealed file, symbols and product.
const MOST_CAPTURED_BYTES: u64 = 1 << 30;
const PATIENCE: Duration = Duration::from_hours(1);

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let sizes: &[u64] =
        bench.pick(&[1, 1 << 20, 32 << 20], &[1, 1 << 20, 1 << 30], &[1, 1 << 20, 1 << 30, 16 << 30]);
    for bytes in sizes {
        transfer(bench, *bytes, sink)?;
    }
    Ok(())
}

/// One file from `send` to `receive`, and out of the capture by `recover`.
fn transfer(bench: &Bench, bytes: u64, sink: &mut Sink) -> Result<()> {
    let work = work_folder()?;
    let keys = write_keys(work.path())?;
    let file = sparse_file(work.path(), bytes)?;
    let (capture, products) = (work.path().join("pass.pcap"), work.path().join("products"));
    let captured = bytes <= MOST_CAPTURED_BYTES;
    let port = free_port()?;
    let to = format!("127.0.0.1:{port}");
    let mut receive = args([
        &"receive",
        &"--json",
        &"--keys",
        &keys.as_path(),
        &"--listen",
        &to,
        &"--out",
        &products.as_path(),
        &"--idle",
        &"5",
        &"--bundles",
        &"1",
    ]);
    if captured {
        receive.extend(args([&"--capture", &capture.as_path()]));
    }
    let receiver = child::start(&bench.program, &receive)?;
    wait_for_port(port)?;
    let send = args([
        &"send",
        &"--json",
        &"--keys",
        &keys.as_path(),
        &"--to",
        &to,
        &"--rate",
        &"400M",
        &"--loss",
        &"5%",
        &file.as_path(),
    ]);
    let sent = child::run(&bench.program, &send, PATIENCE)?;
    sink(row("send", bytes, &sent))?;
    let received = receiver.wait(PATIENCE)?.context("receive took too long")?;
    sink(row("receive", bytes, &received))?;
    if captured {
        let out = work.path().join("recovered");
        let mut recover = args([&"recover", &"--json", &"--keys", &keys.as_path(), &"--out", &out.as_path()]);
        recover.push(capture.as_path().as_arg());
        sink(row("recover", bytes, &child::run(&bench.program, &recover, PATIENCE)?))?;
    }
    Ok(())
}

fn row(command: &str, bytes: u64, done: &Done) -> Row {
    let size = match bytes {
        b if b >= 1 << 30 => format!("{} GiB", b >> 30),
        b if b >= 1 << 20 => format!("{} MiB", b >> 20),
        _ => format!("{bytes} byte"),
    };
    let mib = done.resident_bytes as f64 / f64::from(1 << 20);
    let what = format!("resident memory of `{command}`, a bundle of {size}");
    let row = Row::new("memory", what, (mib > 0.0).then_some(mib), "MiB", Op::AtMost, LIMIT_MIB);
    let whole = command == "send" || done.json["bundles"][0]["complete"] == true;
    if whole { row } else { row.note("the bundle did not become whole") }
}

/// A file that takes no room on the disk.
fn sparse_file(dir: &Path, bytes: u64) -> Result<std::path::PathBuf> {
    let path = dir.join("payload.bin");
    let at = || format!("making {}", path.display());
    File::create(&path).with_context(at)?.set_len(bytes).with_context(at)?;
    Ok(path)
}
