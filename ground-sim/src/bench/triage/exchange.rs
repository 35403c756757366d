//! Frames as files for the peers, as `peers/triage/exchange.py` reads them: f32 radiance of the bands that any peer
//! looks at, and which pixels may be used.
//!
//! What a peer is told is what our own detector is told too: wavelengths, widths and the gas's absorption from the
//! target, never the truth. Nothing here runs a peer.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use passband_spectral::cube::{Cube, ReadAt};
use passband_spectral::target::Target;

/// Blue, green and red as the onboard package looks for them, nm.
const RGB_NM: [f64; 3] = [460.0, 550.0, 640.0];
/// All else that any peer looks at: the onboard package's own choice of bands has the widest reach, nm.
const RANGES_NM: [[f64; 2]; 2] = [[1570.0, 1990.0], [2000.0, 2495.0]];

/// A frame that was written for the peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The description that a peer is given.
    pub path: PathBuf,
    /// Pixels across track.
    pub samples: usize,
    /// Pixels along track.
    pub lines: usize,
}

/// Writes `NAME.json`, `NAME.bil` and, unless all pixels may be used, `NAME.valid` to a folder.
///
/// # Errors
/// The frame has no wavelengths, or a file can't be written.
pub fn write<R: ReadAt>(
    dir: &Path,
    name: &str,
    cube: &Cube<R>,
    target: &Target,
    usable: &[bool],
) -> Result<Written> {
    let header = cube.header();
    ensure!(usable.len() == header.lines * header.samples, "{name}: a mask of {} pixels", usable.len());
    let wavelengths = header.wavelengths_nm.as_ref().with_context(|| format!("{name} has no wavelengths"))?;
    let bands = bands(wavelengths);
    let of = |list: &[f64]| bands.iter().map(|&b| list[b]).collect::<Vec<_>>();
    let centres = of(wavelengths);
    let widths = header.fwhm_nm.as_deref().map_or_else(|| spacings(&centres), of);
    let absorption: Vec<f64> =
        centres.iter().zip(&widths).map(|(&nm, &width)| target.band_absorption(nm, width)).collect();
    let all = usable.iter().all(|u| *u);
    let valid = (!all).then(|| format!("{name}.valid"));
    let described = serde_json::json!({
        "schema": 1, "data": format!("{name}.bil"), "samples": header.samples, "lines": header.lines,
        "wavelengths_nm": centres, "fwhm_nm": widths, "absorption_per_ppm_m": absorption, "valid": valid,
    });
    write_radiance(&dir.join(format!("{name}.bil")), cube, &bands)?;
    if let Some(valid) = &valid {
        put(&dir.join(valid), &usable.iter().map(|u| u8::from(*u)).collect::<Vec<_>>())?;
    }
    let path = dir.join(format!("{name}.json"));
    put(&path, described.to_string().as_bytes())?;
    Ok(Written { path, samples: header.samples, lines: header.lines })
}

/// The bands that any peer looks at, rising with wavelength.
fn bands(wavelengths: &[f64]) -> Vec<usize> {
    let nearest = |nm: f64| {
        let off = |band: &usize| (wavelengths[*band] - nm).abs();
        (0..wavelengths.len()).min_by(|a, b| off(a).total_cmp(&off(b)))
    };
    let inside = |nm: f64| RANGES_NM.iter().any(|[from, to]| (*from..=*to).contains(&nm));
    let mut bands: Vec<usize> = (0..wavelengths.len()).filter(|b| inside(wavelengths[*b])).collect();
    bands.extend(RGB_NM.iter().filter_map(|nm| nearest(*nm)));
    bands.sort_by(|a, b| wavelengths[*a].total_cmp(&wavelengths[*b]));
    bands.dedup();
    bands
}

/// Widths of bands that the header gives none for: the distance to the next.
fn spacings(centres: &[f64]) -> Vec<f64> {
    let gap = |pair: &[f64]| (pair[1] - pair[0]).max(0.1);
    let mut gaps: Vec<f64> = centres.windows(2).map(gap).collect();
    gaps.extend(gaps.last().copied().or(Some(1.0)));
    gaps
}

/// Radiance, line by line, so that a long frame needs no more memory than a short one.
fn write_radiance<R: ReadAt>(path: &Path, cube: &Cube<R>, bands: &[usize]) -> Result<()> {
    let at = || format!("writing {}", path.display());
    let header = cube.header();
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).with_context(at)?);
    let mut line = Vec::new();
    for number in 0..header.lines {
        cube.lines_f32(number, 1, bands, &mut line).with_context(at)?;
        for (row, &band) in line.chunks_exact(header.samples).zip(bands) {
            let (gain, offset) = header.scale(band);
            for value in row {
                #[expect(clippy::cast_possible_truncation, reason = "radiance is handed over as f32")]
                let radiance = (f64::from(*value) * gain + offset) as f32;
                file.write_all(&radiance.to_le_bytes()).with_context(at)?;
            }
        }
    }
    file.flush().with_context(at)
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

/// Reads a map that a peer wrote: f32, little endian, line by line.
///
/// # Errors
/// It can't be read or has another size than the frame.
pub fn read_map(path: &Path, pixels: usize) -> Result<Vec<f32>> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(bytes.len() == pixels * 4, "{}: {} bytes for {pixels} pixels", path.display(), bytes.len());
    let (values, _) = bytes.as_chunks::<4>();
    Ok(values.iter().map(|v| f32::from_le_bytes(*v)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_spectral::envi::{DataType, Header};

    #[test]
    fn a_frame_is_written_as_radiance_of_the_bands_that_peers_look_at() {
        let dir = tempfile::tempdir().unwrap();
        let mut header = Header::new(2, 2, 5, DataType::U16);
        header.wavelengths_nm = Some(vec![2300.0, 640.0, 460.0, 900.0, 550.0]);
        header.gains = Some(vec![0.5, 1.0, 1.0, 1.0, 1.0]);
        header.offsets = Some(vec![1.0, 0.0, 0.0, 0.0, 0.0]);
        let data: Vec<u8> = (0..20_u16).flat_map(u16::to_le_bytes).collect();
        let cube = Cube::new(header, data).unwrap();
        let usable = [true, true, false, true];
        let written = write(dir.path(), "a", &cube, &Target::ch4(), &usable).unwrap();
        let said: serde_json::Value = serde_json::from_slice(&fs::read(&written.path).unwrap()).unwrap();
        assert_eq!(said["wavelengths_nm"], serde_json::json!([460.0, 550.0, 640.0, 2300.0]));
        assert!(said["absorption_per_ppm_m"][3].as_f64().unwrap() > 0.0);
        let first_line: Vec<f32> = read_map(&dir.path().join("a.bil"), 16).unwrap()[..8].to_vec();
        // Samples of bands 2, 4, 1 and then 0 with its gain and offset.
        assert_eq!(first_line, [4.0, 5.0, 8.0, 9.0, 2.0, 3.0, 1.0, 1.5]);
        assert_eq!(fs::read(dir.path().join("a.valid")).unwrap(), [1, 1, 0, 1]);
        let all = write(dir.path(), "b", &cube, &Target::ch4(), &[true; 4]).unwrap();
        let said: serde_json::Value = serde_json::from_slice(&fs::read(&all.path).unwrap()).unwrap();
        assert!(said["valid"].is_null());
        assert!(read_map(&dir.path().join("a.bil"), 17).is_err(), "a map of another size");
    }
}
