//! `passband-ground upload`: a file, in pieces, until the satellite has all of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use passband_proto::dict::UploadKind;

use super::role_keys::holder;
use super::uplink::{Desk, UplinkArgs, upload_state};
use super::{print_json, stop_on_signals};
use crate::station::hex;
use crate::uplink::names::check_upload;
use crate::uplink::pieces::{MAX_BYTES, MAX_PIECES};
use crate::uplink::{About, Upload};

/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_secs(10);

/// Send a file up in pieces: a plan, a script, a file for the payload or an image.
///
/// Pieces go between orders, within the uplink's rate. The satellite tells which are missing, and only those go again; without a
/// word of it all go, over and over, each time in another order. What isn't there in time stays in the outbox and goes on with the
/// next `upload` of the same file, or with `passband-ground uplink run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground upload check.sh --kind script --name check --command-keys operator.txt --state outbox --to 10.1.0.2:47012 --telemetry 0.0.0.0:47020 --telemetry-keys keys.txt\n\nExit status: 0 it is in its place (an image: all there), 1 it isn't yet or was refused, 2 bad usage or input."
)]
pub struct UploadArgs {
    /// The file.
    file: PathBuf,
    /// What it is: plan (signed: `plan upload` makes one of a text and sends it), script, file or image.
    #[arg(long, value_parser = parse_kind)]
    kind: UploadKind,
    /// What it is called on board: a plan or script by 1 to 24 of a-z, 0-9 and -; a file or image by 1 to 32 letters, digits,
    /// . - _, no . first.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    pub(super) delivery: DeliveryArgs,
}

/// How a file is sent.
#[derive(Debug, Args)]
pub struct DeliveryArgs {
    /// By which outbox.
    #[command(flatten)]
    pub uplink: UplinkArgs,
    /// Bytes of a piece, 16 to 768; more than that if the file has too many of them.
    #[arg(long, value_name = "BYTES", default_value_t = 512)]
    pub piece: usize,
    /// Wait so long for all of it to be there, s; 0: only put it into the outbox.
    #[arg(long, value_name = "S", default_value_t = 3600.0)]
    pub wait: f64,
    /// Print JSON at the end.
    #[arg(long)]
    pub json: bool,
}

/// Runs `passband-ground upload`.
///
/// # Errors
/// The file can't be read or sent, or the outbox can't be used.
pub fn run(args: &UploadArgs) -> Result<ExitCode> {
    let content = read(&args.file)?;
    deliver(args.kind, &args.name, &content, &args.delivery)
}

/// Sends content up, and waits for it to be there.
///
/// # Errors
/// It can't be sent, or the outbox can't be used.
pub fn deliver(kind: UploadKind, name: &str, content: &[u8], args: &DeliveryArgs) -> Result<ExitCode> {
    ensure!((0.0..1e9).contains(&args.wait), "--wait takes 0 to 1,000,000,000 seconds");
    let key = holder(&args.uplink.holder.keys, args.uplink.holder.spi)?;
    ensure!(kind.sources().has(key.role().into()), "{} is not for {} to send up", noun(kind), key.role());
    check_upload(kind, name, content, &key).with_context(|| format!("{kind} {name:?} isn't sent"))?;
    let mut desk = if args.wait > 0.0 { Desk::open(&args.uplink)? } else { Desk::only_queue(&args.uplink)? };
    // No more pieces than a report can tell.
    let piece = args.piece.max(content.len().div_ceil(MAX_PIECES));
    let about = desk.queue_upload(kind, name, content, piece)?;
    let about = follow(&mut desk, about, content, args)?;
    desk.part()?;
    if args.json {
        let progress = there(&about, content);
        print_json(&serde_json::json!({
            "schema": 1, "id": hex(&about.id), "kind": about.kind, "name": about.name, "bytes": content.len(),
            "pieces": progress.1, "there": progress.0, "whole": about.whole, "answer": about.told,
            "fate": about.fate().map(|(fate, _)| fate), "reason": about.fate().map(|(_, reason)| reason),
            "in_place": about.is_in_place(),
        }))?;
    }
    Ok(ExitCode::from(u8::from(!about.is_in_place())))
}

fn follow(desk: &mut Desk, about: About, content: &[u8], args: &DeliveryArgs) -> Result<About> {
    let stop = stop_on_signals()?;
    let until = Instant::now() + Duration::from_secs_f64(args.wait);
    let (mut about, mut shown, mut shown_at) = (about, String::new(), None::<Instant>);
    loop {
        let over = !about.is_open() || Instant::now() >= until || stop.load(Ordering::Relaxed);
        if over || shown_at.is_none_or(|at| at.elapsed() >= SHOW_EVERY) {
            shown_at = Some(Instant::now());
            let (there, pieces) = there(&about, content);
            let waits = desk.hold()?.words().filter(|_| about.is_open()).map(|words| format!("; {words}"));
            let state = upload_state(&about, there, pieces) + &waits.unwrap_or_default();
            if state != shown && !args.json {
                say!("{about}: {state}");
            }
            shown = state;
        }
        if over {
            return Ok(about);
        }
        desk.turn()?;
        about = desk.upload(about.id)?.context("the file is gone from the outbox")?;
    }
}

/// Pieces that are there, and all of them.
fn there(about: &About, content: &[u8]) -> (usize, usize) {
    let upload = Upload::new(about.clone(), content.to_vec());
    upload.map_or((0, 0), |upload| (upload.progress().there, upload.progress().pieces))
}

/// A kind with its article.
fn noun(kind: UploadKind) -> String {
    format!("{} {kind}", if kind == UploadKind::Image { "an" } else { "a" })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let size = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?.len();
    ensure!(
        size <= MAX_BYTES as u64,
        "{}: {size} bytes are too many: {MAX_BYTES} can be sent up",
        path.display()
    );
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

fn parse_kind(text: &str) -> Result<UploadKind, String> {
    UploadKind::from_name(text).ok_or_else(|| "one of plan, script, file, image is wanted".to_owned())
}
