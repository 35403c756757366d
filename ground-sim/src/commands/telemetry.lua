-- Telemetry and the uplink, from the dictionary of orders and telemetry.

@TABLES@
for _, packet in pairs(packets) do
  for _, entry in ipairs(packet.fields) do
    table.insert(more, entry[1])
  end
end

-- A field that the dictionary doesn't define: it stands around the user data, or in a frame of the uplink.
local function extra(kind, name, shown, ...)
  local made = ProtoField[kind]("passband." .. name, shown, ...)
  table.insert(more, made)
  return made
end

local apids = { [0x0ff] = "order" }
for apid, packet in pairs(packets) do
  apids[apid] = packet.name
end
local t = {
  version = extra("uint16", "tlm.version", "Packet version", base.DEC, nil, 0xe000),
  type = extra("uint16", "tlm.type", "Packet type", base.DEC, { [0] = "telemetry", [1] = "order" }, 0x1000),
  secondary = extra("uint16", "tlm.secondary_header", "Secondary header", base.DEC, nil, 0x0800),
  apid = extra("uint16", "tlm.apid", "APID", base.HEX, apids, 0x07ff),
  flags = extra("uint16", "tlm.sequence_flags", "Sequence flags", base.DEC, nil, 0xc000),
  count = extra("uint16", "tlm.count", "Sequence count", base.DEC, nil, 0x3fff),
  length = extra("uint16", "tlm.length", "Length less 1", base.DEC),
  p_field = extra("uint8", "tlm.p_field", "Form of the time", base.HEX),
  time = extra("absolute_time", "tlm.time", "Time", base.UTC),
  coarse = extra("uint32", "tlm.coarse", "Seconds since 1970", base.DEC),
  fine = extra("uint16", "tlm.fine", "1/65536 s", base.DEC),
  tag = extra("uint64", "tlm.tag", "Keyed tag (AES-128-CMAC)", base.HEX),
  crc = extra("uint32", "tlm.crc", "CRC-32C", base.HEX),
  crc_ok = extra("bool", "tlm.crc.ok", "CRC is right"),
}
local u = {
  version = extra("uint16", "tc.version", "Frame version", base.DEC, nil, 0xc000),
  bypass = extra("uint16", "tc.bypass", "Bypass flag", base.DEC, nil, 0x2000),
  control = extra("uint16", "tc.control", "Control command flag", base.DEC, nil, 0x1000),
  spacecraft = extra("uint16", "tc.spacecraft", "Spacecraft", base.DEC, nil, 0x03ff),
  channel = extra("uint16", "tc.channel", "Virtual channel", base.DEC, nil, 0xfc00),
  length = extra("uint16", "tc.length", "Length less 1", base.DEC, nil, 0x03ff),
  number = extra("uint8", "tc.number", "Frame sequence number", base.DEC),
  spi = extra("uint16", "tc.spi", "Security association", base.DEC),
  sealed = extra("bytes", "tc.sealed", "Sealed"),
}

-- Bytes around a packet's user data, and the P-field of its time.
local FRONT, BACK, P_FIELD = @FRONT@, @BACK@, @P_FIELD@

-- The packet that bytes begin with, and its whole length; nothing if they begin with none that was captured whole.
local function packet_at(tvb, offset)
  if tvb:len() < offset + FRONT + BACK or tvb(offset, 1):bitfield(0, 5) ~= 1 then
    return nil
  end
  local packet = packets[tvb(offset, 2):bitfield(5, 11)]
  if not packet or tvb(offset + 2, 1):bitfield(0, 2) ~= 3 or tvb(offset + 6, 1):uint() ~= P_FIELD then
    return nil
  end
  local whole = FRONT + packet.bytes + BACK
  if tvb(offset + 4, 2):uint() + 7 ~= whole or tvb:len() < offset + whole then
    return nil
  end
  return packet, whole
end

local function packet_front(tvb, tree)
  for _, what in ipairs({ t.version, t.type, t.secondary, t.apid }) do
    tree:add(what, tvb(0, 2))
  end
  tree:add(t.flags, tvb(2, 2))
  tree:add(t.count, tvb(2, 2))
  tree:add(t.length, tvb(4, 2))
  tree:add(t.p_field, tvb(6, 1))
  local coarse, fine = tvb(7, 4):uint(), tvb(11, 2):uint()
  tree:add(t.time, tvb(7, 6), NSTime(coarse, math.floor(fine * 1000000000 / 65536)))
  tree:add(t.coarse, tvb(7, 4))
  tree:add(t.fine, tvb(11, 2))
end

-- How much of a text isn't filling.
local function text_length(tvb, offset, size)
  local bytes = tvb:bytes(offset, size)
  local last = size
  while last > 0 and bytes:get_index(last - 1) == 0 do
    last = last - 1
  end
  return last
end

local function telemetry(tvb, root, packet)
  local tree = root:add(passband, tvb(), "Passband telemetry, " .. packet.name)
  packet_front(tvb, tree)
  local at = FRONT
  for _, entry in ipairs(packet.fields) do
    local what, size, is_text = entry[1], entry[2], entry[3]
    local shown = is_text and text_length(tvb, at, size) or size
    if is_text and shown == 0 then
      tree:add(what, tvb(at, size), "")
    elseif is_text then
      tree:add_packet_field(what, tvb(at, shown), ENC_UTF_8)
    else
      tree:add(what, tvb(at, size))
    end
    at = at + size
  end
  tree:add(t.tag, tvb(at, 8))
  local crc = tree:add(t.crc, tvb(at + 8, 4))
  if passband.prefs.check_crc then
    local ok = crc32c(tvb, at + 8) == tvb(at + 8, 4):uint()
    tree:add(t.crc_ok, ok):set_generated()
    if not ok then
      crc:add_proto_expert_info(bad_crc)
    end
    return ok
  end
  return true
end

-- All packets of telemetry that a datagram holds, one behind the other; how many bytes they are.
local function all_telemetry(tvb, pinfo, root)
  local at, said = 0, {}
  local packet, whole = packet_at(tvb, at)
  while packet do
    local ok = telemetry(tvb(at, whole):tvb(), root, packet)
    table.insert(said, packet.name .. (ok and "" or ", CRC wrong"))
    at = at + whole
    packet, whole = packet_at(tvb, at)
  end
  if at > 0 then
    pinfo.cols.protocol = "PASSBAND"
    pinfo.cols.info = "Passband telemetry: " .. table.concat(said, "; ")
  end
  return at
end

-- A TC transfer frame (CCSDS 232.0-B), as far as it is in the clear: whatever has its length and version.
local function is_uplink(tvb)
  return tvb:len() >= 7 and tvb(0, 1):bitfield(0, 2) == 0 and tvb(2, 2):bitfield(6, 10) + 1 == tvb:reported_len()
end

local function uplink(tvb, pinfo, root)
  local tree = root:add(passband, tvb(), "Passband uplink")
  for _, what in ipairs({ u.version, u.bypass, u.control, u.spacecraft }) do
    tree:add(what, tvb(0, 2))
  end
  tree:add(u.channel, tvb(2, 2))
  tree:add(u.length, tvb(2, 2))
  tree:add(u.number, tvb(4, 1))
  tree:add(u.spi, tvb(5, 2))
  if tvb:len() > 7 then
    tree:add(u.sealed, tvb(7))
  end
  pinfo.cols.protocol = "PASSBAND"
  pinfo.cols.info = string.format("Passband uplink, association %u, %u bytes", tvb(5, 2):uint(), tvb:reported_len())
  return tvb:len()
end
