"""What goes between `passband-ground bench triage` and its peers: cubes in, maps out, all raw and little endian.

A cube is a JSON file beside its samples:

    {"schema": 1, "data": "x.bil", "samples": S, "lines": L,
     "wavelengths_nm": [...], "fwhm_nm": [...], "absorption_per_ppm_m": [...],   one value a band
     "valid": "x.valid"}                                                         or null: all pixels are valid

`data` holds f32 at-sensor radiance, uW cm-2 nm-1 sr-1, line by line, in a line band by band, in a band sample by sample
(BIL); `valid` one byte a pixel, 1: take it. A map is f32, line by line, NaN where a peer gives nothing.

Nothing here knows a peer.
"""

import json
import os

import numpy as np

# Largest side and most bands that are taken: more is a slip, not a frame.
MAX_SIDE = 1 << 20
MAX_BANDS = 4096


class Cube:
    """A cube's description; samples are read on demand, so that no peer's memory holds more than it asked for."""

    def __init__(self, path):
        self.path = path
        with open(path, encoding="utf-8") as file:
            said = json.load(file)
        if said.get("schema") != 1:
            raise ValueError(f"{path}: schema {said.get('schema')!r}, 1 is read")
        self.samples = _count(path, said, "samples", MAX_SIDE)
        self.lines = _count(path, said, "lines", MAX_SIDE)
        self.wavelengths_nm = _list(path, said, "wavelengths_nm")
        self.fwhm_nm = _list(path, said, "fwhm_nm", len(self.wavelengths_nm))
        self.absorption = _list(path, said, "absorption_per_ppm_m", len(self.wavelengths_nm))
        if len(self.wavelengths_nm) > MAX_BANDS:
            raise ValueError(f"{path}: {len(self.wavelengths_nm)} bands, at most {MAX_BANDS}")
        folder = os.path.dirname(os.path.abspath(path))
        self.data = os.path.join(folder, said["data"])
        self.bands = len(self.wavelengths_nm)
        _check_size(self.data, self.lines * self.bands * self.samples * 4)
        self.valid_path = os.path.join(folder, said["valid"]) if said.get("valid") else None
        if self.valid_path:
            _check_size(self.valid_path, self.lines * self.samples)

    def within(self, ranges_nm):
        """Numbers of the bands that lie in any of the ranges, rising with wavelength."""
        nm = self.wavelengths_nm
        inside = np.zeros(len(nm), dtype=bool)
        for low, high in ranges_nm:
            inside |= (nm >= low) & (nm <= high)
        found = np.flatnonzero(inside)
        return found[np.argsort(nm[found], kind="stable")]

    def read(self, bands, layout):
        """The bands in `layout`: "bip" (lines, samples, bands), "bsq" (bands, lines, samples) or "columns" (samples,
        lines, bands). Read line by line: what is resident afterwards is this array alone."""
        shape = {
            "bip": (self.lines, self.samples, len(bands)),
            "bsq": (len(bands), self.lines, self.samples),
            "columns": (self.samples, self.lines, len(bands)),
        }[layout]
        out = np.empty(shape, dtype=np.float32)
        line_values = self.bands * self.samples
        with open(self.data, "rb") as file:
            for number in range(self.lines):
                line = np.fromfile(file, dtype="<f4", count=line_values).reshape(self.bands, self.samples)[bands]
                if layout == "bip":
                    out[number] = line.T
                elif layout == "bsq":
                    out[:, number, :] = line
                else:
                    out[:, number, :] = line.T
        return out

    def valid(self):
        """Which pixels may be taken, lines x samples; None: all."""
        if self.valid_path is None:
            return None
        mask = np.fromfile(self.valid_path, dtype=np.uint8).reshape(self.lines, self.samples) != 0
        return None if mask.all() else mask


def write_map(path, values):
    """Writes lines x samples as f32."""
    np.ascontiguousarray(values, dtype="<f4").tofile(path)


def _count(path, said, name, most):
    value = said.get(name)
    if not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{path}: {name} is {value!r}, it must be 1 to {most}")
    return value


def _list(path, said, name, length=None):
    values = np.asarray(said.get(name), dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (length is not None and len(values) != length):
        raise ValueError(f"{path}: {name} must be a list of {length or 'finite'} numbers, one a band")
    return values


def _check_size(path, expected):
    actual = os.path.getsize(path)
    if actual != expected:
        raise ValueError(f"{path}: {actual} bytes, {expected} are expected")
