-- Wireshark dissector for Passband's datagrams, alerts, reports and acknowledgements (see proto/FORMAT.md), telemetry
-- and the uplink. Made by `passband-ground dissector` from the codec's table of fields and the dictionary: change it there.

local passband = Proto("passband", "Passband")
passband.prefs.check_crc =
  Pref.bool("Check the CRC-32C", true, "Work out the CRC of each datagram and tell when it is wrong")
passband.prefs.ports = Pref.range("UDP ports", "47000,47001,47011", "UDP ports of datagrams, alerts, reports, telemetry and uplink",
  65535)

local classes = { [0] = "alert", [1] = "suspect", [2] = "routine", [3] = "discard-candidate" }
-- What a frame is, by its first two bytes and its kind.
local kinds = {
  PB = { "datagram" },
  PA = { "alert" },
  PR = { "report", "alert acknowledgement" },
}
local f = passband.fields
-- Fields that have no name in `f`.
local more = {}
f.magic = ProtoField.string("passband.magic", "Magic")
f.version = ProtoField.uint8("passband.version", "Version", base.DEC)
f.kind = ProtoField.uint8("passband.kind", "Kind", base.DEC)
f.spacecraft = ProtoField.uint16("passband.spacecraft", "Spacecraft", base.DEC)
f.epoch = ProtoField.uint16("passband.epoch", "Key epoch", base.DEC)
f.bundle = ProtoField.bytes("passband.bundle", "Bundle")
f.block = ProtoField.uint32("passband.block", "Block", base.DEC)
f.class = ProtoField.uint8("passband.class", "Class", base.DEC, classes)
f.esi = ProtoField.uint24("passband.esi", "Encoding symbol id", base.DEC)
f.block_bytes = ProtoField.uint32("passband.block_bytes", "Sealed bytes of the block", base.DEC)
f.block_count = ProtoField.uint32("passband.block_count", "Blocks of the bundle", base.DEC)
f.link_seq = ProtoField.uint64("passband.link_seq", "Link sequence number", base.HEX)
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
  field(tree, tvb, f.magic, 0, 2)
  field(tree, tvb, f.version, 2, 1)
  field(tree, tvb, f.kind, 3, 1)
  field(tree, tvb, f.spacecraft, 4, 2)
  field(tree, tvb, f.epoch, 6, 2)
  field(tree, tvb, f.bundle, 8, 12)
  field(tree, tvb, f.block, 20, 4)
  field(tree, tvb, f.class, 24, 1)
  field(tree, tvb, f.esi, 25, 3)
  field(tree, tvb, f.block_bytes, 28, 4)
  field(tree, tvb, f.block_count, 32, 4)
  field(tree, tvb, f.link_seq, 36, 8)
  local whole = tvb:reported_len()
  if tvb:len() < 44 then
    tree:add_proto_expert_info(cut)
    pinfo.cols.info = "Passband datagram, cut"
    return
  end
  tree:add(f.session, tvb(36, 3))
  tree:add(f.counter, tvb(39, 5), tvb(39, 5):uint64())
  local block, esi, bytes = tvb(20, 4):uint(), tvb(25, 3):uint(), tvb(28, 4):uint()
  local text = string.format("%s block %u/%u esi %u", tvb(8, 12):bytes():tohex(true), block, tvb(32, 4):uint(), esi)
  if whole < 128 or whole > 8960 then
    tree:add_proto_expert_info(odd_length)
    pinfo.cols.info = text .. ", no such length"
    return
  end
  local symbol_bytes = whole - 64
  local k = math.ceil(bytes / symbol_bytes)
  tree:add(f.source_symbols, k):set_generated()
  tree:add(f.repair, esi >= k):set_generated()
  text = text .. string.format(" (%s, K %u)", esi < k and "source" or "repair", k)
  if tvb:len() < whole then
    tree:add_proto_expert_info(cut)
    pinfo.cols.info = text .. ", cut"
    return
  end
  tree:add(f.symbol, tvb(44, symbol_bytes))
  tree:add(f.tag, tvb(44 + symbol_bytes, 16))
  local crc = tree:add(f.crc, tvb(whole - 4, 4))
  if passband.prefs.check_crc then
    local ok = crc32c(tvb, whole - 4) == tvb(whole - 4, 4):uint()
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

-- Telemetry and the uplink, from the dictionary of orders and telemetry.

