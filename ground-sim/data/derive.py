#!/usr/bin/env python3
"""Derives the tables of the scene generator from public data: python3 derive.py DATA OUT (needs NumPy).

DATA holds the folders surface, rtm and noise (isofit-data and isofit-tutorials, Apache-2.0) and ch4 (MAG1C,
BSD-3-Clause); OUT gets surfaces.bin, atmospheres.csv, noises.csv and ch4.csv. The same input gives the same bytes. SCENES.md says what the tables mean.
"""

import re
import struct
import sys
from pathlib import Path

import numpy as np

GRID = np.arange(380.0, 2501.0, 10.0)
CLASSES = ["vegetation", "dry", "soil", "rock", "clay", "carbonate", "hydrocarbon", "dark", "bright", "water", "snow"]
# How many of each class, at most.
QUOTA = dict(vegetation=48, dry=34, soil=52, rock=52, clay=28, carbonate=20, hydrocarbon=22, dark=20, bright=18,
             water=1, snow=20)
# Spectra nearer than this, degrees, are of one stock and stay in one half of the split.
STOCK_DEG = 2.2
# Cosine of the sun's zenith angle in the atmosphere's runs: their sun over TSIS-1's.
SUN_COSINE = 0.6293
# From here on the library holds exact linear mixtures of the spectra before: the scenes mix for themselves.
FIRST_MIXTURE = 1042


def library(path):
    """Wavelengths, rising, and reflectance on GRID: a Gaussian of 10 nm over the source's channels."""
    header = Path(f"{path}.hdr").read_text()
    nm = np.array([float(v) for v in re.search(r"wavelength\s*=\s*\{([^}]*)\}", header).group(1).split(",")])
    rows = np.fromfile(path, "<f4").reshape(-1, len(nm)).astype(float)
    weight = np.exp(-4 * np.log(2) * ((GRID[:, None] - nm[None]) / 10) ** 2)
    return rows @ (weight / weight.sum(1, keepdims=True)).T


def at(r, nm):
    return r[:, int(round((nm - GRID[0]) / 10))]


def depth(r, left, centre, right):
    """Depth of a feature under the straight line between its shoulders."""
    share = (centre - left) / (right - left)
    return 1 - at(r, centre) / np.maximum(at(r, left) * (1 - share) + at(r, right) * share, 1e-3)


def classes(r):
    """The library gives no names here: what the shape of each spectrum is like."""
    number = np.arange(len(r))
    ndvi = (at(r, 860) - at(r, 670)) / np.maximum(at(r, 860) + at(r, 670), 1e-3)
    mean = r.mean(1)
    flat = r.std(1) / mean
    out = np.array(["rock"] * len(r), dtype=object)
    out[(number >= 816) & (number < 912)] = "soil"
    out[(at(r, 2200) < 0.13) & (at(r, 860) < 0.16) & (at(r, 1650) < 0.15)] = "dark"
    out[(mean > 0.45) & (flat < 0.16) & (number < 816)] = "bright"
    out[depth(r, 2130, 2200, 2250) > 0.05] = "clay"
    out[(depth(r, 2250, 2340, 2390) > 0.07) & (depth(r, 1680, 1730, 1790) < 0.025)] = "carbonate"
    out[(depth(r, 2040, 2100, 2210) > 0.012) & (number >= 816) & (number < 912)] = "dry"
    organic = (depth(r, 1680, 1730, 1790) > 0.03) & (depth(r, 2260, 2310, 2360) > 0.03)
    out[organic & ((number < 816) | (number >= 912))] = "hydrocarbon"
    out[(ndvi > 0.5) & (at(r, 1450) < 0.75 * at(r, 860))] = "vegetation"
    out[(number >= 940) & (mean < 0.06)] = "water"
    return out


def usable(r):
    """Neither broken nor noisy nor black."""
    rough = np.abs(np.diff(r, 2, axis=1)).mean(1) / np.maximum(r.mean(1), 1e-3)
    return (r.min(1) > -0.01) & (r.max(1) < 1.0) & (r.mean(1) > 0.008) & (rough < 0.03)


def angles(r):
    """Spectral angles, degrees, of the shapes around their mean level: 0 is the same up to a factor."""
    unit = r / np.linalg.norm(r, axis=1, keepdims=True)
    return np.degrees(np.arccos(np.clip(unit @ unit.T, -1, 1)))


def spread(r, count):
    """Farthest-point sampling (Gonzalez 1985) in shape, with a little weight on brightness."""
    far = angles(r) + 6 * np.abs(np.log(r.mean(1)[:, None] / r.mean(1)[None]))
    chosen = [int(np.argmin(far.mean(1)))]
    near = far[chosen[0]].copy()
    while len(chosen) < min(count, len(r)):
        nth = int(np.argmax(near))
        chosen.append(nth)
        near = np.minimum(near, far[nth])
    return sorted(chosen)


def stocks(r):
    """Single-linkage clusters: a number for each spectrum."""
    near = angles(r) < STOCK_DEG
    label = np.arange(len(r))
    while True:
        low = np.array([label[n].min() for n in near])
        if (low == label).all():
            return label
        label = low


