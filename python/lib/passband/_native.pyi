# The native half, python/src/lib.rs; not for others.
from os import PathLike
from typing import Any, Dict, Optional, Tuple, Union

import numpy as np
import numpy.typing as npt

Path = Union[str, PathLike[str]]

class Error(ValueError): ...

def check_size(lines: int, samples: int, bands: int, data_type: int) -> None: ...
def read_header(path: Path, data: Optional[Path]) -> Tuple[Dict[str, Any], str, str]: ...
def decode_record(bytes: bytes) -> str: ...
def examine_array(
    name: str,
    description: Dict[str, Any],
    data: npt.NDArray[np.uint8],
    target: Optional[str],
    params: Optional[Dict[str, Any]],
    threads: Optional[int],
    calibration: Union[None, str, Dict[str, Any]],
) -> Dict[str, Any]: ...
def examine_file(
    path: Path,
    data: Optional[Path],
    site: Dict[str, Optional[float]],
    target: Optional[str],
    params: Optional[Dict[str, Any]],
    threads: Optional[int],
    calibration: Union[None, str, Dict[str, Any]],
) -> Dict[str, Any]: ...
def open_bundle(
    path: Path, keys: Optional[Path], key_text: Optional[str]
) -> Tuple[str, Optional[bytes], Dict[str, bytes]]: ...
