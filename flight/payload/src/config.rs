//! The configuration file: TOML, every field with a default and a range, unknown fields refused.
//!
//! [`Config::parse`] takes the text and the folder that relative paths are relative to; it never
//! opens a file. Errors name the file, the line and the field.

mod telemetry;
mod update;

use core::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use passband_proto::datagram::{DEFAULT_SYMBOL_BYTES, MAX_BLOCK_SYMBOLS, MAX_SYMBOL_BYTES, MIN_SYMBOL_BYTES};
use passband_spectral::cube::MAX_CUT_BYTES;
use passband_spectral::triage::Params;
use serde::Deserialize;

pub use self::telemetry::{Command, Telemetry};
pub use self::update::{Confirm, Update};
use crate::health;
use crate::products::Rules;
use crate::queue::Settings;
use crate::script::{self, ScriptError};

/// Longest configuration file that is read, bytes.
pub const MAX_CONFIG_BYTES: u64 = 256 * 1024;

/// The configuration of the daemon.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Number of the spacecraft, 0 to 65535; default 1.
    pub spacecraft: u16,
    /// Where things are on disk.
    pub paths: Paths,
    /// The camera's spool.
    pub camera: Camera,
    /// The detector.
    pub triage: Triage,
    /// What is made of frames.
    pub products: Rules,
    /// The order in which bundles go down, and which goes when room is needed.
    pub queue: Settings,
    /// The fast link.
    pub downlink: Downlink,
    /// The alert radio.
    pub alerts: Alerts,
    /// The wire from the bus computer.
    pub bus: Bus,
    /// Reports of the ground.
    pub reports: Reports,
    /// Orders of the ground.
    pub uplink: Uplink,
    /// The pass plan.
    pub passes: Passes,
    /// The store of sealed bundles.
    pub store: Store,
    /// Operators' scripts.
    pub scripts: script::Settings,
    /// Check-ins, sensors, what is left undone under stress, safe mode.
    pub health: health::Settings,
    /// Packets over the slow link.
    pub telemetry: Telemetry,
    /// Orders of the operator.
    pub command: Command,
    /// New software.
    pub update: Update,
    /// The engineer's log.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            spacecraft: 1,
            paths: Paths::default(),
            camera: Camera::default(),
            triage: Triage::default(),
            products: Rules::default(),
            queue: Settings::default(),
            downlink: Downlink::default(),
            alerts: Alerts::default(),
            bus: Bus::default(),
            reports: Reports::default(),
            uplink: Uplink::default(),
            passes: Passes::default(),
            store: Store::default(),
            scripts: script::Settings::default(),
            health: health::Settings::default(),
            telemetry: Telemetry::default(),
            command: Command::default(),
            update: Update::default(),
            log: Log::default(),
        }
    }
}

/// `[paths]`: where things are on disk.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    /// The folder that holds everything that must survive; default `/var/lib/passband`.
    pub state: PathBuf,
    /// The camera's folder; default `spool` in the state folder.
    pub spool: PathBuf,
    /// The command socket; default `passband.sock` in the state folder.
    pub socket: PathBuf,
    /// The key file; default `keys.txt` in the state folder.
    pub keys: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        let empty = PathBuf::new;
        Self { state: PathBuf::from("/var/lib/passband"), spool: empty(), socket: empty(), keys: empty() }
    }
}

/// `[camera]`: the spool.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Camera {
    /// How often the spool is looked at, 10 to 60,000 ms; default 200.
    pub poll_ms: u64,
    /// An incomplete frame is rejected when nothing changed for so long, 0 to 3,600,000 ms; default 2,000.
    pub settle_ms: u64,
    /// A file that no header speaks of is rejected after so long, 0 to 86,400,000 ms; default 600,000.
    pub orphan_ms: u64,
    /// Largest data file of a frame, bytes; default 4 GiB.
    pub max_frame_bytes: u64,
    /// What is kept of refused files, bytes, the newest (and at most 5,000 folders); default 1 GiB.
    pub rejected_bytes: u64,
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            poll_ms: 200,
            settle_ms: 2_000,
            orphan_ms: 600_000,
            max_frame_bytes: 4 << 30,
            rejected_bytes: 1 << 30,
        }
    }
}

