//! `passband-ground scene`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Args;
use passband_proto::bundle::safe_name;

use super::{parse_share, print_json};
use crate::scene::{
    Confusers, Kind, Land, Library, NoiseModel, PlumeParams, Scene, SceneParams, Split, Stability,
    VariedParams, demo_set, generate, insert_file, varied, write_scene,
};

/// Most frames of a varied set.
const MAX_FRAMES: u64 = 100_000;

/// What `--varied` draws.
const DRAWN: [&str; 22] = [
    "rate",
    "at",
    "duration",
    "plume",
    "wind",
    "wind_to",
    "stability",
    "land",
    "library",
    "confusers",
    "sun",
    "sun_azimuth",
    "aerosol",
    "water",
    "clouds",
    "cirrus",
    "noise",
    "striping",
    "smile",
    "dead",
    "hot",
    "dropped",
];

/// What a cube that exists brings along.
const NOT_INTO: [&str; 22] = [
    "samples",
    "lines",
    "instrument",
    "bands",
    "only",
    "noise_model",
    "f32",
    "land",
    "library",
    "confusers",
    "sun",
    "sun_azimuth",
    "aerosol",
    "water",
    "clouds",
    "cirrus",
    "noise",
    "striping",
    "smile",
    "dead",
    "hot",
    "dropped",
];

/// Make frames (ENVI, BIL) of real spectra under a real sky, with clouds, faults and methane plumes of known rate.
///
/// The data file is written aside and renamed, the header last, as a camera does: --out may be the camera
/// spool of a running daemon. The same options give the same bytes. ground-sim/SCENES.md tells the physics.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  passband-ground scene --out frames --name leak --rate 800 --wind 3 --clouds 10% --seed 7 --truth truth\n  passband-ground scene --out frames --varied 100 --seed 1 --surfaces held-out --truth truth\n  passband-ground scene --out frames --into cube.hdr --rate 1000 --truth truth\n  passband-ground scene --out frames --set"
)]
pub struct SceneArgs {
    /// The folder to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the frame; of a set, what the names begin with.
    #[arg(long, default_value = "scene")]
    name: String,
    /// Pixels across track.
    #[arg(long, default_value_t = 128)]
    samples: usize,
    /// Pixels along track [default: 160, in a set 128].
    #[arg(long)]
    lines: Option<usize>,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write what is true (columns, mask, record) to this folder.
    #[arg(long, value_name = "DIR")]
    truth: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Make the demo's four frames instead (strong plume, weak plume, clear, cloudy).
    #[arg(long, conflicts_with_all = ["varied", "into"])]
    set: bool,
    /// Put the plume into this cube instead of a synthetic scene; it keeps its layout and type.
    #[arg(long, value_name = "CUBE.hdr", conflicts_with_all = NOT_INTO, conflicts_with = "varied")]
    into: Option<PathBuf>,
    #[command(flatten)]
    gas: GasArgs,
    #[command(flatten)]
    ground: GroundArgs,
    #[command(flatten)]
    instrument: InstrumentArgs,
    #[command(flatten)]
    set_of: SetArgs,
}

/// Plumes and air.
#[derive(Debug, Args)]
#[command(next_help_heading = "Plumes")]
struct GasArgs {
    /// Source rate of a plume, kg/h; several, separated by commas, are several plumes.
    #[arg(long, value_name = "KG_H", value_delimiter = ',')]
    rate: Vec<f64>,
    /// LINE,SAMPLE of the source, for a single plume [default: drawn].
    #[arg(long, value_name = "LINE,SAMPLE", value_delimiter = ',', num_args = 2, requires = "rate")]
    at: Vec<f64>,
    /// How long the sources have been blowing, s [default: drawn].
    #[arg(long, value_name = "S", requires = "rate")]
    duration: Option<f64>,
    /// A plain Gaussian plume with this methane column at its source, ppm·m.
    #[arg(long, value_name = "PPM_M")]
    plume: Option<f64>,
    /// Mean wind, m/s.
    #[arg(long, value_name = "M_S", default_value_t = 3.0)]
    wind: f64,
    /// Where the wind blows to, degrees clockwise from the top [default: drawn].
    #[arg(long, value_name = "DEG")]
    wind_to: Option<f64>,
    /// Pasquill's class of stability, A to F [default: drawn among those that go with the wind].
    #[arg(long, value_name = "CLASS")]
    stability: Option<Stability>,
    /// Side of a pixel, m.
    #[arg(long, value_name = "M", default_value_t = 8.0)]
    pixel: f64,
}

