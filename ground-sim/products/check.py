"""Makes products with the real binaries and opens all of them with other people's tools.

  check.py BIN_DIR          BIN_DIR holds passband and passband-ground

Frames go through the daemon, the link and the station, and others are laid down in strips as the station writes
them. Every ENVI cube in the catalogue must open in Spectral Python and in GDAL (rasterio; QGIS reads by it), with the
shape, the wavelengths and the values of its source; GeoJSON must keep to RFC 7946, and STAC to its schemas.
"""

import hashlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pystac
import pystac.validation
import rasterio
import spectral

# Most of these frames are somewhere unknown.
warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)

BIN = Path(sys.argv[1])
ENVI_TYPES = {"u1": 1, "i2": 2, "f4": 4, "u2": 12}
TRANSPOSED = {"bil": (0, 2, 1), "bip": (0, 1, 2), "bsq": (2, 0, 1)}  # from line, sample, band
checked = 0


def ground(*args, status=0):
    done = subprocess.run([BIN / "passband-ground", *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Source:
    """A frame as the camera wrote it: its files, and its numbers by line, sample and band."""

    def __init__(self, folder, name, seed, kind, interleave, order="<", offset=0, fields=""):
        rng = np.random.default_rng(seed)
        self.name, self.interleave, self.offset = name, interleave, offset
        self.wavelengths = np.linspace(420.0, 2450.0, 24).round(2)
        shape = (37, 29, len(self.wavelengths))
        values = rng.integers(-3000 if kind == "i2" else 0, 4000, shape)
        if kind == "f4":
            values = values / 7.0
        self.values = values.astype(order + kind)
        self.data = rng.bytes(offset) + self.values.transpose(TRANSPOSED[interleave]).tobytes()
        self.header = self.text(shape[0], offset, kind, order, fields)
        self.kind, self.order, self.fields = kind, order, fields
        both = [hashlib.sha256(part).digest() for part in (self.header, self.data)]
        self.id = hashlib.sha256(b"".join(both)).hexdigest()[:24]
        (folder / f"{name}.hdr").write_bytes(self.header)
        (folder / f"{name}.{interleave}").write_bytes(self.data)

    def text(self, lines, offset, kind, order, fields):
        waves = ", ".join(map(str, self.wavelengths))
        return (
            f"ENVI\nsamples = {self.values.shape[1]}\nlines   = {lines}\nbands   = {self.values.shape[2]}\n"
            f"header offset = {offset}\nfile type = ENVI Standard\ndata type = {ENVI_TYPES[kind]}\n"
            f"interleave = {self.interleave}\nbyte order = {int(order == '>')}\n"
            f"wavelength units = Nanometers\nwavelength = {{{waves}}}\n{fields}"
        ).encode()

    def strip(self, out, part, parts, start, end):
        """Lays a strip down as the station does."""
        stem = f"{self.name}.lines-{start:06}-{end:06}"
        cut = self.values[start:end].transpose(TRANSPOSED[self.interleave]).tobytes()
        text = self.text(end - start, 0, self.kind, self.order, self.fields)
        files = {f"{stem}.hdr": text, f"{stem}.{self.interleave}": cut}
        if part == 1:
            files[f"{self.name}.hdr"] = self.header
            if self.offset:
                files[f"{self.name}.lead"] = self.data[: self.offset]
        labels = {"part": f"{part}/{parts}", "lines": f"{start}..{end}", "data-file": f"{self.name}.{self.interleave}"}
        lay_down(out, self, "cube", f"{part:024x}", labels, files)

    def verdict(self, out):
        """Lays the evidence down: two plumes, of which one says where it is."""
        plume = {"probability": 0.98, "peak_ppm_m": 1250.0, "pixels": 9, "centroid": [11.0, 6.0]}
        plume["bbox"] = {"line0": 10, "line1": 13, "sample0": 5, "sample1": 8}
        placed = {**plume, "latitude_deg": 31.4945, "longitude_deg": -102.4965}
        verdict = {"schema": 1, "lines": 37, "samples": 29, "detections": [placed, plume], "quality": {"cloud_fraction": 0.25}}
        files = {f"{self.name}.detections.json": json.dumps(verdict).encode()}
        labels = {"target": "CH4", "probability": "0.980", "detections": "2", "tasking": "permian"}
        lay_down(out, self, "evidence", "e" * 24, labels, files)


def lay_down(out, source, product, number, labels, files):
    folder = out / f"{source.name}-{product}-{number[-8:]}"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    entry = [{"name": n, "bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in files.items()]
    about = {
        "schema": 1, "id": hashlib.sha256(f"{source.name} {product} {number}".encode()).hexdigest()[:24],
        "spacecraft": 1, "epoch": 1, "name": f"{source.name} {product}", "product": product, "class": "alert",
        "created_unix_ms": 1_790_000_000_000, "frame": source.name, "labels": {"frame-id": source.id, **labels},
        "preview": None, "files": entry,
    }
    (folder / "bundle.json").write_text(json.dumps(about))


def fly(folder, sources, scene):
    """Sends frames through the daemon and the station; gives the folder with the products."""
    keys, out, spool = folder / "keys.txt", folder / "flown", folder / "state" / "spool"
    fast, alert = free_port(), free_port()
    ground("keys", "new", "--out", keys)
    spool.mkdir(parents=True)
    (folder / "passband.toml").write_text(
        'spacecraft = 1\n[paths]\nstate = "state"\nkeys = "keys.txt"\n[camera]\npoll_ms = 50\nsettle_ms = 500\n'
        f'[downlink]\ntarget = "127.0.0.1:{fast}"\nrate_bps = 40000000\ntransmit = "always"\n'
        f'[alerts]\ntarget = "127.0.0.1:{alert}"\n'
        # Evidence of every frame, whatever it is worth.
        + "".join(
            f'[products.{c}]\nquicklook = "{c}"\nevidence = "{c}"\nregion = "{c}"\ncube = "{c}"\n'
            for c in ["routine", "discard-candidate"]
        )
    )
    frames = [(s.name, f"{s.name}.{s.interleave}") for s in sources] + [(scene, f"{scene}.bil")]
    receive = subprocess.Popen(
        [BIN / "passband-ground", "receive", "--keys", keys, "--listen", f"127.0.0.1:{fast}", "--out", out]
        + ["--alerts", f"127.0.0.1:{alert}", "--for", "40"], stdout=subprocess.PIPE, text=True,
    )
    assert "listening" in receive.stdout.readline()
    for name, data in frames:
        for file in (data, f"{name}.hdr"):
            (folder / file).rename(spool / file)
    daemon = subprocess.Popen(
        [BIN / "passband", "run", "--config", folder / "passband.toml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: len(whole_frames(out)) == len(frames), "the frames to come down")
    finally:
        receive.send_signal(signal.SIGINT)
        receive.communicate(timeout=30)
        daemon.kill()
        daemon.wait()
    return out


def whole_frames(out):
    frames = [json.loads(path.read_text()) for path in sorted(out.glob("frames/*/frame.json"))]
    return [f for f in frames if f["cube"] and f["cube"]["whole"] and any("detections" in n for n in f["files"])]


def wait_until(holds, what):
    since = time.monotonic()
    while not holds():
        assert time.monotonic() - since < 35, f"waited in vain for {what}"
        time.sleep(0.1)


def check_cube(header, data, values, wavelengths):
    """A cube must be the same in Spectral Python, in GDAL and at its source."""
    global checked
    by_spectral = spectral.envi.open(str(header), str(data))
    seen = by_spectral.open_memmap(interleave="bip")
    assert seen.shape == values.shape, f"{header}: {seen.shape} in Spectral Python, {values.shape} at the source"
    assert np.array_equal(seen, values), f"{header}: other values in Spectral Python"
    with rasterio.open(data) as by_gdal:
        assert by_gdal.driver == "ENVI", f"{data}: GDAL takes it for {by_gdal.driver}"
        bands = by_gdal.read()
        assert np.array_equal(bands.transpose(1, 2, 0), values), f"{data}: other values in GDAL"
        if wavelengths is not None:
            tags = [float(by_gdal.tags(b)["wavelength"]) for b in range(1, by_gdal.count + 1)]
            assert np.allclose(tags, wavelengths, atol=1e-3), f"{data}: other wavelengths in GDAL"
    if wavelengths is not None:
        assert np.allclose(by_spectral.bands.centers, wavelengths, atol=1e-3), f"{header}: other wavelengths"
    checked += 1


def check_chips(frame_folder):
    for header in frame_folder.glob("*.chip.hdr"):
        meta = spectral.envi.read_envi_header(str(header))
        shape = (int(meta["lines"]), int(meta["bands"]), int(meta["samples"]))
        assert meta["interleave"] == "bil" and meta["data type"] == "2", meta
        values = np.fromfile(header.with_suffix(".img"), "<i2").reshape(shape).transpose(0, 2, 1)
        check_cube(header, header.with_suffix(".img"), values, None)


def check_geojson(document):
    """What RFC 7946 asks of these documents."""
    assert document["type"] == "FeatureCollection"
    for feature in document["features"]:
        assert feature["type"] == "Feature" and isinstance(feature["properties"], dict) and feature["id"]
        geometry = feature["geometry"]
        if geometry is None:
            continue
        rings = geometry["coordinates"] if geometry["type"] == "Polygon" else [[geometry["coordinates"]]]
        for ring in rings:
            assert all(-180 <= x <= 180 and -90 <= y <= 90 for x, y in ring), ring
            if geometry["type"] == "Polygon":
                assert len(ring) >= 4 and ring[0] == ring[-1], ring
                area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:]))
                assert area > 0, "an outer ring is counter-clockwise"
    return document["features"]


def check_stac(out):
    """The core by STAC's own schemas, which pystac carries; extensions by the rules of their fields."""
    catalog = pystac.Catalog.from_file(str(out / "frames" / "catalog.json"))
    collections = list(catalog.get_children())
    items = list(catalog.get_items(recursive=True))
    assert len(items) == len(list(out.glob("frames/*/item.json")))
    documents = [catalog.to_dict(), *(c.to_dict() for c in collections)]
    for path in out.glob("frames/*/item.json"):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            check_asset(path.parent, asset)
        rows, columns = item["properties"]["proj:shape"]
        assert rows > 0 and columns > 0 and 0 <= item["properties"].get("eo:cloud_cover", 0) <= 100
        assert (item["geometry"] is None) == ("bbox" not in item)
        check_extensions(item)
        # The schemas of extensions are on the web only.
        documents.append({**item, "stac_extensions": []})
    for document in documents:
        pystac.validation.validate_dict(document)
    return items


def check_extensions(item):
    """The schemas of extensions ask for one of their fields; and fields are of extensions that are listed."""
    listed = {uri.split("/")[3] for uri in item["stac_extensions"]}
    prefixes = {"eo": "eo", "projection": "proj", "view": "view", "file": "file"}
    used = {name.split(":")[0] for name in field_names(item)} & set(prefixes.values())
    assert {prefixes[name] for name in listed} == used, f"{item['id']}: lists {listed}, uses {used}"


def field_names(value):
    if isinstance(value, dict):
        for name, field in value.items():
            yield name
            yield from field_names(field)
    elif isinstance(value, list):
        for field in value:
            yield from field_names(field)


def check_asset(folder, asset):
    path = pystac.utils.make_absolute_href(asset["href"], str(folder / "item.json"))
    content = Path(path.replace("%20", " ")).read_bytes()
    if "file:size" in asset:
        assert asset["file:size"] == len(content)
        assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
    for band in asset.get("bands", []):
        assert 0.3 < band["eo:center_wavelength"] < 16, "micrometres"
        nodata = band.get("nodata", 0)
        assert nodata in ("nan", "inf", "-inf") or isinstance(nodata, (int, float)), nodata


def frame_folder(out, source):
    (folder,) = out.glob(f"frames/*-{source.id[:8]}")
    return folder, json.loads((folder / "frame.json").read_text())["cube"]


def in_one_piece(folder):
    sources = [
        Source(folder, "low offset", 1, "u2", "bsq", offset=64),
        Source(folder, "big-endian", 2, "f4", "bip", order=">"),
        Source(folder, "signed", 3, "i2", "bil"),
    ]
    ground("scene", "--out", folder, "--name", "leak", "--plume", 8000, "--seed", 113)
    meta = spectral.envi.read_envi_header(str(folder / "leak.hdr"))
    lines, samples, bands = (int(meta[k]) for k in ("lines", "samples", "bands"))
    leak = np.fromfile(folder / "leak.bil", "<u2").reshape(lines, bands, samples).transpose(0, 2, 1)
    waves = np.array(meta["wavelength"], float)
    out = fly(folder, sources, "leak")
    for source in sources:
        place, cube = frame_folder(out, source)
        check_cube(place / cube["header"], place / cube["data"], source.values, source.wavelengths)
    (place,) = out.glob("frames/leak-*")
    check_cube(place / "leak.hdr", place / "leak.bil", leak, waves)
    check_chips(place)
    assert any(place.glob("*.quicklook.png"))
    assert check_geojson(json.loads((place / "detections.geojson").read_text())), "a plume"
    assert len(check_stac(out)) == 4
    listed = json.loads(ground("products", "ls", out, "--class", "alert", "--gas", "ch4", "--json"))
    assert listed["schema"] == 1 and {row["frame"] for row in listed["products"]} == {"leak"}
    assert {"alert", "cube"} <= {row["product"] for row in listed["products"]}
    ground("products", "ls", out, "--frame", "nothing*", status=1)
    ground("products", "ls", out, "--near", "here", status=2)


def in_strips(folder):
    place = "map info = {Geographic Lat/Lon, 1, 1, -102.5, 31.5, 0.0005, 0.0005, WGS-84, units=Degrees}\n"
    out = folder / "strips"
    made = []
    for seed, interleave in enumerate(TRANSPOSED):
        fields = place if interleave == "bil" else "data ignore value = -9999\n"
        source = Source(folder, f"strips-{interleave}", seed, "i2", interleave, offset=17 * seed, fields=fields)
        source.strip(out, 3, 3, 30, 37)
        source.strip(out, 1, 3, 0, 12)
        source.verdict(out)
        made.append(source)
    ground("products", "index", out)
    for source in made:
        place, cube = frame_folder(out, source)
        assert not cube["whole"] and cube["missing_lines"] == [[12, 30]], cube
        expected = source.values.copy()
        expected[12:30] = -9999 if "ignore" in source.fields else 0
        check_cube(place / cube["header"], place / cube["data"], expected, source.wavelengths)
    for source in made:
        source.strip(out, 2, 3, 12, 30)
    ground("products", "index", out)
    for source in made:
        place, cube = frame_folder(out, source)
        assert cube["whole"], cube
        check_cube(place / cube["header"], place / cube["data"], source.values, source.wavelengths)
        assert (place / cube["data"]).read_bytes() == source.data
    features = check_geojson(json.loads(ground("products", "geojson", out)))
    shapes = [f["properties"]["shape"] for f in features if f["properties"]["frame"] == "strips-bil"]
    assert sorted(shapes) == ["box", "box", "centre", "centre"], shapes
    items = check_stac(out)
    (placed,) = [i for i in items if i.geometry]
    assert np.allclose(placed.bbox, [-102.5, 31.5 - 0.0005 * 37, -102.5 + 0.0005 * 29, 31.5]), placed.bbox
    near = json.loads(ground("products", "ls", out, "--near", "31.49,-102.5,5", "--product", "evidence", "--json"))
    assert len(near["products"]) == 3
    ground("products", "ls", out, "--near", "31.49,-101,5", status=1)
    assert "strips-bil" in ground("products", "show", "strips-bil", "--out", out)


def main():
    with tempfile.TemporaryDirectory() as name:
        for work in (in_one_piece, in_strips):
            folder = Path(name) / work.__name__
            folder.mkdir()
            work(folder)
    print(f"{checked} ENVI cubes are the same in Spectral Python, in GDAL and at their source; GeoJSON and STAC hold")


main()
