"""The module gives the very bytes that the satellite's binary gives."""

import json
import threading
import time

import numpy as np
import pytest

import passband

AXES = {"bip": (0, 1, 2), "bil": (0, 2, 1), "bsq": (2, 0, 1)}
MAPS = ("enhancement", "sigma", "score", "mask", "labels")


def described(cube):
    """What the header says, as the settings of `triage`."""
    header = cube.header
    return {
        "wavelengths": cube.wavelengths,
        "fwhm": cube.fwhm,
        "gains": header["gains"],
        "offsets": header["offsets"],
        "bad_bands": header["bad_bands"],
        "ignore_value": header["data_ignore_value"],
        "reflectance_scale": header["reflectance_scale"],
        "units": header["data_units"],
        "default_bands": header["default_bands"],
        "sun_elevation": header["sun_elevation_deg"],
        "pixel_size": header["pixel_size_m"],
        "wind": header["wind_m_s"],
        "name": cube.name,
    }


def same(a, b):
    """All that two results hold, to the byte."""
    return (
        a.json == b.json
        and a.record == b.record
        and all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in MAPS)
        and a.quicklook() == b.quicklook()
        and getattr(a.chip, "data", None) == getattr(b.chip, "data", None)
    )


def assert_as_on_board(result, looked):
    assert result.json == (looked / "result.json").read_bytes()
    assert result.record == (looked / "record.bin").read_bytes()
    assert result.enhancement.astype("<f4").tobytes() == (looked / "enhancement.f32").read_bytes()
    assert result.quicklook() == (looked / "quicklook.png").read_bytes()
    assert result.chip.data == (looked / "leak.chip.img").read_bytes()
    assert result.chip.header == (looked / "leak.chip.hdr").read_text()


def test_a_file_gives_the_bytes_of_the_satellite(scene, looked):
    result = passband.triage_envi(scene)
    assert_as_on_board(result, looked)
    assert_as_on_board(passband.read_envi(scene).triage(), looked)
    assert result.report["class"] == "alert", "a frame without a plume would show little"


def test_an_array_gives_the_bytes_of_the_satellite(scene, looked):
    cube = passband.read_envi(scene)
    assert_as_on_board(passband.triage(cube.array, **described(cube)), looked)


@pytest.fixture(scope="module")
def frame(scene):
    """The scene as an array, its description, and the result for it."""
    cube = passband.read_envi(scene)
    array, settings = np.array(cube.array, order="C"), described(cube)
    return array, settings, passband.triage(array, **settings)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("interleave", AXES)
def test_every_interleave_and_byte_order_gives_the_same(frame, interleave, order):
    array, settings, expected = frame
    turned = np.ascontiguousarray(array.transpose(AXES[interleave])).astype(order + "u2")
    assert same(passband.triage(turned, interleave=interleave, **settings), expected)
    view = turned.transpose(np.argsort(AXES[interleave]))
    assert same(passband.triage(view, **settings), expected), "a turned view of it"


def test_any_strides_give_the_same(frame):
    array, settings, expected = frame
    lines, samples, bands = array.shape
    wide = np.zeros((lines, 2 * samples, bands + 3), array.dtype)
    wide[:, ::2, 3:] = array
    assert same(passband.triage(wide[:, ::2, 3:], **settings), expected), "with gaps"
    assert same(passband.triage(np.array(array[::-1])[::-1], **settings), expected), "backwards"
    assert same(passband.triage(np.asfortranarray(array), **settings), expected), "columns first"
    read_only = array.copy()
    read_only.flags.writeable = False
    assert same(passband.triage(read_only, **settings), expected)
    shifted = np.frombuffer(b"x" + array.tobytes(), dtype="<u2", offset=1).reshape(array.shape)
    assert same(passband.triage(shifted, **settings), expected), "not aligned"


