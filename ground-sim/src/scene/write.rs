//! Puts a scene into a folder the way a camera does: data aside and renamed, the header last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use passband_spectral::envi::{DataType, Header};

use super::Scene;
use super::truth::Truth;

/// Writes `NAME.bil` and then `NAME.hdr` into `folder`; with `truth` also what is true about it there: the methane column
/// as `NAME-truth.bil` and `.hdr` (f32, one band, ppm·m), the record `NAME-truth.json`, and `NAME-mask.bil` and `.hdr` (u8,
/// the bits of [`super::mask`]). Each file appears whole or not at all.
pub fn write_scene(folder: &Path, name: &str, scene: &Scene, truth: Option<&Path>) -> io::Result<()> {
    if let Some(truth_folder) = truth {
        write_truth(truth_folder, name, &scene.truth_ppm_m, &scene.mask, &scene.truth, &scene.header)?;
    }
    fs::create_dir_all(folder)?;
    place(folder, &format!("{name}.bil"), &scene.data)?;
    place(folder, &format!("{name}.hdr"), header_text(&scene.header, &scene.truth).as_bytes())
}

/// The header as a camera of this satellite writes it: also the side of a pixel and the wind that it was told.
pub fn header_text(header: &Header, truth: &Truth) -> String {
    Header { pixel_size_m: Some(truth.pixel_m), wind_m_s: Some(truth.wind_m_s), ..header.clone() }.to_text()
}

/// The files of truth; `frame` gives the sizes.
pub(super) fn write_truth(
    folder: &Path,
    name: &str,
    columns_ppm_m: &[f32],
    mask: &[u8],
    truth: &Truth,
    frame: &Header,
) -> io::Result<()> {
    let mut header = Header::new(frame.samples, frame.lines, 1, DataType::F32);
    header.description = Some("true methane column of a scene, ppm m".to_owned());
    let bytes: Vec<u8> = columns_ppm_m.iter().flat_map(|v| v.to_le_bytes()).collect();
    pair(folder, &format!("{name}-truth"), &header, &bytes)?;
    let mut header = Header::new(frame.samples, frame.lines, 1, DataType::U8);
    header.description =
        Some("true mask of a scene: 1 cloud, 2 shadow, 4 water, 8 bad, 16 confuser".to_owned());
    pair(folder, &format!("{name}-mask"), &header, mask)?;
    let text = serde_json::to_string_pretty(truth)? + "\n";
    place(folder, &format!("{name}-truth.json"), text.as_bytes())
}

fn pair(folder: &Path, name: &str, header: &Header, data: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    place(folder, &format!("{name}.bil"), data)?;
    place(folder, &format!("{name}.hdr"), header.to_text().as_bytes())
}

pub(super) fn place(folder: &Path, file: &str, bytes: &[u8]) -> io::Result<()> {
    let aside: PathBuf = folder.join(format!(".{file}.part"));
    fs::write(&aside, bytes)?;
    fs::rename(&aside, folder.join(file))
}