/// `[triage]`: the detector.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Triage {
    /// A target gas file in place of the built-in methane; default none.
    pub target: Option<PathBuf>,
    /// Header of an ENVI cube with a gain, and on a second line an offset, for each detector; default none.
    pub calibration: Option<PathBuf>,
    /// Thresholds of the detector, `[triage.params]`; defaults and meaning: [`Params`], or `passband triage
    /// --list-params`.
    pub params: Params,
}

/// Who opens the transmitter of the fast link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransmitMode {
    /// The bus computer, and `passband pass`.
    Bus,
    /// Nobody: it is always open.
    Always,
    /// Only `passband pass`.
    Manual,
    /// The pass plan, and `passband pass`.
    Plan,
}

impl TransmitMode {
    /// The name used in the configuration and every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bus => "bus",
            Self::Always => "always",
            Self::Manual => "manual",
            Self::Plan => "plan",
        }
    }
}

/// `[downlink]`: the fast link.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Downlink {
    /// Where datagrams go, IP address and port; default `127.0.0.1:47000`.
    pub target: SocketAddr,
    /// Rate of UDP payload, 1,000 to 10,000,000,000 bit/s; default 40,000,000.
    pub rate_bps: u64,
    /// Who opens the transmitter: `bus`, `always`, `manual`, `plan`; default `bus`.
    pub transmit: TransmitMode,
    /// Symbol size of new bundles, 64 to 8,896 bytes; default 1,408 (a datagram of 1,472).
    pub symbol_bytes: u16,
    /// Symbols of a full block of new bundles, 16 to 10,000; default 10,000.
    pub segment_symbols: u32,
    /// The share of datagrams believed to be lost, 0 to 0.95; default 0.2.
    pub expected_loss: f64,
}

impl Default for Downlink {
    fn default() -> Self {
        Self {
            target: SocketAddr::from(([127, 0, 0, 1], 47_000)),
            rate_bps: 40_000_000,
            transmit: TransmitMode::Bus,
            symbol_bytes: DEFAULT_SYMBOL_BYTES,
            segment_symbols: 10_000,
            expected_loss: 0.2,
        }
    }
}

/// `[alerts]`: the alert radio.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Where alert messages go, IP address and port; default `127.0.0.1:47001`.
    pub target: SocketAddr,
    /// When an alert is sent, s after it was made: 1 to 64 rising times up to 604,800; afterwards again after the last
    /// distance of two of them, but an hour at most; default `[0, 10, 30, 60, 120, 300, 600]`.
    pub repeat_s: Vec<u64>,
    /// Most messages in any minute, 1 to 600; default 6.
    pub per_minute: u32,
    /// When an alert that nobody acknowledged is given up, s after it was made: after the first of `repeat_s`, up to
    /// 2,592,000; default 86,400.
    pub stale_s: u64,
    /// A newer alert of the same gas so near stands in the place of an older one once it was sent, m, 0 to 100,000;
    /// default 500; 0: never.
    pub same_site_m: u32,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            target: SocketAddr::from(([127, 0, 0, 1], 47_001)),
            repeat_s: vec![0, 10, 30, 60, 120, 300, 600],
            per_minute: 6,
            stale_s: 86_400,
            same_site_m: 500,
        }
    }
}

/// `[bus]`: the wire from the bus computer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bus {
    /// Where its messages arrive, IP address and port; default `127.0.0.1:47010`.
    pub listen: SocketAddr,
}

impl Default for Bus {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 47_010)) }
    }
}

/// `[reports]`: what the ground says it has, from the slow link. None is ever needed.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reports {
    /// Where their frames arrive, IP address and port; default none: no reports are taken.
    pub listen: Option<SocketAddr>,
}

/// `[uplink]`: sealed orders of the ground, from the slow link.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uplink {
    /// Where their frames arrive, IP address and port; default none: orders are taken from shells only.
    pub listen: Option<SocketAddr>,
    /// The file with the keys of those who may give orders; default `command-keys.txt` in the state folder.
    pub keys: PathBuf,
    /// The virtual channel of the frames, 0 to 63; default 0.
    pub vcid: u8,
}

