//! `passband-ground demo`: the launch story, played on one machine with the real daemon.
//!
//! Frames go into the camera's spool, alerts leave at once, and several passes over a bad link without any
//! acknowledgement bring everything down; the ground writes captures, opens the bundles, compares each
//! product with what went in, and recovers the captures once more by themselves.

mod blind;
mod contact;
mod frames;
mod report;
mod results;
mod satellite;
mod story;
pub mod summary;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use passband_proto::ids::BundleId;
use passband_proto::keyring::KeyRing;
use passband_proto::keys::{EpochKey, SECRET_BYTES};

use crate::emulator::ChannelParams;
use crate::station::live::Listener;
use crate::station::{AlertBook, Station};
use blind::Blind;
use contact::{Ground, Link, PassPlan, play};
use frames::Source;
use satellite::{QueueRow, Radios, Satellite};
use story::Story;
use summary::PassSummary;

/// Marks a folder as one that a demo made, and may replace.
const MARKER: &str = ".passband-demo";
/// Length of a pass.
const PASS: Duration = Duration::from_secs(6);
/// Share of what is to be sent that fits into one pass.
const PASS_SHARE: f64 = 0.45;
/// Loss of the passes, one after another and over again.
const LOSSES: [f64; 6] = [0.35, 0.25, 0.5, 0.3, 0.2, 0.4];
/// The pass that ends early.
const CUT_PASS: u32 = 3;

/// Play the launch story on this machine: frames, alerts, passes without any ACK, pictures on the ground.
///
/// Starts the real `passband` daemon, puts frames into its camera spool, and plays several passes over a
/// link emulator with loss in bursts, damage, duplicates and disorder, and no acknowledgement ever. Takes
/// about a minute. Leaves pictures, alerts, recovered cubes, captures, summary.json and report.html.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground demo\n  passband-ground demo --frames my-frames --out my-demo\n\nExit status: 0 everything came down bit for bit, 1 it did not, 2 bad usage or input."
)]
pub struct DemoArgs {
    /// A folder of ENVI frames (NAME.hdr and data); without it a synthetic set is made.
    #[arg(long, value_name = "DIR")]
    frames: Option<PathBuf>,
    /// Where the results go. A folder that an earlier demo made is replaced, no other.
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
    /// Seed of the scenes and of the link.
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// The most passes to play.
    #[arg(long, value_name = "N", default_value_t = 8)]
    passes: u32,
    /// The `passband` program; the one beside this program if not given.
    #[arg(long, value_name = "FILE")]
    passband: Option<PathBuf>,
}

/// Runs `passband-ground demo`.
///
/// # Errors
/// The folder is somebody else's, there are no frames, or a part fails.
pub fn run(args: &DemoArgs) -> Result<ExitCode> {
    ensure!((1..=100).contains(&args.passes), "--passes takes 1 to 100");
    let program = match &args.passband {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("finding this program")?.with_file_name("passband"),
    };
    ensure!(
        program.is_file(),
        "there is no {}: build it (cargo build --release), or name it with --passband",
        program.display()
    );
    prepare(&args.out)?;
    let demo = Demo::begin(args, &program)?;
    let complete = demo.play(args)?;
    Ok(ExitCode::from(u8::from(!complete)))
}

/// Everything the demo holds while it runs.
struct Demo {
    out: PathBuf,
    keys: KeyRing,
    sources: Vec<Source>,
    story: Story,
    satellite: Satellite,
    ground: Ground,
    link: Link,
    queue: Vec<QueueRow>,
    passes: Vec<PassSummary>,
    curves: BTreeMap<String, Curve>,
}

/// How a bundle fills up, pass by pass.
struct Curve {
    blind: Blind,
    percent: Vec<f64>,
    blind_percent: Vec<f64>,
}

