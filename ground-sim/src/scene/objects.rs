//! Things on the ground: roads, roofs, ponds, and what else confuses a detector.

use super::fields::{Seeded, f32_of, purpose};
use super::library::SurfaceClass;
use super::params::{Land, SceneParams};
use super::surface::{Ground, Palette};

/// How far a blob reaches, in radii.
const MOST_BULGE: f64 = 2.5;

/// The outline of a thing, in pixels.
enum Shape {
    /// Half sides and turn (sine, cosine).
    Box { half: (f64, f64), turn: (f64, f64) },
    /// Mean radius and waves of the outline: number, size, phase.
    Blob { radius: f64, waves: [(f64, f64, f64); 8] },
    /// Drawn out from its tip: length, half width at the far end, direction, waves of the axis.
    Streak { length: f64, half: f64, turn: (f64, f64), phase: f64 },
    /// Through its place: half width, direction, bend.
    Road { half: f64, turn: (f64, f64), bend: f64 },
}

/// A thing.
struct Thing {
    y: f64,
    x: f64,
    shape: Shape,
    id: u8,
    /// Share of the ground that it covers where it covers it whole.
    purity: f64,
    brightness: f64,
    /// Is it there to confuse?
    confuses: bool,
}

/// Puts the land's own things and the confusers on the ground.
pub(super) fn place(params: &SceneParams, ground: &mut Ground, palette: &mut Palette) {
    let mut random = Seeded::new(params.seed, purpose::CONFUSERS);
    for thing in things(params, ground.land, palette, &mut random) {
        thing.lay(params, ground);
    }
    waters(params, ground, palette, &mut random);
}

fn things(params: &SceneParams, land: Land, palette: &mut Palette, random: &mut Seeded) -> Vec<Thing> {
    use SurfaceClass::{Bright, Carbonate, Dark, Hydrocarbon, Rock, Snow, Soil};
    let wanted = &params.confusers;
    let metres = |m: f64| m / params.pixel_m;
    let mut all = Vec::new();
    for _ in 0..wanted.snow {
        let shape = blob(metres(random.log_between(40.0, 400.0)), random);
        all.push(thing(params, shape, &[Snow, Bright], random.between(0.4, 1.0), palette, random));
    }
    for _ in 0..wanted.carbonate {
        let shape = blob(metres(random.log_between(20.0, 160.0)), random);
        all.push(thing(params, shape, &[Carbonate, Rock], random.between(0.4, 1.0), palette, random));
    }
    for _ in 0..wanted.carbonate_plumes {
        let (length, turn) = (metres(random.log_between(100.0, 700.0)), turn(random));
        let phase = random.between(0.0, 6.0);
        let shape = Shape::Streak { length, half: length * random.between(0.06, 0.2), turn, phase };
        all.push(thing(params, shape, &[Carbonate, Rock], random.between(0.4, 0.9), palette, random));
    }
    for _ in 0..wanted.roads {
        let shape = Shape::Road {
            half: metres(random.between(3.0, 12.0)),
            turn: turn(random),
            bend: random.between(-1.0, 1.0) * 0.4 / params.lines.max(params.samples) as f64,
        };
        let class: &[SurfaceClass] = if random.chance(0.7) { &[Dark] } else { &[Soil, Bright] };
        all.push(Thing { confuses: false, ..thing(params, shape, class, 0.95, palette, random) });
    }
    for _ in 0..wanted.solar_farms {
        let half = (metres(random.log_between(30.0, 250.0)), metres(random.log_between(30.0, 250.0)));
        let shape = Shape::Box { half, turn: turn(random) };
        // Rows narrower than a pixel: panels, and the ground between them.
        all.push(thing(params, shape, &[Dark], random.between(0.45, 0.7), palette, random));
    }
    for _ in 0..wanted.hydrocarbon {
        let half = (metres(random.log_between(5.0, 60.0)), metres(random.log_between(5.0, 60.0)));
        let shape = Shape::Box { half, turn: turn(random) };
        all.push(thing(params, shape, &[Hydrocarbon], random.between(0.6, 1.0), palette, random));
    }
    let own = if land == Land::Industry { params.pixels() / 1500 } else { 0 };
    let street = turn(random);
    for n in 0..wanted.roofs + own {
        let half = (metres(random.log_between(4.0, 40.0)), metres(random.log_between(4.0, 40.0)));
        let turn = if random.chance(0.7) { street } else { turn(random) };
        let kinds: [&[SurfaceClass]; 5] = [&[Bright], &[Bright], &[Rock], &[Dark], &[Hydrocarbon, Bright]];
        let class = kinds[random.below(kinds.len())];
        let roof = thing(params, Shape::Box { half, turn }, class, 0.97, palette, random);
        all.push(Thing { confuses: n < wanted.roofs, ..roof });
    }
    all
}

