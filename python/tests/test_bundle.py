"""Bundles sealed by the satellite's binary, and the test vectors of the format."""

import hashlib
import json

import pytest

import passband
from conftest import ROOT


def test_what_the_satellite_sealed_opens_as_the_ground_opens_it(satellite, scene, looked):
    keys, bundles = satellite
    for product, (path, output) in bundles.items():
        bundle = passband.open_bundle(path, keys)
        assert bundle.manifest == json.loads((output / "bundle.json").read_bytes())
        assert list(bundle.files) == [file["name"] for file in bundle.manifest["files"]]
        for name, content in bundle.files.items():
            assert content == (output / name).read_bytes(), name
        assert repr(bundle) == f"<passband.Bundle {bundle.manifest['name']} ({product}), {len(bundle.files)} files>"
    cube = passband.open_bundle(str(bundles["cube"][0]), keys.read_bytes())
    assert cube.files["leak.bil"] == scene.with_suffix(".bil").read_bytes()
    evidence = passband.open_bundle(bundles["evidence"][0], str(keys))
    assert evidence.files["leak.detections.json"] == (looked / "result.json").read_bytes()
    assert evidence.files["leak.record"] == (looked / "record.bin").read_bytes()
    quicklook = passband.open_bundle(bundles["quicklook"][0], str(keys))
    assert quicklook.preview == (looked / "quicklook.png").read_bytes()


def test_the_vectors_of_the_format_open(tmp_path):
    lines = (ROOT / "proto" / "vectors" / "v1.txt").read_text().splitlines()
    vectors = dict(line.split(" = ", 1) for line in lines if " = " in line)
    path = tmp_path / "v.pbb"
    path.write_bytes(bytes.fromhex(vectors["bundle/file"]))
    bundle = passband.open_bundle(path, vectors["key-file-line"].encode())
    content = b"".join(bundle.files.values())
    assert hashlib.sha256(content).hexdigest() == vectors["bundle/content-sha256"]


def test_what_does_not_open_says_why(satellite, tmp_path):
    keys, bundles = satellite
    sealed = bundles["cube"][0].read_bytes()
    path = tmp_path / "x.pbb"

    def refused(content, keys, match):
        path.write_bytes(content)
        with pytest.raises(passband.Error, match=match):
            passband.open_bundle(path, keys)

    def flipped(at):
        return sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]

    line = next(line for line in keys.read_text().splitlines() if line.startswith("passband-key"))
    other = line[:-1] + ("0" if line[-1] != "0" else "1")
    refused(sealed, other.encode(), "x.pbb: the seal of block 0 does not hold: sealed under another key")
    refused(sealed, line.replace("epoch=1", "epoch=9").encode(), "x.pbb: no key for spacecraft 1, epoch 1")
    refused(sealed[:-1], keys, f"the file has {len(sealed) - 1} bytes, its header says {len(sealed)}: cut off")
    refused(sealed[:40], keys, "40 bytes are shorter than a bundle's header")
    refused(b"", keys, "0 bytes are shorter")
    refused(flipped(0), keys, "not a sealed bundle")
    refused(flipped(30), keys, "header is damaged")
    refused(flipped(70), keys, "the seal of block 0 does not hold")
    last = json.loads((bundles["cube"][1] / "bundle.json").read_bytes())
    assert sum(file["bytes"] for file in last["files"]) > 1 << 20, "many blocks"
    refused(flipped(len(sealed) - 1), keys, r"the seal of block \d\d+ does not hold: damaged")
    refused(sealed, b"passband-key v1 spacecraft=1", "keys: line 1: ")
    refused(sealed, b"# none", "keys: no key in them")
    refused(sealed, b"\xff\xfe", "keys: not the text of a key file")
    refused(sealed, 5, "keys: neither the path")
    refused(sealed, tmp_path / "none.txt", "key file .*none.txt")


def test_a_key_is_never_shown(satellite, tmp_path):
    keys, bundles = satellite
    secret = next(word for word in keys.read_text().split() if len(word) == 64)
    for text in (f"passband-key v1 spacecraft=1 epoch=1 {secret} x", f"passband-key v1 spacecraft=x {secret}"):
        with pytest.raises(passband.Error) as refused:
            passband.open_bundle(bundles["cube"][0], text.encode())
        assert secret[:8] not in str(refused.value)


def test_what_is_not_there_is_an_os_error(satellite, tmp_path):
    with pytest.raises(FileNotFoundError, match="none.pbb"):
        passband.open_bundle(tmp_path / "none.pbb", satellite[0])
    with pytest.raises(passband.Error, match="not a regular file"):
        passband.open_bundle(tmp_path, satellite[0])
