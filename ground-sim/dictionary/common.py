"""What the checks of the dictionaries share: the packets, what is in them, and the counting of mismatches."""

import json
import struct
import sys
import time
from pathlib import Path

FRONT, BACK = 13, 12


class Check:
    """The packets of a folder that `random_packets` wrote, and what a program makes of them."""

    def __init__(self, tool):
        self.tool = tool
        self.folder = Path(sys.argv[1])
        self.started = time.monotonic()
        self.packets = self.fields = self.mismatches = 0
        dictionary = json.loads((self.folder / "passband.json").read_text())
        self.names = {
            name: {value["code"]: value["name"] for value in values} for name, values in dictionary["names"].items()
        }
        self.defs = {packet["apid"]: packet for packet in dictionary["packets"]}
        self.expected = json.loads((self.folder / "expected.json").read_text())

    def stream(self):
        """Each packet's bytes beside what is expected of it."""
        data = (self.folder / "packets.bin").read_bytes()
        at = 0
        for expected in self.expected:
            length = struct.unpack_from(">H", data, at + 4)[0] + 7
            yield data[at : at + length], expected
            at += length
        assert at == len(data), "bytes are left"

    def fields_of(self, expected):
        """Each field's definition beside its value, in order."""
        return zip(self.defs[expected[0]]["fields"], expected[5], strict=True)

    def same(self, what, found, wanted):
        """Counts a field; tells of the first mismatches."""
        self.fields += 1
        if found != wanted or type(found) is not type(wanted):
            self.mismatches += 1
            if self.mismatches <= 20:
                print(f"{self.tool}: {what}: {found!r} is not {wanted!r}", file=sys.stderr)

    def unnamed(self, expected):
        """Whether a code of a packet has no name."""
        fields = self.fields_of(expected)
        return any(f["kind"]["type"] == "name" and int(v) not in self.names[f["kind"]["names"]] for f, v in fields)

    def name_or_code(self, field, value):
        """The name of a code, else its digits."""
        return self.names[field["kind"]["names"]].get(int(value), value)

    def end(self, note=""):
        """Prints the counts; the exit status."""
        spent = time.monotonic() - self.started
        note = f" ({note})" if note else ""
        counts = f"{self.packets} packets, {self.fields} fields, {self.mismatches} mismatches"
        print(f"{self.tool}: {counts}, {spent:.1f} s{note}")
        sys.exit(1 if self.mismatches or not self.packets else 0)


def bits(number):
    """A float's bits as `expected.json` has them; a NaN's payload does not count."""
    if number != number:
        return "7fc00000"
    return struct.pack(">f", number).hex()


def plain(kind, value):
    """A value of Python, not a name, as `expected.json` has it."""
    if kind == "f32":
        return bits(float(value))
    if kind == "fixed":
        return bytes(value).hex()
    if kind == "fixed_text":
        return str(value)
    return str(int(value))
