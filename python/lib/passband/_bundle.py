"""Sealed bundles, as they came down."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Union

from . import _native
from ._native import Error
from ._triage import Path


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle whose seals held and whose files have the digests that its manifest says."""

    manifest: Dict[str, Any]
    """What it is: the `bundle.json` of `passband-ground open`."""
    files: Dict[str, bytes] = field(repr=False)
    """Its files, in order: name → content."""
    preview: Optional[bytes] = field(repr=False)
    """The quicklook that came with its head; None: there is none."""

    def __repr__(self) -> str:
        return f"<passband.Bundle {self.manifest['name']} ({self.manifest['product']}), {len(self.files)} files>"


def open_bundle(path: Path, keys: Union[Path, bytes]) -> Bundle:
    """Opens a sealed bundle (.pbb).

    keys
        The path of a key file, or its content as bytes.
    """
    if isinstance(keys, (bytes, bytearray)):
        try:
            place, key_text = None, bytes(keys).decode("utf-8")
        except UnicodeDecodeError:
            raise Error("keys: not the text of a key file") from None
    else:
        try:
            place, key_text = os.fspath(keys), None
        except TypeError:
            raise Error("keys: neither the path of a key file nor its content as bytes") from None
    manifest, preview, files = _native.open_bundle(path, place, key_text)
    return Bundle(json.loads(manifest), files, preview)
