"""Triage: is there a plume in this frame, and what is the frame worth?"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Sequence, Union

import numpy as np
import numpy.typing as npt

from . import _native
from ._arrays import describe, detectors, flags, number, numbers, three_bands, whole
from ._native import Error

Path = Union[str, "os.PathLike[str]"]

# As the satellite's `threads`.
MAX_THREADS = 64


@dataclass(frozen=True, eq=False)
class Chip:
    """The cut-out around the most probable plume of an alert or a suspect."""

    line: int
    """First line of the frame in it, from 0."""
    sample: int
    """First sample of the frame in it, from 0."""
    header: str = field(repr=False)
    """The text of its ENVI header."""
    data: bytes = field(repr=False)
    """The bytes of its ENVI data file."""
    array: npt.NDArray[np.int16] = field(repr=False)
    """lines × samples × 4: enhancement in ppm·m (-32768: not measured), then red, green and blue from 0 to 255."""


@dataclass(frozen=True, eq=False)
class Result:
    """What the detector says of a frame. Maps are lines × samples."""

    report: Dict[str, Any] = field(repr=False)
    """The verdict: `json`, parsed."""
    json: bytes = field(repr=False)
    """The verdict as it goes down, to the byte: `result.json` of `passband triage`."""
    record: bytes = field(repr=False)
    """The verdict in at most 512 bytes, as it goes down: `record.bin` of `passband triage`. See `decode_record`."""
    enhancement: npt.NDArray[np.float32] = field(repr=False)
    """Added gas column, ppm·m; NaN where it was not measured."""
    sigma: npt.NDArray[np.float32] = field(repr=False)
    """Standard deviation of the enhancement of a pixel without gas, ppm·m; NaN where it was not measured."""
    score: npt.NDArray[np.float32] = field(repr=False)
    """How far the pixel and its surroundings stand out, in standard deviations; NaN where it was not measured."""
    mask: npt.NDArray[np.uint8] = field(repr=False)
    """Bits: 1 cloud, 2 dark, 4 no usable sample, 8 at full scale."""
    labels: npt.NDArray[np.uint16] = field(repr=False)
    """Number of the detection (`label` in the report) that the pixel belongs to; 0: none."""
    chip: Optional[Chip] = field(repr=False)
    """The cut-out around the most probable plume; None if the frame is neither an alert nor a suspect."""
    _quicklook: Optional[bytes] = field(repr=False)
    _quicklook_fault: Optional[str] = field(repr=False)

    def quicklook(self) -> bytes:
        """The picture for people, PNG: `quicklook.png` of `passband triage`, to the byte."""
        if self._quicklook is None:
            raise Error(str(self._quicklook_fault))
        return self._quicklook

    def __repr__(self) -> str:
        report = self.report
        plumes = len(report["detections"])
        return f"<passband.Result {report['class']}, probability {report['probability']:.2f}, {plumes} plumes>"


def triage(
    cube: Any,
    wavelengths: Optional[Any] = None,
    *,
    fwhm: Optional[Any] = None,
    interleave: str = "bip",
    gains: Optional[Any] = None,
    offsets: Optional[Any] = None,
    bad_bands: Optional[Any] = None,
    ignore_value: Optional[float] = None,
    reflectance_scale: Optional[float] = None,
    units: Optional[str] = None,
    default_bands: Optional[Sequence[int]] = None,
    sun_elevation: Optional[float] = None,
    pixel_size: Optional[float] = None,
    wind: Optional[float] = None,
    target: Optional[Path] = None,
    params: Optional[Mapping[str, Any]] = None,
    threads: Optional[int] = None,
    calibration: Optional[Any] = None,
    name: str = "frame",
) -> Result:
    """Looks for plumes in a cube in memory.

    The result has the bytes that the satellite makes of an ENVI file with the same samples and fields. Any
    array without gaps is read in place, in whatever order of axes and bytes; others are copied once. The GIL is
    released meanwhile: don't change the cube.

    cube
        Integers or floats. Axes by `interleave`: "bip" lines × samples × bands, "bil" lines × bands × samples,
        "bsq" bands × lines × samples.
    wavelengths, fwhm
        Centre and full width at half maximum of each band, nm. Without wavelengths gas can't be looked for.
    gains, offsets, reflectance_scale
        Physical value = (sample × gain + offset) ÷ scale; gain and offset for each band.
    bad_bands
        A bool for each band, or the numbers of the bad ones, from 0.
    ignore_value
        The sample that means "no data".
    units
        Units of the physical value, as ENVI's `data units`.
    default_bands
        Red, green and blue for the quicklook, from 0, where the wavelengths say nothing.
    sun_elevation, pixel_size, wind
        Degrees above the horizon; side of a pixel, m; m/s.
    target
        A gas: the text of a target file, or its path; None: methane.
    params
        Thresholds, by the names of the satellite's `[triage.params]`.
    threads
        How many threads compute, 1 to 64; no byte of the result depends on it. None: as `params` says, or 1.
    calibration
        Calibration of each detector, (gains, offsets): arrays of bands × samples, offsets None for 0; applied after
        `gains` and `offsets`. Or the path of the header of an ENVI cube with them, as the satellite's `calibration`.
    name
        The frame's name, for the report and the quicklook.
    """
    data, description = describe(cube, interleave)
    bands = description["bands"]
    description.update(
        wavelengths_nm=numbers("wavelengths", wavelengths),
        fwhm_nm=numbers("fwhm", fwhm),
        bad_bands=flags("bad_bands", bad_bands, bands),
        gains=numbers("gains", gains),
        offsets=numbers("offsets", offsets),
        reflectance_scale=number("reflectance_scale", reflectance_scale),
        data_ignore_value=number("ignore_value", ignore_value, finite=False),
        data_units=text("units", units),
        default_bands=three_bands("default_bands", default_bands, bands),
        site=site(sun_elevation, pixel_size, wind),
    )
    name = text("name", name) or "frame"
    settings = target_text(target), table(params), thread_count(threads), detectors(calibration)
    return result(_native.examine_array(name, description, data, *settings))


def triage_envi(
    path: Path,
    *,
    data: Optional[Path] = None,
    sun_elevation: Optional[float] = None,
    pixel_size: Optional[float] = None,
    wind: Optional[float] = None,
    target: Optional[Path] = None,
    params: Optional[Mapping[str, Any]] = None,
    threads: Optional[int] = None,
    calibration: Optional[Any] = None,
) -> Result:
    """Looks for plumes in an ENVI file, read in pieces as it is needed: what `passband triage` does.

    path
        The header, NAME.hdr.
    data
        The data file, if it doesn't stand beside the header.

    The others are as in `triage`, and go before what the header says.
    """
    known = site(sun_elevation, pixel_size, wind)
    settings = target_text(target), table(params), thread_count(threads), detectors(calibration)
    return result(_native.examine_file(path, data, known, *settings))


def decode_record(record: bytes) -> Dict[str, Any]:
    """What a record says: `Result.record`, or NAME.record of an evidence bundle. Numbers are rounded to whole units."""
    if not isinstance(record, (bytes, bytearray, memoryview)):
        raise Error(f"record: {type(record).__name__} is no bytes")
    return dict(json.loads(_native.decode_record(bytes(record))))


def site(sun_elevation: Any, pixel_size: Any, wind: Any) -> Dict[str, Optional[float]]:
    return {
        "sun_elevation_deg": number("sun_elevation", sun_elevation),
        "pixel_size_m": number("pixel_size", pixel_size),
        "wind_m_s": number("wind", wind),
    }


def thread_count(threads: Optional[int]) -> Optional[int]:
    return None if threads is None else whole("threads", threads, 1, MAX_THREADS)


def text(name: str, value: Any) -> Optional[str]:
    if value is not None and not isinstance(value, str):
        raise Error(f"{name}: {value!r} is no str")
    return value


def table(params: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    if params is None:
        return None
    if not isinstance(params, Mapping):
        raise Error(f"params: {params!r} is no dict")
    return {k: plain(v) for k, v in params.items()}


def plain(value: Any) -> Any:
    """Tables as dicts, lists of numbers as lists."""
    if isinstance(value, Mapping):
        return table(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def target_text(target: Optional[Path]) -> Optional[str]:
    """A target's text: rows of it have line breaks, which no path has."""
    if target is None or (isinstance(target, str) and "\n" in target):
        return target
    try:
        path = os.fspath(target)
    except TypeError:
        raise Error(f"target: {target!r} is neither text nor a path") from None
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read((1 << 20) + 1)


def result(looked: Dict[str, Any]) -> Result:
    shape = looked["lines"], looked["samples"]
    maps = {name: looked[name].reshape(shape) for name in ("enhancement", "sigma", "score", "mask", "labels")}
    return Result(
        report=json.loads(looked["json"]),
        json=looked["json"],
        record=looked["record"],
        chip=chip(looked),
        _quicklook=looked.get("quicklook"),
        _quicklook_fault=looked.get("quicklook_fault"),
        **maps,
    )


def chip(looked: Dict[str, Any]) -> Optional[Chip]:
    if "chip_place" not in looked:
        return None
    line, sample = looked["chip_place"]
    bil = np.frombuffer(looked["chip_data"], dtype="<i2").reshape(looked["chip_size"])
    return Chip(line, sample, looked["chip_header"], looked["chip_data"], bil.transpose(0, 2, 1))
