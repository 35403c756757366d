"""What Passband's satellite computes, in Python.

`triage` looks for gas plumes in a cube in memory, `triage_envi` in a file: by the very code that flies, with the very
bytes that go down. `read_envi` reads cubes by the satellite's rules, `open_bundle` opens what came down sealed,
`decode_record` says what the record of a frame says.

What can't be used is refused with `Error`, which is a ValueError, or as the OSError of its kind where a file can't be
read.
"""

from ._bundle import Bundle, open_bundle
from ._envi import Cube, read_envi
from ._native import Error
from ._triage import Chip, Result, decode_record, triage, triage_envi

__all__ = [
    "Bundle",
    "Chip",
    "Cube",
    "Error",
    "Result",
    "decode_record",
    "open_bundle",
    "read_envi",
    "triage",
    "triage_envi",
]