local names = {}
names["cause"] = {
  [0] = "unknown",
  [1] = "orderly",
  [2] = "power-cut",
  [3] = "crash",
  [4] = "watchdog",
  [5] = "order",
}
names["disk"] = {
  [0] = "good",
  [1] = "slow",
  [2] = "full",
  [3] = "failing",
  [4] = "read-only",
}
names["end"] = {
  [0] = "running",
  [1] = "exited",
  [2] = "signalled",
  [3] = "wall-time",
  [4] = "cpu-time",
  [5] = "memory",
  [6] = "output",
  [7] = "stopped",
  [8] = "interrupted",
  [9] = "not-started",
}
names["event"] = {
  [257] = "daemon-start",
  [258] = "daemon-stop",
  [259] = "daemon-crash",
  [260] = "power-cut",
  [261] = "start-failed",
  [272] = "keys-changed",
  [273] = "keys-exposed",
  [274] = "keys-unusable",
  [288] = "socket-elsewhere",
  [289] = "socket-error",
  [290] = "record-damaged",
  [291] = "record-unwritten",
  [513] = "frame-accepted",
  [514] = "frame-rejected",
  [515] = "frame-duplicate",
  [516] = "frame-delayed",
  [528] = "spool-error",
  [529] = "spool-stuck",
  [530] = "spool-crowded",
  [531] = "spool-folders",
  [532] = "spool-cleared",
  [533] = "rejected-pruned",
  [769] = "alert-sent",
  [770] = "alert-pending",
  [771] = "alert-acknowledged",
  [772] = "alert-superseded",
  [773] = "alert-through",
  [774] = "alert-stale",
  [775] = "alert-dropped",
  [776] = "alert-failed",
  [777] = "alert-error",
  [1025] = "catalogue-damaged",
  [1026] = "catalogue-in-memory",
  [1027] = "store-error",
  [1028] = "store-full",
  [1029] = "store-swept",
  [1040] = "disk-good",
  [1041] = "disk-slow",
  [1042] = "disk-full",
  [1043] = "disk-failing",
  [1044] = "disk-read-only",
  [1056] = "bundles-adopted",
  [1057] = "bundles-not-adopted",
  [1058] = "bundles-unreadable",
  [1059] = "bundle-lost",
  [1060] = "bundle-damaged",
  [1061] = "bundle-resealed",
  [1062] = "bundle-unmended",
  [1063] = "bundle-digest-corrected",
  [1064] = "bundle-misread",
  [1065] = "bundle-undecided",
  [1066] = "bundle-dropped",
  [1067] = "bundles-dropped",
  [1068] = "bundle-unsendable",
  [1281] = "pass-opened",
  [1282] = "pass-closed",
  [1283] = "pass-plan-changed",
  [1284] = "pass-plan-stale",
  [1285] = "pass-plan-unusable",
  [1296] = "bus-message",
  [1297] = "bus-error",
  [1312] = "send-error",
  [1313] = "downlink-error",
  [1328] = "report-refused",
  [1329] = "report-error",
  [1537] = "queue-changed",
  [1538] = "queue-error",
  [1552] = "notes-made",
  [1553] = "notes-failed",
  [1793] = "order-done",
  [1794] = "order-refused",
  [1795] = "order-failed",
  [1796] = "order-armed",
  [1797] = "order-disarmed",
  [1808] = "uplink-refused",
  [1809] = "uplink-error",
  [1810] = "uplink-counters-lost",
  [1811] = "uplink-resynchronised",
  [1812] = "command-key-retired",
  [1813] = "command-keys-unusable",
  [1814] = "command-keys-changed",
  [1815] = "command-keys-stay",
  [1824] = "upload-done",
  [1825] = "upload-failed",
  [2049] = "plan-loaded",
  [2050] = "plan-refused",
  [2051] = "plan-started",
  [2052] = "plan-done",
  [2053] = "plan-aborted",
  [2054] = "plan-entry-failed",
  [2055] = "plan-entry-skipped",
  [2056] = "plan-slowed",
  [2057] = "plan-cancelled",
  [2058] = "plan-unusable",
  [2059] = "plan-record-damaged",
  [2060] = "plan-wait-missed",
  [2061] = "plan-window-missed",
  [2062] = "plan-entry-late",
  [2064] = "script-started",
  [2065] = "script-done",
  [2066] = "script-failed",
  [2067] = "script-error",
  [2305] = "parameter-staged",
  [2306] = "parameters-committed",
  [2307] = "parameters-confirmed",
  [2308] = "parameters-rolled-back",
  [2309] = "parameters-damaged",
  [2561] = "limit-yellow",
  [2562] = "limit-red",
  [2563] = "limit-clear",
  [2576] = "load-level",
  [2577] = "products-shed",
  [2578] = "task-stuck",
  [2579] = "task-back",
  [2580] = "sensor-error",
  [2592] = "safe-mode",
  [2593] = "safe-mode-over",
  [2594] = "watchdog-error",
  [2596] = "watchdog-started",
  [2597] = "watchdog-unfed",
  [2598] = "watchdog-reset",
  [2599] = "notify-error",
  [2600] = "process-held-up",
  [2595] = "clock-step",
  [2817] = "update-changed",
  [65535] = "other",
}
names["fate"] = {
  [0] = "coming",
  [1] = "waits",
  [2] = "taken",
  [3] = "refused",
}
names["key"] = {
  [0] = "operational",
  [1] = "retired",
  [2] = "counters-lost",
}
names["mode"] = {
  [0] = "nominal",
  [1] = "shedding",
  [2] = "safe",
}
names["parameter"] = {
  [257] = "triage.alert_probability",
  [258] = "triage.suspect_probability",
  [259] = "triage.discard_cloud",
  [260] = "triage.threads",
  [261] = "triage.wind",
  [513] = "downlink.rate",
  [514] = "downlink.expected_loss",
  [515] = "downlink.transmit",
  [769] = "alerts.per_minute",
  [770] = "alerts.stale",
  [771] = "alerts.same_site",
  [1025] = "queue.overdue_share",
  [1026] = "store.quota",
  [1027] = "store.scrub_rate",
  [1028] = "products.notes",
  [1281] = "telemetry.beacon",
  [1282] = "telemetry.housekeeping",
  [1283] = "telemetry.rate",
  [1284] = "telemetry.events",
  [1537] = "command.arm",
  [1538] = "command.answer",
  [1793] = "health.shed",
  [4097] = "limits.temperature",
  [4098] = "limits.power",
  [4099] = "limits.memory_free",
  [4100] = "limits.disk_free",
  [4101] = "limits.frame_age",
  [4102] = "limits.alerts_pending",
  [4103] = "limits.uplink_refused",
  [4353] = "actions.temperature",
  [4354] = "actions.power",
  [4355] = "actions.memory_free",
  [4356] = "actions.disk_free",
  [4357] = "actions.frame_age",
  [4358] = "actions.alerts_pending",
  [4359] = "actions.uplink_refused",
}
names["parameters"] = {
  [0] = "confirmed",
  [1] = "on-trial",
  [2] = "damaged",
}
names["plan"] = {
  [0] = "loaded",
  [1] = "running",
  [2] = "held",
  [3] = "done",
  [4] = "aborted",
}
names["reason"] = {
  [0] = "none",
  [1] = "malformed",
  [2] = "not-allowed",
  [3] = "not-armed",
  [4] = "other-armed",
  [5] = "armed-too-long-ago",
  [6] = "same-key",
  [7] = "busy",
  [8] = "too-old",
  [9] = "number-taken",
  [10] = "wrong-mode",
  [11] = "not-found",
  [12] = "not-possible",
  [13] = "fault",
  [14] = "timed-out",
  [15] = "interrupted",
}
names["severity"] = {
  [0] = "info",
  [1] = "warning",
  [2] = "error",
  [3] = "critical",
}
names["shed"] = {
  [0] = "nothing",
  [1] = "cubes",
  [2] = "regions",
  [3] = "triage",
  [255] = "automatic",
}
names["source"] = {
  [0] = "operator",
  [1] = "planner",
  [2] = "updater",
  [3] = "science",
  [4] = "recovery",
  [5] = "shell",
  [6] = "plan",
}
names["stage"] = {
  [0] = "accepted",
  [1] = "refused",
  [2] = "armed",
  [3] = "started",
  [4] = "done",
  [5] = "failed",
}
names["update"] = {
  [0] = "idle",
  [1] = "receiving",
  [2] = "received",
  [3] = "staged",
  [4] = "trial",
  [5] = "failed",
}
names["upload"] = {
  [0] = "plan",
  [1] = "script",
  [2] = "file",
  [3] = "image",
}
local packets = {}
packets[0x101] = { name = "beacon", bytes = 82, fields = {
  { ProtoField.uint16("passband.tlm.beacon.spacecraft", "spacecraft", base.DEC, nil, nil, "Number of the spacecraft."), 2 },
  { ProtoField.uint8("passband.tlm.beacon.mode", "mode", base.DEC, names["mode"], nil, "How the payload works."), 1 },
  { ProtoField.uint8("passband.tlm.beacon.reset_cause", "reset cause", base.DEC, names["cause"], nil, "Why the daemon started."), 1 },
  { ProtoField.uint32("passband.tlm.beacon.boot_count", "boot count", base.DEC, nil, nil, "Starts of the daemon."), 4 },
  { ProtoField.uint32("passband.tlm.beacon.uptime", "uptime (s)", base.DEC, nil, nil, "Since the daemon started."), 4 },
  { ProtoField.bytes("passband.tlm.beacon.git", "git", base.NONE, "The first bytes of the commit that the program was built from; 0: not known."), 4 },
  { ProtoField.bytes("passband.tlm.beacon.binary", "binary", base.NONE, "The first bytes of the program's SHA-256."), 4 },
  { ProtoField.bytes("passband.tlm.beacon.configuration", "configuration", base.NONE, "The first bytes of the configuration's SHA-256."), 4 },
  { ProtoField.bytes("passband.tlm.beacon.dictionary", "dictionary", base.NONE, "The first bytes of the dictionary's SHA-256."), 4 },
  { ProtoField.bytes("passband.tlm.beacon.parameters", "parameters", base.NONE, "The first bytes of the SHA-256 of the parameters that were changed."), 4 },
  { ProtoField.uint8("passband.tlm.beacon.parameters_state", "parameters state", base.DEC, names["parameters"], nil, "Whether they are on trial."), 1 },
  { ProtoField.uint8("passband.tlm.beacon.shed", "shed", base.DEC, names["shed"], nil, "What work is left undone."), 1 },
  { ProtoField.uint8("passband.tlm.beacon.worst", "worst", base.DEC, names["severity"], nil, "The worst event since the last pass ended."), 1 },
  { ProtoField.uint8("passband.tlm.beacon.red", "red", base.DEC, nil, nil, "Channels beyond a red limit."), 1 },
  { ProtoField.uint8("passband.tlm.beacon.yellow", "yellow", base.DEC, nil, nil, "Channels beyond a yellow limit only."), 1 },
  { ProtoField.uint32("passband.tlm.beacon.last_event", "last event", base.DEC, nil, nil, "Number of the newest event."), 4 },
  { ProtoField.float("passband.tlm.beacon.temperature", "temperature (degC)", nil, "The board's highest temperature; NaN: not known."), 4 },
  { ProtoField.float("passband.tlm.beacon.power", "power (W)", nil, "The power that the board takes; NaN: not known."), 4 },
  { ProtoField.uint32("passband.tlm.beacon.disk_free", "disk free (MiB)", base.DEC, nil, nil, "Room left on the disk."), 4 },
  { ProtoField.uint8("passband.tlm.beacon.disk", "disk", base.DEC, names["disk"], nil, "How the disk does."), 1 },
  { ProtoField.uint32("passband.tlm.beacon.queue_open", "queue open", base.DEC, nil, nil, "Bundles that wait or are on the link."), 4 },
  { ProtoField.uint16("passband.tlm.beacon.alerts_pending", "alerts pending", base.DEC, nil, nil, "Alerts that nobody has heard."), 2 },
  { ProtoField.uint32("passband.tlm.beacon.next_aos", "next aos (s)", base.DEC, nil, nil, "Until the next AOS by the plan; 4294967295: none is known."), 4 },
  { ProtoField.uint32("passband.tlm.beacon.orders_taken", "orders taken", base.DEC, nil, nil, "Orders taken since the first start."), 4 },
  { ProtoField.uint32("passband.tlm.beacon.uplink_refused", "uplink refused", base.DEC, nil, nil, "Frames of the uplink refused since the daemon started."), 4 },
  { ProtoField.bytes("passband.tlm.beacon.challenge", "challenge", base.NONE, "What a re-synchronisation of the uplink has to say."), 8 },
  { ProtoField.uint8("passband.tlm.beacon.update", "update", base.DEC, names["update"], nil, "Where an update stands."), 1 },
  { ProtoField.uint8("passband.tlm.beacon.upload", "upload (%)", base.DEC, nil, nil, "How much of what comes up is there."), 1 },
} }
packets[0x102] = { name = "housekeeping", bytes = 244, fields = {
  { ProtoField.uint8("passband.tlm.housekeeping.mode", "mode", base.DEC, names["mode"], nil, "How the payload works."), 1 },
  { ProtoField.uint8("passband.tlm.housekeeping.shed", "shed", base.DEC, names["shed"], nil, "What work is left undone."), 1 },
  { ProtoField.uint32("passband.tlm.housekeeping.boot_count", "boot count", base.DEC, nil, nil, "Starts of the daemon."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.uptime", "uptime (s)", base.DEC, nil, nil, "Since the daemon started."), 4 },
  { ProtoField.float("passband.tlm.housekeeping.temperature", "temperature (degC)", nil, "The board's highest temperature; NaN: not known."), 4 },
  { ProtoField.float("passband.tlm.housekeeping.power", "power (W)", nil, "The power that the board takes; NaN: not known."), 4 },
  { ProtoField.float("passband.tlm.housekeeping.memory_free", "memory free (MiB)", nil, "Memory that processes may still have; NaN: not known."), 4 },
  { ProtoField.float("passband.tlm.housekeeping.memory_pressure", "memory pressure (%)", nil, "The share of time in which some task waited for memory; NaN: not known."), 4 },
  { ProtoField.float("passband.tlm.housekeeping.cpu_pressure", "cpu pressure (%)", nil, "The share of time in which some task waited for a processor; NaN: not known."), 4 },
  { ProtoField.float("passband.tlm.housekeeping.io_pressure", "io pressure (%)", nil, "The share of time in which some task waited for the disk; NaN: not known."), 4 },
  { ProtoField.float("passband.tlm.housekeeping.daemon_memory", "daemon memory (MiB)", nil, "Memory of the daemon."), 4 },
  { ProtoField.float("passband.tlm.housekeeping.daemon_cpu", "daemon cpu (%)", nil, "The share of one core that the daemon uses."), 4 },
  { ProtoField.float("passband.tlm.housekeeping.disk_free", "disk free (MiB)", nil, "Room left on the disk."), 4 },
  { ProtoField.uint8("passband.tlm.housekeeping.disk", "disk", base.DEC, names["disk"], nil, "How the disk does."), 1 },
  { ProtoField.float("passband.tlm.housekeeping.store", "store (MiB)", nil, "What all sealed bundles take."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.frame_age", "frame age (s)", base.DEC, nil, nil, "Since the last frame was taken; 4294967295: none was."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.frames_alert", "frames alert", base.DEC, nil, nil, "Frames taken as alerts."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.frames_suspect", "frames suspect", base.DEC, nil, nil, "Frames taken as suspects."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.frames_routine", "frames routine", base.DEC, nil, nil, "Frames taken as routine."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.frames_discard", "frames discard", base.DEC, nil, nil, "Frames taken as discard candidates."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.frames_rejected", "frames rejected", base.DEC, nil, nil, "Frames that were moved to rejected/."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.frames_duplicate", "frames duplicate", base.DEC, nil, nil, "Frames that came again."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.frames_shed", "frames shed", base.DEC, nil, nil, "Frames of which parts were shed."), 4 },
  { ProtoField.uint8("passband.tlm.housekeeping.transmitting", "transmitting", base.DEC, nil, nil, "Whether the transmitter is open."), 1 },
  { ProtoField.uint64("passband.tlm.housekeeping.rate", "rate (bit/s)", base.DEC, nil, nil, "The fast link's rate of UDP payload."), 8 },
  { ProtoField.uint64("passband.tlm.housekeeping.datagrams", "datagrams", base.DEC, nil, nil, "Datagrams handed to the fast link."), 8 },
  { ProtoField.uint64("passband.tlm.housekeeping.sent", "sent (B)", base.DEC, nil, nil, "Their bytes."), 8 },
  { ProtoField.uint32("passband.tlm.housekeeping.send_errors", "send errors", base.DEC, nil, nil, "Datagrams that the network refused."), 4 },
  { ProtoField.float("passband.tlm.housekeeping.expected_loss", "expected loss", nil, "The share of datagrams that the sender believes to be lost."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.waiting_alert", "waiting alert", base.DEC, nil, nil, "Bundles that wait, alerts."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.waiting_suspect", "waiting suspect", base.DEC, nil, nil, "Bundles that wait, suspects."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.waiting_routine", "waiting routine", base.DEC, nil, nil, "Bundles that wait, routine."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.waiting_discard", "waiting discard", base.DEC, nil, nil, "Bundles that wait, discard candidates."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.on_link", "on link", base.DEC, nil, nil, "Bundles that the sender has."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.presumed", "presumed", base.DEC, nil, nil, "Bundles presumed down."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.known", "known", base.DEC, nil, nil, "Bundles known to be down."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.held", "held", base.DEC, nil, nil, "Bundles held by the operator."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.damaged", "damaged", base.DEC, nil, nil, "Bundles damaged on the disk."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.dropped", "dropped", base.DEC, nil, nil, "Bundles dropped."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.scrubbed", "scrubbed", base.DEC, nil, nil, "Bundles read by the scrub."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.alerts_pending", "alerts pending", base.DEC, nil, nil, "Alerts that nobody has heard."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.alerts_sent", "alerts sent", base.DEC, nil, nil, "Alert messages handed to the alert radio."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.alert_delay", "alert delay (ms)", base.DEC, nil, nil, "The longest time from an alert's making to its first message."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.bus_messages", "bus messages", base.DEC, nil, nil, "Messages of the bus computer."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.bus_errors", "bus errors", base.DEC, nil, nil, "Messages of the bus computer that were not understood."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.reports_taken", "reports taken", base.DEC, nil, nil, "Reports of the ground that were taken."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.reports_refused", "reports refused", base.DEC, nil, nil, "Reports of the ground that were refused."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.uplink_taken", "uplink taken", base.DEC, nil, nil, "Frames of the uplink that were taken."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.uplink_refused", "uplink refused (/min)", base.DEC, nil, nil, "Frames of the uplink that were refused in the last minute."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.uplink_damaged", "uplink damaged", base.DEC, nil, nil, "Frames of the uplink that were none, or damaged."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.uplink_unknown_key", "uplink unknown key", base.DEC, nil, nil, "Frames of the uplink under a key that isn't known, or retired."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.uplink_forged", "uplink forged", base.DEC, nil, nil, "Frames of the uplink whose seal didn't hold."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.uplink_replayed", "uplink replayed", base.DEC, nil, nil, "Frames of the uplink that came before."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.uplink_throttled", "uplink throttled", base.DEC, nil, nil, "Frames of the uplink beyond the rate that is taken."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.orders_taken", "orders taken", base.DEC, nil, nil, "Orders taken."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.orders_repeated", "orders repeated", base.DEC, nil, nil, "Orders that came again."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.orders_refused", "orders refused", base.DEC, nil, nil, "Orders refused."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.orders_failed", "orders failed", base.DEC, nil, nil, "Orders that failed."), 4 },
  { ProtoField.uint16("passband.tlm.housekeeping.answers_open", "answers open", base.DEC, nil, nil, "Answers that nobody acknowledged."), 2 },
  { ProtoField.uint8("passband.tlm.housekeeping.plans_running", "plans running", base.DEC, nil, nil, "Plans that run."), 1 },
  { ProtoField.uint8("passband.tlm.housekeeping.scripts_running", "scripts running", base.DEC, nil, nil, "Scripts that run."), 1 },
  { ProtoField.uint32("passband.tlm.housekeeping.last_event", "last event", base.DEC, nil, nil, "Number of the newest event."), 4 },
  { ProtoField.uint32("passband.tlm.housekeeping.events_throttled", "events throttled", base.DEC, nil, nil, "Events kept back, as there were too many of a kind."), 4 },
} }
packets[0x103] = { name = "time", bytes = 22, fields = {
  { ProtoField.uint32("passband.tlm.time.boot_count", "boot count", base.DEC, nil, nil, "Starts of the daemon."), 4 },
  { ProtoField.uint64("passband.tlm.time.steady", "steady (ms)", base.DEC, nil, nil, "Steady time since the daemon started."), 8 },
  { ProtoField.uint64("passband.tlm.time.unix", "unix (ms)", base.DEC, nil, nil, "The wall clock."), 8 },
  { ProtoField.uint16("passband.tlm.time.steps", "steps", base.DEC, nil, nil, "Steps of the wall clock since the daemon started."), 2 },
} }
packets[0x104] = { name = "event", bytes = 176, fields = {
  { ProtoField.uint32("passband.tlm.event.number", "number", base.DEC, nil, nil, "Its number."), 4 },
  { ProtoField.uint64("passband.tlm.event.unix", "unix (ms)", base.DEC, nil, nil, "When."), 8 },
  { ProtoField.uint8("passband.tlm.event.severity", "severity", base.DEC, names["severity"], nil, "How bad it is."), 1 },
  { ProtoField.uint16("passband.tlm.event.code", "code", base.DEC, names["event"], nil, "What."), 2 },
  { ProtoField.string("passband.tlm.event.text", "text", base.UNICODE, "What in particular, its first bytes."), 161, true },
} }
packets[0x105] = { name = "answer", bytes = 143, fields = {
  { ProtoField.uint16("passband.tlm.answer.source", "source", base.DEC, nil, nil, "By which way the order came: its security association; 65535: a shell; 65534: a plan."), 2 },
  { ProtoField.uint32("passband.tlm.answer.number", "number", base.DEC, nil, nil, "The order's number."), 4 },
  { ProtoField.uint16("passband.tlm.answer.opcode", "opcode", base.DEC, nil, nil, "Which order."), 2 },
  { ProtoField.uint32("passband.tlm.answer.check", "check", base.DEC, nil, nil, "CRC-32C of the order as it came: whether it is the one that was meant."), 4 },
  { ProtoField.uint8("passband.tlm.answer.stage", "stage", base.DEC, names["stage"], nil, "Where it stands."), 1 },
  { ProtoField.uint8("passband.tlm.answer.reason", "reason", base.DEC, names["reason"], nil, "Why it was refused or failed."), 1 },
  { ProtoField.uint64("passband.tlm.answer.unix", "unix (ms)", base.DEC, nil, nil, "When that was."), 8 },
  { ProtoField.string("passband.tlm.answer.text", "text", base.UNICODE, "More about it."), 121, true },
} }
packets[0x106] = { name = "parameter", bytes = 147, fields = {
  { ProtoField.uint16("passband.tlm.parameter.id", "id", base.DEC, names["parameter"], nil, "Which."), 2 },
  { ProtoField.string("passband.tlm.parameter.value", "value", base.UNICODE, "What is in force, as text."), 65, true },
  { ProtoField.string("passband.tlm.parameter.staged", "staged", base.UNICODE, "What is staged, as text; empty: nothing."), 65, true },
  { ProtoField.uint8("passband.tlm.parameter.state", "state", base.DEC, names["parameters"], nil, "Whether what is in force is on trial."), 1 },
  { ProtoField.uint16("passband.tlm.parameter.source", "source", base.DEC, nil, nil, "By which way the order came that changed it; 0: none did."), 2 },
  { ProtoField.uint32("passband.tlm.parameter.number", "number", base.DEC, nil, nil, "That order's number."), 4 },
  { ProtoField.uint64("passband.tlm.parameter.unix", "unix (ms)", base.DEC, nil, nil, "When it was changed."), 8 },
} }
packets[0x107] = { name = "association", bytes = 28, fields = {
  { ProtoField.uint16("passband.tlm.association.spi", "spi", base.DEC, nil, nil, "The security association."), 2 },
  { ProtoField.uint8("passband.tlm.association.role", "role", base.DEC, names["source"], nil, "Who holds the key."), 1 },
  { ProtoField.uint8("passband.tlm.association.state", "state", base.DEC, names["key"], nil, "Whether it may be used."), 1 },
  { ProtoField.bytes("passband.tlm.association.fingerprint", "fingerprint", base.NONE, "What tells the key from others."), 4 },
  { ProtoField.uint64("passband.tlm.association.highest", "highest", base.DEC, nil, nil, "The highest counter that was taken."), 8 },
  { ProtoField.uint32("passband.tlm.association.taken", "taken", base.DEC, nil, nil, "Frames taken since the daemon started."), 4 },
  { ProtoField.uint32("passband.tlm.association.refused", "refused", base.DEC, nil, nil, "Frames refused since the daemon started."), 4 },
  { ProtoField.uint32("passband.tlm.association.last_number", "last number", base.DEC, nil, nil, "The highest number of an order from it."), 4 },
} }
packets[0x108] = { name = "plan", bytes = 111, fields = {
  { ProtoField.string("passband.tlm.plan.name", "name", base.UNICODE, "Its name."), 25, true },
  { ProtoField.uint16("passband.tlm.plan.version", "version", base.DEC, nil, nil, "Its version."), 2 },
  { ProtoField.uint8("passband.tlm.plan.state", "state", base.DEC, names["plan"], nil, "Where it stands."), 1 },
  { ProtoField.uint16("passband.tlm.plan.entries", "entries", base.DEC, nil, nil, "Its entries."), 2 },
  { ProtoField.uint16("passband.tlm.plan.done", "done", base.DEC, nil, nil, "Those that are done."), 2 },
  { ProtoField.uint16("passband.tlm.plan.failed", "failed", base.DEC, nil, nil, "Those that failed."), 2 },
  { ProtoField.uint16("passband.tlm.plan.skipped", "skipped", base.DEC, nil, nil, "Those that were left out."), 2 },
  { ProtoField.uint16("passband.tlm.plan.next", "next", base.DEC, nil, nil, "The entry that comes next, from 1; 0: none."), 2 },
  { ProtoField.uint64("passband.tlm.plan.next_unix", "next unix (ms)", base.DEC, nil, nil, "When, if it is known; else 0."), 8 },
  { ProtoField.string("passband.tlm.plan.next_order", "next order", base.UNICODE, "What it does, its first bytes."), 65, true },
} }
packets[0x109] = { name = "upload", bytes = 214, fields = {
  { ProtoField.bytes("passband.tlm.upload.id", "id", base.NONE, "The first bytes of its SHA-256."), 4 },
  { ProtoField.uint8("passband.tlm.upload.kind", "kind", base.DEC, names["upload"], nil, "What it is."), 1 },
  { ProtoField.string("passband.tlm.upload.name", "name", base.UNICODE, "What it is called."), 33, true },
  { ProtoField.uint32("passband.tlm.upload.size", "size (B)", base.DEC, nil, nil, "Its size."), 4 },
  { ProtoField.uint16("passband.tlm.upload.piece", "piece (B)", base.DEC, nil, nil, "Bytes of a piece."), 2 },
  { ProtoField.uint32("passband.tlm.upload.pieces", "pieces", base.DEC, nil, nil, "Its pieces."), 4 },
  { ProtoField.uint32("passband.tlm.upload.missing", "missing", base.DEC, nil, nil, "Those that are missing."), 4 },
  { ProtoField.uint8("passband.tlm.upload.fate", "fate", base.DEC, names["fate"], nil, "What becomes of it."), 1 },
  { ProtoField.uint8("passband.tlm.upload.reason", "reason", base.DEC, names["reason"], nil, "Why it was refused, or can't be taken now."), 1 },
  { ProtoField.bytes("passband.tlm.upload.gaps", "gaps", base.NONE, "Where the gaps are: pairs of a first piece and a count, 4 bytes each; 0, 0: no more. When they are more than there is room for, the last pair reaches to the end of the last one: the counts add up to more than is missing."), 160 },
} }
packets[0x10a] = { name = "script", bytes = 214, fields = {
  { ProtoField.uint16("passband.tlm.script.source", "source", base.DEC, nil, nil, "By which way the order came that began it."), 2 },
  { ProtoField.uint32("passband.tlm.script.number", "number", base.DEC, nil, nil, "That order's number."), 4 },
  { ProtoField.string("passband.tlm.script.name", "name", base.UNICODE, "The script."), 25, true },
  { ProtoField.uint8("passband.tlm.script.end", "end", base.DEC, names["end"], nil, "How it ended."), 1 },
  { ProtoField.uint8("passband.tlm.script.status", "status", base.DEC, nil, nil, "The number of its exit or signal."), 1 },
  { ProtoField.uint32("passband.tlm.script.ran", "ran (ms)", base.DEC, nil, nil, "How long it ran."), 4 },
  { ProtoField.uint32("passband.tlm.script.output", "output (B)", base.DEC, nil, nil, "Bytes that it wrote."), 4 },
  { ProtoField.bytes("passband.tlm.script.bundle", "bundle", base.NONE, "The bundle with its output; 0: none."), 12 },
  { ProtoField.string("passband.tlm.script.text", "text", base.UNICODE, "The first of what it wrote."), 161, true },
} }
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
local FRONT, BACK, P_FIELD = 13, 12, 46

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
