//! `passband-ground products ls`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use passband_proto::ids::Class;

use crate::catalogue::query::{Filter, Row, rows};
use crate::catalogue::time;
use crate::commands::{parse_share, print_json};

/// Columns of a terminal that are used.
const COLUMNS: usize = 80;

/// List products, those that are still coming in and alerts among them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  passband-ground products ls products --class alert --since 2026-11-28\n  passband-ground products ls products --near 31.9,-102.1,25 --min-probability 0.9\n  passband-ground products ls products --frame 'permian-*' --product cube --json\n\nExit status: 0 something was found, 1 nothing, 2 bad usage or input."
)]
pub(super) struct LsArgs {
    /// The folder with the products.
    #[arg(value_name = "OUT", default_value = "products")]
    out: PathBuf,
    /// Only of this class: alert, suspect, routine, discard-candidate. May be given several times.
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<Class>,
    /// Only this kind: alert, quicklook, evidence, region, cube, housekeeping, log … May be given several times.
    #[arg(long = "product", value_name = "KIND")]
    products: Vec<String>,
    /// Only of frames whose name fits; * is any characters, ? one.
    #[arg(long, value_name = "GLOB")]
    frame: Option<String>,
    /// Only of taskings whose name fits.
    #[arg(long, value_name = "GLOB")]
    tasking: Option<String>,
    /// Only where this gas was looked for, such as CH4.
    #[arg(long, value_name = "GAS")]
    gas: Option<String>,
    /// Only what was made at or after this time: 2026-11-29, 2026-11-29T03:04:05Z, or ms since 1970.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    since: Option<u64>,
    /// Only what was made before this time.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    until: Option<u64>,
    /// Only with a plume within so many km of a place: latitude and longitude in degrees, south and west negative.
    #[arg(long, value_name = "LAT,LON,KM", value_parser = parse_near, allow_hyphen_values = true)]
    near: Option<[f64; 3]>,
    /// Only with a plume at least so probable, such as 0.9 or 90%.
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    min_probability: Option<f64>,
    /// Only with this text in name, frame, tasking or reason.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// What comes first.
    #[arg(long, value_enum, default_value_t = Sort::Time)]
    sort: Sort,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The newest.
    Time,
    /// The most valuable class.
    Class,
    /// The most probable plume.
    Probability,
    /// By the frame's name.
    Frame,
}

pub(super) fn run(args: &LsArgs) -> Result<ExitCode> {
    let filter = Filter {
        classes: args.classes.clone(),
        products: args.products.clone(),
        frame: args.frame.clone(),
        tasking: args.tasking.clone(),
        gas: args.gas.clone(),
        since: args.since,
        until: args.until,
        near: args.near,
        min_probability: args.min_probability,
        text: args.text.clone(),
    };
    let mut rows = rows(&args.out)?;
    rows.retain(|row| filter.takes(row));
    sort(&mut rows, args.sort);
    if args.json {
        print_json(&serde_json::json!({ "schema": 1, "products": rows }))?;
    } else {
        lines(&rows).iter().for_each(|line| say!("{line}"));
    }
    Ok(ExitCode::from(u8::from(rows.is_empty())))
}

/// Sorts rows that are in the order of their time.
fn sort(rows: &mut [Row], by: Sort) {
    let probability = |row: &Row| row.probability.unwrap_or(-1.0);
    match by {
        Sort::Time => {}
        Sort::Class => rows.sort_by_key(|row| row.class),
        Sort::Probability => rows.sort_by(|a, b| probability(b).total_cmp(&probability(a))),
        Sort::Frame => rows.sort_by(|a, b| a.frame.cmp(&b.frame)),
    }
}

/// Rows for people: neighbours of the same frame stand under one heading.
fn lines(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    let key = |row: &Row| (row.frame.clone(), row.frame_id.clone());
    for group in rows.chunk_by(|a, b| a.frame.is_some() && key(a) == key(b)) {
        let Some(first) = group.first() else { continue };
        lines.push(heading(first));
        lines.extend(group.iter().map(line));
    }
    lines
}

/// Time, class, what was found, and the frame's name.
fn heading(row: &Row) -> String {
    let found = match (row.detections, row.probability) {
        (Some(plumes @ 1..), Some(p)) => {
            let gas = row.gas.as_deref().unwrap_or("gas");
            format!("  {gas} {:.0} %, {plumes} plume{}", p * 100.0, if plumes == 1 { "" } else { "s" })
        }
        _ => String::new(),
    };
    let date: String = time::rfc3339(row.created_unix_ms).chars().take(16).collect();
    let start = format!("{}  {:<9}{found}  ", date.replace('T', " "), short(row.class));
    let name = row.frame.as_deref().unwrap_or(&row.name);
    let room = COLUMNS.saturating_sub(start.chars().count());
    format!("{start}{}", cut(name, room))
}

