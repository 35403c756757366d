-- Wireshark dissector for Passband's datagrams, alerts, reports and acknowledgements (see proto/FORMAT.md), telemetry
-- and the uplink. Made by `passband-ground dissector` from the codec's table of fields and the dictionary: change it there.

local passband = Proto("passband", "Passband")
passband.prefs.check_crc =
  Pref.bool("Check the CRC-32C", true, "Work out the CRC of each datagram and tell when it is wrong")
passband.prefs.ports = Pref.range("UDP ports", "@PORTS@", "UDP ports of datagrams, alerts, reports, telemetry and uplink",
  65535)

local classes = { @CLASSES@ }
-- What a frame is, by its first two bytes and its kind.
local kinds = {
  PB = { "datagram" },
  PA = { "alert" },
  PR = { "report", "alert acknowledgement" },
}
local f = passband.fields
-- Fields that have no name in `f`.
local more = {}
@FIELDS@
f.session = ProtoField.uint24("passband.session", "Sender session", base.DEC)
f.counter = ProtoField.uint64("passband.counter", "Datagram of the session", base.DEC)
f.source_symbols = ProtoField.uint32("passband.source_symbols", "Source symbols of the block (K)", base.DEC)
f.repair = ProtoField.bool("passband.repair", "Repair symbol")
f.symbol = ProtoField.bytes("passband.symbol", "Symbol")
f.tag = ProtoField.bytes("passband.tag", "Keyed tag (AES-128-CMAC)")
f.crc = ProtoField.uint32("passband.crc", "CRC-32C", base.HEX)
f.crc_ok = ProtoField.bool("passband.crc.ok", "CRC is right")
f.nonce = ProtoField.bytes("passband.nonce", "Nonce")
f.sealed = ProtoField.bytes("passband.sealed", "Sealed record")

local bad_crc = ProtoExpert.new("passband.crc.bad", "The CRC is wrong: damaged on the way",
  expert.group.CHECKSUM, expert.severity.ERROR)
local unknown = ProtoExpert.new("passband.unknown", "A version or kind that this dissector doesn't know",
  expert.group.UNDECODED, expert.severity.WARN)
local cut = ProtoExpert.new("passband.cut", "Cut by the capture's snap length",
  expert.group.UNDECODED, expert.severity.NOTE)
local odd_length = ProtoExpert.new("passband.length", "No datagram has this length",
  expert.group.MALFORMED, expert.severity.ERROR)
passband.experts = { bad_crc, unknown, cut, odd_length }

local bits = bit32 or bit
local crc_table = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do
    if c % 2 == 1 then
      c = bits.bxor(bits.rshift(c, 1), 0x82F63B78)
    else
      c = bits.rshift(c, 1)
    end
  end
  crc_table[i] = c
end

-- CRC-32C (Castagnoli) of the first `length` bytes.
local function crc32c(tvb, length)
  local bytes = tvb:bytes(0, length)
  local c = 0xFFFFFFFF
  for i = 0, length - 1 do
    c = bits.bxor(bits.rshift(c, 8), crc_table[bits.band(bits.bxor(c, bytes:get_index(i)), 255)])
  end
  return bits.bxor(c, 0xFFFFFFFF) % 4294967296
end

-- Adds a field if all of it was captured.
local function field(tree, tvb, what, offset, length)
  if offset + length <= tvb:len() then
    tree:add(what, tvb(offset, length))
  end
end