/// `[passes]`: when stations can hear the satellite. Each file is taken again when it changes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Passes {
    /// Contact windows; default none.
    pub windows: Option<PathBuf>,
    /// Elements of the orbit, to predict passes from; default none. Needs `stations`.
    pub elements: Option<PathBuf>,
    /// The stations whose passes are predicted; default none. Needs `elements`.
    pub stations: Option<PathBuf>,
    /// Passes predicted from elements older than this are marked stale, 1 to 365 days; default 14.
    pub max_age_days: u32,
}

impl Default for Passes {
    fn default() -> Self {
        Self { windows: None, elements: None, stations: None, max_age_days: 14 }
    }
}

/// `[store]`: sealed bundles on disk.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// What all sealed bundles together may take, 1 MiB or more; default 64 GiB.
    pub quota_bytes: u64,
    /// How fast stored bundles are read to see whether they are still what was written, bytes/s, 0 (never) to
    /// 1 TiB/s; default 2,000,000: 64 GiB in nine hours.
    pub scrub_bytes_per_s: u64,
    /// A sync that takes longer, and a second for each 4 MB, is slow, 1 to 3,600,000 ms; default 2,000.
    pub slow_sync_ms: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self { quota_bytes: 64 << 30, scrub_bytes_per_s: 2_000_000, slow_sync_ms: 2_000 }
    }
}

/// How much the engineer's log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// And what is odd.
    Warn,
    /// And what is done.
    Info,
    /// And how.
    Debug,
    /// Everything.
    Trace,
}

/// `[log]`: the engineer's log on standard error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`; default `info`. `PASSBAND_LOG` overrides it.
    pub level: LogLevel,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info }
    }
}

