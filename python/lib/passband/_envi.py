"""ENVI cubes, read by the satellite's rules."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import numpy.typing as npt

from . import _native
from ._arrays import ORDERS, dtype_of
from ._native import Error
from ._triage import Path, Result, triage_envi


class Cube:
    """A cube on disk. The header is read at once, the samples when `array` is first asked for."""

    def __init__(self, path: Path, data: Optional[Path] = None) -> None:
        self.path: str = os.fspath(path)
        """The header's path."""
        self.header: Dict[str, Any]
        """The header's fields as they were understood; `notes` says what was odd and how it was taken."""
        self.name: str
        """The frame's name."""
        self.data_path: str
        """The data file's path."""
        self.header, self.name, data_path = _native.read_header(path, data)
        self.data_path = os.fspath(data_path)
        self._array: Optional[npt.NDArray[Any]] = None

    @property
    def shape(self) -> Tuple[int, int, int]:
        """lines, samples, bands."""
        return self.header["lines"], self.header["samples"], self.header["bands"]

    @property
    def wavelengths(self) -> Optional[npt.NDArray[np.float64]]:
        """Centre of each band, nm, whatever the header's unit; None: not known."""
        return _optional_array(self.header["wavelengths_nm"])

    @property
    def fwhm(self) -> Optional[npt.NDArray[np.float64]]:
        """Full width at half maximum of each band, nm; None: not known."""
        return _optional_array(self.header["fwhm_nm"])

    @property
    def array(self) -> npt.NDArray[Any]:
        """The samples as stored, before gain and offset: lines × samples × bands, of the file's type and byte order.

        Not to be written to: `triage` looks at the file.
        """
        if self._array is None:
            lines, samples, bands = self.shape
            count, offset = lines * samples * bands, self.header["header_offset"]
            flat = np.fromfile(self.data_path, dtype=dtype_of(self.header), count=count, offset=offset)
            if flat.size != count:
                raise Error(f"{self.data_path}: {flat.size} samples, its header says {count}")
            flat.flags.writeable = False
            stored = {"bip": (lines, samples, bands), "bil": (lines, bands, samples), "bsq": (bands, lines, samples)}
            interleave = self.header["interleave"]
            self._array = flat.reshape(stored[interleave]).transpose(ORDERS[interleave])
        return self._array

    def triage(self, **settings: Any) -> Result:
        """Looks for plumes in the file: `triage_envi`, with its settings."""
        return triage_envi(self.path, data=self.data_path, **settings)

    def __repr__(self) -> str:
        lines, samples, bands = self.shape
        kind, interleave = dtype_of(self.header).name, self.header["interleave"]
        return f"<passband.Cube {self.name}: {lines} lines × {samples} samples × {bands} bands, {kind} {interleave}>"


def read_envi(path: Path, *, data: Optional[Path] = None) -> Cube:
    """Opens an ENVI cube: its header NAME.hdr, and the data file beside it unless `data` names it."""
    return Cube(path, data)


def _optional_array(values: Optional[List[float]]) -> Optional[npt.NDArray[np.float64]]:
    return None if values is None else np.array(values, dtype=np.float64)