impl Demo {
    fn begin(args: &DemoArgs, program: &Path) -> Result<Self> {
        let out = args.out.clone();
        let mut story = Story::new();
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|e| anyhow!("the system's random source failed: {e}"))?;
        let key = EpochKey::new(1, 1, secret);
        let mut key_text = String::new();
        key.write_line(&mut key_text)?;
        let mut keys = KeyRing::default();
        keys.insert(key);
        let sources = if let Some(dir) = &args.frames {
            frames::folder(dir)?
        } else {
            story.say("note", "making synthetic frames");
            frames::synthetic(&out.join("frames"), args.seed)?
        };
        let any = ([127, 0, 0, 1], 0).into();
        let listener = Listener::start(any, Some(any))?;
        let link = Link::bind(listener.fast_address())?;
        let alert = listener.alert_address().context("the alert radio")?;
        let radios = Radios { fast: link.address()?, alert };
        let satellite = Satellite::start(program, &out.join("satellite"), &key_text, &radios)?;
        let ground = Ground {
            station: Station::open(keys.clone(), &out.join("store"), &out.join("products"))?,
            alerts: AlertBook::open(keys.clone(), &out.join("alerts"), &out.join("store"))?.0,
            listener,
            capture: None,
            heard: Vec::new(),
        };
        let (queue, passes, curves) = (Vec::new(), Vec::new(), BTreeMap::new());
        Ok(Self { out, keys, sources, story, satellite, ground, link, queue, passes, curves })
    }

    fn play(mut self, args: &DemoArgs) -> Result<bool> {
        self.expose()?;
        let sealed: u64 = self.queue.iter().map(|row| row.bytes).sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "limited to a link's rates"
        )]
        let rate_bps = (sealed as f64 * 8.0 * PASS_SHARE / PASS.as_secs_f64()).clamp(4e5, 4e8) as u64;
        fs::create_dir_all(self.out.join("captures")).context("making the folder for the captures")?;
        for number in 1..=args.passes {
            if self.all_down() {
                break;
            }
            self.pass(number, rate_bps, args.seed)?;
            if !self.all_down() && number < args.passes {
                self.story.say("note", "no ground station in sight: the satellite is on its way round (85 minutes, here a moment)");
                self.ground.listen(Instant::now() + Duration::from_millis(800), &mut self.story)?;
            }
        }
        results::finish(self, args.seed)
    }

    /// Puts the frames into the spool and waits until the daemon has dealt with each.
    fn expose(&mut self) -> Result<()> {
        let begun = Instant::now();
        while !self.satellite.up()? {
            ensure!(begun.elapsed() < Duration::from_secs(10), "the daemon does not answer");
            self.listen_a_moment()?;
        }
        self.story.say("note", "the satellite is up");
        for source in &self.sources {
            frames::expose(source, &self.satellite.spool())?;
            self.story.say("frame", &format!("{}: the camera delivers it", source.name));
        }
        let mut settled = 0;
        let patience = Duration::from_secs(60 + 20 * self.sources.len() as u64);
        while settled < self.sources.len() {
            ensure!(begun.elapsed() < patience, "the daemon did not take all the frames in time");
            self.listen_a_moment()?;
            ensure!(self.satellite.up()?, "the daemon does not answer");
            for event in self.satellite.events()? {
                let about_frame =
                    matches!(event.code.as_str(), "frame-accepted" | "frame-rejected" | "frame-duplicate");
                settled += usize::from(about_frame);
                if about_frame {
                    self.story.say("frame", &event.text);
                }
            }
        }
        self.queue = self.satellite.queue()?;
        if self.queue.is_empty() {
            bail!("no frame was accepted: see {}", self.out.join("satellite/state/rejected").display());
        }
        for row in &self.queue {
            let source_symbols = usize::try_from(row.source_symbols).unwrap_or(usize::MAX).min(1 << 28);
            let curve =
                Curve { blind: Blind::new(source_symbols), percent: Vec::new(), blind_percent: Vec::new() };
            self.curves.insert(row.id.clone(), curve);
        }
        Ok(())
    }

    fn listen_a_moment(&mut self) -> Result<()> {
        self.ground.listen(Instant::now() + Duration::from_millis(100), &mut self.story)
    }

    fn pass(&mut self, number: u32, rate_bps: u64, seed: u64) -> Result<()> {
        let name = PathBuf::from(format!("captures/pass-{number}.pcap"));
        let loss = LOSSES[(number as usize - 1) % LOSSES.len()];
        let plan = PassPlan {
            number,
            duration: PASS,
            cut_after: (number == CUT_PASS).then(|| PASS.mul_f64(0.6)),
            rate_bps,
            channel: ChannelParams {
                loss,
                burst_len: 20.0,
                corrupt: 0.01,
                truncate: 0.002,
                duplicate: 0.005,
                reorder: 0.02,
                seed: seed.wrapping_mul(1000).wrapping_add(u64::from(number)),
                ..ChannelParams::default()
            },
            capture: self.out.join(&name),
            capture_name: name,
        };
        let (summary, slots) = play(&plan, &self.link, &self.satellite, &mut self.ground, &mut self.story)?;
        self.passes.push(summary);
        let reports = self.ground.station.report();
        for row in &self.queue {
            let Some(curve) = self.curves.get_mut(&row.id) else { continue };
            let id: Option<BundleId> = row.id.parse().ok();
            let arrived = id.and_then(|id| slots.get(&id)).map(Vec::as_slice).unwrap_or_default();
            arrived.iter().for_each(|arrived| curve.blind.slot(*arrived));
            let percent = reports.iter().find(|b| b.id == row.id).map_or(0.0, |b| b.percent);
            curve.percent.push(percent);
            curve.blind_percent.push(curve.blind.percent());
            let blind = curve.blind.percent();
            self.story.detail(&format!(
                "{} {percent:5.1} %  {:<17} {} (blind: {blind:.1} %)",
                bar(percent),
                row.class,
                row.name
            ));
        }
        Ok(())
    }

    fn all_down(&self) -> bool {
        let reports = self.ground.station.report();
        self.queue.iter().all(|row| reports.iter().any(|b| b.complete && b.id == row.id))
    }
}

fn bar(percent: f64) -> String {
    const CELLS: usize = 24;
    let full = (0..CELLS).filter(|cell| percent >= (*cell as f64 + 1.0) * 100.0 / CELLS as f64).count();
    format!("[{}{}]", "#".repeat(full), ".".repeat(CELLS - full))
}

/// Makes the output folder; replaces one that an earlier demo made, and no other.
fn prepare(out: &Path) -> Result<()> {
    if out.exists() {
        let empty = fs::read_dir(out).with_context(|| format!("reading {}", out.display()))?.next().is_none();
        ensure!(
            empty || out.join(MARKER).is_file(),
            "{} exists and is not a demo's: name another folder with --out",
            out.display()
        );
        fs::remove_dir_all(out).with_context(|| format!("removing {}", out.display()))?;
    }
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    fs::write(out.join(MARKER), "Made by passband-ground demo, which may replace this folder.\n")
        .with_context(|| format!("writing to {}", out.display()))
}
