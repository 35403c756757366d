//! What is assumed in a dry run: events and values of channels, read from texts of options; passes from files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use passband_flight::passes::{
    Elements, MAX_ELEMENTS_BYTES, MAX_STATIONS_BYTES, MAX_WINDOWS_BYTES, Pass, PassPlan, parse_stations,
    parse_windows,
};
use passband_flight::sequence::dry_run::{Assumed, Assumption};
use passband_proto::dict::{EventCode, Housekeeping, Kind, Packet, Severity};
use passband_proto::plan::Orders;

use passband_proto::plan::Dictionary;

/// Elements older than that are marked stale, ms: 14 days, as the satellite does unless it is configured otherwise.
const MAX_AGE_MS: u64 = 14 * 86_400_000;
/// Passes are asked for from moment to moment: so far on after the last one of a batch, ms.
const BATCH: usize = 64;
/// Most passes of a dry run.
const MAX_PASSES: usize = 4096;

/// When something happens: `+10min` after the start, or a UTC time.
///
/// # Errors
/// It is neither.
pub fn parse_moment(text: &str, start_unix_ms: u64) -> Result<u64> {
    if let Some(span) = text.strip_prefix('+') {
        return Ok(start_unix_ms.saturating_add(parse_span_ms(span)?));
    }
    parse_utc_ms(text)
}

/// A UTC time, `2026-12-01T10:00:00Z`, in ms since 1970-01-01 UTC.
///
/// # Errors
/// It is none.
pub fn parse_utc_ms(text: &str) -> Result<u64> {
    let plan = format!("plan t\nversion 1\nat {text} do ping\n");
    let plan = passband_proto::plan::compile(&plan, "", &Dictionary::default());
    let trigger = plan.ok().and_then(|plan| plan.entries.first().map(|entry| entry.trigger));
    match trigger {
        Some(passband_proto::plan::Trigger::At { unix_ms }) => Ok(unix_ms),
        _ => Err(anyhow!("{text:?} is no time: write 2026-12-01T10:00:00Z, or +10min after the start")),
    }
}

/// A span of a plan, `1h30min`, in ms.
///
/// # Errors
/// It is none.
pub fn parse_span_ms(text: &str) -> Result<u64> {
    let plan = format!("plan t\nversion 1\nafter {text} do ping\n");
    let plan = passband_proto::plan::compile(&plan, "", &Dictionary::default());
    let trigger = plan.ok().and_then(|plan| plan.entries.first().map(|entry| entry.trigger));
    match trigger {
        Some(passband_proto::plan::Trigger::Start { after_ms }) => Ok(after_ms.into()),
        _ => Err(anyhow!("{text:?} is no span: write 90s, 10min or 1h30min, at most 30d")),
    }
}

/// An event that is assumed: `WHEN NAME`, or `WHEN NAME SEVERITY` if it isn't as bad as it mostly is.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_event(text: &str, start_unix_ms: u64) -> Result<Assumption> {
    let mut words = text.split_whitespace();
    let (when, name) =
        words.next().zip(words.next()).with_context(|| format!("{text:?}: WHEN EVENT is wanted"))?;
    let code = EventCode::from_name(name).with_context(|| format!("{text:?}: no event is called {name}"))?;
    let severity = match words.next() {
        None => code.usual_severity(),
        Some(name) => Severity::from_name(name)
            .with_context(|| format!("a severity is info, warning, error or critical, not {name}"))?,
    };
    ensure!(words.next().is_none(), "{text:?}: WHEN EVENT SEVERITY is wanted, and no more");
    let what = Assumed::Event(code.code(), severity);
    Ok(Assumption { unix_ms: parse_moment(when, start_unix_ms)?, what })
}

/// A value of a channel that is assumed: `WHEN CHANNEL=VALUE`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_channel(text: &str, start_unix_ms: u64) -> Result<Assumption> {
    let wanted = || format!("{text:?}: WHEN CHANNEL=VALUE is wanted");
    let (when, rest) = text.split_once(' ').with_context(wanted)?;
    let (name, value) = rest.trim().split_once('=').with_context(wanted)?;
    let channel = Dictionary::default().channel(name);
    let channel = channel.with_context(|| format!("{text:?}: no channel is called {name}"))?;
    let field = Housekeeping::DEF.fields.get(usize::from(channel));
    // So the satellite says that it doesn't know, and no plan sees that.
    let unknown = field.is_some_and(|field| field.kind == Kind::U32).then_some(f64::from(u32::MAX));
    let value: f64 = value.parse().ok().filter(|value: &f64| value.is_finite()).with_context(wanted)?;
    ensure!(
        Some(value) != unknown,
        "{text:?}: {value} stands for a value that isn't known, and fires nothing"
    );
    Ok(Assumption { unix_ms: parse_moment(when, start_unix_ms)?, what: Assumed::Channel(channel, value) })
}

