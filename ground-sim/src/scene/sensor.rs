//! The exposure: ground, sky and gas through the instrument into samples, band by band.

use anyhow::Result;
use passband_spectral::envi::Header;

use super::clouds::Clouds;
use super::detectors::{self, Detectors};
use super::fields::{Seeded, f32_of, index_of, purpose};
use super::gas::Column;
use super::instrument::{self, BandShape, NoiseModel};
use super::optics::{Optics, Sky};
use super::params::SceneParams;
use super::surface::{Ground, Palette};

/// Digital number without any light.
const DARK_DN: f64 = 256.0;
/// What stands in `f32` radiance where there is no data.
pub(super) const NO_DATA: f32 = -9999.0;
/// Reflectance of the grey ground that offsets are measured by.
const GREY: f32 = 0.3;

/// What the instrument looks at.
pub(super) struct View<'a> {
    pub(super) ground: &'a Ground,
    /// Direct light by terrain, without the clouds' shadows.
    pub(super) shading: &'a [f32],
    pub(super) clouds: &'a Clouds,
    /// Pixels under gas, rising, with their columns.
    pub(super) gas: &'a [(usize, Column)],
}

/// What came out.
pub(super) struct Exposure {
    pub(super) data: Vec<u8>,
    /// Lines without data.
    pub(super) dropped: Vec<bool>,
    /// For each column: how many bands have a dead element there.
    pub(super) dead: Vec<usize>,
}

/// The instrument over its scene.
pub(super) struct Sensor<'a> {
    params: &'a SceneParams,
    bands: Vec<Band>,
}

/// One band.
struct Band {
    shape: BandShape,
    /// At each shift of the smile.
    nodes: Vec<Optics>,
    noise: [f64; 3],
    /// Radiance per digital number.
    gain: f64,
}

impl<'a> Sensor<'a> {
    pub(super) fn new(params: &'a SceneParams, palette: &Palette) -> Result<Self> {
        let sky = Sky::new(params);
        let model: NoiseModel = params.noise_model.unwrap_or(params.instrument.noise_model());
        let shifts = instrument::smile_nodes(params.smile_nm);
        let band = |shape: BandShape| -> Result<Band> {
            let node = |shift: &f64| Optics::new(&shape, *shift, &sky, palette.library, &palette.spectra);
            let nodes: Vec<Optics> = shifts.iter().map(node).collect::<Result<_>>()?;
            let bright = &nodes[nodes.len() / 2];
            // Where the atmosphere lets no light through to the ground, clouds above it are brighter than white ground.
            let white = f64::from(bright.radiance(1.0).max(1.2 * bright.cloud).max(0.15 * bright.cirrus));
            Ok(Band {
                shape,
                nodes,
                noise: model.at(shape.centre_nm, shape.spacing_nm),
                gain: white * params.full_scale / (f64::from(u16::MAX) - DARK_DN),
            })
        };
        Ok(Self { params, bands: instrument::bands(params).into_iter().map(band).collect::<Result<_>>()? })
    }

    /// Number of bands.
    pub(super) fn bands(&self) -> usize {
        self.bands.len()
    }

    /// Fills in what the header says about the bands.
    pub(super) fn describe(&self, header: &mut Header) {
        header.wavelengths_nm = Some(self.bands.iter().map(|b| rounded(b.shape.centre_nm)).collect());
        header.fwhm_nm = Some(self.bands.iter().map(|b| rounded(b.shape.fwhm_nm)).collect());
        if self.params.f32_radiance {
            header.data_ignore_value = Some(f64::from(NO_DATA));
        } else {
            header.gains = Some(self.bands.iter().map(|b| b.gain).collect());
            header.offsets = Some(self.bands.iter().map(|b| -DARK_DN * b.gain).collect());
        }
        header.data_units = Some("uW/cm^2/nm/sr".to_owned());
        header.sun_elevation_deg = Some(self.params.sun_elevation_deg);
    }