def test_a_memory_map_is_read_in_place(frame, scene):
    array, settings, expected = frame
    lines, samples, bands = array.shape
    shape = (lines, bands, samples)
    mapped = np.memmap(scene.with_suffix(".bil"), dtype="<u2", mode="r", shape=shape)
    assert same(passband.triage(mapped, interleave="bil", **settings), expected)


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])
def test_every_type_gives_what_the_satellite_reads_from_a_file(run, frame, tmp_path, kind):
    array, settings, _ = frame
    # Floats are taken for radiance, and what is brighter than the sun for cloud.
    array = (array.astype("f8") * ((0.5 if kind[0] == "f" else 120) / array.max())).astype(kind)
    # What ENVI lacks is written as the next wider type.
    stored = array.astype({"i1": "i2", "f2": "f4"}.get(kind, kind))
    code = {"u1": 1, "i2": 2, "i4": 3, "f4": 4, "f8": 5, "u2": 12, "u4": 13, "i8": 14, "u8": 15}[stored.dtype.str[1:]]
    lines, samples, bands = array.shape
    wavelengths = ", ".join(map(repr, settings["wavelengths"].tolist()))
    (tmp_path / "t.hdr").write_text(
        f"ENVI\nsamples = {samples}\nlines = {lines}\nbands = {bands}\ndata type = {code}\ninterleave = bip\n"
        f"byte order = 0\nwavelength units = Nanometers\nwavelength = {{{wavelengths}}}\n"
    )
    (tmp_path / "t.bip").write_bytes(stored.tobytes())
    run("passband", "triage", tmp_path / "t.hdr", "--out", tmp_path)
    result = passband.triage(array, settings["wavelengths"], name="t")
    assert result.json == (tmp_path / "result.json").read_bytes()
    assert result.enhancement.tobytes() == (tmp_path / "enhancement.f32").read_bytes()
    assert np.isfinite(result.enhancement).any(), "gas was looked for"


def test_parameters_and_targets_mean_what_they_mean_on_board(run, scene, tmp_path):
    gas = tmp_path / "gas.csv"
    gas.write_text("# name: X2\n# window_nm: 2150 2450\n2100,1e-6\n2300,4.3e-5\n2390,2.1e-5\n2500,1e-6\n")
    (tmp_path / "c.toml").write_text(
        f"[paths]\nstate = '{tmp_path}'\nkeys = 'k'\n[triage]\ntarget = '{gas}'\n"
        "[triage.params]\nmin_bands = 9\nclip_sigma = 3\nrate_uncertainty = 0.30000000000000004\n"
        "score_widths = [1, 2.5, 4.0, 9]\n"
        "[triage.params.logistic]\nbias = -7.1\n"
    )
    run("passband", "triage", scene, "--out", tmp_path, "--config", tmp_path / "c.toml")
    params = {"min_bands": np.int32(9), "clip_sigma": 3, "rate_uncertainty": 0.1 + 0.2, "logistic": {"bias": -7.1}}
    params["score_widths"] = np.array([1, 2.5, 4, 9])
    expected = (tmp_path / "result.json").read_bytes()
    for target in (gas, str(gas), gas.read_text()):
        result = passband.triage_envi(scene, target=target, params=params)
        assert result.json == expected
        assert result.enhancement.tobytes() == (tmp_path / "enhancement.f32").read_bytes()
    assert result.report["target"] == "X2"
    assert result.json != passband.triage_envi(scene, target=gas).json, "the parameters do count"


def test_what_the_caller_knows_goes_before_the_header(frame, scene):
    array, settings, _ = frame
    known = {"pixel_size": 30.0, "wind": 3.5, "sun_elevation": 71.0}
    assert same(passband.triage_envi(scene, **known), passband.triage(array, **{**settings, **known}))


def test_bad_bands_are_flags_or_numbers(frame):
    array, settings, expected = frame
    bands = array.shape[2]
    bad = [bands - 20, bands - 21]
    marked = np.zeros(bands, bool)
    marked[bad] = True
    by_number, by_flag = (passband.triage(array, **{**settings, "bad_bands": b}) for b in (bad, marked))
    assert same(by_number, by_flag)
    assert by_flag.report["bands_used"] == expected.report["bands_used"] - 2
    assert same(passband.triage(array, **{**settings, "bad_bands": []}), expected)