/// Files that passes are made of, as the satellite gets them.
#[derive(Debug, Clone, Copy, Default)]
pub struct PassFiles<'a> {
    /// Contact windows.
    pub windows: Option<&'a Path>,
    /// Elements of the orbit, a TLE or an OMM.
    pub elements: Option<&'a Path>,
    /// Stations.
    pub stations: Option<&'a Path>,
}

impl PassFiles<'_> {
    /// The passes between two times, by the very predictor that flies.
    ///
    /// # Errors
    /// A file can't be read, or elements and stations don't come together.
    pub fn passes(&self, from_unix_ms: u64, until_unix_ms: u64) -> Result<Vec<Pass>> {
        ensure!(self.elements.is_some() == self.stations.is_some(), "--elements and --stations go together");
        let windows = match self.windows {
            Some(path) => {
                let text = read(path, MAX_WINDOWS_BYTES)?;
                parse_windows(&text).with_context(|| path.display().to_string())?
            }
            None => Vec::new(),
        };
        let (mut elements, mut stations) = (None, Vec::new());
        if let Some((path, list)) = self.elements.zip(self.stations) {
            let text = read(path, MAX_ELEMENTS_BYTES)?;
            elements = Some(Elements::parse(&text).with_context(|| path.display().to_string())?);
            let text = read(list, MAX_STATIONS_BYTES)?;
            stations = parse_stations(&text).with_context(|| list.display().to_string())?;
        }
        let plan = PassPlan::new(windows, elements.as_ref(), &stations, MAX_AGE_MS)?;
        Ok(all_of(&plan, from_unix_ms, until_unix_ms))
    }
}

/// The passes of a plan between two times, however many a look at it gives.
fn all_of(plan: &PassPlan, from_unix_ms: u64, until_unix_ms: u64) -> Vec<Pass> {
    let mut passes: Vec<Pass> = Vec::new();
    let mut at = from_unix_ms;
    while at < until_unix_ms && passes.len() < MAX_PASSES {
        let batch = plan.next(at, BATCH);
        let before = passes.len();
        let last = batch.last().map(|pass| pass.los_unix_ms);
        for pass in batch.into_iter().filter(|pass| pass.aos_unix_ms <= until_unix_ms) {
            if !passes.contains(&pass) {
                passes.push(pass);
            }
        }
        match last {
            Some(los) if passes.len() > before && los > at => at = los - 1,
            // A week without any: further ahead there may be some.
            _ => at = at.saturating_add(passband_flight::passes::LOOK_AHEAD_MS),
        }
    }
    passes.sort_by(|a, b| (a.aos_unix_ms, &a.station).cmp(&(b.aos_unix_ms, &b.station)));
    passes
}

fn read(path: &Path, most: u64) -> Result<String> {
    let size = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?.len();
    ensure!(size <= most, "{} is longer than the {most} bytes that the satellite reads", path.display());
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_796_119_200_000;

    #[test]
    fn assumptions_are_read_and_what_is_wrong_is_said() {
        let event = parse_event("+10min disk-full", START).unwrap();
        assert_eq!(event.unix_ms, START + 600_000);
        let channel = parse_channel("2026-12-01T10:00:05Z temperature=81.5", START).unwrap();
        assert_eq!((channel.unix_ms, channel.what), (START + 5_000, Assumed::Channel(4, 81.5)));
        for bad in
            ["+1min nothing", "soon disk-full", "+1min", "+1min disk-full bad", "+1min disk-full error x"]
        {
            assert!(parse_event(bad, START).is_err(), "{bad}");
        }
        assert!(parse_channel("+1min frame_age=4294967294", START).is_ok());
        assert!(
            parse_channel("+1min frame_age=4294967295", START)
                .unwrap_err()
                .to_string()
                .contains("isn't known")
        );
        for bad in ["+1min temperature", "+1min nothing=3", "+1min temperature=NaN", "temperature=3"] {
            assert!(parse_channel(bad, START).is_err(), "{bad}");
        }
    }

    #[test]
    fn more_passes_than_one_look_gives_are_all_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("windows.toml");
        let window = |n: u64| {
            let aos = START / 1000 + n * 5_400;
            format!("[[window]]\nstation = \"S\"\naos = {aos}\nlos = {}\n", aos + 400)
        };
        fs::write(&path, (0..150).map(window).collect::<String>()).unwrap();
        let files = PassFiles { windows: Some(&path), ..PassFiles::default() };
        assert_eq!(files.passes(START, START + 149 * 5_400_000).unwrap().len(), 150);
        assert_eq!(files.passes(START + 401_000, START + 5_400_000).unwrap().len(), 1);
        assert!(PassFiles { stations: Some(&path), ..files }.passes(0, 1).is_err());
    }
}