    /// The samples of the whole frame, BIL, little endian.
    pub(super) fn expose(&self, view: &View) -> Exposure {
        let width = if self.params.f32_radiance { 4 } else { 2 };
        let mut exposure = Exposure {
            data: vec![0; self.params.pixels() * self.bands.len() * width],
            dropped: detectors::dropped(self.params),
            dead: vec![0; self.params.samples],
        };
        let row_bytes = self.params.samples * width;
        for (nth, band) in self.bands.iter().enumerate() {
            let detectors = Detectors::new(self.params, band.shape.number);
            detectors.dead.iter().for_each(|(sample, _)| exposure.dead[*sample] += 1);
            let mut strip = Strip::new(self.params, band, &detectors);
            let mut gas = view.gas;
            for line in 0..self.params.lines {
                let of_line = gas.partition_point(|(at, _)| *at < (line + 1) * self.params.samples);
                let (here, rest) = gas.split_at(of_line);
                gas = rest;
                strip.light(view, line, here);
                strip.detect();
                let start = (line * self.bands.len() + nth) * row_bytes;
                strip.store(exposure.dropped[line], &mut exposure.data[start..][..row_bytes]);
            }
        }
        exposure
    }
}

/// As a header states it: to a hundredth of a nanometre.
fn rounded(nm: f64) -> f64 {
    (nm * 100.0).round() / 100.0
}

/// One band's rows, line after line.
struct Strip<'a> {
    params: &'a SceneParams,
    band: &'a Band,
    detectors: &'a Detectors,
    /// Optics of each column; a single one for all without smile.
    columns: Vec<Optics>,
    /// Slope of the spectra at this band, in units of the pixel's tilt.
    tilt: f32,
    /// Radiance over grey ground.
    grey: f32,
    random: Seeded,
    flicker: Seeded,
    row: Vec<f32>,
    noise: Vec<f32>,
    table: Vec<f32>,
}

impl<'a> Strip<'a> {
    fn new(params: &'a SceneParams, band: &'a Band, detectors: &'a Detectors) -> Self {
        let smile = params.smile_nm;
        let column = |sample: usize| {
            let shift = instrument::smile_at(sample, params.samples, smile);
            let last = band.nodes.len() - 1;
            let place = (shift + smile) / (2.0 * smile) * last as f64;
            let low = index_of(place).min(last - 1);
            Optics::between(&band.nodes[low], &band.nodes[low + 1], f32_of(place - low as f64))
        };
        let columns = if band.nodes.len() == 1 {
            band.nodes.clone()
        } else {
            (0..params.samples).map(column).collect()
        };
        let number = band.shape.number as u64;
        Self {
            params,
            band,
            detectors,
            table: columns.iter().flat_map(|c| c.materials.iter().copied()).collect(),
            columns,
            tilt: f32_of((band.shape.centre_nm - 1450.0) / 1000.0),
            grey: band.nodes[band.nodes.len() / 2].radiance(GREY),
            random: Seeded::new(params.seed, purpose::NOISE + number),
            flicker: Seeded::new(params.seed, purpose::NOISE + 5000 + number),
            row: vec![0.0; params.samples],
            noise: vec![0.0; params.samples],
        }
    }