/// Ground and sky.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ground and sky")]
struct GroundArgs {
    /// Which half of the surface library: all, train, held-out.
    #[arg(long, value_name = "HALF", default_value = "all")]
    surfaces: Split,
    /// Another spectral library (ENVI).
    #[arg(long, value_name = "FILE.hdr")]
    library: Option<PathBuf>,
    /// Kind of land: arid, steppe, farmland, industry, green [default: drawn].
    #[arg(long)]
    land: Option<Land>,
    /// How many of each confuser to put in: roofs, hydrocarbons, carbonates (patches and plume-shaped), solar farms,
    /// waters, snow [default: some roofs and a pond].
    #[arg(long, value_name = "N")]
    confusers: Option<usize>,
    /// Elevation of the sun, degrees.
    #[arg(long, value_name = "DEG", default_value_t = 39.0)]
    sun: f64,
    /// Where the sun stands, degrees clockwise from the top [default: drawn].
    #[arg(long, value_name = "DEG")]
    sun_azimuth: Option<f64>,
    /// Aerosol optical thickness at 550 nm, 0.01 to 0.1.
    #[arg(long, default_value_t = 0.1)]
    aerosol: f64,
    /// Water vapour, cm, 1.5 to 2.
    #[arg(long, value_name = "CM", default_value_t = 1.5)]
    water: f64,
    /// Share of the frame under cloud.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    clouds: f64,
    /// Reflectance of a veil of cirrus, 0 to 0.3.
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    cirrus: f64,
}

/// The instrument.
#[derive(Debug, Args)]
#[command(next_help_heading = "Instrument")]
struct InstrumentArgs {
    /// passband, tanager, emit, aviris-ng or sbg.
    #[arg(long, default_value = "passband")]
    instrument: Kind,
    /// This many bands, equally spaced from 400 to 2500 nm, instead [default of a varied set: 300].
    #[arg(long, value_name = "N")]
    bands: Option<usize>,
    /// Only the bands in these ranges, such as 450-900,1550-1800,2100-2500.
    #[arg(long, value_name = "NM-NM", value_delimiter = ',', value_parser = parse_range)]
    only: Vec<[f64; 2]>,
    /// Whose noise: tanager, emit, aviris-ng, sbg [default: the instrument's].
    #[arg(long, value_name = "MODEL")]
    noise_model: Option<NoiseModel>,
    /// Multiple of the model's noise.
    #[arg(long, value_name = "TIMES", default_value_t = 1.0)]
    noise: f64,
    /// Deviation of the detectors' gains.
    #[arg(long, value_name = "SHARE", default_value = "0.003", value_parser = parse_share)]
    striping: f64,
    /// Shift of the wavelengths across track, ± nm.
    #[arg(long, value_name = "NM", default_value_t = 0.0)]
    smile: f64,
    /// Share of dead detectors.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    dead: f64,
    /// Share of hot and flickering detectors.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    hot: f64,
    /// Share of dropped lines.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    dropped: f64,
    /// Write f32 radiance instead of u16 digital numbers.
    #[arg(long)]
    f32: bool,
}

/// A set of different scenes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sets")]
struct SetArgs {
    /// Make this many different frames NAME-00000 …: everything above is drawn, except sizes, bands and surfaces.
    #[arg(long, value_name = "N", conflicts_with_all = DRAWN)]
    varied: Option<u64>,
    /// Number of the first of them.
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// Share of them with a plume.
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = parse_share)]
    plume_share: f64,
    /// Their source rates, kg/h, evenly on a logarithmic scale.
    #[arg(long, value_name = "FROM..TO", default_value = "100..5000", value_parser = parse_rates)]
    rates: [f64; 2],
}

