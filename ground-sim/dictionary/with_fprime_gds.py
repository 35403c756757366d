"""Decodes random packets, in F Prime's framing, with `fprime-gds`'s decoders and the JSON dictionary; events also as events."""

import re
import struct

from common import Check, bits, plain
from fprime_gds.common.decoders.event_decoder import EventDecoder
from fprime_gds.common.decoders.pkt_decoder import PktDecoder
from fprime_gds.common.loaders.ch_json_loader import ChJsonLoader
from fprime_gds.common.loaders.cmd_json_loader import CmdJsonLoader
from fprime_gds.common.loaders.event_json_loader import EventJsonLoader
from fprime_gds.common.loaders.pkt_json_loader import PktJsonLoader
from fprime_gds.common.loaders.prm_json_loader import PrmJsonLoader
from fprime_gds.common.loaders.type_json_loader import TypeJsonLoader
from fprime_gds.common.utils.config_manager import ConfigManager

SEVERITIES = {"info": "ACTIVITY_HI", "warning": "WARNING_LO", "error": "WARNING_HI", "critical": "FATAL"}


def main():
    check = Check("fprime-gds")
    path = str(check.folder / "passband-fprime.json")
    for name, kind in TypeJsonLoader(path).get_name_dict(None).items():
        ConfigManager().set_type(name, kind)
    channels, packets = ChJsonLoader(path), PktJsonLoader(path)
    names = channels.get_name_dict(None)
    telemetry = PktDecoder(packets.get_id_dict(None, "Packets", names), channels.get_id_dict(None))
    events = EventDecoder(EventJsonLoader(path).get_id_dict(None))
    loaded = len(CmdJsonLoader(path).get_id_dict(None)), len(PrmJsonLoader(path).get_id_dict(None))
    frames = stream((check.folder / "fprime.bin").read_bytes())
    told = 0
    for expected in check.expected:
        check.packets += 1
        compare(check, telemetry.decode_api(frame(frames, 4)), expected)
        if check.defs[expected[0]]["name"] == "event":
            told += 1
            event(check, events.decode_api(frame(frames, 2)), expected)
    assert next(frames, None) is None, "frames are left"
    check.end(f"{told} events; {loaded[0]} orders and {loaded[1]} parameters read")


def stream(data):
    """The frames of a file."""
    at = 0
    while at < len(data):
        length = struct.unpack_from(">I", data, at)[0]
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def frame(frames, descriptor):
    """What stands behind the descriptor, as the ground system's distributor hands it on."""
    data = next(frames)
    assert struct.unpack_from(">H", data)[0] == descriptor
    return data[2:]


def compare(check, channels, expected):
    found = iter(channels)
    for field, value in check.fields_of(expected):
        kind, name, channel = field["kind"]["type"], field["name"], next(found)
        if name == check.defs[expected[0]]["fields"][0]["name"]:
            check.same("seconds", channel.time.seconds, expected[2])
            check.same("microseconds", channel.time.useconds, expected[3] * 1_000_000 // 65536)
        full = "".join(part.capitalize() for part in name.split("_"))
        check.same(name, channel.template.get_name(), full)
        if kind == "name":
            code = next(found)
            wanted = check.names[field["kind"]["names"]].get(int(value), "UNNAMED")
            check.same(name, channel.val_obj.val, re.sub("[^A-Z0-9]", "_", wanted.upper()))
            check.same(name, str(code.val_obj.val), value)
        elif kind == "fixed":
            check.same(name, bytes(channel.val_obj.val).hex(), value)
        elif kind == "f32":
            check.same(name, bits(channel.val_obj.val), value)
        else:
            check.same(name, plain(kind, channel.val_obj.val), value)
    check.same("channels left", next(found, None), None)


def event(check, decoded, expected):
    check.same("events", len(decoded), 1)
    values = {field["name"]: (field, value) for field, value in check.fields_of(expected)}
    severity = check.names["severity"].get(int(values["severity"][1]))
    code = check.names["event"].get(int(values["code"][1]))
    event, template = decoded[0], decoded[0].template
    args = [arg.val for arg in event.args]
    check.same("number", str(args[0]), values["number"][1])
    check.same("text", args[1], escaped(values["text"][1]))
    unix = int(values["unix"][1])
    check.same("event's seconds", event.time.seconds, min(unix // 1000, 2**32 - 1))
    check.same("event's microseconds", event.time.useconds, unix % 1000 * 1000)
    if severity and code:
        check.same("severity", template.get_severity().name, SEVERITIES[severity])
        name = "".join(part.capitalize() for part in code.split("-"))
        check.same("event", template.get_name() in (name, name + severity.capitalize()), True)
        check.same("said", template.get_format_str().format(*args), args[1])
    else:
        check.same("event", template.get_name(), "Unnamed")
        check.same("code", str(args[2]), values["code"][1])
        check.same("severity", str(args[3]), values["severity"][1])


def escaped(text):
    """A text as an event has it: other characters than those of ASCII by their numbers."""
    each = ("\\\\" if c == "\\" else c if ord(c) < 128 else f"\\u{{{ord(c):x}}}" for c in text)
    return "".join(each)


main()
