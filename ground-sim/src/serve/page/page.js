// The page: snapshots by server-sent events, a clock that goes on between them, drafts of orders.
let shown = null;
let ahead = 0; // by how much the ground's clock is ahead of the browser's, ms
let detectionsOf = "";

const panels = [showHead, showDigest, showPasses, showLink, showBundles, showAlerts, showLooks, showEvents, showChannels, showOrders];

function show(snapshot) {
  shown = snapshot;
  ahead = snapshot.now_unix_ms - Date.now();
  for (const panel of panels) panel(snapshot);
  $("faults").replaceChildren(...snapshot.ground.faults.map((fault) => el("div", {}, fault)));
  tick();
  const key = JSON.stringify([snapshot.ground.quicklooks, snapshot.ground.alerts.length, snapshot.ground.bundles_whole]);
  if (key !== detectionsOf) {
    detectionsOf = key;
    get("/api/detections").then((found) => map.show(found), () => (detectionsOf = ""));
  }
}

async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// The countdown, between snapshots by the clock.
function tick() {
  const now = Date.now() + ahead;
  $("utc").textContent = `${utc(now).slice(0, 19).replace("T", " ")} UTC`;
  const down = shown?.passes.countdown;
  const there = down && down.to !== "none";
  $("count-what").textContent = there ? `${down.to.toUpperCase()} ${down.station}` : "no pass is known";
  $("count-time").textContent = there ? `T−${wait(down.unix_ms - now)}` : "";
  $("count").className = down?.to === "los" ? "count on" : "count";
}

function follow() {
  const stream = new EventSource("/api/stream");
  const live = (text, level) => {
    $("live").textContent = text;
    $("live").className = `pill ${level}`;
  };
  stream.addEventListener("open", () => live("live", "good"));
  stream.addEventListener("snapshot", (event) => show(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    live("not connected", "red");
    // The browser tries again by itself unless it was refused.
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  });
}

let asked = 0;
async function draft() {
  const line = $("line").value;
  const number = ++asked;
  if (!line.trim()) return $("draft-said").replaceChildren(nothing("Type an order's words. What they do, what is wrong with them and the lines that give them stand here."));
  let said;
  try {
    said = await get(`/api/draft?line=${encodeURIComponent(line)}`);
  } catch (e) {
    said = { error: String(e), completions: [], commands: [], sources: [] };
  }
  if (number !== asked) return;
  const start = line.replace(/\S*$/, "");
  $("words").replaceChildren(...said.completions.map((word) => el("option", { value: start + word })));
  const hazard = { none: "", "two-steps": "two steps: arm, then fire", "two-keys": "two steps under two keys: arm, then fire with another" }[said.hazard] ?? "";
  const take = (word) => () => {
    $("line").value = `${start}${word} `;
    $("line").focus();
    draft();
  };
  const parts = [said.error ? el("div", { class: "red", id: "draft-error" }, said.error) : null, said.doc ? el("div", {}, said.doc) : null,
    said.usage ? el("code", { id: "draft-usage" }, said.usage) : null, hazard ? el("div", {}, chip(hazard, "yellow")) : null, said.sources?.length ? el("div", { class: "soft" }, `given by: ${said.sources.join(", ")}`) : null,
    said.commands.length ? el("pre", { id: "draft-commands" }, said.commands.join("\n")) : null, said.completions.length ? el("div", { class: "words" }, ...said.completions.slice(0, 24).map((word) => el("button", { type: "button", onclick: take(word) }, word))) : null];
  $("draft-said").replaceChildren(...parts.filter(Boolean));
}

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", document.documentElement.dataset.theme);
  } catch {} // A browser that keeps nothing.
}

try {
  const kept = localStorage.getItem("theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
} catch {} // As above.
$("theme").addEventListener("click", theme);
$("line").addEventListener("input", draft);
$("channel-filter").addEventListener("input", () => shown && showChannels(shown));
$("large").addEventListener("click", () => $("large").close());
map.start();
draft();
setInterval(tick, 250);
follow();
