"""Decodes random packets with the COSMOS files and `openc3`'s own parser of packets, without a server; makes an order too.

COSMOS shows names in capitals, and the number of a code that has none.
"""

from common import Check, bits, plain
from openc3.packets.packet_config import PacketConfig


def main():
    check = Check("openc3")
    config = PacketConfig()
    folder = check.folder / "cosmos/targets/PASSBAND/cmd_tlm"
    for name in ("tlm.txt", "cmd.txt"):
        config.process_file(str(folder / name), "PASSBAND")
    assert not config.warnings, config.warnings
    packets = config.telemetry["PASSBAND"]
    for data, expected in check.stream():
        check.packets += 1
        packet = next(p for p in packets.values() if p.identify(data))
        check.same("identified", packet.packet_name, check.defs[expected[0]]["name"].upper())
        packet.buffer = data
        compare(check, packet, expected)
    orders = config.commands["PASSBAND"]
    make(check, orders)
    check.end(f"{len(orders)} orders read")


def compare(check, packet, expected):
    _, count, coarse, fine, tag, _ = expected
    check.same("count", packet.read("CCSDS_SEQUENCE_COUNT"), count)
    check.same("time", packet.read("PACKET_TIME").timestamp(), round(coarse + fine / 65536, 6))
    check.same("tag", str(packet.read("TAG")), tag)
    for field, value in check.fields_of(expected):
        name, kind = field["name"].upper(), field["kind"]["type"]
        raw, found = packet.read(name, "RAW"), packet.read(name)
        if kind == "name":
            check.same(name + ", raw", str(raw), value)
            check.same(name, str(found), check.name_or_code(field, value).upper())
        elif kind == "f32":
            check.same(name, bits(found), value)
        else:
            check.same(name, plain(kind, found), value)


def make(check, orders):
    """An order of COSMOS has the bytes of ours."""
    order = orders["PASS_START"]
    order.restore_defaults()
    for name, value in (("ORDER_NUMBER", 7), ("ORDER_FLAGS", "ARM"), ("SECONDS", 300)):
        order.write(name, value)
    check.same("PASS_START", order.buffer.hex(), "10ffc0000000" + "01" + "00000007" + "0101" + "0000012c" + "00" * 8)
    order = orders["PLAN_START"]
    order.restore_defaults()
    order.write("NAME", "dusk")
    check.same("PLAN_START", order.buffer.hex(), "10ffc0000000" + "00" + "00000000" + "0601" + "04" + b"dusk".hex())


main()
