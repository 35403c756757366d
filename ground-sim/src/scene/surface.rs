//! The ground: patches of natural kinds, each a mixture of real spectra that varies from pixel to pixel.

use super::fields::{Seeded, f32_of, index_of, purpose, smooth};
use super::library::{Library, Split, SurfaceClass};
use super::params::{Land, SceneParams};
use super::patches::Patches;

/// Materials that one pixel mixes, at most.
pub(super) const MIXED: usize = 4;
/// Most materials of one scene.
const MOST: usize = 250;

/// What each pixel is made of.
pub(super) struct Ground {
    /// Materials of each pixel, numbers in the palette.
    pub(super) ids: Vec<[u8; MIXED]>,
    /// Their shares; they sum to 1.
    pub(super) shares: Vec<[f32; MIXED]>,
    /// Slope of the spectrum against that of the mixture, per 1000 nm around 1450 nm.
    pub(super) tilt: Vec<f32>,
    /// Brightness around 1.
    pub(super) texture: Vec<f32>,
    /// Reflectance added as by a mirror: glint.
    pub(super) gloss: Vec<f32>,
    /// Is it water?
    pub(super) water: Vec<bool>,
    /// Does it belong to something put there to confuse?
    pub(super) confuser: Vec<bool>,
    pub(super) land: Land,
}

/// The spectra that a scene uses.
pub(super) struct Palette<'a> {
    pub(super) library: &'a Library,
    split: Split,
    /// Numbers in the library.
    pub(super) spectra: Vec<usize>,
}

impl<'a> Palette<'a> {
    pub(super) fn new(library: &'a Library, split: Split) -> Self {
        Self { library, split, spectra: Vec::new() }
    }

    /// A spectrum of the first of these classes that the library has; any at all if it has none.
    pub(super) fn pick(&mut self, classes: &[SurfaceClass], random: &mut Seeded) -> u8 {
        let all = || (0..self.library.surfaces().len()).collect();
        let mut of = classes.iter().map(|class| self.library.of(*class, self.split));
        let choice: Vec<usize> = of.find(|list| !list.is_empty()).unwrap_or_else(all);
        let spectrum = choice[random.below(choice.len())];
        let known = self.spectra.iter().position(|s| *s == spectrum);
        let at = known.unwrap_or_else(|| {
            if self.spectra.len() < MOST {
                self.spectra.push(spectrum);
            }
            self.spectra.len() - 1
        });
        u8::try_from(at).unwrap_or(u8::MAX)
    }
}

/// A kind of ground: three materials, the shares of the second and third, how rough it is.
struct GroundKind {
    ids: [u8; 3],
    shares: [f64; 2],
    /// Which way the mixing fields push it.
    signs: [f64; 2],
    rough: f64,
}

/// Lays out the natural ground.
pub(super) fn ground(params: &SceneParams, palette: &mut Palette) -> Ground {
    let mut random = Seeded::new(params.seed, purpose::GROUND);
    let drawn = Land::ALL[random.below(Land::ALL.len())];
    let land = params.land.unwrap_or(drawn);
    let kinds: Vec<GroundKind> =
        (0..params.kinds).map(|_| GroundKind::drawn(land, palette, &mut random)).collect();
    let patches = Patches::new(params, land, &mut random);
    fill(params, &kinds, &patches, land, &mut random)
}

