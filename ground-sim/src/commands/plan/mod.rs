//! `passband-ground plan`: from a plan's text to the signed bytes on board, and what it would do there.

mod check;

pub use check::check_role;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use passband_flight::config::{Config, Downlink, TransmitMode};
use passband_proto::dict::UploadKind;
use passband_proto::plan::{Dictionary, MAX_PLAN_BYTES, MAX_TEXT_BYTES, Plan, SignedPlan, compile, sign};
use passband_proto::sdls::{RoleKey, RoleKeys};

use self::check::{check, check_names};
use super::role_keys::{holder, spi_range};
use super::upload::{DeliveryArgs, deliver};
use super::{parse_rate, print_json, read_key_text};
use crate::plans::assume::{PassFiles, parse_channel, parse_event, parse_span_ms, parse_utc_ms};
use crate::plans::forecast::{Trial, forecast, show};
use crate::telemetry::feed::unix_ms;

/// Check, compile, show, try and send up plans: sequences of orders that the satellite runs by itself.
///
/// A plan is written as text (proto/PLAN.md), checked against the dictionary, and signed under the plan key of the holder who
/// sends it up. `dry-run` plays it with the sequencer that flies.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  passband-ground plan check night.plan --command-keys planner.txt\n  passband-ground plan dry-run night.plan --elements tle.txt --stations stations.toml --for 1d --event '+2h disk-full'\n  passband-ground plan upload night.plan --command-keys planner.txt --state outbox --to 10.1.0.2:47012 --telemetry 0.0.0.0:47020 --telemetry-keys keys.txt\n\nExit status: 0 done, 1 not (all) done (dry-run: some entry would never be due), 2 bad usage or input."
)]
pub struct PlanArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a plan's text: every fault with its line.
    Check {
        /// The text.
        file: PathBuf,
        /// The command key of the holder who will sign it: whether a plan of his role may give all its orders.
        #[arg(long = "command-keys", alias = "keys", value_name = "FILE")]
        keys: Option<PathBuf>,
        /// Which key, if the file holds several.
        #[arg(long, requires = "keys", value_parser = spi_range())]
        spi: Option<u16>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compile and sign a plan.
    Compile {
        /// The text.
        file: PathBuf,
        /// The holder's command key, whose plan key signs it.
        #[arg(long = "command-keys", alias = "keys", value_name = "FILE")]
        keys: PathBuf,
        /// Which key, if the file holds several.
        #[arg(long, value_parser = spi_range())]
        spi: Option<u16>,
        /// The file to write; default: the text's name with `.pbp`.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print the text of a signed plan again, once its signature holds.
    Show {
        /// The signed plan.
        file: PathBuf,
        /// The file with the key that signed it.
        #[arg(long = "command-keys", alias = "keys", value_name = "FILE")]
        keys: PathBuf,
        /// Number of the spacecraft.
        #[arg(long, default_value_t = 1)]
        spacecraft: u16,
    },
    /// Play a plan, and tell when which order would be given and what it would do.
    DryRun(Box<DryRunArgs>),
    /// Compile, sign and send up a plan.
    Upload {
        /// The text.
        file: PathBuf,
        #[command(flatten)]
        delivery: Box<DeliveryArgs>,
    },
}

/// What a plan is tried under.
#[derive(Debug, Args)]
struct DryRunArgs {
    /// The text of the plan.
    file: PathBuf,
    /// Texts of other plans that are on board: those that it starts.
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    /// When it is started; default now.
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// How far the forecast goes.
    #[arg(long = "for", value_name = "SPAN", default_value = "1d")]
    span: String,
    /// Contact windows, as the satellite has them.
    #[arg(long, value_name = "FILE")]
    windows: Option<PathBuf>,
    /// Elements of the orbit, a TLE or an OMM, to predict passes from.
    #[arg(long, value_name = "FILE")]
    elements: Option<PathBuf>,
    /// The stations whose passes are predicted.
    #[arg(long, value_name = "FILE")]
    stations: Option<PathBuf>,
    /// An event that is assumed to happen: "+2h disk-full", "2026-12-01T10:00:00Z limit-red critical".
    #[arg(long, value_name = "WHEN EVENT")]
    event: Vec<String>,
    /// A value that a channel is assumed to have from then on: "+2h temperature=80".
    #[arg(long, value_name = "WHEN CHANNEL=VALUE")]
    channel: Vec<String>,
    /// Orders that begin with these words are assumed to fail.
    #[arg(long, value_name = "WORDS")]
    fail: Vec<String>,
    /// The satellite's configuration: who opens the transmitter, and the rate of the fast link.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Who opens the transmitter: bus, plan, manual or always; default as in the configuration, else bus.
    #[arg(long, value_name = "WHO", value_parser = parse_transmit)]
    transmit: Option<TransmitMode>,
    /// The rate of the fast link, bit/s of UDP payload; default as in the configuration, else 40M.
    #[arg(long, value_name = "BPS", value_parser = parse_rate)]
    rate: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `passband-ground plan`.
///
/// # Errors
/// Files or keys can't be read, or what stands in them is no plan.
pub fn run(args: &PlanArgs) -> Result<ExitCode> {
    match &args.command {
        Command::Check { file, keys, spi, json } => {
            let role = keys.as_deref().map(|keys| holder(keys, *spi)).transpose()?.map(|key| key.role());
            check(file, role, *json)
        }
        Command::Compile { file, keys, spi, out } => {
            let bytes = signed(&read(file)?, &holder(keys, *spi)?)?;
            let out = out.clone().unwrap_or_else(|| file.with_extension("pbp"));
            fs::write(&out, &bytes).with_context(|| format!("writing {}", out.display()))?;
            say!("{}: {} bytes", out.display(), bytes.len());
            Ok(ExitCode::SUCCESS)
        }
        Command::Show { file, keys, spacecraft } => {
            let text = show(&verified(file, keys, *spacecraft)?)?;
            say!("{}", text.trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Command::DryRun(args) => play(args),
        Command::Upload { file, delivery } => {
            let plan = read(file)?;
            let bytes = signed(&plan, &holder(&delivery.uplink.holder.keys, delivery.uplink.holder.spi)?)?;
            deliver(UploadKind::Plan, &plan.name, &bytes, delivery)
        }
    }
}

fn play(args: &DryRunArgs) -> Result<ExitCode> {
    let start = args.start.as_deref().map_or_else(|| Ok(unix_ms()), parse_utc_ms)?;
    let until = start.saturating_add(parse_span_ms(&args.span)?);
    let files = PassFiles {
        windows: args.windows.as_deref(),
        elements: args.elements.as_deref(),
        stations: args.stations.as_deref(),
    };
    let downlink = args.config.as_deref().map_or_else(|| Ok(Downlink::default()), downlink_of)?;
    let events = args.event.iter().map(|text| parse_event(text, start));
    let channels = args.channel.iter().map(|text| parse_channel(text, start));
    let trial = Trial {
        span: (start, until),
        passes: files.passes(start, until)?,
        happens: events.chain(channels).collect::<Result<_>>()?,
        fails: args.fail.clone(),
        transmit: args.transmit.unwrap_or(downlink.transmit),
        rate_bps: args.rate.unwrap_or(downlink.rate_bps),
    };
    let paths = std::iter::once(&args.file).chain(&args.with);
    let plans = paths.map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let timeline = forecast(&plans, &trial)?;
    if args.json {
        print_json(&timeline.json())?;
    } else {
        say!("{}", timeline.text().trim_end());
    }
    Ok(ExitCode::from(u8::from(timeline.never() > 0)))
}

/// What a satellite's configuration says of the fast link.
fn downlink_of(file: &Path) -> Result<Downlink> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(Config::parse(&text, file)?.downlink)
}

fn parse_transmit(name: &str) -> Result<TransmitMode, String> {
    let modes = [TransmitMode::Bus, TransmitMode::Plan, TransmitMode::Manual, TransmitMode::Always];
    modes.into_iter().find(|mode| mode.name() == name).ok_or_else(|| "bus, plan, manual or always".to_owned())
}

/// The plan of a text.
fn read(file: &Path) -> Result<Plan> {
    let plan = compile(&text_of(file)?, &file.display().to_string(), &Dictionary::default());
    plan.map_err(|faults| {
        let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })
}

fn signed(plan: &Plan, key: &RoleKey) -> Result<Vec<u8>> {
    check_role(plan, key.role())?;
    check_names(plan)?;
    sign(plan, key.spi(), &key.plan_key()).with_context(|| format!("plan {}", plan.name))
}

/// A signed plan, if its signature is that of a key of the file.
fn verified(file: &Path, keys: &Path, spacecraft: u16) -> Result<Plan> {
    let size = fs::metadata(file).with_context(|| format!("reading {}", file.display()))?.len();
    ensure!(size <= MAX_PLAN_BYTES as u64, "{} is too long for a plan", file.display());
    let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let signed = SignedPlan::new(&bytes).with_context(|| file.display().to_string())?;
    let ring = RoleKeys::parse(&read_key_text(keys)?).with_context(|| keys.display().to_string())?;
    let Some(key) = ring.get(spacecraft, signed.spi()) else {
        bail!(
            "{} is signed by SPI {}, of which {} holds no key",
            file.display(),
            signed.spi(),
            keys.display()
        );
    };
    signed.verify(&key.plan_key()).with_context(|| file.display().to_string())
}

fn text_of(file: &Path) -> Result<String> {
    let size = fs::metadata(file).with_context(|| format!("reading {}", file.display()))?.len();
    ensure!(size <= MAX_TEXT_BYTES as u64, "{} is longer than 8 MiB", file.display());
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::role_keys;
    use passband_proto::sdls::Role;

    const TEXT: &str = "plan night\nversion 2\naos any +10s do pass start 300\n";

    #[test]
    fn a_plan_is_signed_by_its_holder_and_shown_only_with_that_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("night.plan"), TEXT).unwrap();
        role_keys::add(1, 4, Role::Planner, &path("planner"), None).unwrap();
        role_keys::add(1, 4, Role::Planner, &path("other"), None).unwrap();
        let command =
            Command::Compile { file: path("night.plan"), keys: path("planner"), spi: None, out: None };
        run(&PlanArgs { command }).unwrap();
        let plan = verified(&path("night.pbp"), &path("planner"), 1).unwrap();
        assert_eq!(compile(&show(&plan).unwrap(), "", &Dictionary::default()).unwrap(), plan);
        let error = format!("{:#}", verified(&path("night.pbp"), &path("other"), 1).unwrap_err());
        assert!(error.contains("signature"), "{error}");
        let error = verified(&path("night.pbp"), &path("planner"), 2).unwrap_err().to_string();
        assert!(error.contains("SPI 4"), "{error}");
    }

    #[test]
    fn faults_are_told_with_their_lines() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bad.plan");
        fs::write(&file, TEXT.replace("300", "never")).unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains("bad.plan:3:") && error.contains("never"), "{error}");
        assert_eq!(check(&file, None, true).unwrap(), ExitCode::from(2));
    }

    #[test]
    fn what_the_signer_may_not_order_is_told_before_it_is_sent() {
        let plan = compile(TEXT, "", &Dictionary::default()).unwrap();
        check_role(&plan, Role::Planner).unwrap();
        check_role(&plan, Role::Operator).unwrap();
        let key = RoleKey::new(1, 4, Role::Science, [1; 32]).unwrap();
        let error = signed(&plan, &key).unwrap_err().to_string();
        assert_eq!(error, "plan night: a plan of science may not give pass start");
    }
}