/// Runs `passband-ground scene`.
///
/// # Errors
/// Parameters out of range, or the files can't be read or written.
pub fn run(args: &SceneArgs) -> Result<ExitCode> {
    ensure!(safe_name(&args.name), "'{}' can't be the name of a file", args.name);
    let mut made = Vec::new();
    if let Some(cube) = &args.into {
        let params = params(args)?;
        let inserted = insert_file(cube, &params, &args.out, &args.name, args.truth.as_deref())?;
        let header = args.out.join(format!("{}.hdr", args.name));
        let most = inserted.truth.plumes.iter().map(|p| p.max_ppm_m).fold(0.0, f64::max);
        if !args.json {
            say!("{}: {} bands dimmed, up to {most:.0} ppm m", header.display(), inserted.bands);
        }
        made.push(header);
    } else if let Some(count) = args.set_of.varied {
        ensure!((1..=MAX_FRAMES).contains(&count), "a varied set has 1 to {MAX_FRAMES} frames");
        let set = set(args);
        set.check()?;
        for nth in args.set_of.first..args.set_of.first.saturating_add(count) {
            let scene = generate(&varied(args.seed, nth, &set))?;
            made.push(write(args, &format!("{}-{nth:05}", args.name), &scene)?);
        }
    } else if args.set {
        for (name, params) in demo_set(args.seed) {
            made.push(write(args, &name, &generate(&params)?)?);
        }
    } else {
        made.push(write(args, &args.name, &generate(&params(args)?)?)?);
    }
    if args.json {
        print_json(&serde_json::json!({ "schema": 1, "frames": made }))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(args: &SceneArgs, name: &str, scene: &Scene) -> Result<PathBuf> {
    write_scene(&args.out, name, scene, args.truth.as_deref())
        .with_context(|| format!("writing the scene {name} to {}", args.out.display()))?;
    let header = args.out.join(format!("{name}.hdr"));
    if !args.json {
        let h = &scene.header;
        say!("{}: {} lines, {} samples, {} bands", header.display(), h.lines, h.samples, h.bands);
    }
    Ok(header)
}

/// A single scene's parameters.
fn params(args: &SceneArgs) -> Result<SceneParams> {
    let (gas, ground, instrument) = (&args.gas, &args.ground, &args.instrument);
    ensure!(gas.at.is_empty() || gas.rate.len() == 1, "--at is the place of a single plume");
    let at = if let [line, sample] = gas.at[..] { Some([line, sample]) } else { None };
    let plume = |rate: &f64| PlumeParams { rate_kg_h: *rate, at, duration_s: gas.duration };
    let default = SceneParams::default();
    Ok(SceneParams {
        samples: args.samples,
        lines: args.lines.unwrap_or(default.lines),
        seed: args.seed,
        instrument: instrument.instrument,
        bands: instrument.bands,
        bands_nm: only(instrument),
        noise_model: instrument.noise_model,
        noise: instrument.noise,
        f32_radiance: instrument.f32,
        striping: instrument.striping,
        smile_nm: instrument.smile,
        dead_share: instrument.dead,
        hot_share: instrument.hot,
        dropped_share: instrument.dropped,
        pixel_m: gas.pixel,
        sun_elevation_deg: ground.sun,
        sun_azimuth_deg: ground.sun_azimuth,
        aerosol: ground.aerosol,
        water_cm: ground.water,
        surfaces: ground.surfaces,
        library: ground.library.as_deref().map(open_library).transpose()?,
        land: ground.land,
        confusers: ground.confusers.map_or(default.confusers, all_confusers),
        cloud_fraction: ground.clouds,
        cirrus: ground.cirrus,
        wind_m_s: gas.wind,
        wind_to_deg: gas.wind_to,
        stability: gas.stability,
        plumes: gas.rate.iter().map(plume).collect(),
        plume_ppm_m: gas.plume,
        ..default
    })
}

fn open_library(path: &Path) -> Result<Arc<Library>> {
    Library::open(path).map(Arc::new)
}

fn only(instrument: &InstrumentArgs) -> Option<Vec<[f64; 2]>> {
    (!instrument.only.is_empty()).then(|| instrument.only.clone())
}

fn all_confusers(n: usize) -> Confusers {
    Confusers {
        roofs: n,
        hydrocarbon: n,
        carbonate: n,
        carbonate_plumes: n,
        solar_farms: n,
        roads: 1,
        waters: n,
        snow: n,
    }
}

/// What the frames of a varied set have in common.
fn set(args: &SceneArgs) -> VariedParams {
    let default = VariedParams::default();
    let own = args.instrument.instrument != Kind::Passband;
    VariedParams {
        samples: args.samples,
        lines: args.lines.unwrap_or(default.lines),
        plume_share: args.set_of.plume_share,
        rates_kg_h: args.set_of.rates,
        surfaces: args.ground.surfaces,
        instrument: args.instrument.instrument,
        bands: args.instrument.bands.or(if own { None } else { default.bands }),
        bands_nm: only(&args.instrument),
        noise_models: match args.instrument.noise_model {
            Some(model) => vec![model],
            None if own => Vec::new(),
            None => default.noise_models,
        },
        pixel_m: args.gas.pixel,
        f32_radiance: args.instrument.f32,
        ..default
    }
}

/// `1550-1800`.
fn parse_range(text: &str) -> Result<[f64; 2], String> {
    pair(text, "-").ok_or_else(|| format!("'{text}' is not a range: write 1550-1800"))
}

/// `100..5000`.
fn parse_rates(text: &str) -> Result<[f64; 2], String> {
    pair(text, "..").ok_or_else(|| format!("'{text}' is not a range of rates: write 100..5000"))
}

/// Two positive numbers that rise.
fn pair(text: &str, between: &str) -> Option<[f64; 2]> {
    let (from, to) = text.split_once(between)?;
    let pair = [from.trim().parse::<f64>().ok()?, to.trim().parse::<f64>().ok()?];
    (pair[0] > 0.0 && pair[0] <= pair[1] && pair[1].is_finite()).then_some(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_two_rising_numbers() {
        assert_eq!(parse_range("1550-1800"), Ok([1550.0, 1800.0]));
        assert_eq!(parse_rates("100..5000"), Ok([100.0, 5000.0]));
        for bad in ["", "5", "9..3", "-1..3", "a..b", "1..inf", "0..3"] {
            assert!(parse_rates(bad).is_err(), "{bad}");
        }
    }
}