def test_the_result_has_the_frames_shape(frame):
    array, _, result = frame
    for name, kind in zip(MAPS, ("f4", "f4", "f4", "u1", "u2")):
        map = getattr(result, name)
        assert map.shape == array.shape[:2] and map.dtype == np.dtype(kind), name
    best = result.report["detections"][0]
    inside = result.labels == best["label"]
    assert inside.sum() == best["pixels"]
    assert np.isclose(result.enhancement[inside].mean(), best["mean_ppm_m"], rtol=0.02)
    chip, box = result.chip, best["bbox"]
    assert chip.array.shape[2] == 4
    line, sample = np.argwhere(inside)[0]
    shown = chip.array[line - chip.line, sample - chip.sample, 0]
    assert shown == round(float(result.enhancement[line, sample]))
    assert chip.line <= box["line0"] and chip.sample <= box["sample0"]
    assert (
        repr(result)
        == f"<passband.Result alert, probability {best['probability']:.2f}, {len(result.report['detections'])} plumes>"
    )


def test_any_number_of_threads_gives_the_same(frame):
    array, settings, expected = frame
    for threads in (1, 2, 3, 8, 64):
        assert same(passband.triage(array, threads=threads, **settings), expected)
    assert same(passband.triage(array, params={"threads": 5}, **settings), expected)


def test_any_number_of_threads_gives_the_bytes_of_the_satellite(run, scene, looked, tmp_path):
    run("passband", "triage", scene, "--out", tmp_path, "--threads", 3)
    for path in looked.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
    assert_as_on_board(passband.triage_envi(scene, threads=2), looked)


def test_a_record_says_what_the_report_says(run, scene, looked):
    result = passband.triage_envi(scene)
    assert len(result.record) <= 512
    record = passband.decode_record(result.record)
    assert record == json.loads(run("passband", "record", looked / "record.bin", "--json"))
    assert record["class"] == result.report["class"]
    assert record["plumes"] == len(result.report["detections"])
    assert record["top"][0]["probability_permille"] == round(1000 * result.report["detections"][0]["probability"])
    for bad in (b"", result.record[:-1], result.record + b"\0", b"\x09" + result.record[1:], bytes(600)):
        with pytest.raises(passband.Error, match="record: "):
            passband.decode_record(bad)
    with pytest.raises(passband.Error, match="record: str is no bytes"):
        passband.decode_record("x")


def test_a_calibration_gives_the_bytes_of_the_satellite(run, frame, scene, tmp_path):
    array, settings, plain = frame
    _, samples, bands = array.shape
    noise = np.random.default_rng(5)
    gains = noise.uniform(0.8, 1.2, (bands, samples))
    offsets = noise.uniform(-2, 2, (bands, samples)).astype("f4")
    for name, lines in (("gains", [gains]), ("both", [gains, offsets])):
        (tmp_path / f"{name}.hdr").write_text(
            f"ENVI\nsamples = {samples}\nlines = {len(lines)}\nbands = {bands}\ndata type = 4\ninterleave = bil\n"
        )
        (tmp_path / f"{name}.img").write_bytes(np.array(lines, "<f4").tobytes())
        out = tmp_path / name
        run("passband", "triage", scene, "--out", out, "--calibration", tmp_path / f"{name}.hdr")
        calibration = gains, offsets if len(lines) == 2 else None
        result = passband.triage(array, calibration=calibration, **settings)
        assert result.json == (out / "result.json").read_bytes()
        assert result.enhancement.tobytes() == (out / "enhancement.f32").read_bytes()
        assert same(passband.triage_envi(scene, calibration=tmp_path / f"{name}.hdr"), result)
    assert result.json != plain.json, "the calibration does count"
    unity = np.ones((bands, samples)), None
    assert same(passband.triage(array, calibration=unity, **settings), plain)


def test_others_run_while_it_computes(frame):
    array, settings, _ = frame
    big = np.tile(array, (8, 1, 1))
    span, results = [], []

    def look():
        span.append(time.perf_counter())
        results.append(passband.triage(big, **settings))
        span.append(time.perf_counter())

    workers = [threading.Thread(target=look) for _ in range(2)]
    ticks = []
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        ticks.append(time.perf_counter())
    first, last = min(span), max(span)
    middle = [t for t in ticks if first + 0.25 * (last - first) < t < first + 0.75 * (last - first)]
    assert len(middle) > 100, "the interpreter stood still"
    assert same(*results)
