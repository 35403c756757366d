#!/usr/bin/env python3
"""Runs the peers of Passband's detector on cubes and says what they found, how long it took and what it held.

    peers.py --out DIR [--peers NAME,...] [--windows NAME=FROM-TO[+FROM-TO] ...] [--repeat N] [--cpu N] [--json] CUBE.json...

Each peer in each setting is a process of its own, held to one CPU and one thread; time is CPU seconds of that process
(time.process_time), the best of --repeat turns, reading and arranging of the cube left out. Memory is the process's
high-water mark (VmHWM): the interpreter and the peer's libraries (given too), the cube, and the peer's work.

A line of JSON (--json) or of text for each peer, setting and cube:

    {"schema": 1, "peer": .., "version": .., "setting": .., "cube": .., "bands": .., "cpu_s": .., "peak_mib": ..,
     "import_mib": .., "cube_mib": .., "map": FILE or null, "failed_columns": .., "not_finite": .., "note": ..}

A peer that cannot be run has null for its figures and says why in "note". Exit status: 0 all ran, 1 some did not, 2 bad
usage or input. See exchange.py for the files, filters.py for the peers.
"""

import argparse
import json
import os
import subprocess
import sys

# Before NumPy or torch are imported, here or in the children: one thread.
ONE_THREAD = {
    name: "1"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "BLIS_NUM_THREADS")
}
NAMES = ("mag1c-f64", "mag1c-f32", "mag1c-sas", "linknet", "spectral", "emit-ghg", "emit-ghg-loo", "plain-f32", "cem-f32")
# The onboard package's own choice of bands, out of all that the cube has.
OWN_BANDS = "readme"
TAKES_OWN_BANDS = ("mag1c-sas", "linknet")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("cubes", nargs="+", metavar="CUBE.json")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the maps go")
    parser.add_argument("--peers", default=",".join(NAMES), metavar="NAME,...", help=f"of: {', '.join(NAMES)}")
    parser.add_argument(
        "--windows",
        nargs="+",
        default=["window=2122-2488"],
        metavar="NAME=FROM-TO[+FROM-TO]",
        help=f"settings: bands in ranges of nm; '{OWN_BANDS}': the onboard package's own choice",
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="the best of N turns")
    parser.add_argument("--cpu", type=int, metavar="N", help="the CPU to run on; the last one allowed if not given")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    peers = args.peers.split(",")
    unknown = [name for name in peers if name not in NAMES]
    if unknown:
        parser.error(f"there is no peer {unknown[0]!r}; there are: {', '.join(NAMES)}")
    if args.repeat < 1:
        parser.error("--repeat must be at least 1")
    try:
        settings = dict(setting(text) for text in args.windows)
    except ValueError as error:
        parser.error(str(error))
    for path in args.cubes:
        if not os.path.isfile(path):
            parser.error(f"{path}: there is no such cube")
    os.makedirs(args.out, exist_ok=True)
    if args.child:
        return child(args, peers[0], args.child, settings[args.child])
    return parent(args, peers, settings)


def setting(text):
    """`NAME=FROM-TO+FROM-TO` as (NAME, ranges); `readme` has no ranges."""
    if text == OWN_BANDS:
        return OWN_BANDS, None
    name, found, ranges = text.partition("=")
    try:
        pairs = [tuple(float(edge) for edge in part.split("-")) for part in ranges.split("+")]
    except ValueError:
        pairs = []
    if not found or not name.isalnum() or not pairs or any(len(p) != 2 or not p[0] < p[1] for p in pairs):
        raise ValueError(f"'{text}' is not a window: write window=2122-2488 or both=1590-1990+2122-2488")
    return name, pairs


