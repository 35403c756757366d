// What each panel shows of a snapshot.
const chip = (text, level = "") => el("span", { class: `pill ${level}` }, text);
const severity = { info: "", warning: "yellow", error: "red", critical: "red" };
const stages = { done: "good", accepted: "", started: "", armed: "yellow", refused: "red", failed: "red" };
const lossSeen = [];

function showHead(shown) {
  const { satellite: s } = shown;
  $("craft").textContent = s?.beacon ? `spacecraft ${s.beacon.spacecraft}` : "";
  $("mode").textContent = s ? (s.shed === "nothing" ? s.mode : `${s.mode}, shed ${s.shed}`) : "nothing heard yet";
  $("mode").className = `pill ${s ? { nominal: "good", shedding: "yellow", safe: "red" }[s.mode] : ""}`;
  $("levels").replaceChildren(...[["red", shown.red], ["yellow", shown.yellow]].filter(([, n]) => n).map(([l, n]) => chip(`${n} ${l}`, l)));
}

function showDigest(shown) {
  const rows = [];
  const put = (name, ...said) => rows.push(el("dt", {}, name), el("dd", {}, ...said));
  const { satellite: s, since, ground } = shown;
  const hidden = [[shown.refused, "packets of another key"], [shown.untagged, "packets without a tag"]].filter(([n]) => n);
  if (shown.hint) put("not shown", ...hidden.map(([n, what]) => chip(`${n} ${what}`, "red")), ` ${shown.hint}`);
  if (!s) put("satellite", "no beacon and no housekeeping came yet");
  if (s) {
    put("heard", `${ago(shown.now_unix_ms - s.received_unix_ms)}; its clock then ${day(s.unix_ms)} UTC`);
    put("up", `${wait(s.uptime_s * 1000)}, start ${s.boot_count}${s.beacon ? ` (${s.beacon.reset_cause})` : ""}`);
  }
  put(since.los_unix_ms ? "since LOS" : "events", ...["critical", "error", "warning", "info"].filter((name) => since[name])
    .flatMap((name) => [chip(`${since[name]} ${name}`, severity[name]), " "]), since.los_unix_ms ? el("span", { class: "soft" }, clock(since.los_unix_ms)) : "");
  if (s?.queue) {
    const [alert, suspect, routine, discard] = s.queue.waiting;
    put("to go down", `${alert} alert, ${suspect} suspect, ${routine} routine, ${discard} discard; ${s.queue.on_link} on the link`);
    put("down", `${s.queue.known} known, ${s.queue.presumed} presumed; ${s.queue.alerts_pending} alerts unheard`);
  }
  if (s?.beacon) {
    const b = s.beacon;
    put("runs", el("code", {}, `git ${b.git}  binary ${b.binary}`));
    put("dictionary", el("code", {}, b.dictionary), " ", b.dictionary_agrees ? chip("as here", "good") : chip("not the one used here", "red"));
    put("parameters", el("code", {}, b.parameters), " ", chip(b.parameters_state, { "on-trial": "yellow", damaged: "red" }[b.parameters_state]));
    put("disk", chip(b.disk, b.disk === "good" ? "good" : "red"), ` update ${b.update}${b.upload_percent ? `, uploads ${b.upload_percent} %` : ""}`);
  }
  put("on the ground", `${ground.bundles_whole} bundles whole, ${ground.bundles_open} filling`);
  $("digest-list").replaceChildren(...rows);
}

function showPasses({ passes, now_unix_ms: now }) {
  const { plan, ahead } = passes;
  $("orbit").textContent = plan.satellite ? `${plan.satellite}, elements of ${utc(plan.epoch_unix_ms).slice(0, 10)}${plan.stale ? " (too old)" : ""}` : "";
  const rows = ahead.map((pass) => el("tr", {}, el("td", {}, pass.station, pass.stale ? chip("stale", "yellow") : ""), el("td", { class: "mono" }, day(pass.aos_unix_ms)),
    el("td", { class: "n" }, wait(pass.los_unix_ms - pass.aos_unix_ms)), el("td", { class: "n" }, pass.max_elevation_deg === null ? pass.source : `${pass.max_elevation_deg.toFixed(0)}°`)));
  fill("pass-rows", rows, "none: give --windows, or --elements and --stations");
  const span = Math.max(3600e3, Math.min(86400e3, (ahead.at(-1)?.los_unix_ms ?? now) - now));
  const width = $("timeline").getBoundingClientRect().width || 400;
  const x = (ms) => ((ms - now) / span) * width;
  const marks = [svg("line", { x1: 0, x2: width, y1: 24, y2: 24 }), svg("line", { class: "now", x1: 0.5, x2: 0.5, y1: 6, y2: 30 })];
  for (const pass of ahead.filter((pass) => pass.aos_unix_ms < now + span)) {
    const from = Math.max(0, x(pass.aos_unix_ms));
    marks.push(svg("rect", { class: pass.stale ? "pass stale" : "pass", x: from, y: 10, rx: 3, height: 14, width: Math.max(3, x(pass.los_unix_ms) - from) }, svg("title", {}, `${pass.station} ${day(pass.aos_unix_ms)}`)));
  }
  const hours = Math.max(1, Math.ceil(span / 3600e3 / 6));
  for (let at = Math.ceil(now / 3600e3) * 3600e3; at < now + span; at += hours * 3600e3) marks.push(svg("text", { x: x(at), y: 42 }, clock(at).slice(0, 5)));
  $("timeline").replaceChildren(...marks);
}