impl Config {
    /// Reads the text of a configuration file; `file` is its name, for errors and for what relative
    /// paths are relative to.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|e| ConfigError::from_toml(&e, text, file))?;
        config.check().map_err(|fault| ConfigError::from_fault(fault, text, file))?;
        config.resolve(file.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// The first value out of its range, or that doesn't fit another: its name and what is wrong with it.
    pub fn fault(&self) -> Option<String> {
        let Fault { section, field, what } = self.check().err()?;
        Some(format!("{}: {what}", path_of(section, field)))
    }

    fn check(&self) -> Result<(), Fault> {
        let camera = |field| ("camera", field);
        within(camera("poll_ms"), self.camera.poll_ms, 10..=60_000)?;
        within(camera("settle_ms"), self.camera.settle_ms, 0..=3_600_000)?;
        within(camera("orphan_ms"), self.camera.orphan_ms, 0..=86_400_000)?;
        within(camera("max_frame_bytes"), self.camera.max_frame_bytes, 1..=1 << 44)?;
        let products = |field| ("products", field);
        within(products("strip_bytes"), self.products.strip_bytes, 1..=MAX_CUT_BYTES as u64)?;
        within(products("region_margin"), self.products.region_margin, 0..=10_000)?;
        within(products("seal_threads"), self.products.seal_threads, 1..=16)?;
        within(products("notes_s"), self.products.notes_s, 60..=604_800)?;
        let downlink = |field| ("downlink", field);
        within(downlink("rate_bps"), self.downlink.rate_bps, 1_000..=10_000_000_000)?;
        let symbol = MIN_SYMBOL_BYTES..=MAX_SYMBOL_BYTES;
        within(downlink("symbol_bytes"), self.downlink.symbol_bytes, symbol)?;
        within(downlink("segment_symbols"), self.downlink.segment_symbols, 16..=MAX_BLOCK_SYMBOLS)?;
        within(downlink("expected_loss"), self.downlink.expected_loss, 0.0..=0.95)?;
        within(("store", "quota_bytes"), self.store.quota_bytes, (1 << 20)..=u64::MAX)?;
        within(("store", "scrub_bytes_per_s"), self.store.scrub_bytes_per_s, 0..=1 << 40)?;
        within(("store", "slow_sync_ms"), self.store.slow_sync_ms, 1..=3_600_000)?;
        self.queue.check().map_err(|e| Fault { section: "queue", field: e.field, what: e.what })?;
        within(("scripts", "folder_bytes"), self.scripts.folder_bytes, (64 << 10)..=1 << 40)?;
        if let Err(ScriptError::Limit { field, least, most }) = self.scripts.limits.check() {
            let what = format!("out of range: must be {least} to {most}");
            return Err(Fault { section: "scripts.limits", field, what });
        }
        let health = self.health.check();
        health.map_err(|e| Fault { section: e.section, field: e.field, what: e.what })?;
        within(("alerts", "per_minute"), self.alerts.per_minute, 1..=600)?;
        within(("alerts", "same_site_m"), self.alerts.same_site_m, 0..=100_000)?;
        within(("uplink", "vcid"), self.uplink.vcid, 0..=63)?;
        within(("passes", "max_age_days"), self.passes.max_age_days, 1..=365)?;
        self.telemetry.check()?;
        self.command.check()?;
        self.update.check()?;
        check_params("triage.params", &self.triage.params)?;
        self.check_passes()?;
        self.check_repeats()
    }

    fn check_passes(&self) -> Result<(), Fault> {
        let Passes { windows, elements, stations, .. } = &self.passes;
        let fault = |section, field, what: &str| Err(Fault { section, field, what: what.to_owned() });
        match (elements, stations) {
            (Some(_), None) => fault("passes", "elements", "needs stations beside it"),
            (None, Some(_)) => fault("passes", "stations", "needs elements beside it"),
            (None, None) if windows.is_none() && self.downlink.transmit == TransmitMode::Plan => fault(
                "downlink",
                "transmit",
                "\"plan\" needs [passes] with windows, or with elements and stations",
            ),
            _ => Ok(()),
        }
    }

    fn check_repeats(&self) -> Result<(), Fault> {
        let times = &self.alerts.repeat_s;
        let rising = times.is_sorted_by(|a, b| a < b);
        if (1..=64).contains(&times.len()) && rising && times.iter().all(|t| *t <= 604_800) {
            // One that is given up before its first time would never be sent.
            let least = times.first().map_or(1, |first| first + 1);
            return within(("alerts", "stale_s"), self.alerts.stale_s, least..=2_592_000);
        }
        let what = "must be 1 to 64 rising times of at most 604800 s".to_owned();
        Err(Fault { section: "alerts", field: "repeat_s", what })
    }

    /// Makes every path absolute or relative to the working folder.
    fn resolve(&mut self, folder: &Path) {
        let Paths { state, spool, socket, keys } = &mut self.paths;
        *state = folder.join(&state);
        let orders = (&mut self.uplink.keys, "command-keys.txt");
        for (path, default) in [(spool, "spool"), (socket, "passband.sock"), (keys, "keys.txt"), orders] {
            *path = if path.as_os_str().is_empty() { state.join(default) } else { folder.join(&path) };
        }
        let Passes { windows, elements, stations, .. } = &mut self.passes;
        let Triage { target, calibration, .. } = &mut self.triage;
        let watchdog = &mut self.health.watchdog;
        for path in [target, calibration, windows, elements, stations, watchdog].into_iter().flatten() {
            *path = folder.join(&path);
        }
    }
}

/// Reads a file that holds nothing but the keys of `[triage.params]`; `file` is its name, for errors.
pub fn parse_params(text: &str, file: &Path) -> Result<Params, ConfigError> {
    let params: Params = toml::from_str(text).map_err(|e| ConfigError::from_toml(&e, text, file))?;
    check_params("", &params).map_err(|fault| ConfigError::from_fault(fault, text, file))?;
    Ok(params)
}

/// Is every number of a `section` with the detector's parameters in its range?
fn check_params(section: &'static str, params: &Params) -> Result<(), Fault> {
    let weights = if section.is_empty() { "logistic" } else { "triage.params.logistic" };
    let checked = params.logistic.check().map_err(|e| (weights, e));
    checked.and_then(|()| params.check().map_err(|e| (section, e))).map_err(|(section, e)| {
        let what = format!("{} is out of range: must be {} to {}", e.value, e.least, e.most);
        Fault { section, field: e.name, what }
    })
}

/// A value outside its range.
struct Fault {
    section: &'static str,
    field: &'static str,
    what: String,
}

fn within<T: PartialOrd + fmt::Display + Copy>(
    (section, field): (&'static str, &'static str),
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), Fault> {
    if range.contains(&value) {
        return Ok(());
    }
    let what = format!("{value} is out of range: must be {} to {}", range.start(), range.end());
    Err(Fault { section, field, what })
}

/// A configuration file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The field, where it is known.
    pub field: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl ConfigError {
    fn from_toml(error: &toml::de::Error, text: &str, file: &Path) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        let field = line
            .and_then(|line| text.lines().nth(line - 1))
            .and_then(|content| content.split_once('='))
            .map(|(key, _)| key.trim().to_owned())
            .filter(|key| !key.is_empty() && !key.starts_with('#'));
        Self { file: file.to_owned(), line, field, what: error.message().replace('\n', " ") }
    }

