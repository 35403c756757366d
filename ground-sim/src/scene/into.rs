//! Puts plumes into any ENVI cube: a real one keeps everything but the light that the methane takes.
//!
//! Each sample of an absorbing band under the plume becomes (gain·v + offset)·τ, back in the file's own units, type and
//! layout. For radiance and reflectance that is the physics but for two things: path radiance is dimmed as well (at
//! 1.6 and 2.3 µm it is a few percent of the light over land at most), and noise is dimmed with the signal. Digital
//! numbers without gain and offset are taken to be proportional to the light.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use passband_spectral::cube::Cube;
use passband_spectral::envi::{ByteOrder, DataType, Header, Interleave};

use super::fields::index_of;
use super::gas::Growth;
use super::params::SceneParams;
use super::truth::{Truth, mask};
use super::{Plumes, library, write};

/// Largest cube that a plume is put into, bytes.
const MAX_BYTES: u64 = 8 << 30;

/// What was put into a cube.
#[derive(Debug, Clone, PartialEq)]
pub struct Inserted {
    /// Methane column of each pixel, ppm·m, line by line.
    pub truth_ppm_m: Vec<f32>,
    /// The bits of [`mod@mask`]: bad where the cube has no data, water where it is as dark as water; clouds are not known.
    pub mask: Vec<u8>,
    /// The record; what is not known of a foreign cube is left at the parameters' defaults.
    pub truth: Truth,
    /// How many bands see the gas.
    pub bands: usize,
}

/// Puts the plumes of `params` (rates, columns, wind, pixel size, seed) into a cube in memory; its size is the cube's.
///
/// # Errors
/// The cube has no wavelengths or no band that sees methane, its data are not as long as its header says, or there is no
/// plume.
pub fn insert(header: &Header, data: &mut [u8], params: &SceneParams) -> Result<Inserted> {
    let params = SceneParams { samples: header.samples, lines: header.lines, ..params.clone() };
    params.check()?;
    ensure!(
        !params.plumes.is_empty() || params.plume_ppm_m.is_some(),
        "no plume to put in: give a rate or a column"
    );
    let (expected, actual) = (header.data_bytes(), data.len());
    ensure!(expected == actual as u64, "the header describes {expected} bytes of data, there are {actual}");
    let growths = growths(header)?;
    let plumes = Plumes::new(&params);
    let mut flags = water(header, data)?;
    for (at, column) in plumes.gas() {
        let mut some = false;
        for (band, growth) in &growths {
            some |= dim(header, data, at, *band, growth.transmittance(&column));
        }
        if !some {
            flags[at] |= mask::BAD;
        }
    }
    let truth = Truth { bands: header.bands, noise_model: None, ..plumes.record(&params, &flags, &[]) };
    Ok(Inserted { truth_ppm_m: plumes.truth(), mask: flags, truth, bands: growths.len() })
}

/// Puts plumes into the cube of `header_path` and writes the result as `out/NAME.…`, the header as it was, and what is
/// true about it to `truth`.
///
/// # Errors
/// Those of [`insert`]; a file can't be read or written.
pub fn insert_file(
    header_path: &Path,
    params: &SceneParams,
    out: &Path,
    name: &str,
    truth: Option<&Path>,
) -> Result<Inserted> {
    let at = || format!("cube {}", header_path.display());
    let text = fs::read_to_string(header_path).with_context(at)?;
    let header = Header::parse(&text).with_context(at)?;
    ensure!(header.data_bytes() <= MAX_BYTES, "{}: more than {MAX_BYTES} bytes", at());
    let data_path = library::data_beside(header_path)?;
    let mut data = fs::read(&data_path).with_context(|| format!("reading {}", data_path.display()))?;
    let ending = data_path.extension().map_or_else(|| "img".into(), |e| e.to_string_lossy());
    let same = |file: &str, source: &Path| {
        fs::canonicalize(out.join(file))
            .is_ok_and(|target| fs::canonicalize(source).is_ok_and(|s| s == target))
    };
    ensure!(
        !same(&format!("{name}.hdr"), header_path) && !same(&format!("{name}.{ending}"), &data_path),
        "{}: writing {name} to {} would replace the cube itself",
        at(),
        out.display()
    );
    let mut inserted = insert(&header, &mut data, params).with_context(at)?;
    inserted.truth.cube = header_path.file_name().map(|n| n.to_string_lossy().into_owned());
    let written = || format!("writing {name} to {}", out.display());
    if let Some(folder) = truth {
        let Inserted { truth_ppm_m, mask, truth, .. } = &inserted;
        write::write_truth(folder, name, truth_ppm_m, mask, truth, &header).with_context(written)?;
    }
    fs::create_dir_all(out).with_context(written)?;
    write::place(out, &format!("{name}.{ending}"), &data).with_context(written)?;
    write::place(out, &format!("{name}.hdr"), text.as_bytes()).with_context(written)?;
    Ok(inserted)
}

