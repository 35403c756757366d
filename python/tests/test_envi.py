"""ENVI files, beside Spectral Python."""

import numpy as np
import pytest
import spectral.io.envi

import passband

KINDS = ["u1", "i2", "i4", "f4", "f8", "u2", "u4", "i8", "u8"]


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("interleave", ["bil", "bip", "bsq"])
def test_cubes_of_spectral_python_are_read_as_it_reads_them(tmp_path, interleave, kind, order):
    dtype = np.dtype(kind)
    rng = np.random.default_rng(5)
    cube = (
        rng.normal(0, 1e5, (5, 6, 7)).astype(dtype)
        if dtype.kind == "f"
        else rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (5, 6, 7), dtype, endpoint=True)
    )
    path = tmp_path / "a.hdr"
    wavelengths = [0.4 + 0.3 * band for band in range(7)]
    spectral.io.envi.save_image(
        str(path),
        cube,
        dtype=dtype,
        interleave=interleave,
        byteorder=order,
        ext="img",
        metadata={"wavelength": wavelengths, "wavelength units": "Micrometers", "fwhm": [0.01] * 7},
    )
    read = passband.read_envi(path)
    theirs = spectral.io.envi.open(str(path))
    assert (read.shape, read.name) == ((5, 6, 7), "a")
    assert read.array.dtype.newbyteorder("=") == dtype
    assert np.array_equal(read.array, cube)
    assert np.array_equal(read.array, theirs.open_memmap(interleave="bip"))
    assert (read.header["interleave"], read.header["byte_order"]) == (interleave, order)
    assert np.allclose(read.wavelengths, np.array(theirs.bands.centers) * 1e3, rtol=1e-12)
    assert np.allclose(read.fwhm, np.array(theirs.bands.bandwidths) * 1e3, rtol=1e-12)
    assert repr(read) == f"<passband.Cube a: 5 lines × 6 samples × 7 bands, {dtype.name} {interleave}>"


def test_the_header_is_the_satellites_reading_of_it(scene):
    cube = passband.read_envi(scene)
    header = cube.header
    assert (header["lines"], header["samples"], header["sun_elevation_deg"]) == (80, 96, 39.0)
    assert header["data_units"] == "uW/cm^2/nm/sr" and header["notes"] == []
    assert cube.data_path == str(scene.with_suffix(".bil")) and cube.path == str(scene)


def test_offsets_names_and_notes(tmp_path):
    (tmp_path / "x.img.hdr").write_text(
        "ENVI\nsamples = 2\nlines = 1\nbands = 3\ndata type = 2\n"
        "interleave = BIL\nheader offset = 5\nwavelength = {0.5, 0.6, 0.7}\nfwhm = {1, 2}\n"
    )
    (tmp_path / "x.img").write_bytes(b"12345" + np.arange(6, dtype="<i2").tobytes())
    cube = passband.read_envi(tmp_path / "x.img.hdr")
    assert cube.name == "x"
    assert cube.array.tolist() == [[[0, 2, 4], [1, 3, 5]]]
    assert cube.wavelengths.tolist() == [500, 600, 700] and cube.fwhm is None
    notes = " ".join(cube.header["notes"])
    assert "byte order" in notes and "fwhm" in notes
    (tmp_path / "elsewhere").write_bytes((tmp_path / "x.img").read_bytes())
    assert np.array_equal(passband.read_envi(cube.path, data=tmp_path / "elsewhere").array, cube.array)


def test_the_samples_are_not_written_to(scene):
    array = passband.read_envi(scene).array
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0, 0] = 1


def test_links_are_followed(scene, tmp_path, looked):
    for ending in (".hdr", ".bil"):
        (tmp_path / f"leak{ending}").symlink_to(scene.with_suffix(ending))
    assert passband.triage_envi(tmp_path / "leak.hdr").json == (looked / "result.json").read_bytes()


def test_bad_files_are_refused_and_named(tmp_path):
    header, data = tmp_path / "b.hdr", tmp_path / "b.bil"
    text = "ENVI\nsamples = 2\nlines = 1\nbands = 3\ndata type = 2\ninterleave = bil\nbyte order = 0\n"

    def refused(match):
        for call in (passband.read_envi, passband.triage_envi):
            with pytest.raises(passband.Error, match=match):
                call(header)

    header.write_text(text)
    refused("b.hdr: no data file beside it")
    data.write_bytes(bytes(11))
    refused("b.bil: cube: the header describes 12 bytes of data, there are 11")
    header.write_text(text.replace("lines = 1", "lines = -1"))
    refused("b.hdr: ENVI header, line 3: `lines = -1`")
    header.write_text(text.replace("type = 2", "type = 6"))
    refused("complex samples are not read")
    header.write_bytes(bytes(range(256)))
    refused("b.hdr: ENVI header: ")
    with pytest.raises(OSError, match="b.d"):
        (tmp_path / "b.d").mkdir()
        passband.read_envi(tmp_path / "b.d")


def test_a_file_that_shrank_is_refused(scene, tmp_path):
    for ending in (".hdr", ".bil"):
        (tmp_path / f"s{ending}").write_bytes(scene.with_suffix(ending).read_bytes())
    cube = passband.read_envi(tmp_path / "s.hdr")
    (tmp_path / "s.bil").write_bytes(bytes(100))
    with pytest.raises(passband.Error, match="50 samples, its header says 960000"):
        _ = cube.array
    with pytest.raises(passband.Error, match="there are 100"):
        cube.triage()