/// A thing of one of the classes, somewhere.
fn thing(
    params: &SceneParams,
    shape: Shape,
    classes: &[SurfaceClass],
    purity: f64,
    palette: &mut Palette,
    random: &mut Seeded,
) -> Thing {
    Thing {
        y: random.between(0.0, params.lines as f64),
        x: random.between(0.0, params.samples as f64),
        shape,
        id: palette.pick(classes, random),
        purity,
        brightness: libm::exp(0.1 * random.normal()),
        confuses: true,
    }
}

fn turn(random: &mut Seeded) -> (f64, f64) {
    libm::sincos(random.between(0.0, core::f64::consts::TAU))
}

fn blob(radius: f64, random: &mut Seeded) -> Shape {
    let stretch = random.between(0.1, 0.4);
    let mut wave = |n: f64, size: f64| (n, size * random.normal(), random.between(0.0, 6.3));
    let waves = [
        wave(2.0, stretch),
        wave(3.0, 0.12),
        wave(4.0, 0.08),
        wave(5.0, 0.06),
        wave(7.0, 0.05),
        wave(11.0, 0.035),
        wave(16.0, 0.025),
        wave(23.0, 0.02),
    ];
    Shape::Blob { radius, waves }
}

impl Shape {
    /// How far from the middle it reaches, pixels.
    fn reach(&self) -> f64 {
        match self {
            Self::Box { half, .. } => (half.0 * half.0 + half.1 * half.1).sqrt() + 1.0,
            Self::Blob { radius, .. } => MOST_BULGE * radius + 1.0,
            Self::Streak { length, half, .. } => length + 2.0 * half + 2.0,
            Self::Road { .. } => 1e6,
        }
    }

    /// The share of a pixel this far from the middle that is inside, 0 to 1.
    fn cover(&self, y: f64, x: f64) -> f64 {
        let turned = |turn: &(f64, f64)| (y * turn.0 + x * turn.1, y * turn.1 - x * turn.0);
        let edge = |outside: f64| (0.5 - outside).clamp(0.0, 1.0);
        match self {
            Self::Box { half, turn } => {
                let (a, b) = turned(turn);
                // A side shorter than a pixel fills only a part of it.
                let side = |off: f64, half: f64| edge(off.abs() - half).min(2.0 * half);
                side(a, half.0) * side(b, half.1)
            }
            Self::Blob { radius, waves } => {
                let angle = libm::atan2(y, x);
                let bulge: f64 =
                    waves.iter().map(|(n, size, phase)| size * libm::cos(n * angle + phase)).sum();
                edge((y * y + x * x).sqrt() - radius * (1.0 + bulge).clamp(0.2, MOST_BULGE))
            }
            Self::Streak { length, half, turn, phase } => {
                let (a, b) = turned(turn);
                if a < -1.0 || a > *length {
                    return 0.0;
                }
                let down = (a / length).clamp(0.0, 1.0);
                let width = 0.6 + half * down;
                let axis = 0.4 * width * libm::sin(5.0 * down + phase);
                let off = (b - axis) / width;
                (1.0 - down) * libm::exp(-off * off) + 0.1 * edge(b.abs() - width) * (1.0 - down)
            }
            Self::Road { half, turn, bend } => {
                let (a, b) = turned(turn);
                edge((b - bend * a * a).abs() - half).min(2.0 * half)
            }
        }
    }
}

impl Thing {
    fn lay(&self, params: &SceneParams, ground: &mut Ground) {
        let reach = self.shape.reach();
        for at in Ground::within(params, [self.y - reach, self.y + reach], [self.x - reach, self.x + reach]) {
            let (y, x) = ((at / params.samples) as f64 - self.y, (at % params.samples) as f64 - self.x);
            let share = (self.shape.cover(y, x) * self.purity).min(1.0);
            if share > 0.004 {
                ground.cover(at, self.id, f32_of(share));
                let own = f32_of(share * (self.brightness - 1.0));
                ground.texture[at] *= 1.0 + own;
                ground.tilt[at] *= f32_of(1.0 - 0.5 * share);
                ground.confuser[at] |= self.confuses && share > 0.25;
            }
        }
    }
}

/// Ponds, lakes; some glint.
fn waters(params: &SceneParams, ground: &mut Ground, palette: &mut Palette, random: &mut Seeded) {
    for _ in 0..params.confusers.waters {
        let shape = blob(random.log_between(20.0, 250.0) / params.pixel_m, random);
        let glint = if random.chance(0.3) { random.log_between(0.01, 0.12) } else { 0.0 };
        let thing = Thing {
            confuses: false,
            ..thing(params, shape, &[SurfaceClass::Water, SurfaceClass::Dark], 1.0, palette, random)
        };
        let reach = thing.shape.reach();
        let pixels =
            Ground::within(params, [thing.y - reach, thing.y + reach], [thing.x - reach, thing.x + reach]);
        for at in pixels {
            let (y, x) = ((at / params.samples) as f64 - thing.y, (at % params.samples) as f64 - thing.x);
            let share = thing.shape.cover(y, x);
            if share > 0.004 {
                ground.cover(at, thing.id, f32_of(share));
                ground.gloss[at] = f32_of(share * glint * libm::exp(0.5 * random.normal()));
                ground.water[at] |= share > 0.5;
            }
        }
    }
}