impl GroundKind {
    fn drawn(land: Land, palette: &mut Palette, random: &mut Seeded) -> Self {
        use SurfaceClass::{Bright, Carbonate, Clay, Dark, Dry, Rock, Soil, Vegetation};
        let (main, with): (&[SurfaceClass], &[SurfaceClass]) = match land {
            Land::Arid => {
                (&[Soil, Soil, Soil, Rock, Rock, Clay, Carbonate, Dry], &[Rock, Soil, Clay, Dry, Vegetation])
            }
            Land::Steppe => (&[Dry, Dry, Soil, Soil, Vegetation, Rock], &[Soil, Dry, Vegetation]),
            Land::Farmland => {
                (&[Vegetation, Vegetation, Vegetation, Dry, Soil, Soil], &[Soil, Dry, Vegetation])
            }
            Land::Industry => {
                (&[Soil, Rock, Dark, Bright, Rock, Dry, Vegetation], &[Dark, Soil, Rock, Vegetation])
            }
            Land::Green => (&[Vegetation, Vegetation, Vegetation, Dry, Soil], &[Vegetation, Dry, Soil]),
        };
        let mut one = |of: &[SurfaceClass], random: &mut Seeded| {
            let class = of[random.below(of.len())];
            palette.pick(&[class, Soil, Rock], random)
        };
        let ids = [one(main, random), one(with, random), one(with, random)];
        let sign = |random: &mut Seeded| if random.chance(0.5) { 1.0 } else { -1.0 };
        Self {
            ids,
            shares: [random.between(0.12, 0.38), random.between(0.05, 0.22)],
            signs: [sign(random), sign(random)],
            rough: random.log_between(0.5, 1.8),
        }
    }
}

fn fill(
    params: &SceneParams,
    kinds: &[GroundKind],
    patches: &Patches,
    land: Land,
    random: &mut Seeded,
) -> Ground {
    let (shape, pixels) = ((params.lines, params.samples), params.pixels());
    let fields: Vec<Vec<f64>> =
        [14.0, 9.0, 22.0, 6.0].iter().map(|scale| smooth(shape, *scale, 4, random)).collect();
    let mut white = vec![0.0_f32; 4 * pixels];
    random.normals(&mut white);
    let vary = params.variability;
    let mut ground = Ground {
        ids: Vec::with_capacity(pixels),
        shares: Vec::with_capacity(pixels),
        tilt: Vec::with_capacity(pixels),
        texture: Vec::with_capacity(pixels),
        gloss: vec![0.0; pixels],
        water: vec![false; pixels],
        confuser: vec![false; pixels],
        land,
    };
    for at in 0..pixels {
        let place = patches.at(at / params.samples, at % params.samples);
        let (patch, kind) = (&patches.all[place.patch], &kinds[patches.all[place.patch].kind]);
        let noise = |n: usize| f64::from(white[4 * at + n]);
        let share = |n: usize| {
            let push = kind.signs[n] * (0.5 * fields[n][at] + 0.22 * noise(n)) + patch.mixing;
            (kind.shares[n] * (1.0 + vary * push)).clamp(0.0, 0.9)
        };
        let (second, third) = (share(0), share(1).min(0.5));
        let third = third.min(1.0 - second);
        let other = &kinds[patches.all[place.neighbour].kind];
        let own = 1.0 - place.share;
        ground.ids.push([kind.ids[0], kind.ids[1], kind.ids[2], other.ids[0]]);
        ground
            .shares
            .push([(1.0 - second - third) * own, second * own, third * own, place.share].map(f32_of));
        ground.tilt.push(f32_of(vary * (0.025 * fields[2][at] + 0.008 * noise(2))));
        let rough = params.texture * kind.rough;
        let bright = (1.0 + rough * (0.8 * noise(3) + 0.9 * fields[3][at])) * patch.brightness;
        ground.texture.push(f32_of(bright.clamp(0.3, 1.8)));
    }
    ground
}

impl Ground {
    /// Covers a share of a pixel with a material.
    pub(super) fn cover(&mut self, at: usize, id: u8, share: f32) {
        let shares = &mut self.shares[at];
        // What stood in the last place goes to the first.
        shares[0] += shares[MIXED - 1];
        shares[MIXED - 1] = 0.0;
        shares.iter_mut().for_each(|s| *s *= 1.0 - share);
        shares[MIXED - 1] = share;
        self.ids[at][MIXED - 1] = id;
    }

    /// The pixels of a box, cut off by the frame.
    pub(super) fn within(params: &SceneParams, y: [f64; 2], x: [f64; 2]) -> Vec<usize> {
        let range = |[from, to]: [f64; 2], end: usize| {
            let first = index_of(from.floor().max(0.0)).min(end);
            first..index_of((to.ceil() + 1.0).max(0.0)).clamp(first, end)
        };
        let columns = range(x, params.samples);
        range(y, params.lines)
            .flat_map(|line| columns.clone().map(move |sample| line * params.samples + sample))
            .collect()
    }
}