local function datagram(tvb, pinfo, tree)
@ADDS@
  local whole = tvb:reported_len()
  if tvb:len() < @HEADER@ then
    tree:add_proto_expert_info(cut)
    pinfo.cols.info = "Passband datagram, cut"
    return
  end
  tree:add(f.session, tvb(36, 3))
  tree:add(f.counter, tvb(39, 5), tvb(39, 5):uint64())
  local block, esi, bytes = tvb(20, 4):uint(), tvb(25, 3):uint(), tvb(28, 4):uint()
  local text = string.format("%s block %u/%u esi %u", tvb(8, 12):bytes():tohex(true), block, tvb(32, 4):uint(), esi)
  if whole < @LEAST@ or whole > @MOST@ then
    tree:add_proto_expert_info(odd_length)
    pinfo.cols.info = text .. ", no such length"
    return
  end
  local symbol_bytes = whole - @OVERHEAD@
  local k = math.ceil(bytes / symbol_bytes)
  tree:add(f.source_symbols, k):set_generated()
  tree:add(f.repair, esi >= k):set_generated()
  text = text .. string.format(" (%s, K %u)", esi < k and "source" or "repair", k)
  if tvb:len() < whole then
    tree:add_proto_expert_info(cut)
    pinfo.cols.info = text .. ", cut"
    return
  end
  tree:add(f.symbol, tvb(@HEADER@, symbol_bytes))
  tree:add(f.tag, tvb(@HEADER@ + symbol_bytes, @TAG@))
  local crc = tree:add(f.crc, tvb(whole - @CRC@, @CRC@))
  if passband.prefs.check_crc then
    local ok = crc32c(tvb, whole - @CRC@) == tvb(whole - @CRC@, @CRC@):uint()
    tree:add(f.crc_ok, ok):set_generated()
    if not ok then
      crc:add_proto_expert_info(bad_crc)
      text = text .. ", CRC wrong"
    end
  end
  pinfo.cols.info = text
end

-- Alerts, reports and acknowledgements: sealed, but for whom they are from or to.
local function sealed(tvb, pinfo, tree, what)
  field(tree, tvb, f.magic, 0, 2)
  field(tree, tvb, f.version, 2, 1)
  field(tree, tvb, f.kind, 3, 1)
  field(tree, tvb, f.spacecraft, 4, 2)
  field(tree, tvb, f.epoch, 6, 2)
  field(tree, tvb, f.nonce, 8, 12)
  if tvb:len() > 20 then
    tree:add(f.sealed, tvb(20))
  end
  if tvb:len() < tvb:reported_len() then
    tree:add_proto_expert_info(cut)
  end
  pinfo.cols.info = string.format("Passband %s, %u bytes", what, tvb:reported_len())
end

@TELEMETRY@

for _, what in ipairs(more) do
  table.insert(f, what)
end

function passband.dissector(tvb, pinfo, root)
  if tvb:len() < 4 then
    return 0
  end
  local known = kinds[tvb(0, 2):string()]
  if not known then
    local taken = all_telemetry(tvb, pinfo, root)
    if taken == 0 and is_uplink(tvb) then
      return uplink(tvb, pinfo, root)
    end
    return taken
  end
  local what = known[tvb(3, 1):uint()]
  pinfo.cols.protocol = "PASSBAND"
  local tree = root:add(passband, tvb(), "Passband " .. (what or known[1]))
  if tvb(2, 1):uint() ~= 1 or not what then
    field(tree, tvb, f.magic, 0, 2)
    field(tree, tvb, f.version, 2, 1)
    field(tree, tvb, f.kind, 3, 1)
    tree:add_proto_expert_info(unknown)
    pinfo.cols.info = string.format("Passband %s of version %u, kind %u", known[1], tvb(2, 1):uint(), tvb(3, 1):uint())
  elseif what == "datagram" then
    datagram(tvb, pinfo, tree)
  else
    sealed(tvb, pinfo, tree, what)
  end
  return tvb:len()
end

-- On any port: by the first bytes, telemetry also by its APID, length and form of the time. An unknown version, and
-- the uplink, are taken for Passband's only where decoding was asked for.
local function heuristic(tvb, pinfo, root)
  if packet_at(tvb, 0) then
    return all_telemetry(tvb, pinfo, root) > 0
  end
  local known = tvb:len() >= 20 and kinds[tvb(0, 2):string()]
  if not known or tvb(2, 1):uint() ~= 1 or not known[tvb(3, 1):uint()] then
    return false
  end
  passband.dissector(tvb, pinfo, root)
  return true
end

passband:register_heuristic("udp", heuristic)
-- The ports of the preference (another protocol claims the first of the default ones too), and "Decode As".
local udp, ports = DissectorTable.get("udp.port"), passband.prefs.ports
udp:add(ports, passband)
function passband.prefs_changed()
  if ports ~= passband.prefs.ports then
    udp:remove(ports, passband)
    ports = passband.prefs.ports
    udp:add(ports, passband)
  end
end
