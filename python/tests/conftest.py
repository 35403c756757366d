"""The real binaries, and frames and bundles made by them."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def binaries():
    """The folder of `passband` and `passband-ground`, as `cargo build --release` leaves it."""
    folder = Path(os.environ.get("PASSBAND_BIN_DIR") or ROOT / "target" / "release")
    for name in ("passband", "passband-ground"):
        assert (folder / name).is_file(), f"{folder} lacks {name}: build it, or set PASSBAND_BIN_DIR"
    return folder


@pytest.fixture(scope="session")
def run(binaries):
    """Runs a binary to its end; gives what it printed."""

    def run(name, *arguments, status=0):
        command = [binaries / name, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def scene(run, tmp_path_factory):
    """The header of a frame with a plume that is surely found."""
    folder = tmp_path_factory.mktemp("scene")
    size = ("--samples", 96, "--lines", 80)
    run("passband-ground", "scene", "--out", folder, "--name", "leak", "--plume", 8000, "--seed", 7, *size)
    return folder / "leak.hdr"


@pytest.fixture(scope="session")
def looked(run, scene, tmp_path_factory):
    """The folder of what `passband triage` makes of the scene."""
    folder = tmp_path_factory.mktemp("looked")
    run("passband", "triage", scene, "--out", folder)
    return folder


@pytest.fixture(scope="session")
def satellite(binaries, run, scene, tmp_path_factory):
    """What a satellite's daemon sealed of the scene: its key file, and its bundles by product."""
    folder = tmp_path_factory.mktemp("satellite")
    keys, state, config = folder / "keys.txt", folder / "state", folder / "passband.toml"
    run("passband-ground", "keys", "new", "--out", keys)
    (state / "spool").mkdir(parents=True)
    for ending in (".bil", ".hdr"):
        (state / "spool" / f"leak{ending}").write_bytes(scene.with_suffix(ending).read_bytes())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config.write_text(f"""
[paths]
state = "{state}"
keys = "{keys}"
[downlink]
transmit = "manual"
segment_symbols = 16
[bus]
listen = "127.0.0.1:{port}"
""")
    with open(folder / "log", "wb") as log:
        daemon = subprocess.Popen([binaries / "passband", "run", "--config", config], stdout=log, stderr=log)
    try:
        bundles = wait_for_all(run, state, keys, folder, daemon)
    finally:
        daemon.terminate()
        daemon.wait(30)
    return keys, bundles


def wait_for_all(run, state, keys, folder, daemon):
    """What the configuration makes of an alert by default, once the spool is empty: all is whole then."""
    until = time.monotonic() + 60
    while any((state / "spool").iterdir()):
        assert daemon.poll() is None and time.monotonic() < until, (folder / "log").read_text()
        time.sleep(0.05)
    bundles = {}
    for path in sorted((state / "bundles").glob("*.pbb")):
        opened = json.loads(run("passband-ground", "open", "--json", "--keys", keys, "--out", folder / "out", path))
        bundle = opened["bundles"][0]
        bundles[bundle["product"]] = path, Path(bundle["output"])
    assert sorted(bundles) == ["cube", "evidence", "quicklook", "region"]
    return bundles