def surfaces(data, out):
    ground = library(data / "surface/ecostress_library_with_mixtures")[:FIRST_MIXTURE]
    snow = library(data / "surface/ecostress_snow_mixtures")
    kinds = classes(ground)
    # Ice and snow come from the other library.
    good = usable(ground) & ~((at(ground, 550) > 0.5) & (at(ground, 1550) < 0.35 * at(ground, 550)))
    rows = []
    for name in CLASSES:
        source = snow if name == "snow" else ground
        pick = np.where(usable(snow) & (at(snow, 550) > 0.5) if name == "snow" else (kinds == name) & good)[0]
        rows += [(name, int(pick[i]), source[pick[i]]) for i in spread(source[pick], QUOTA[name])]
    spectra = np.clip(np.array([row[2] for row in rows]), 0.0005, 1.2)
    held = split([row[0] for row in rows], stocks(spectra))
    with open(out / "surfaces.bin", "wb") as file:
        file.write(b"PBSURF1\n" + struct.pack("<HHHH", len(rows), len(GRID), int(GRID[0]), 10))
        for (name, number, _), half, spectrum in zip(rows, held, spectra):
            file.write(struct.pack("<HBB", number, CLASSES.index(name), half))
            file.write(np.round(spectrum * 1e4).astype("<u2").tobytes())
    for name in CLASSES:
        of = [h for row, h in zip(rows, held) if row[0] == name]
        print(f"{name}: {len(of)}, held out {of.count(1)}")
    return rows, spectra, held


def split(names, labels):
    """Whole stocks to the smaller half, class by class, the largest stocks first: 1 is held out, 2 in both."""
    size = {label: (labels == label).sum() for label in set(labels)}
    half = {}
    count = {}
    for label in sorted(size, key=lambda l: (-size[l], l)):
        members = [names[i] for i in np.where(labels == label)[0]]
        name = max(sorted(set(members)), key=members.count)
        train, held = count.get(name, (0, 0))
        half[label] = int(held < train)
        for member in members:
            pair = list(count.get(member, (0, 0)))
            pair[half[label]] += 1
            count[member] = tuple(pair)
    # There is one water only: it belongs to both halves.
    return [2 if name == "water" else half[label] for name, label in zip(names, labels)]


def atmospheres(data, out):
    names, table = ["wavelength_nm", "sun"], None
    for aerosol in ["0.0100", "0.1000"]:
        for water in ["1.5000", "2.0000"]:
            lines = (data / f"rtm/pasadena_AOT550-{aerosol}_H2OSTR-{water}.chn").read_text().splitlines()[5:]
            f = np.array([[float(v) for v in line.split()[:25]] for line in lines if line.strip()])
            # A: light that comes from the ground straight to the sensor, B: by way of scattering (adjacency).
            transmittance = f[:, 21] + f[:, 22]
            # Sun to ground to sensor, never scattered, over all that comes straight from the ground.
            direct = f[:, 19] * SUN_COSINE / (np.pi * f[:, 18]) / np.maximum(f[:, 21], 1e-9)
            diffuse = np.where(f[:, 21] > 1e-4, np.clip(1 - direct, 0.01, 1), 0.01)
            tag = f"a{float(aerosol):g}_w{float(water):g}"
            names += [f"{what}_{tag}" for what in ["path", "transmittance", "diffuse", "albedo"]]
            block = np.stack([f[:, 4] * 1e6, transmittance, diffuse, f[:, 23]])
            if table is None:
                table = [f[:, 0], f[:, 18] / f[:, 8] * 1e6]
            table += list(block)
    text = [
        "# Atmosphere and sun for synthetic scenes, four states (a: aerosol optical thickness at 550 nm, w: water vapour, cm).",
        "# Derived from MODTRAN channel runs of isofit-tutorials (AVIRIS-NG channels, FWHM 5.6 nm, sun 39 degrees high); Apache-2.0.",
        "# path, sun (solar irradiance * cos(zenith) / pi): uW cm-2 nm-1 sr-1. transmittance: sun to ground to sensor;",
        "# diffuse: the share of the light on the ground that comes from the sky. albedo: of the atmosphere, from below.",
        ",".join(names),
    ]
    for row in np.array(table).T:
        text.append(",".join([f"{row[0]:.2f}"] + [f"{v:.4g}" for v in row[1:]]))
    (out / "atmospheres.csv").write_text("\n".join(text) + "\n")


def noises(data, out):
    text = [
        "# Noise of imaging spectrometers: sigma = |a * sqrt(b + L) + c|, L and sigma in uW cm-2 nm-1 sr-1, per channel",
        "# of the instrument. Derived (rounded) from the noise models of isofit-data; Apache-2.0.",
        "instrument,wavelength_nm,a,b,c",
    ]
    for name, file in [("tanager", "tanager1_noise_20241016"), ("emit", "emit_noise"), ("aviris-ng", "avirisng_noise"),
                       ("sbg", "sbg_noise_coeffs")]:
        for nm, a, b, c, *_ in np.loadtxt(data / f"noise/{file}.txt"):
            text.append(f"{name},{nm:.2f},{a:.4g},{b:.4g},{c if abs(c) >= 1e-5 else 0:.3g}")
    (out / "noises.csv").write_text("\n".join(text) + "\n")


def methane(data, out):
    f = np.genfromtxt(data / "ch4/transmittance_1nm.csv", delimiter=",", skip_header=3)
    text = [
        "# Methane: transmittance of an added column at 500 to 16000 ppm m in 1 nm bins, and the radiance that weights a bin.",
        "# Derived from the radiance look-up table of MAG1C (nadir, MODTRAN), Foote et al. 2020,",
        "# doi:10.1109/TGRS.2020.2976888; licence of the source: BSD-3-Clause.",
        "wavelength_nm,radiance,500,1000,2000,4000,8000,16000",
    ]
    for row in f[((f[:, 0] > 1600) & (f[:, 0] < 1800)) | ((f[:, 0] > 2100) & (f[:, 0] < 2520))]:
        text.append(",".join([f"{row[0]:.1f}", f"{row[1]:.4g}"] + [f"{v:.5f}" for v in row[3:]]))
    (out / "ch4.csv").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    surfaces(source, target)
    atmospheres(source, target)
    noises(source, target)
    methane(source, target)
