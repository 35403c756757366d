//! Puts a scene into a folder the way a camera does: data aside and renamed, the header last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use passband_spectral::envi::{DataType, Header};

use super::Scene;

/// Writes `NAME.bil` and then `NAME.hdr` into `folder`; with `truth` also the true methane column there, as
/// `NAME-truth.bil` and `.hdr` (f32, one band, ppm·m). Each file appears whole or not at all.
pub fn write_scene(folder: &Path, name: &str, scene: &Scene, truth: Option<&Path>) -> io::Result<()> {
    if let Some(truth_folder) = truth {
        let header = &scene.header;
        let mut truth_header = Header::new(header.samples, header.lines, 1, DataType::F32);
        truth_header.description = Some("true methane column of a synthetic scene, ppm m".to_owned());
        let bytes: Vec<u8> = scene.truth_ppm_m.iter().flat_map(|v| v.to_le_bytes()).collect();
        pair(truth_folder, &format!("{name}-truth"), &truth_header, &bytes)?;
    }
    pair(folder, name, &scene.header, &scene.data)
}

fn pair(folder: &Path, name: &str, header: &Header, data: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    place(folder, &format!("{name}.bil"), data)?;
    place(folder, &format!("{name}.hdr"), header.to_text().as_bytes())
}

fn place(folder: &Path, file: &str, bytes: &[u8]) -> io::Result<()> {
    let aside: PathBuf = folder.join(format!(".{file}.part"));
    fs::write(&aside, bytes)?;
    fs::rename(&aside, folder.join(file))
}