function showLink({ ground: { link }, satellite, telemetry, now_unix_ms: now }) {
  $("link-age").textContent = link ? ago(now - link.updated_unix_ms) : "no station has written into this store";
  const tm = telemetry.reduce((sum, heard) => sum + heard.packets, 0);
  const figure = (value, what) => el("div", {}, el("div", { class: "big" }, value), el("span", {}, what));
  const pass = link?.passes.at(-1);
  const loss = pass?.sent ? Math.max(0, 1 - pass.heard / pass.sent) : link?.loss;
  const figures = [figure(loss === null || loss === undefined ? "–" : percent(loss), pass ? "lost in this pass" : "lost"), figure(link ? size(link.bytes) : "–", "received"), figure(String(tm), "telemetry packets")];
  if (satellite?.queue) figures.push(figure(percent(satellite.queue.expected_loss), "loss the sender expects"));
  const body = [el("div", { class: "figures" }, ...figures)];
  if (link && (!lossSeen.length || lossSeen.at(-1).at !== link.updated_unix_ms)) lossSeen.push({ at: link.updated_unix_ms, loss: loss ?? 0 });
  if (lossSeen.length > 600) lossSeen.shift();
  if (lossSeen.length > 1) {
    const path = lossSeen.map((seen, at) => `${at ? "L" : "M"}${(100 * at) / (lossSeen.length - 1)} ${50 - 48 * Math.min(1, seen.loss)}`).join("");
    body.push(svg("svg", { id: "link-spark", viewBox: "0 0 100 54", preserveAspectRatio: "none" }, svg("path", { d: path })));
  }
  const refused = Object.entries(link?.rejected ?? {}).map(([why, n]) => `${n} ${why}`).join(", ");
  if (link) body.push(el("div", { class: "soft" }, `${link.datagrams} datagrams: ${link.new} new, ${link.known} known before; not taken: ${refused || "none"}`));
  $("link-body").replaceChildren(...body);
}

function showBundles({ ground }) {
  $("bundle-count").textContent = `${ground.bundles_open} open, ${ground.bundles_whole} whole`;
  const rows = ground.bundles.map((b) => {
    const bar = el("i");
    bar.style.width = `${b.percent}%`;
    return el("div", { class: "fill" }, el("div", {}, el("span", { class: `class ${b.class}` }, b.class), el("b", { title: b.id }, b.name ?? b.id), el("span", { class: "n" }, `${b.blocks[0]}/${b.blocks[1]} blocks  ${b.percent.toFixed(1)} %`)), el("div", { class: "bar" }, bar));
  });
  fill("bundle-rows", rows, "none is coming in");
}

function showAlerts({ ground }) {
  fill("alert-rows", ground.alerts.map((a) => el("div", { class: "row" }, el("span", { class: "class alert" }, a.gas ?? "?"), el("b", {}, a.probability === null ? "" : percent(a.probability, 0)), el("span", { class: "when" }, day(a.created_unix_ms)),
    el("span", { class: "text" }, `${a.frame ?? a.name}${a.positions[0] ? `, ${degrees(a.positions[0][0], 4, "N", "S")} ${degrees(a.positions[0][1], 4, "E", "W")}` : ""}${a.detections ? `, ${a.detections} plumes` : ""}`))), "none came");
}

let looksShown = "";
function showLooks({ ground }) {
  const key = JSON.stringify(ground.quicklooks);
  if (key === looksShown) return;
  looksShown = key;
  fill("look-rows", ground.quicklooks.map((look) => {
    const source = `/picture/${look.path.split("/").map(encodeURIComponent).join("/")}`;
    const enlarge = () => {
      $("large").querySelector("img").src = source;
      $("large").querySelector("p").textContent = `${look.frame}, ${look.class}, ${utc(look.created_unix_ms)}`;
      $("large").showModal();
    };
    return el("figure", {}, el("img", { src: source, alt: `quicklook of ${look.frame}`, onclick: enlarge }), el("figcaption", {}, el("span", { class: `class ${look.class}` }, look.class), " ", look.frame));
  }), "none came down yet");
}

