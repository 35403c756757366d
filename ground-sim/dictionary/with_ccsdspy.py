"""Decodes random packets with `ccsdspy`, its definitions made from the XTCE file.

`ccsdspy` reads no XTCE, knows no times, names or texts of UTF-8: whole numbers, codes and floats are its own, texts and byte
strings are arrays of bytes.
"""

import io

import ccsdspy
import lxml.etree as etree
from ccsdspy.utils import split_by_apid
from common import Check, bits

XTCE = "{http://www.omg.org/spec/XTCE/20180204}"
# ccsdspy adds the primary header by itself.
HEADER = 7


def main():
    check = Check("ccsdspy")
    definitions = from_xtce(etree.parse(check.folder / "passband.xtce.xml"))
    streams = split_by_apid(io.BytesIO((check.folder / "packets.bin").read_bytes()))
    for apid, fields in definitions.items():
        tables = ccsdspy.FixedLength(fields).load(streams[apid], include_primary_header=True)
        wanted = [expected for expected in check.expected if expected[0] == apid]
        check.same(f"packets of {apid}", len(tables["time_coarse"]), len(wanted))
        for at, expected in enumerate(wanted):
            check.packets += 1
            compare(check, {name: column[at] for name, column in tables.items()}, expected)
    check.end("texts and byte strings as arrays of bytes")


def from_xtce(tree):
    """The fields of each packet, by its APID."""
    kinds = {kind.get("name"): kind for kind in tree.find(f"*/{XTCE}ParameterTypeSet")}
    types = {p.get("name"): kinds[p.get("parameterTypeRef")] for p in tree.find(f"*/{XTCE}ParameterSet")}
    containers = {c.get("name"): c for c in tree.find(f"*/{XTCE}ContainerSet")}
    definitions = {}
    for container in containers.values():
        if container.get("abstract") == "true":
            continue
        names, apid, each = [], None, container
        while each is not None:
            names = [entry.get("parameterRef") for entry in each.find(f"{XTCE}EntryList")] + names
            base = each.find(f"{XTCE}BaseContainer")
            for comparison in each.iter(f"{XTCE}Comparison"):
                if comparison.get("parameterRef") == "ccsds_apid":
                    apid = int(comparison.get("value"))
            each = containers[base.get("containerRef")] if base is not None else None
        definitions[apid] = [field for name in names[HEADER:] for field in fields_of(name, types[name])]
    return definitions


def fields_of(name, kind):
    """A parameter as fields of ccsdspy."""
    size = kind.find(f"*/{XTCE}SizeInBits//{XTCE}FixedValue")
    if size is not None:
        shape = (int(size.text) // 8,)
        return [ccsdspy.PacketArray(name=name, data_type="uint", bit_length=8, array_shape=shape)]
    if name == "time":
        return [ccsdspy.PacketField("time_coarse", "uint", 32), ccsdspy.PacketField("time_fine", "uint", 16)]
    encoding = next(e for e in kind.iter() if e.tag.endswith("DataEncoding"))
    is_float = encoding.tag.endswith("FloatDataEncoding")
    signed = encoding.get("encoding") == "twosComplement"
    data_type = "float" if is_float else "int" if signed else "uint"
    return [ccsdspy.PacketField(name, data_type, int(encoding.get("sizeInBits")))]


def compare(check, packet, expected):
    apid, count, coarse, fine, tag, _ = expected
    definition = check.defs[apid]
    check.same("count", int(packet["CCSDS_SEQUENCE_COUNT"]), count)
    check.same("coarse", int(packet["time_coarse"]), coarse)
    check.same("fine", int(packet["time_fine"]), fine)
    check.same("tag", str(int(packet["tag"])), tag)
    for field, value in check.fields_of(expected):
        name = f"{definition['name']}_{field['name']}"
        kind, found = field["kind"]["type"], packet[name]
        if kind == "fixed_text":
            check.same(name, bytes(found).rstrip(b"\0").decode(), value)
        elif kind == "fixed":
            check.same(name, bytes(found).hex(), value)
        elif kind == "f32":
            check.same(name, bits(float(found)), value)
        else:
            check.same(name, str(int(found)), value)


main()