/// Flags the pixels that are as dark as water where methane lets all light through: no detector can tell gas there.
fn water(header: &Header, data: &[u8]) -> Result<Vec<u8>> {
    /// Between the gas and the water vapour, nm.
    const CLEAR_NM: core::ops::Range<f64> = 2080.0..2200.0;
    /// Water has less than this share of the light of bright ground: it reflects less than 1 %, ground 2 % or more.
    const DARK: f32 = 0.08;
    /// The share of the pixels that bright ground is brighter than.
    const BRIGHT: f64 = 0.8;
    let bands = header.wavelengths_nm.iter().flatten().enumerate();
    let bands: Vec<usize> = bands.filter(|(_, nm)| CLEAR_NM.contains(*nm)).map(|(band, _)| band).collect();
    let pixels = header.samples * header.lines;
    if bands.is_empty() {
        return Ok(vec![0; pixels]);
    }
    let cube = Cube::new(header.clone(), data)?;
    let (mut light, mut values) = (Vec::with_capacity(pixels), Vec::new());
    for line in 0..header.lines {
        cube.lines_f32(line, 1, &bands, &mut values)?;
        let sum = |sample: usize| values.iter().skip(sample).step_by(header.samples).sum::<f32>();
        light.extend((0..header.samples).map(sum));
    }
    let mut known: Vec<f32> = light.iter().copied().filter(|l| l.is_finite()).collect();
    known.sort_unstable_by(f32::total_cmp);
    let Some(bright) = known.get(index_of(known.len() as f64 * BRIGHT)) else { return Ok(vec![0; pixels]) };
    let flag = |light: &f32| if *light < bright * DARK { mask::WATER } else { 0 };
    Ok(light.iter().map(flag).collect())
}

/// The bands that see the gas.
fn growths(header: &Header) -> Result<Vec<(usize, Growth)>> {
    let centres = header.wavelengths_nm.as_ref().context("its header gives no wavelengths")?;
    let spacing = |band: usize| {
        let others = centres.iter().enumerate().filter(|(n, _)| *n != band);
        others.map(|(_, nm)| (nm - centres[band]).abs()).filter(|d| *d > 0.1).fold(50.0, f64::min)
    };
    let width = |band: usize| {
        let stated = header.fwhm_nm.as_ref().and_then(|l| l.get(band)).copied().filter(|w| *w > 0.0);
        stated.unwrap_or_else(|| spacing(band))
    };
    let of = |band: usize| (band, Growth::of_band(centres[band], width(band)));
    let seeing: Vec<(usize, Growth)> =
        (0..header.bands).map(of).filter(|(_, growth)| growth.absorbs()).collect();
    ensure!(!seeing.is_empty(), "none of its bands sees methane (1600 to 1800, 2110 to 2490 nm)");
    Ok(seeing)
}

/// Dims one sample; `false` where there is no data.
fn dim(header: &Header, data: &mut [u8], at: usize, band: usize, transmittance: f32) -> bool {
    let (line, sample) = (at / header.samples, at % header.samples);
    let place = match header.interleave {
        Interleave::Bil => (line * header.bands + band) * header.samples + sample,
        Interleave::Bip => at * header.bands + band,
        Interleave::Bsq => band * header.samples * header.lines + at,
    };
    let width = header.data_type.bytes();
    // The sizes agree and fit the memory: checked before.
    let start = usize::try_from(header.header_offset).unwrap_or(0) + place * width;
    let bytes = &mut data[start..start + width];
    let big = header.byte_order == ByteOrder::Big;
    if big {
        bytes.reverse();
    }
    let stored = read(header.data_type, bytes);
    let none = !stored.is_finite() || header.data_ignore_value.is_some_and(|v| (v - stored).abs() < 1e-6);
    if !none {
        // The reflectance scale cancels out.
        let gain = header.gains.as_ref().and_then(|l| l.get(band)).copied().filter(|g| *g != 0.0);
        let offset = header.offsets.as_ref().and_then(|l| l.get(band)).copied().unwrap_or(0.0);
        let dark = offset / gain.unwrap_or(1.0);
        write_value(header.data_type, bytes, (stored + dark) * f64::from(transmittance) - dark);
    }
    if big {
        bytes.reverse();
    }
    !none
}

