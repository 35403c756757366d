"""Decodes random packets, each in a UDP datagram on a port of its own, with `tshark` and the dissector.

What `tshark` shows is compared, and the bytes that it shows it for. It shows floats with as many digits as it likes, and a
control character in a text as `\\x` and its number, or as it is, which XML turns into a blank.
"""

import re
import struct
import subprocess
import xml.etree.ElementTree as ElementTree

from common import Check


def main():
    check = Check("tshark")
    script = f"lua_script:{check.folder / 'passband.lua'}"
    command = ["tshark", "-X", script, "-r", str(check.folder / "packets.pcap"), "-T", "pdml"]
    # Some of the ports are other protocols' by rights.
    command += ["-o", "udp.try_heuristic_first:TRUE"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tshark:
        frames = (e for _, e in ElementTree.iterparse(tshark.stdout) if e.tag == "packet")
        for expected, frame in zip(check.expected, frames, strict=True):
            check.packets += 1
            found = {field.get("name"): field for field in frame.find("proto[@name='passband']")}
            compare(check, found, expected)
            frame.clear()
        errors = tshark.stderr.read().decode()
    assert tshark.returncode == 0 and "Lua" not in errors, errors
    check.end()


def compare(check, found, expected):
    apid, count, coarse, fine, tag, _ = expected
    definition = check.defs[apid]
    shown = {name: field.get("show") for name, field in found.items()}
    check.same("apid", int(shown["passband.tlm.apid"], 0), apid)
    check.same("count", shown["passband.tlm.count"], str(count))
    check.same("coarse", shown["passband.tlm.coarse"], str(coarse))
    check.same("fine", shown["passband.tlm.fine"], str(fine))
    check.same("tag", int(shown["passband.tlm.tag"], 0), int(tag))
    check.same("crc", shown["passband.tlm.crc.ok"] in ("1", "True"), True)
    for field, value in check.fields_of(expected):
        name = f"passband.tlm.{definition['name']}.{field['name']}"
        kind, show, raw = field["kind"]["type"], shown[name], found[name].get("value") or ""
        if kind == "name":
            known = check.names[field["kind"]["names"]].get(int(value), "Unknown")
            check.same(name, show, value)
            check.same(name, found[name].get("showname"), f"{field['name'].replace('_', ' ')}: {known} ({value})")
        elif kind == "f32":
            check.same(name, raw, value)
            check.same(name, digits(show), digits(show, struct.unpack(">f", bytes.fromhex(value))[0]))
        elif kind == "fixed_text":
            raw = bytes.fromhex(raw).rstrip(b"\0").decode()
            check.same(name, raw, value)
            check.same(name, show, as_shown(value))
        elif kind == "fixed":
            check.same(name, show.replace(":", ""), value)
        else:
            check.same(name, show, value)


def digits(show, number=None):
    """What is shown, or a number with as many digits, in one manner."""
    if number is None:
        number = float(show)
        places = 17
    else:
        places = len(re.sub(r"^-?0\.0*|[-.]|e.*", "", show)) or 1
    if number != number:
        return "nan"
    exact = float(f"{number:.{places - 1}e}") if abs(number) != float("inf") else number
    return repr(exact)


def as_shown(text):
    """A text as `tshark` shows it, behind a reader of XML."""
    text = re.sub(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", lambda c: f"\\x{ord(c[0]):x}", text)
    return re.sub(r"\r\n|[\t\n\r]", " ", text)


main()
