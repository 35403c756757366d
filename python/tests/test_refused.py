"""What can't be used is refused with a sentence, never with a panic."""

import numpy as np
import pytest

import passband

CUBE = np.ones((4, 5, 3), "u2")
NM = [2200.0, 2250.0, 2300.0]
HUGE = np.broadcast_to(np.uint8(1), (1 << 21, 1, 1))
WIDE = np.broadcast_to(np.uint8(1), (1, 1, 5000))
ENDLESS = np.broadcast_to(np.float64(1), (1 << 20, 1 << 20, 4096))


@pytest.mark.parametrize(
    ("cube", "settings", "message"),
    [
        (np.ones((4, 5)), {}, r"cube: 2 axes of \(4, 5\), must be 3"),
        (np.ones((0, 5, 3)), {}, r"cube: no samples in it, its shape is \(0, 5, 3\)"),
        (CUBE.astype("c8"), {}, "cube: samples of type complex64 are not read"),
        (CUBE.astype(bool), {}, "cube: samples of type bool are not read"),
        (CUBE.astype(object), {}, "cube: samples of type object are not read"),
        (np.ones((1, 1, 3), "longdouble"), {}, "cube: samples of type"),
        (np.ma.masked_equal(CUBE, 1), {}, "cube: a masked array"),
        ([[[1, 2], [3]]], {}, "cube: no array can be made of it"),
        (None, {}, r"cube: 0 axes of \(\)"),
        (HUGE, {"wavelengths": None}, "cube: ENVI header.*lines"),
        (WIDE, {"wavelengths": None}, "cube: ENVI header.*bands"),
        (ENDLESS, {"wavelengths": None}, "cube: ENVI header: .* is more than 17592186044416 bytes"),
        (CUBE, {"interleave": "bxq"}, "interleave: 'bxq' is none of"),
        (CUBE, {"interleave": ["bil"]}, r"interleave: \['bil'\] is none of"),
        (CUBE, {"interleave": "bsq"}, "wavelengths: 3 values for 4 bands"),
        (CUBE, {"wavelengths": NM[:2]}, "wavelengths: 2 values for 3 bands"),
        (CUBE, {"wavelengths": [2200.0, np.nan, 2300.0]}, r"wavelengths: nan \(band 1\) is not finite"),
        (CUBE, {"wavelengths": [2200.0, 2250.0, np.inf]}, r"wavelengths: inf \(band 2\) is not finite"),
        (CUBE, {"wavelengths": [2.2, 2.25, 2.3]}, r"wavelengths: 2.2 \(band 0\) must be from 100 to 100000 nm"),
        (CUBE, {"wavelengths": ["a", "b", "c"]}, "wavelengths: <U1 is no type of real numbers"),
        (CUBE, {"wavelengths": [NM]}, "wavelengths: 2 axes, must be 1"),
        (CUBE, {"wavelengths": object()}, "wavelengths: object is no type of real numbers"),
        (CUBE, {"fwhm": [10, 10, -1]}, r"fwhm: -1.0 \(band 2\) must be from 0"),
        (CUBE, {"gains": [1.0]}, "gains: 1 values for 3 bands"),
        (CUBE, {"offsets": [0, np.nan, 0]}, r"offsets: nan \(band 1\) is not finite"),
        (CUBE, {"bad_bands": [True]}, "bad_bands: 1 values for 3 bands"),
        (CUBE, {"bad_bands": [7]}, "bad_bands: band 7 of 3 does not exist"),
        (CUBE, {"bad_bands": [-1]}, "bad_bands: band -1 of 3 does not exist"),
        (CUBE, {"bad_bands": [0.5]}, "bad_bands: must be a bool for each band"),
        (CUBE, {"ignore_value": "none"}, "ignore_value: 'none' is no number"),
        (CUBE, {"reflectance_scale": 0}, "reflectance_scale: 0 is not above 0"),
        (CUBE, {"default_bands": [0, 1]}, r"default_bands: \[0, 1\], must be 3 bands"),
        (CUBE, {"default_bands": [0, 1, 3]}, "default_bands: 3 is not from 0 to 2"),
        (CUBE, {"default_bands": 1}, "default_bands: 1, must be 3 bands"),
        (CUBE, {"units": 5}, "units: 5 is no str"),
        (CUBE, {"name": b"x"}, "name: b'x' is no str"),
        (CUBE, {"sun_elevation": 91}, "sun_elevation: 91 is not from -90 to 90"),
        (CUBE, {"pixel_size": 0}, "pixel_size: 0 is not from 0.01 to 100000"),
        (CUBE, {"pixel_size": "8 m"}, "pixel_size: '8 m' is no number"),
        (CUBE, {"wind": np.nan}, "wind: nan is not finite"),
        (CUBE, {"threads": 0}, "threads: 0 is not from 1 to 64"),
        (CUBE, {"threads": 1.5}, "threads: 1.5 is no whole number"),
        (CUBE, {"target": "# name: x\n1,2,3,4\n"}, "target, line 2: two or three values"),
        (CUBE, {"target": 5}, "target: 5 is neither text nor a path"),
        (CUBE, {"params": 5}, "params: 5 is no dict"),
        (CUBE, {"params": {"sed_score": 4}}, "params: unknown field `sed_score`"),
        (CUBE, {"params": {"seed_score": "four"}}, r'params\["seed_score"\]: must be a finite number'),
        (CUBE, {"params": {"seed_score": np.inf}}, r'params\["seed_score"\]: must be a finite number'),
        (CUBE, {"params": {"seed_score": True}}, r'params\["seed_score"\]: must be a finite number'),
        (CUBE, {"params": {"min_bands": 2.5}}, "params: invalid type: floating point"),
        (CUBE, {"params": {"min_bands": -1}}, "params: invalid value"),
        (CUBE, {"params": {"alert_probability": 2}}, "params: alert_probability = 2: must be 0 to 1"),
        (CUBE, {"params": {"score_widths": [1, 2]}}, "params: invalid length 2"),
        (CUBE, {"params": {"score_widths": [1, 2, 3, "x"]}}, r'params\["score_widths"\]\[3\]: must be a finite number'),
        (CUBE, {"params": {"threads": 65}}, "params: threads = 65: must be 1 to 64"),
        (CUBE, {"calibration": 5}, r"calibration: must be \(gains, offsets\), or the path"),
        (CUBE, {"calibration": (np.ones((2, 5)), None)}, "calibration: 5 samples, 2 bands and 1 lines; the frame needs 5, 3"),
        (CUBE, {"calibration": (np.ones(5), None)}, r"calibration: gains of \(5,\), must be bands × samples"),
        (CUBE, {"calibration": (np.ones((3, 5)), np.ones((3, 4)))}, r"calibration: gains of \(3, 5\), offsets of \(3, 4\)"),
        (CUBE, {"calibration": (np.ones((3, 5)), np.full((3, 5), 1e300))}, "calibration: the value of band 0, sample 0"),
        (CUBE, {"calibration": (np.ones((3, 5), "c8"), None)}, "calibration: gains: complex64 is no type of real"),
        (CUBE, {"params": {3: 4}}, "params: a name that is no str"),
        (CUBE, {"params": {"max_pixels": 3}}, "a frame of 20 pixels, at most 3"),
        (CUBE, {"params": {"logistic": {"bias": {"a": {"b": {"c": 1}}}}}}, "tables too deep"),
    ],
)
def test_bad_input_is_refused_and_named(cube, settings, message):
    with pytest.raises(passband.Error, match=message) as refused:
        passband.triage(cube, **{"wavelengths": NM, **settings})
    assert isinstance(refused.value, ValueError)


