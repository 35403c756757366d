"""Has a Yamcs command a model of the board through `passband-ground bridge yamcs`: its answers have to come back as parameters.

    bridge_with_yamcs.py DICTIONARIES PASSBAND-GROUND BOARD
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from with_yamcs import Yamcs, bound, of


def main():
    dictionaries, ground, board = map(Path, sys.argv[1:])
    running = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        keys = ["--out", folder / "operator", "--board", folder / "board"]
        subprocess.run([ground, "keys", "role", "--spi", "2", "--role", "operator", *keys], check=True, capture_output=True)
        (folder / "yamcs").mkdir()
        yamcs = Yamcs(folder / "yamcs", dictionaries / "passband.xtce.xml")
        running.append(yamcs.process)
        try:
            yamcs.wait()
            commands = yamcs.orders.getsockname()[1]
            yamcs.orders.close()
            with bound() as uplink, bound() as telemetry:
                uplink, telemetry = (f"127.0.0.1:{s.getsockname()[1]}" for s in (uplink, telemetry))
            running.append(subprocess.Popen([board, folder / "board", uplink, telemetry], stdout=subprocess.DEVNULL))
            options = ["--keys", folder / "operator", "--state", folder / "outbox", "--to", uplink, "--telemetry", telemetry]
            options += ["--tm", f"127.0.0.1:{yamcs.telemetry[1]}", "--tc", f"127.0.0.1:{commands}", "--rate", "256k"]
            log = (folder / "bridge").open("w+")
            running.append(subprocess.Popen([ground, "bridge", "yamcs", *options], stdout=log, stderr=subprocess.STDOUT))
            time.sleep(1)
            command(yamcs, folder)
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(30)
    print("bridge to yamcs: commands sent, answers came back")


def command(yamcs, folder):
    yamcs.order("PING", {"order_number": 0})
    answered(yamcs, folder, 0x0001, "done")
    # A hazardous one in one step is not sent; in two it is.
    yamcs.order("BOARD_REBOOT", {"order_number": 0})
    yamcs.order("BOARD_REBOOT", {"order_number": 0, "order_flags": "arm"})
    answered(yamcs, folder, 0x0805, "armed")
    yamcs.order("BOARD_REBOOT", {"order_number": 0, "order_flags": "fire"})
    answered(yamcs, folder, 0x0805, "done")
    said = (folder / "bridge").read_text()
    if said.count("queued") != 3 or "order_flags arm, then with fire" not in said:
        raise SystemExit(f"bridge to yamcs: the bridge said\n{said}")


def answered(yamcs, folder, opcode, stage):
    """Waits until Yamcs shows this answer."""
    shown = {}
    for _ in range(200):
        shown = yamcs.values(["answer_opcode", "answer_stage"])
        if len(shown) == 2:
            found = int(of(shown["answer_opcode"]["rawValue"])), of(shown["answer_stage"]["engValue"])
            if found == (opcode, stage):
                return
        time.sleep(0.1)
    raise SystemExit(f"bridge to yamcs: no {stage} of {opcode:#06x}: {shown}\n{(folder / 'bridge').read_text()}")


main()