    fn from_fault(fault: Fault, text: &str, file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            line: line_of(text, fault.section, fault.field),
            field: Some(path_of(fault.section, fault.field)),
            what: fault.what,
        }
    }
}

/// The line, from 1, on which `field` of `[section]` is set.
fn line_of(text: &str, section: &str, field: &str) -> Option<usize> {
    let sought = path_of(section, field);
    let plain = |path: &str| path.split('.').map(str::trim).collect::<Vec<_>>().join(".");
    let mut current = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            current = plain(name);
        }
        if let Some((key, _)) = line.split_once('=')
            && path_of(&current, &plain(key)) == sought
        {
            return Some(number);
        }
    }
    None
}

/// A key with the table that it stands in.
fn path_of(section: &str, field: &str) -> String {
    if section.is_empty() { field.to_owned() } else { format!("{section}.{field}") }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("/etc/pb/c.toml"))
    }

    #[test]
    fn an_empty_file_gives_the_defaults_with_paths_in_the_state_folder() {
        let config = parse("").unwrap();
        assert_eq!(config.paths.spool, Path::new("/var/lib/passband/spool"));
        assert_eq!(config.paths.keys, Path::new("/var/lib/passband/keys.txt"));
        assert_eq!(config.downlink, Downlink::default());
    }

    #[test]
    fn relative_paths_are_relative_to_the_file() {
        let config = parse("[paths]\nstate = 'st'\nkeys = '../k.txt'\n[triage]\ntarget = 'co2.csv'\ncalibration = 'c/cal.hdr'").unwrap();
        assert_eq!(config.paths.state, Path::new("/etc/pb/st"));
        assert_eq!(config.paths.socket, Path::new("/etc/pb/st/passband.sock"));
        assert_eq!(config.paths.keys, Path::new("/etc/pb/../k.txt"));
        assert_eq!(config.triage.target.as_deref(), Some(Path::new("/etc/pb/co2.csv")));
        assert_eq!(config.triage.calibration.as_deref(), Some(Path::new("/etc/pb/c/cal.hdr")));
    }

    #[test]
    fn the_files_of_the_pass_plan_go_together() {
        let config =
            parse("[passes]\nwindows = 'w.toml'\nelements = '/o/omm.json'\nstations = 's.toml'").unwrap();
        assert_eq!(config.passes.windows.as_deref(), Some(Path::new("/etc/pb/w.toml")));
        assert_eq!(config.passes.elements.as_deref(), Some(Path::new("/o/omm.json")));
        assert_eq!(config.passes.max_age_days, 14);
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            message("[passes]\nelements = 'omm.json'"),
            "/etc/pb/c.toml:2: passes.elements: needs stations beside it"
        );
        assert_eq!(
            message("[downlink]\ntransmit = \"plan\""),
            "/etc/pb/c.toml:2: downlink.transmit: \"plan\" needs [passes] with windows, or with elements and stations"
        );
        assert!(parse("[downlink]\ntransmit = \"plan\"\n[passes]\nwindows = \"w\"").is_ok());
    }

    #[test]
    fn telemetry_goes_where_it_is_told_and_nowhere_else() {
        assert_eq!(parse("").unwrap().telemetry.target, None);
        let config = parse("[telemetry]\ntarget = \"[::1]:47020\"").unwrap();
        assert_eq!(config.telemetry.target, Some("[::1]:47020".parse().unwrap()));
        let message = parse("[telemetry]\ntarget = 47020").unwrap_err().to_string();
        assert!(message.starts_with("/etc/pb/c.toml:2: target: "), "{message}");
    }

    #[test]
    fn the_shipped_example_is_accepted_and_says_the_defaults() {
        let text = include_str!("../passband.example.toml");
        let config = Config::parse(text, Path::new("/x/c.toml")).unwrap();
        assert_eq!(config, Config::parse("", Path::new("/x/c.toml")).unwrap());
        for field in [
            "poll_ms",
            "orphan_ms",
            "max_frame_bytes",
            "expected_loss",
            "per_minute",
            "stale_s",
            "same_site_m",
            "quota_bytes",
            "max_age_days",
            "safe_after",
            "file_bytes",
            "cpu_stall_percent",
            "beacon_s",
            "uploads_bytes",
            "deadline_s",
            "[telemetry]",
        ] {
            assert!(text.contains(field), "{field}");
        }
    }

    #[test]
    fn errors_name_file_line_and_field() {
        let message = |text| parse(text).unwrap_err().to_string();
        assert_eq!(
            message("spacecraft = 1\n\n[downlink]\n# rate_bps\nrate_bps = 5\n"),
            "/etc/pb/c.toml:5: downlink.rate_bps: 5 is out of range: must be 1000 to 10000000000"
        );
        let unknown = message("[camera]\npol_ms = 3\n");
        assert!(unknown.starts_with("/etc/pb/c.toml:2: pol_ms: unknown field `pol_ms`"), "{unknown}");
        let kind = message("[downlink]\ntransmit = \"never\"\n");
        assert!(kind.starts_with("/etc/pb/c.toml:2: transmit: unknown variant `never`"), "{kind}");
        let address = message("[alerts]\ntarget = \"nowhere\"");
        assert!(address.starts_with("/etc/pb/c.toml:2: target: invalid socket address"), "{address}");
        let syntax = message("spacecraft = \n");
        assert!(syntax.starts_with("/etc/pb/c.toml:1: spacecraft: "), "{syntax}");
    }

    #[test]
    fn every_range_is_checked() {
        for (text, field) in [
            ("[camera]\npoll_ms = 1", "camera.poll_ms"),
            ("[camera]\nsettle_ms = 3600001", "camera.settle_ms"),
            ("camera.max_frame_bytes = 0", "camera.max_frame_bytes"),
            ("[downlink]\nsymbol_bytes = 63", "downlink.symbol_bytes"),
            ("[downlink]\nsegment_symbols = 10001", "downlink.segment_symbols"),
            ("[downlink]\nexpected_loss = nan", "downlink.expected_loss"),
            ("[alerts]\nrepeat_s = []", "alerts.repeat_s"),
            ("[alerts]\nrepeat_s = [0, 9, 9]", "alerts.repeat_s"),
            ("[alerts]\nper_minute = 0", "alerts.per_minute"),
            ("[alerts]\nstale_s = 0", "alerts.stale_s"),
            ("[alerts]\nrepeat_s = [60, 90]\nstale_s = 60", "alerts.stale_s"),
            ("[alerts]\nsame_site_m = 100001", "alerts.same_site_m"),
            ("[store]\nquota_bytes = 5", "store.quota_bytes"),
            ("[passes]\nmax_age_days = 0", "passes.max_age_days"),
            ("[uplink]\nvcid = 64", "uplink.vcid"),
            ("[scripts.limits]\nwall_s = 0", "scripts.limits.wall_s"),
            ("[scripts]\nfolder_bytes = 1", "scripts.folder_bytes"),
            ("[health]\ndeadline_s = 4", "health.deadline_s"),
            ("[health.limits]\npower_w = { yellow = 9, red = 5 }", "health.limits.power_w"),
            ("[telemetry]\nrate_bps = 299", "telemetry.rate_bps"),
            ("[command]\narm_s = 3601", "command.arm_s"),
            ("[triage.params]\nthreads = 65", "triage.params.threads"),
            ("[triage]\nparams.clip_sigma = nan", "triage.params.clip_sigma"),
            ("triage . params.score_shares = [1, 1, -1, 1]", "triage.params.score_shares"),
            ("[ triage.params.logistic ]\nedge = 1e7", "triage.params.logistic.edge"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{text}");
            assert!(error.line.is_some(), "{text}");
        }
    }
}
