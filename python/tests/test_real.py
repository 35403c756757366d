"""Real cubes, where they are: in ../shared/data from the project's root."""

import numpy as np
import pytest

import passband
from conftest import ROOT
from test_triage import described

DATA = ROOT.parent / "shared" / "data"
FRAMES = [
    "jasper_ridge/jasper_ridge.hdr",
    "instrument/emit20220305t002444_subset_raw.hdr",
    "instrument/emit20220305t002601_subset_raw.hdr",
]


@pytest.mark.parametrize("frame", FRAMES)
def test_real_frames_give_the_bytes_of_the_satellite(run, tmp_path, frame):
    path = DATA / frame
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    run("passband", "triage", path, "--out", tmp_path)
    cube = passband.read_envi(path)
    for result in (cube.triage(), passband.triage(cube.array, **described(cube))):
        assert result.enhancement.tobytes() == (tmp_path / "enhancement.f32").read_bytes()
        assert result.quicklook() == (tmp_path / "quicklook.png").read_bytes()
    assert cube.triage().json == (tmp_path / "result.json").read_bytes()
    assert np.isfinite(result.enhancement).any() == (result.report["noise_ppm_m"] is not None)
