"""From arrays to what an ENVI file would hold: flat bytes, and what describes them."""

from __future__ import annotations

import math
import operator
import os
import sys
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
import numpy.typing as npt

from ._native import Error, check_size

# ENVI's number of each sample type.
DATA_TYPES = {"u1": 1, "i2": 2, "i4": 3, "f4": 4, "f8": 5, "u2": 12, "u4": 13, "i8": 14, "u8": 15}
# Types that ENVI lacks, and the smallest that holds all their values.
WIDER = {"i1": "i2", "f2": "f4"}

# For each interleave, where lines, samples and bands stand in an array of that order, and the way back.
ORDERS = {"bip": (0, 1, 2), "bil": (0, 2, 1), "bsq": (1, 2, 0)}
BACK = {"bip": (0, 1, 2), "bil": (0, 2, 1), "bsq": (2, 0, 1)}


def describe(cube: Any, interleave: Any) -> Tuple[npt.NDArray[np.uint8], Dict[str, Any]]:
    """The bytes of a cube, and their description. They are copied only if no interleave describes them as they are."""
    if not isinstance(interleave, str) or interleave not in ORDERS:
        raise Error(f"interleave: {interleave!r} is none of 'bip', 'bil', 'bsq'")
    if isinstance(cube, np.ma.MaskedArray):
        raise Error("cube: a masked array; fill it with a value, and give that as ignore_value")
    array = as_array("cube", cube)
    if array.ndim != 3:
        raise Error(f"cube: {array.ndim} axes of {array.shape}, must be 3: lines, samples and bands")
    if 0 in array.shape:
        raise Error(f"cube: no samples in it, its shape is {array.shape}")
    kind = array.dtype.str[1:]
    if kind in WIDER:
        kind = WIDER[kind]
        array = array.astype(kind)
    if kind not in DATA_TYPES:
        raise Error(f"cube: samples of type {array.dtype} are not read; integers and floats up to 64 bits are")
    array = array.transpose(ORDERS[interleave])
    lines, samples, bands = array.shape
    # Before anything is copied: what repeats itself without end may be huge.
    check_size(lines, samples, bands, DATA_TYPES[kind])
    layout = next((i for i in BACK if array.transpose(BACK[i]).flags.c_contiguous), None)
    if layout is None:
        layout, little = "bil", array.dtype.newbyteorder("<")
        flat = np.ascontiguousarray(array.transpose(BACK[layout]), dtype=little)
    else:
        flat = array.transpose(BACK[layout])
    description = {
        "samples": samples,
        "lines": lines,
        "bands": bands,
        "data_type": DATA_TYPES[kind],
        "interleave": layout,
        "big_endian": is_big_endian(flat.dtype),
    }
    return flat.reshape(-1).view(np.uint8), description


def dtype_of(header: Dict[str, Any]) -> np.dtype[Any]:
    """The type of a header's samples."""
    name = next(name for name, code in DATA_TYPES.items() if code == header["data_type"])
    return np.dtype((">" if header["byte_order"] else "<") + name)


def is_big_endian(dtype: np.dtype[Any]) -> bool:
    order = dtype.byteorder
    return order == ">" or (order == "=" and sys.byteorder == "big")


def as_array(name: str, values: Any) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as e:
        raise Error(f"{name}: no array can be made of it: {e}") from None


def numbers(name: str, values: Any) -> Optional[List[float]]:
    """A number for each band; how many they must be, and their range, is checked with the other fields."""
    if values is None:
        return None
    array = as_array(name, values)
    if array.dtype.kind not in "iuf":
        raise Error(f"{name}: {array.dtype} is no type of real numbers")
    if array.ndim != 1:
        raise Error(f"{name}: {array.ndim} axes, must be 1: a value for each band")
    if not np.isfinite(array).all():
        band = int(np.flatnonzero(~np.isfinite(array))[0])
        raise Error(f"{name}: {array[band]} (band {band}) is not finite")
    return [float(value) for value in array.tolist()]


def detectors(calibration: Any) -> Union[None, str, Dict[str, Any]]:
    """A gain and an offset for each detector, as an ENVI cube of one or two lines; or the path of one."""
    if calibration is None:
        return None
    if isinstance(calibration, (str, os.PathLike)):
        return os.fspath(calibration)
    try:
        gains, offsets = calibration
    except (TypeError, ValueError):
        raise Error("calibration: must be (gains, offsets), or the path of a header") from None
    lines = [plane("gains", gains)] + ([] if offsets is None else [plane("offsets", offsets)])
    if lines[0].shape != lines[-1].shape:
        raise Error(f"calibration: gains of {lines[0].shape}, offsets of {lines[-1].shape}")
    bands, samples = lines[0].shape
    data = b"".join(line.tobytes() for line in lines)
    return {"samples": samples, "bands": bands, "lines": len(lines), "data": data}


def plane(name: str, values: Any) -> npt.NDArray[np.float32]:
    array = as_array(f"calibration: {name}", values)
    if array.dtype.kind not in "iuf":
        raise Error(f"calibration: {name}: {array.dtype} is no type of real numbers")
    if array.ndim != 2 or 0 in array.shape:
        raise Error(f"calibration: {name} of {array.shape}, must be bands × samples")
    # What f32 can't hold becomes infinite, and is refused with its place.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype="<f4")


def flags(name: str, values: Any, bands: int) -> Optional[List[bool]]:
    """A flag for each band, or the numbers of the bands that are flagged: integers, counted from 0."""
    if values is None:
        return None
    array = as_array(name, values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "biu"):
        raise Error(f"{name}: must be a bool for each band, or the numbers of bands, counted from 0")
    if array.dtype.kind == "b":
        return [bool(value) for value in array]
    out = [False] * bands
    for band in array.tolist():
        if not 0 <= band < bands:
            raise Error(f"{name}: band {int(band)} of {bands} does not exist")
        out[int(band)] = True
    return out


def number(name: str, value: Any, *, finite: bool = True) -> Optional[float]:
    """A number, or None."""
    if value is None:
        return None
    try:
        out = float(value)
    except (TypeError, ValueError, OverflowError):
        raise Error(f"{name}: {value!r} is no number") from None
    if finite and not math.isfinite(out):
        raise Error(f"{name}: {out} is not finite")
    return out


def whole(name: str, value: Any, least: int, most: int) -> int:
    """A whole number in a range."""
    try:
        out = operator.index(value)
    except TypeError:
        raise Error(f"{name}: {value!r} is no whole number") from None
    if not least <= out <= most:
        raise Error(f"{name}: {out} is not from {least} to {most}")
    return out


def three_bands(name: str, values: Any, bands: int) -> Optional[List[int]]:
    """Red, green and blue, counted from 0."""
    if values is None:
        return None
    array = as_array(name, values)
    if array.shape != (3,):
        raise Error(f"{name}: {values!r}, must be 3 bands: red, green and blue")
    return [whole(name, value, 0, bands - 1) for value in array.tolist()]