def parent(args, peers, settings):
    """Starts a process for each peer and setting, and passes on what it says. Imports no NumPy: a child starts small."""
    whole = True
    for peer in peers:
        for name in settings:
            if name == OWN_BANDS and peer not in TAKES_OWN_BANDS:
                continue
            command = [sys.executable, os.path.abspath(__file__), "--child", name, "--peers", peer, "--json"]
            command += ["--out", args.out, "--repeat", str(args.repeat)]
            command += ["--windows", *args.windows, "--", *args.cubes]
            if args.cpu is not None:
                command[5:5] = ["--cpu", str(args.cpu)]
            ran = subprocess.run(command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True, check=False)
            told = 0
            for line in ran.stdout.splitlines():
                if not line.startswith("{"):
                    continue  # libraries print what they like
                told += 1
                row = json.loads(line)
                whole &= row["cpu_s"] is not None
                show(row, args.json)
            for path in args.cubes[told:]:
                whole = False
                show(row_of(peer, name, path, note=f"its process ended with status {ran.returncode}"), args.json)
    return 0 if whole else 1


def child(args, peer, name, ranges):
    """One peer in one setting on all cubes."""
    held = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {held[-1] if args.cpu is None else args.cpu})
    # Only here: see `parent`.
    from importlib import metadata

    import exchange
    import filters
    import numpy as np

    for path in args.cubes:
        try:
            cube = exchange.Cube(path)
            row = measure(filters, exchange, np, cube, peer, name, ranges, args)
            row["version"] = package(metadata, filters.PEERS[peer]())
        except Exception as error:  # noqa: BLE001: whatever a peer does, the others are run
            row = row_of(peer, name, path, note=f"{type(error).__name__}: {error}")
        print(json.dumps(row), flush=True)
    return 0


def measure(filters, exchange, np, cube, peer, name, ranges, args):
    import time

    runner = filters.PEERS[peer]()
    runner.libraries()
    import_mib = high_water_mib()
    bands = runner.own_bands(cube) if ranges is None else cube.within(ranges)
    if len(bands) < 2:
        raise ValueError("the cube has too few bands for this setting")
    valid = cube.valid()
    runner.prepare(cube, bands, valid)
    best = float("inf")
    with np.errstate(all="ignore"):
        for _ in range(args.repeat):
            result = None
            start = time.process_time()
            result = runner.run()
            best = min(best, time.process_time() - start)
    result = np.asarray(result, dtype=np.float32)
    if result.shape != (cube.lines, cube.samples):
        raise ValueError(f"a map of {result.shape}, {(cube.lines, cube.samples)} was expected")
    stem = os.path.splitext(os.path.basename(cube.path))[0]
    path = os.path.join(args.out, f"{stem}.{peer}.{name}.f32")
    peak_mib = high_water_mib()
    exchange.write_map(path, result)
    inside = result if valid is None else result[valid]
    return row_of(
        peer,
        name,
        cube.path,
        bands=runner.bands_used,
        cpu_s=best,
        peak_mib=peak_mib,
        import_mib=import_mib,
        cube_mib=runner.x.nbytes / 2**20,
        map=path,
        failed_columns=runner.failed,
        not_finite=int(np.count_nonzero(~np.isfinite(inside))),
        note=runner.notes or None,
    )


def row_of(peer, name, path, **figures):
    empty = dict.fromkeys(("bands", "cpu_s", "peak_mib", "import_mib", "cube_mib", "map", "failed_columns", "not_finite"))
    return {"schema": 1, "peer": peer, "version": None, "setting": name, "cube": path, **empty, "note": None, **figures}


def package(metadata, peer):
    return f"{peer.package} {metadata.version(peer.package)}" if peer.package else None


def high_water_mib():
    """The most memory this process has had resident: unlike ru_maxrss it knows nothing of who started it."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no VmHWM")


def show(row, as_json):
    if as_json:
        print(json.dumps(row), flush=True)
        return
    head = f"{row['peer']:<13} {row['setting']:<7} {os.path.basename(row['cube'])}"
    if row["cpu_s"] is None:
        print(f"{head}  not run: {row['note']}", flush=True)
        return
    figures = f"{row['bands']:>4} bands {row['cpu_s']:>8.3f} s {row['peak_mib']:>7.0f} MiB"
    rest = f"(libraries {row['import_mib']:.0f}, cube {row['cube_mib']:.0f})"
    print(f"{head} {figures} {rest} {row['note'] or ''}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
