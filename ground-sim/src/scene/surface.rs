//! The ground: fields and scrub, roads, buildings and a pond, out of real reflectance spectra, under a varying sun.

use super::fields::{Seeded, f32_of, smooth};
use super::sensor::Instrument;

/// What each pixel is made of.
pub(super) struct Ground {
    /// Two materials and the share of the second.
    pub(super) mixture: Vec<(usize, usize, f32)>,
    /// Illumination and texture, around 1.
    pub(super) light: Vec<f32>,
}

/// Share of the pixels of a patch that belong to its second material, at most.
const MIXING: f64 = 0.6;

/// Lays out the ground.
pub(super) fn ground(shape: (usize, usize), random: &mut Seeded, instrument: &Instrument) -> Ground {
    let (lines, samples) = shape;
    let patches = patches(shape, random, instrument);
    let mixing = smooth(shape, 12.0, 3, random);
    let mut mixture: Vec<(usize, usize, f32)> = patches
        .iter()
        .zip(&mixing)
        .map(|(&(first, second), field)| (first, second, f32_of((0.3 + 0.3 * field).clamp(0.0, MIXING))))
        .collect();
    build(shape, random, instrument, &mut mixture);
    let slopes = smooth(shape, 40.0, 3, random);
    let light = slopes
        .iter()
        .map(|slope| f32_of(((1.0 + 0.12 * slope) * (1.0 + 0.04 * random.normal())).clamp(0.2, 1.6)))
        .collect();
    debug_assert_eq!(mixture.len(), lines * samples);
    Ground { mixture, light }
}

/// Patches around random centres, each of two materials that go together.
fn patches(shape: (usize, usize), random: &mut Seeded, instrument: &Instrument) -> Vec<(usize, usize)> {
    const PIXELS_EACH: usize = 1200;
    let (lines, samples) = shape;
    let natural = instrument.materials(&["vegetation", "soil", "soil", "carbonate", "clay"]);
    let count = (lines * samples / PIXELS_EACH).max(4);
    let centres: Vec<(f64, f64, usize, usize)> = (0..count)
        .map(|_| {
            let place = (random.between(0.0, lines as f64), random.between(0.0, samples as f64));
            let pick = (random.below(natural.len()), random.below(natural.len()));
            (place.0, place.1, natural[pick.0], natural[pick.1])
        })
        .collect();
    let warp = smooth(shape, 25.0, 2, random);
    (0..lines * samples)
        .map(|index| {
            let bend = 4.0 * warp[index];
            let (y, x) = ((index / samples) as f64 + bend, (index % samples) as f64 - bend);
            let distance = |c: &(f64, f64, usize, usize)| (c.0 - y) * (c.0 - y) + (c.1 - x) * (c.1 - x);
            let nearest = centres.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
            nearest.map_or((0, 0), |c| (c.2, c.3))
        })
        .collect()
}

/// A road, some buildings and a pond.
fn build(
    shape: (usize, usize),
    random: &mut Seeded,
    instrument: &Instrument,
    mixture: &mut [(usize, usize, f32)],
) {
    let (lines, samples) = shape;
    let road = instrument.materials(&["asphalt"]);
    let roofs = instrument.materials(&["concrete", "painted"]);
    let water = instrument.materials(&["water"]);
    let (start, slope) = (random.between(0.2, 0.8) * samples as f64, random.between(-0.3, 0.3));
    let pond = (random.between(0.0, 1.0) * lines as f64, random.between(0.0, 1.0) * samples as f64);
    let pond_radius = random.between(3.0, 9.0);
    let buildings: Vec<(f64, f64, f64, f64, usize)> = (0..(lines * samples / 2000).max(1))
        .map(|_| {
            let place = (random.between(0.0, lines as f64), random.between(0.0, samples as f64));
            let size = (random.between(1.0, 5.0), random.between(1.0, 5.0));
            (place.0, place.1, size.0, size.1, roofs[random.below(roofs.len())])
        })
        .collect();
    for (index, pixel) in mixture.iter_mut().enumerate() {
        let (y, x) = ((index / samples) as f64, (index % samples) as f64);
        let off_road = (x - start - slope * y).abs();
        if off_road < 2.0 {
            // The road's edge is part ground.
            *pixel = (road[0], pixel.0, f32_of((off_road - 1.0).clamp(0.0, 1.0)));
        }
        if (y - pond.0) * (y - pond.0) + (x - pond.1) * (x - pond.1) < pond_radius * pond_radius {
            *pixel = (water[0], pixel.0, 0.02);
        }
        let building = buildings.iter().find(|b| (y - b.0).abs() < b.2 && (x - b.1).abs() < b.3);
        if let Some(&(.., roof)) = building {
            *pixel = (roof, pixel.0, 0.05);
        }
    }
}