/// A little-endian sample.
fn read(data_type: DataType, bytes: &[u8]) -> f64 {
    let mut wide = [0_u8; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let [a, b, c, d, ..] = wide;
    match data_type {
        DataType::U8 => f64::from(a),
        DataType::I16 => f64::from(i16::from_le_bytes([a, b])),
        DataType::U16 => f64::from(u16::from_le_bytes([a, b])),
        DataType::I32 => f64::from(i32::from_le_bytes([a, b, c, d])),
        DataType::U32 => f64::from(u32::from_le_bytes([a, b, c, d])),
        DataType::F32 => f64::from(f32::from_le_bytes([a, b, c, d])),
        DataType::F64 => f64::from_le_bytes(wide),
        DataType::I64 => i64::from_le_bytes(wide) as f64,
        DataType::U64 => u64::from_le_bytes(wide) as f64,
    }
}

/// The nearest value that the type holds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float-to-int casts saturate")]
fn write_value(data_type: DataType, bytes: &mut [u8], value: f64) {
    let whole = value.round();
    match data_type {
        DataType::U8 => bytes.copy_from_slice(&(whole as u8).to_le_bytes()),
        DataType::I16 => bytes.copy_from_slice(&(whole as i16).to_le_bytes()),
        DataType::U16 => bytes.copy_from_slice(&(whole as u16).to_le_bytes()),
        DataType::I32 => bytes.copy_from_slice(&(whole as i32).to_le_bytes()),
        DataType::U32 => bytes.copy_from_slice(&(whole as u32).to_le_bytes()),
        DataType::F32 => bytes.copy_from_slice(&(value as f32).to_le_bytes()),
        DataType::F64 => bytes.copy_from_slice(&value.to_le_bytes()),
        DataType::I64 => bytes.copy_from_slice(&(whole as i64).to_le_bytes()),
        DataType::U64 => bytes.copy_from_slice(&(whole as u64).to_le_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::gas::Column;
    use super::super::{PlumeParams, generate};
    use super::*;

    fn params() -> SceneParams {
        SceneParams {
            samples: 40,
            lines: 36,
            plumes: vec![PlumeParams::of_rate(3000.0)],
            ..SceneParams::default()
        }
    }

    #[test]
    fn only_absorbing_bands_under_the_plume_change() {
        let clean = generate(&SceneParams { plumes: Vec::new(), ..params() }).unwrap();
        let mut data = clean.data.clone();
        let inserted = insert(&clean.header, &mut data, &params()).unwrap();
        let nm = clean.header.wavelengths_nm.as_ref().unwrap();
        let (mut changed, mut dimmed) = (0, 0);
        for (at, (new, old)) in data.chunks_exact(2).zip(clean.data.chunks_exact(2)).enumerate() {
            let (line, band, sample) = (at / 40 / clean.header.bands, at / 40 % clean.header.bands, at % 40);
            if new != old {
                changed += 1;
                assert!(nm[band] >= 1570.0 && inserted.truth_ppm_m[line * 40 + sample] > 0.0);
                dimmed +=
                    i32::from(u16::from_le_bytes([new[0], new[1]]) < u16::from_le_bytes([old[0], old[1]]));
            }
        }
        // What noise has put below the dark level moves up to it.
        assert!(changed > 1000 && dimmed * 100 > changed * 99, "{dimmed} of {changed}");
        assert_eq!(inserted.truth.plumes[0].rate_kg_h, Some(3000.0));
        assert!(inserted.truth.plumes[0].pixels > 10);
    }

    #[test]
    fn a_plume_put_in_is_the_plume_that_would_have_been_seen() {
        // Without noise both ways differ by path radiance and rounding only.
        let quiet = SceneParams { noise: 0.0, striping: 0.0, ..params() };
        let clean = generate(&SceneParams { plumes: Vec::new(), ..quiet.clone() }).unwrap();
        let seen = generate(&quiet).unwrap();
        let mut data = clean.data.clone();
        let inserted = insert(&clean.header, &mut data, &quiet).unwrap();
        assert_eq!(inserted.truth_ppm_m, seen.truth_ppm_m);
        let mut bright = 0;
        for (new, old) in data.chunks_exact(2).zip(seen.data.chunks_exact(2)) {
            let [new, old] = [new, old].map(|b| f64::from(u16::from_le_bytes([b[0], b[1]])) - 256.0);
            // Over dark water most of the light is path radiance.
            if old > 3000.0 {
                bright += 1;
                assert!((new - old).abs() <= 2.0 + 0.01 * old, "{new} {old}");
            }
        }
        assert!(bright > 100_000, "{bright}");
    }

    #[test]
    fn ground_as_dark_as_water_is_flagged_as_such() {
        let mut header = Header::new(4, 3, 2, DataType::F32);
        header.wavelengths_nm = Some(vec![2150.0, 2300.0]);
        let value = |at: usize| if at % 4 == 1 && at % 8 < 4 { 0.005_f32 } else { 0.3 };
        let data: Vec<u8> = (0..24).flat_map(|at| value(at).to_le_bytes()).collect();
        assert_eq!(water(&header, &data).unwrap(), [0, 4, 0, 0].repeat(3));
        header.wavelengths_nm = Some(vec![2250.0, 2300.0]);
        assert_eq!(water(&header, &data).unwrap(), [0; 12], "no band to tell it from");
    }

    #[test]
    fn every_layout_and_type_gets_the_same_plume() {
        let (samples, lines) = (40, 36);
        let mut header = Header::new(samples, lines, 2, DataType::F32);
        header.wavelengths_nm = Some(vec![900.0, 2310.0]);
        header.fwhm_nm = Some(vec![10.0, 10.0]);
        let all: Vec<(Interleave, ByteOrder, DataType)> = Interleave::ALL
            .into_iter()
            .flat_map(|i| [ByteOrder::Little, ByteOrder::Big].map(|o| (i, o)))
            .flat_map(|(i, o)| DataType::ALL.map(|t| (i, o, t)))
            .filter(|(.., t)| *t != DataType::U8)
            .collect();
        for (interleave, order, data_type) in all {
            let header = Header { interleave, byte_order: order, data_type, ..header.clone() };
            let mut sample = vec![0; data_type.bytes()];
            write_value(data_type, &mut sample, 20_000.0);
            if order == ByteOrder::Big {
                sample.reverse();
            }
            let mut data = sample.repeat(samples * lines * 2);
            let inserted = insert(&header, &mut data, &params()).unwrap();
            let cube = passband_spectral::cube::Cube::new(header, data).unwrap();
            let mut values = Vec::new();
            cube.lines_f32(0, lines, &[0, 1], &mut values).unwrap();
            let growth = Growth::of_band(2310.0, 10.0);
            for (at, ppm_m) in inserted.truth_ppm_m.iter().enumerate() {
                let value = |band: usize| values[(at / samples * 2 + band) * samples + at % samples];
                assert!((value(0) - 20_000.0).abs() < 1e-3);
                let expected = 20_000.0 * growth.transmittance(&Column::new(f64::from(*ppm_m)));
                assert!(
                    (value(1) - expected).abs() < 0.6,
                    "{} {expected} {interleave:?} {data_type:?}",
                    value(1)
                );
            }
        }
    }

    #[test]
    fn files_keep_their_header_and_the_source_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let clean = generate(&SceneParams { plumes: Vec::new(), ..params() }).unwrap();
        write::write_scene(folder.path(), "clean", &clean, None).unwrap();
        let source = folder.path().join("clean.hdr");
        let to = |name: &str| insert_file(&source, &params(), folder.path(), name, Some(folder.path()));
        let why = to("clean").unwrap_err().to_string();
        assert!(why.contains("replace the cube"), "{why}");
        assert_eq!(to("leak").unwrap().truth.cube.as_deref(), Some("clean.hdr"));
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read("leak.hdr"), read("clean.hdr"));
        assert_eq!((read("clean.bil") == clean.data, read("leak.bil") == clean.data), (true, false));
        let record: Truth = serde_json::from_slice(&read("leak-truth.json")).unwrap();
        assert_eq!((record.schema, record.plumes.len()), (1, 1));
    }

    #[test]
    fn a_cube_that_cannot_show_a_plume_is_refused() {
        let mut header = Header::new(40, 36, 1, DataType::U16);
        let mut data = vec![0; 40 * 36 * 2];
        let why = |header: &Header, data: &mut [u8]| insert(header, data, &params()).unwrap_err().to_string();
        assert!(why(&header, &mut data).contains("no wavelengths"));
        header.wavelengths_nm = Some(vec![700.0]);
        assert!(why(&header, &mut data).contains("sees methane"));
        header.wavelengths_nm = Some(vec![2310.0]);
        assert!(why(&header, &mut data[1..]).contains("bytes"));
    }
}