def test_a_self_containing_table_is_refused():
    params = {}
    params["logistic"] = params
    with pytest.raises((passband.Error, RecursionError)):
        passband.triage(CUBE, NM, params=params)


@pytest.mark.parametrize(
    ("cube", "flag"),
    [
        (np.full((30, 40, 12), np.nan), "too-few-pixels"),
        (np.full((30, 40, 12), 1e308), "too-few-pixels"),
        (np.full((30, 40, 12), 7, "u2"), None),
        (np.zeros((1, 1, 12), "f4"), "too-few-pixels"),
        (np.full((30, 40, 12), np.iinfo("i8").min), None),
    ],
)
def test_made_up_data_gives_a_verdict_with_flags(cube, flag):
    result = passband.triage(cube, np.linspace(2150, 2450, 12))
    assert result.report["detections"] == []
    assert flag is None or flag in result.report["quality"]["flags"], result.report
    assert result.quicklook().startswith(b"\x89PNG")


def test_without_wavelengths_nothing_is_looked_for():
    result = passband.triage(CUBE)
    assert "no-wavelengths" in result.report["quality"]["flags"]
    assert result.report["detections"] == [] and np.isnan(result.enhancement).all()


def test_falling_wavelengths_are_noted():
    result = passband.triage(np.ones((20, 30, 12), "u2"), np.linspace(2450, 2150, 12))
    assert "do not rise" in result.report["header_notes"][0]


def test_what_is_not_there_is_an_os_error(tmp_path):
    for call in (passband.read_envi, passband.triage_envi):
        with pytest.raises(FileNotFoundError, match="none.hdr"):
            call(tmp_path / "none.hdr")
    with pytest.raises(FileNotFoundError, match="none.csv"):
        passband.triage(CUBE, NM, target=tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="none.hdr"):
        passband.triage(CUBE, NM, calibration=tmp_path / "none.hdr")
