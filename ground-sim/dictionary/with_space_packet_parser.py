"""Decodes random packets with `space_packet_parser` and the XTCE file, and checks the file against XTCE's schema.

It refuses every packet with a code that has no name. So each packet is read once with the file as it is, where names
count and such a packet must be refused, and these once more with codes for names.
"""

import io

import lxml.etree as etree
from common import Check, bits, plain
from space_packet_parser.xtce.definitions import XtcePacketDefinition
from space_packet_parser.xtce.validation import validate_xtce

XTCE = "{http://www.omg.org/spec/XTCE/20180204}"


def main():
    check = Check("space_packet_parser")
    path = check.folder / "passband.xtce.xml"
    tree = etree.parse(path)
    validate_xtce(path, level="schema")
    named, coded = XtcePacketDefinition.from_xtce(path), without_names(tree)
    refused = 0
    for data, expected in check.stream():
        check.packets += 1
        if check.unnamed(expected):
            refused += 1
            try:
                named.parse_bytes(data)
                check.same("a code without a name", "taken", "refused")
            except ValueError:
                pass
            compare(check, coded.parse_bytes(data), expected, False)
        else:
            compare(check, named.parse_bytes(data), expected, True)
    check.end(f"valid by the schema; {refused} packets with codes that have no name read with codes for names")


def without_names(tree):
    """The definition with whole numbers where there are enumerations."""
    for element in tree.iter(f"{XTCE}EnumeratedParameterType"):
        element.tag = f"{XTCE}IntegerParameterType"
        element.remove(element.find(f"{XTCE}EnumerationList"))
    return XtcePacketDefinition.from_xtce(io.BytesIO(etree.tostring(tree)))


def compare(check, packet, expected, named):
    apid, count, coarse, fine, tag, _ = expected
    definition = check.defs[apid]
    check.same("apid", int(packet["ccsds_apid"]), apid)
    check.same("count", int(packet["ccsds_sequence_count"]), count)
    check.same("time", float(packet["time"]), coarse + fine / 65536)
    check.same("tag", str(int(packet["tag"])), tag)
    for field, value in check.fields_of(expected):
        name = f"{definition['name']}_{field['name']}"
        kind, found = field["kind"]["type"], packet[name]
        if kind == "name" and named:
            check.same(name, str(found), check.name_or_code(field, value))
            check.same(name + ", raw", str(found.raw_value), value)
        elif kind == "f32":
            check.same(name, bits(float(found)), value)
        else:
            check.same(name, plain(kind, found), value)


main()