function showEvents({ events, satellite }) {
  $("event-count").textContent = satellite ? `newest on board #${satellite.last_event}` : "";
  fill("event-rows", events.map((e) => el("div", { class: "row" }, chip(e.severity, severity[e.severity]), el("b", {}, e.code), el("span", { class: "when" }, `#${e.number} ${day(e.unix_ms)}`), el("span", { class: "text" }, e.text))), "none came down yet");
}

// Where the limits are, and the value among them.
function gauge({ value, limits }) {
  if (!limits || value === null) return "";
  const [rl, yl, yh, rh] = limits;
  const known = limits.filter((limit) => limit !== null);
  const edge = Math.max((Math.max(...known) - Math.min(...known)) * 0.25, Math.abs(known[0]) * 0.25, 1e-6);
  const low = Math.min(value, rl === null && yl === null ? Math.min(0, ...known) : Math.min(...known) - edge);
  const high = Math.max(value, Math.max(...known) + edge);
  const at = (x) => (100 * (x - low)) / (high - low);
  const part = (from, to, name) => {
    const zone = el("i", { class: name });
    [zone.style.left, zone.style.width] = [`${at(from)}%`, `${Math.max(0, at(to) - at(from))}%`];
    return zone;
  };
  const zones = [part(yl ?? rl ?? low, yh ?? rh ?? high, "g")];
  if (yl !== null) zones.push(part(rl ?? low, yl, "y"));
  if (yh !== null) zones.push(part(yh, rh ?? high, "y"));
  if (rl !== null) zones.push(part(low, rl, "r"));
  if (rh !== null) zones.push(part(rh, high, "r"));
  const needle = el("b");
  needle.style.left = `${at(value)}%`;
  return el("div", { class: "gauge", title: `red ${rl ?? "-"}, yellow ${yl ?? "-"} … ${yh ?? "-"}, red ${rh ?? "-"}` }, ...zones, needle);
}

function showChannels({ channels, now_unix_ms: now }) {
  const rank = { red: 0, yellow: 1 };
  const wanted = $("channel-filter").value.trim().toLowerCase();
  const rows = channels.filter((c) => !wanted || c.name.includes(wanted) || c.doc.toLowerCase().includes(wanted));
  rows.sort((a, b) => (rank[a.level] ?? 2) - (rank[b.level] ?? 2) || Number(!a.limits) - Number(!b.limits));
  $("channel-note").textContent = channels.length ? `${channels.length}, ${ago(now - channels[0].unix_ms)} by its clock` : "";
  fill("channel-rows", rows.map((c) => el("tr", { title: c.doc }, el("td", {}, c.name.replaceAll("_", " ")), el("td", { class: `n ${c.level === "green" ? "" : c.level ?? ""}` }, `${c.text} ${c.unit}`), el("td", {}, gauge(c)), el("td", { class: c.level ?? "" }, c.level && c.level !== "green" ? c.level : ""))), "no housekeeping came yet");
}

// What is armed keeps all other orders of its holder.
function waits(answer, armed) {
  const found = armed.find((a) => a.source === answer.source && a.number === answer.number);
  return found ? el("span", { class: "text" }, `armed until ${new Date(found.until_unix_ms).toISOString().slice(11, 19)}: the other orders of ${answer.source} wait`) : "";
}

function showOrders({ answers, armed, uploads, plans, scripts, parameters }) {
  fill("answer-rows", answers.map((a) => el("div", { class: "row" }, chip(a.stage, stages[a.stage]), el("b", {}, a.order), el("span", { class: "when" }, `${a.source}/${a.number} ${day(a.unix_ms)}`),
    waits(a, armed), a.reason !== "none" || a.text ? el("span", { class: "text" }, [a.reason === "none" ? "" : a.reason, a.text].filter(Boolean).join(": ")) : "")), "no answers came yet");
  const rows = [...uploads.map((u) => ["upload", u.name, `${u.kind}, ${u.pieces - u.missing}/${u.pieces} pieces${u.fate === "coming" ? "" : `, ${u.fate}`}${u.reason === "none" ? "" : `: ${u.reason}`}`]), ...plans.map((p) => ["plan", p.name, `${p.state}, ${p.done}/${p.entries} done${p.failed ? `, ${p.failed} failed` : ""}${p.next_order ? `; next ${p.next_unix_ms ? clock(p.next_unix_ms) : ""} ${p.next_order}` : ""}`]),
    ...scripts.map((s) => ["script", s.name, `${s.end} ${s.status}: ${s.text.split("\n")[0]}`]), ...parameters.map((p) => ["parameter", p.name, `${p.value} (${p.state}${p.staged ? `; staged ${p.staged}` : ""})`])];
  $("board-rows").replaceChildren(rows.length ? el("table", {}, ...rows.map(([kind, name, said]) => el("tr", {}, el("td", { class: "soft" }, kind), el("td", {}, name), el("td", { class: "soft" }, said)))) : "");
}