/// Kind, how much is here, size, id, and the name of what is of no frame.
fn line(row: &Row) -> String {
    let here = match row.strips {
        Some((here, count)) if here < count => format!("{here}/{count} strips"),
        _ if row.whole => "whole".to_owned(),
        _ => format!("{:.0} %", row.percent.floor()),
    };
    let id = row.id.get(..8).unwrap_or(&row.id);
    let start = format!("    {:<14}  {here:<14}  {:>9}  {id:<10}", cut(&row.product, 14), size(row.bytes));
    let place = row.positions.first().filter(|_| matches!(row.product.as_str(), "alert" | "evidence"));
    let place = place.map(|[lat, lon]| format!("{lat:.3}, {lon:.3}")).unwrap_or_default();
    format!("{start} {place}").trim_end().to_owned()
}

fn short(class: Class) -> &'static str {
    match class {
        Class::DiscardCandidate => "discard",
        other => other.name(),
    }
}

/// A text in so many characters, its middle left out if need be.
fn cut(text: &str, most: usize) -> String {
    let plain: Vec<char> = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if plain.len() <= most {
        return plain.into_iter().collect();
    }
    let (head, tail) = (most.saturating_sub(1) / 2, most.saturating_sub(1).div_ceil(2));
    let ends = plain.iter().take(head).chain(['…'].iter()).chain(plain.iter().skip(plain.len() - tail));
    ends.collect()
}

/// Bytes with a decimal prefix.
pub(super) fn size(bytes: u64) -> String {
    let prefixes = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let of = |(unit, name): (f64, &str)| format!("{:.1} {name}", bytes as f64 / unit);
    prefixes.into_iter().find(|(unit, _)| bytes as f64 >= *unit).map_or_else(|| format!("{bytes} B"), of)
}

fn parse_near(text: &str) -> Result<[f64; 3], String> {
    let bad = || format!("'{text}' is no place: write LAT,LON,KM, such as 31.9,-102.1,25");
    let numbers: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    let [lat, lon, km] = numbers.ok_or_else(bad)?.try_into().map_err(|_| bad())?;
    let sound =
        (-90.0..=90.0).contains(&lat) && (-180.0..=360.0).contains(&lon) && (0.0..=25_000.0).contains(&km);
    if sound { Ok([lat, lon, km]) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_eighty_columns() {
        let row = Row {
            id: "0123456789abcdef01234567".to_owned(),
            product: "housekeeping-of-a-long-name".to_owned(),
            class: Class::DiscardCandidate,
            name: "n".repeat(200),
            created_unix_ms: 1_700_000_000_000,
            frame: Some("f".repeat(200)),
            frame_id: None,
            tasking: None,
            reason: None,
            gas: Some("CH4".to_owned()),
            probability: Some(0.98),
            detections: Some(12),
            positions: vec![[-31.5, -102.5]],
            bytes: 999_900_000_000,
            whole: false,
            percent: 99.9,
            strips: Some((999, 1000)),
            path: String::new(),
        };
        let lines = lines(&[row.clone(), Row { product: "evidence".to_owned(), strips: None, ..row }]);
        assert_eq!(lines.len(), 3, "one heading: {lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS), "{lines:#?}");
        assert!(
            lines[0].starts_with("2023-11-14 22:13  discard    CH4 98 %, 12 plumes  fff"),
            "{}",
            lines[0]
        );
        assert!(lines[2].contains("99 %") && lines[2].ends_with("-31.500, -102.500"), "{}", lines[2]);
    }

    #[test]
    fn places_and_sizes() {
        assert_eq!(parse_near("-31.5, 102,25"), Ok([-31.5, 102.0, 25.0]));
        for bad in ["", "1,2", "91,0,1", "1,2,-3", "1,2,3,4", "NaN,0,1"] {
            assert!(parse_near(bad).is_err(), "{bad}");
        }
        assert_eq!(
            (size(999), size(1500), size(2_000_000_000)),
            ("999 B".into(), "1.5 kB".into(), "2.0 GB".into())
        );
        assert_eq!(cut("abcdefgh", 5), "ab…gh");
    }
}
