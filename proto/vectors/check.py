#!/usr/bin/env python3
"""Checks the test vectors by what FORMAT.md says, without any of Passband's code."""

import hashlib
import os
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SPACECRAFT = 258


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def derive(epoch, label, length, salt=None):
    secret = bytes(i ^ epoch for i in range(32))
    info = b"passband/v1/" + label + struct.pack(">HH", SPACECRAFT, epoch)
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)


def cmac(key, data):
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


class Postcard:
    """Reads the records of the manifest and the alert."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        part = self.data[self.at : self.at + count]
        assert len(part) == count, "the record is too short"
        self.at += count
        return part

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def text(self):
        return self.take(self.varint()).decode()

    def f32(self):
        return struct.unpack("<f", self.take(4))[0]

    def option(self, read):
        return read() if self.take(1)[0] else None

    def list(self, read):
        return [read() for _ in range(self.varint())]

    def file(self):
        return self.text(), self.varint(), self.take(32)


def check_bundle(sealed, digest):
    magic, craft, epoch, ident, klass, zero, size, count, head, segment, tail = struct.unpack(
        ">8sHH12sBBHIIII", sealed[:44]
    )
    assert magic == b"PBBUNDL1" and craft == SPACECRAFT and zero == 0 and sealed[44:60] == bytes(16)
    assert crc32c(sealed[:60]) == struct.unpack(">I", sealed[60:64])[0]
    key = derive(epoch, b"bundle", 32, salt=ident)
    offset, blocks = 64, []
    for i in range(count):
        last = i + 1 == count
        length = head if i == 0 else tail if last else segment
        nonce = struct.pack(">IB7x", i, last)
        block = sealed[offset : offset + length]
        blocks.append((AESGCM(key).decrypt(nonce, block, sealed[:24] + struct.pack(">I", count)), block))
        offset += length
    assert offset == len(sealed)
    # A piece by itself, in counter mode.
    plain, block = blocks[1]
    start = struct.pack(">IB7xI", 1, count == 2, 2 + 4)
    stream = Cipher(AES(key), modes.CTR(start)).decryptor()
    assert stream.update(block[64:128]) == plain[64:128]
    length = struct.unpack(">I", blocks[0][0][:4])[0]
    record = Postcard(blocks[0][0][4 : 4 + length])
    preview = blocks[0][0][4 + length :]
    manifest = {
        "format": record.varint(), "name": record.text(), "product": record.text(),
        "class": record.varint(), "created": record.varint(), "frame": record.option(record.text),
        "labels": record.list(lambda: (record.text(), record.text())),
        "preview": record.option(record.file), "files": record.list(record.file),
        "segment": record.varint(),
    }
    assert record.at == length and manifest["format"] == 1 and manifest["name"] == "sample"
    assert manifest["created"] == 1700000000123 and manifest["frame"] == "frame-7"
    assert manifest["labels"] == [("gas", "ch4")] and manifest["class"] == klass == 2
    assert manifest["preview"][1:] == (len(preview), hashlib.sha256(preview).digest())
    content = b"".join(plain for plain, _ in blocks[1:])
    assert hashlib.sha256(content).digest() == digest and manifest["segment"] == segment - 16
    assert content == bytes(i * 7 % 251 for i in range(1000))
    for name, length, digest in manifest["files"]:
        assert hashlib.sha256(content[:length]).digest() == digest, name
        content = content[length:]
    assert not content
    return size, count, (head, segment, tail)


def read_datagram(data):
    """What a reader finds, or the reason for which it refuses."""
    if data[:2] != b"PB":
        return "magic"
    if not 64 <= len(data) - 64 <= 8896:
        return "length"
    if crc32c(data[:-4]) != struct.unpack(">I", data[-4:])[0]:
        return "crc"
    if data[2] != 1:
        return "version"
    if data[3] != 1:
        return "kind"
    craft, epoch, bundle, block, klass = struct.unpack(">HH12sIB", data[4:25])
    esi = int.from_bytes(data[25:28], "big")
    size, count, seq = struct.unpack(">IIQ", data[28:44])
    symbol = data[44:-20]
    if klass > 3 or block >= count or not 17 <= size <= 16 << 20 or -(-size // len(symbol)) > 10000:
        return "range"
    if cmac(derive(epoch, b"datagram-tag", 16), data[:-20]) != data[-20:-4]:
        return "tag"
    return craft, epoch, bundle, block, klass, esi, size, count, seq, symbol


def check_report(frame):
    assert frame[:4] == b"PR\x01\x01" and frame[4:8] == struct.pack(">HH", SPACECRAFT, 1)
    body = AESGCM(derive(1, b"report", 32)).decrypt(frame[8:20], frame[20:], frame[:8])
    station, number, first, span, heard = struct.unpack(">HQQII", body[:26])
    assert (station, number, span, heard) == (4, 1700000000789, 5000, 4001) and first == 5 << 40 | 70
    values = [0, 1]
    while len(values) < 240:
        values.append(values[-1] + -(-31 * values[-1] // 1024))
    assert body[26] == 1 and body[27:39] == bytes([0xB0, *range(1, 12)])
    assert body[39] == 2 and body[40:52] == bytes([0xCC] * 12)
    assert struct.unpack(">I", body[52:56])[0] == 4 and int.from_bytes(body[56:59], "big") == 0x010203
    missing = []
    for code in body[60 : 60 + body[59]]:
        missing += [missing[-1]] * (2 << code - 240) if code >= 240 else [values[code]]
    assert 60 + body[59] == len(body)
    up = [next(v for v in values if v >= n) for n in (0, 0, 7, 33, 34, 10000, 10000, 10000)]
    assert missing == up, missing


def check_acknowledgement(frame, alert):
    assert frame[:4] == b"PR\x01\x02" and frame[4:8] == struct.pack(">HH", SPACECRAFT, 1) and len(frame) <= 256
    body = AESGCM(derive(1, b"report", 32)).decrypt(frame[8:20], frame[20:], frame[:8])
    assert struct.unpack(">HQ", body[:10]) == (4, 1700000000790)
    alerts = list(struct.iter_unpack(">I4s", body[10:]))
    assert alerts == [(9, alert[8:12]), (0x01020304, bytes([5, 6, 7, 8]))], alerts


def check_alert(frame):
    assert frame[:4] == b"PA\x01\x01"
    record = Postcard(AESGCM(derive(1, b"alert", 32)).decrypt(frame[8:20], frame[20:], frame[:8]))
    assert (record.varint(), record.varint()) == (9, 1700000000456)
    assert (record.text(), record.text()) == ("frame-7", "ch4")
    assert (record.varint(), record.f32(), record.f32(), record.varint()) == (987, 2500.5, 800.25, 61)
    assert (record.varint(), record.varint()) == (300, 17)
    assert record.option(lambda: (record.signed(), record.signed())) == (-123456789, 987654321)
    assert record.varint() == 2 and record.option(lambda: record.take(12)) == bytes([0xB0, *range(1, 12)])
    assert record.at == len(record.data)


def crc16(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def derive_role(label, length, spi=7):
    secret = bytes(255 - i for i in range(32))
    info = b"passband/v1/" + label + struct.pack(">HH", SPACECRAFT, spi)
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(secret)


CHALLENGE = bytes([0xC0, *range(1, 8)])
USED = 256


def open_frame(frame):
    """The counter and data of a protected frame, or the reason for which a satellite refuses it."""
    if len(frame) > 1024:
        return "too-long"
    if len(frame) < 38:
        return "truncated"
    first, second, spi = struct.unpack(">HHxH", frame[:7])
    if first >> 10 != 0b001000 or (second & 0x3FF) + 1 != len(frame):
        return "not-a-frame"
    if crc16(frame[:-2]) != struct.unpack(">H", frame[-2:])[0]:
        return "fecf"
    if first & 0x3FF != SPACECRAFT & 0x3FF:
        return "spacecraft"
    if second >> 10 != 0:
        return "channel"
    if spi != 7:
        return "unknown-spi"
    masked = struct.pack(">HHBH12x", 0, second & 0xFC00, 0, spi)
    try:
        data = AESGCM(derive_role(b"command-frame", 32)).decrypt(frame[7:19], frame[19:-2], masked)
    except InvalidTag:
        return "tag"
    salt, counter = struct.unpack(">4sQ", frame[7:19])
    if salt != b"\xff\xff\xff\xff":
        return (counter, data) if counter > USED else "replayed" if counter > USED - 64 else "too-old"
    challenge, counter = struct.unpack(">8sQ", data)
    if challenge != CHALLENGE:
        return "challenge"
    return (counter, None) if counter >= USED else "backward"


def check_uplink(v, line):
    words = line.split()
    assert words[:5] == ["passband-command-key", "v1", "spacecraft=258", "spi=7", "role=operator"], words
    assert bytes.fromhex(words[5]) == bytes(255 - i for i in range(32))
    assert derive_role(b"command-fingerprint", 4) == v["role-key/fingerprint"]
    assert cmac(derive_role(b"plan-tag", 16), b"abc") == v["role-key/plan-tag/abc"]
    assert cmac(derive(1, b"telemetry-tag", 16), b"abc") == v["telemetry-tag/epoch-1/abc"]
    assert crc16(b"123456789") == 0x29B1
    assert open_frame(v["uplink/frame"]) == (257, b"an order")
    assert open_frame(v["uplink/longest"]) == (258, bytes(i * 7 % 251 for i in range(987)))
    assert open_frame(v["uplink/far-ahead"]) == (0x0102030405060709, b"x")
    assert open_frame(v["uplink/resync"]) == (999, None)
    for name in (name for name in v if name.startswith("uplink-refused/")):
        assert open_frame(v[name]) == name.split("/")[1], name


def check_telemetry(packet, tagged):
    ident, control, length, p_field, coarse, fine = struct.unpack(">HHHBIH", packet[:13])
    assert (ident, control, length) == (0x0923, 0xEABC, len(packet) - 7) and p_field == 0x2E
    assert coarse == 1700000000 and fine == -(-65536 * 789 // 1000)
    assert packet[13:-12] == bytes(i * 7 % 251 for i in range(30))
    tag = cmac(derive(1, b"telemetry-tag", 16), packet[:-12])[:8] if tagged else bytes(8)
    assert packet[-12:-4] == tag and crc32c(packet[:-4]) == struct.unpack(">I", packet[-4:])[0]


def check_command(packet):
    fields = struct.unpack(">HHHBI", packet[:11])
    assert fields == (0x10FF, 0xC005, len(packet) - 7, 1, 0x01020304), fields
    assert packet[11:] == b"\x12\x34arguments"


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "v1.txt")
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if not line.startswith("#")]
    texts = dict(line.split(" = ", 1) for line in lines)
    words = texts.pop("key-file-line").split()
    assert words[:4] == ["passband-key", "v1", "spacecraft=258", "epoch=1"]
    assert bytes.fromhex(words[4]) == bytes(i ^ 1 for i in range(32))
    role_key_line = texts.pop("role-key-file-line")
    v = {name: bytes.fromhex(text) for name, text in texts.items()}
    check_uplink(v, role_key_line)
    assert crc32c(b"123456789") == struct.unpack(">I", v["crc32c/123456789"])[0] == 0xE3069283
    for epoch in (1, 2):
        assert cmac(derive(epoch, b"datagram-tag", 16), b"abc") == v[f"tag/epoch-{epoch}/abc"]
        assert derive(epoch, b"fingerprint", 4) == v[f"fingerprint/epoch-{epoch}"]
    sealed = v["bundle/file"]
    size, count, (head, segment, _) = check_bundle(sealed, v["bundle/content-sha256"])
    offsets = [64, 64 + head, 64 + head + segment]
    for name, epoch, block, esi in (("source", 1, 1, 3), ("epoch-2", 2, 0, 0), ("tail", 1, 2, 0)):
        read = read_datagram(v[f"datagram/{name}"])
        assert read[1] == epoch and read[3:6] == (block, 1, esi) and read[7:9] == (count, 5 << 40 | 77), read
        start = offsets[block] + esi * size
        assert read[9] == sealed[start : start + size], name
    assert read_datagram(v["datagram/repair"])[5] == 12
    for name in (name for name in v if name.startswith("refused/")):
        assert read_datagram(v[name]) == name.split("/")[1], name
    check_alert(v["alert"])
    check_report(v["report"])
    check_acknowledgement(v["alert-acknowledgement"], v["alert"])
    check_telemetry(v["telemetry/tagged"], True)
    check_telemetry(v["telemetry/untagged"], False)
    check_command(v["command"])
    bus = v["bus"]
    assert bus[:4] == b"PX\x01\x01" and struct.unpack(">III", bus[4:]) == (300000, 40000, crc32c(bus[:12]))
    print(f"{len(texts) + 2} test vectors agree with FORMAT.md")


if __name__ == "__main__":
    sys.exit(main())