    /// Radiance at the sensor of one line.
    fn light(&mut self, view: &View, line: usize, gas: &[(usize, Column)]) {
        let (samples, ground) = (self.params.samples, view.ground);
        let from = line * samples;
        let line_of = from..from + samples;
        let stride = if self.columns.len() == 1 { 0 } else { self.columns[0].materials.len() };
        let pixels = ground.ids[line_of.clone()].iter().zip(&ground.shares[line_of.clone()]);
        for (sample, (value, (ids, shares))) in self.row.iter_mut().zip(pixels).enumerate() {
            let table = &self.table[sample * stride..];
            let mut mixed = 0.0;
            for (id, share) in ids.iter().zip(shares) {
                mixed += table[usize::from(*id)] * share;
            }
            let at = from + sample;
            let bent = mixed * (1.0 + self.tilt * ground.tilt[at]) * ground.texture[at] + ground.gloss[at];
            *value = bent.clamp(0.0, 1.5);
        }
        // From reflectance to what comes off the ground.
        let one = self.columns.len() == 1;
        let optics = |sample: usize| &self.columns[if one { 0 } else { sample }];
        for (sample, value) in self.row.iter_mut().enumerate() {
            let o = optics(sample);
            let direct = view.shading[from + sample] * view.clouds.sunlight[from + sample];
            let lit = (1.0 - o.diffuse) * direct + o.diffuse;
            *value = o.sun * lit * *value / (1.0 - o.albedo * *value);
        }
        for (at, column) in gas {
            let o = optics(at - from);
            if o.growth.absorbs() {
                self.row[at - from] *= o.growth.transmittance(column);
            }
        }
        let opacity = &view.clouds.opacity[line_of.clone()];
        let bright = &view.clouds.bright[line_of.clone()];
        let cirrus = &view.clouds.cirrus[line_of];
        for (sample, value) in self.row.iter_mut().enumerate() {
            let o = optics(sample);
            let below = o.path + *value;
            let covered = below + (o.cloud * bright[sample] - below) * opacity[sample];
            // Twice through the veil, and what it scatters itself.
            let through = 1.0 - 0.9 * cirrus[sample];
            *value = covered * through * through + o.cirrus * cirrus[sample];
        }
    }

    /// Noise and the detectors' faults.
    fn detect(&mut self) {
        let [a, b, c] = self.band.noise.map(f32_of);
        let times = f32_of(self.params.noise);
        self.random.normals(&mut self.noise);
        let deviation = |radiance: f32| times * (a * (b + radiance).max(0.0).sqrt() + c).abs();
        for hot in &self.detectors.hot {
            self.noise[hot.sample] *= hot.noise;
        }
        let faults = self.detectors.gains.iter().zip(&self.detectors.offsets);
        for ((value, noise), (gain, offset)) in self.row.iter_mut().zip(&self.noise).zip(faults) {
            *value = (*value + deviation(*value) * noise) * gain + offset * self.grey;
        }
        for hot in &self.detectors.hot {
            if self.flicker.chance(hot.duty) {
                self.row[hot.sample] += hot.bias * self.grey;
            }
        }
    }

    /// Converts the row to the samples of the file.
    fn store(&self, dropped: bool, out: &mut [u8]) {
        let full = f32_of(self.band.gain * (f64::from(u16::MAX) - DARK_DN));
        let dead = |row: &mut dyn FnMut(usize, f32)| {
            for (sample, level) in &self.detectors.dead {
                row(*sample, level * full);
            }
        };
        if self.params.f32_radiance {
            let (values, _) = out.as_chunks_mut::<4>();
            for (value, radiance) in values.iter_mut().zip(&self.row) {
                *value = if dropped { NO_DATA } else { radiance.min(full) }.to_le_bytes();
            }
            dead(&mut |sample, level| {
                if !dropped {
                    values[sample] = level.to_le_bytes();
                }
            });
            return;
        }
        let per = f32_of(1.0 / self.band.gain);
        let (values, _) = out.as_chunks_mut::<2>();
        for (value, radiance) in values.iter_mut().zip(&self.row) {
            *value = if dropped { 0 } else { digital(radiance * per) }.to_le_bytes();
        }
        dead(&mut |sample, level| {
            if !dropped {
                values[sample] = digital(level * per).to_le_bytes();
            }
        });
    }
}

/// The nearest digital number within the range of the converter, of a light in digital numbers above the dark level.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float-to-int casts saturate")]
fn digital(light: f32) -> u16 {
    (light + 256.5) as u16
}
