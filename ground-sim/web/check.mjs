// Looks at the web page in a headless Chromium, with a station, a link that loses most, and a satellite that talks.
//
//   node check.mjs BIN_DIR EXAMPLES MODULES CHROMIUM SHOTS [--openmct]
//
// BIN_DIR has `passband-ground`, EXAMPLES `model_satellite`, MODULES playwright-core (and openmct). Pictures of the page go to
// SHOTS. With --openmct the real Open MCT is served, and history and live data come through its telemetry API.

import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { frames, plumes, writeMission } from "./mission.mjs";

const [binaries, examples, modules, executablePath, shots, openmct] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, "/"))("playwright-core");
const started = Date.now();
const scratch = await mkdtemp(join(tmpdir(), "passband-web-"));
const at = (...parts) => join(scratch, ...parts);
const running = [];
const problems = [];
let checks = 0;

function check(what, good, found = "") {
  checks += 1;
  if (!good) problems.push(`${what}${found === "" ? "" : `: ${found}`}`);
}

// Starts a program; gives it with a promise of its first line that fits.
function start(program, args, line) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  running.push(child);
  let said = "";
  const ready = new Promise((resolve, reject) => {
    child.stdout.on("data", (data) => {
      said += data;
      const found = said.match(line);
      if (found) resolve(found);
    });
    child.on("exit", () => reject(new Error(`${program} ${args[0]} ended: ${said}`)));
  });
  ready.catch(() => {}); // Whoever waits for it is told.
  return { child, ready, over: new Promise((resolve) => child.on("exit", resolve)) };
}

async function freePort() {
  const socket = createSocket("udp4");
  await new Promise((bound) => socket.bind(0, "127.0.0.1", bound));
  const { port } = socket.address();
  socket.close();
  return port;
}

async function until(what, so, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    if (await so()) return check(what, true);
    if (Date.now() > end) return check(what, false);
    await wait(100);
  }
}

const ground = join(binaries, "passband-ground");
const [air, dish] = [await freePort(), await freePort()];
const local = (port) => `127.0.0.1:${port}`;

async function startGround() {
  const run = (...args) => start(ground, args, /^/).over;
  await run("keys", "new", "--out", at("keys.txt"), "--spacecraft", "7");
  await writeMission(at("out"));
  const soon = (s) => new Date(Date.now() + s * 1000).toISOString().slice(0, 19) + "Z";
  const window = (station, aos, los) => `[[window]]\nstation = "${station}"\naos = "${soon(aos)}"\nlos = "${soon(los)}"\n`;
  await writeFile(at("windows.toml"), window("Kiruna", 754, 1174) + window("Svalbard", 6400, 6900) + window("Awarua", 9800, 10300));
  const receive = start(ground, ["receive", "--keys", at("keys.txt"), "--listen", local(dish), "--out", at("out")], /listening/);
  await receive.ready.catch((e) => problems.push(String(e)));
  start(ground, ["link", "--listen", local(air), "--forward", local(dish), "--loss", "70%", "--seed", "3"], /^/);
  await writeFile(at("night-cube.bin"), Buffer.alloc(3 << 20, 7));
  await wait(300);
  start(ground, ["send", "--keys", at("keys.txt"), "--to", local(air), "--rate", "20M", "--factor", "1.6", at("night-cube.bin")], /^/);
  const serve = start(ground, ["serve", "--out", at("out"), "--archive", at("tlm"), "--telemetry", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--windows", at("windows.toml"),
    "--keys", at("keys.txt"), "--token-file", at("token"), ...(openmct ? ["--openmct", join(modules, "node_modules/openmct/dist")] : [])], /listening on (\S+) \(telemetry\)[^]*serving (http:\/\/[^/]+)/);
  const [, telemetry, origin] = await serve.ready;
  start(join(examples, "model_satellite"), ["--to", telemetry, "--every", "0.25", "--keys", at("keys.txt")], /^/);
  return { origin, telemetry };
}

async function withoutToken(origin) {
  for (const path of ["/", "/api/snapshot", "/api/stream", "/openmct/history/beacon.boot_count", "/picture/x.png"]) {
    const { status } = await fetch(origin + path);
    check(`401 without the token at ${path}`, status === 401, status);
  }
  check("401 with a wrong one", (await fetch(`${origin}/?token=0123456789abcdef`)).status === 401);
}

async function thePage(browser, origin, token) {
  const context = await browser.newContext({ viewport: { width: 1500, height: 1750 }, colorScheme: "dark" });
  const page = await context.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && problems.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`page: ${error}`));
  page.on("request", (request) => check("nothing is loaded from elsewhere", request.url().startsWith(origin) || request.url().startsWith("data:"), request.url()));
  await page.goto(`${origin}/?token=${token}`);
  check("the token left the address", !page.url().includes("token"), page.url());
  check("the cookie can't be read by scripts", (await page.evaluate("document.cookie")) === "");
  const text = (id) => page.locator(id).innerText();
  await until("it is live", async () => (await text("#live")) === "live");
  await until("events came", async () => (await page.locator("#event-rows .row").count()) > 0);
  const newest = await text("#event-rows .row:first-child .when");
  await until("and a new one comes by itself", async () => (await text("#event-rows .row:first-child .when")) !== newest);
  const first = await text("#count-time");
  check("the countdown is that of Kiruna", (await text("#count-what")) === "AOS Kiruna", await text("#count-what"));
  await until("and goes on", async () => (await text("#count-time")) !== first);
  await until("plumes are on the map", async () => (await page.locator("#map-svg circle.plume").count()) === plumes);
  check("with boxes, a graticule and a scale", (await page.locator("#map-svg polygon.box").count()) === plumes && (await page.locator("#map-svg line").count()) > 6 && (await page.locator("#map-svg .scale").count()) === 1);
  await page.hover("#map-svg", { position: { x: 200, y: 200 } });
  check("and the place under the pointer", /\d° [NS] +[\d.]+° [EW]/.test(await page.locator("#map-at").textContent()));
  await until("quicklooks are drawn", async () => (await page.evaluate("[...document.querySelectorAll('#look-rows img')].filter((i) => i.naturalWidth > 0).length")) === frames);
  await until("a bundle fills up", async () => /\d+\/\d+ blocks/.test(await text("#bundle-rows")));
  await until("the link's loss is shown", async () => /%\nlost/.test(await text("#link-body")));
  const rows = await page.locator("#channel-rows tr").count();
  check("all channels are there", rows > 60, rows);
  await until("power is beyond a limit at times", async () => /yellow|red/.test(await text("#levels")), 25_000);
  check("the dictionary agrees", (await text("#digest-list")).includes("as here"));
  await aDraft(page, text);
  await page.screenshot({ path: join(shots, "dark.png") });
  await page.click("#theme");
  await page.screenshot({ path: join(shots, "light.png") });
  await page.setViewportSize({ width: 420, height: 900 });
  check("a phone's width needs no scrolling aside", await page.evaluate("document.documentElement.scrollWidth <= innerWidth"));
  await context.close();
}

async function aDraft(page, text) {
  await page.fill("#line", "pass start");
  await until("a draft says what is missing", async () => (await text("#draft-said")).includes("SECONDS is wanted"));
  check("and how it is given", (await text("#draft-usage")).startsWith("pass start SECONDS"));
  await page.fill("#line", "board reboot");
  await until("a hazardous one takes two lines", async () => /--arm[^]*--fire/.test(await page.locator("#draft-commands").innerText().catch(() => "")));
  await page.fill("#line", "health sh");
  await until("words go on", async () => (await text(".words")).includes("shed"));
  await page.fill("#line", "pass start 300 --rate 2000000");
  await until("a good one is shown", async () => (await text("#draft-said")).includes("passband-ground order"));
}

async function theOpenMct(browser, origin, token) {
  const page = await (await browser.newContext({ viewport: { width: 1400, height: 900 } })).newPage();
  page.on("pageerror", (error) => problems.push(`Open MCT: ${error}`));
  page.on("console", (message) => message.type() === "error" && problems.push(`Open MCT, console: ${message.text()}`));
  await page.goto(`${origin}/?token=${token}`);
  await page.goto(`${origin}/openmct/`);
  await page.waitForFunction("globalThis.openmct?.router?.started", null, { timeout: 30_000 }).catch(() => problems.push("Open MCT did not start"));
  const result = await page.evaluate(async () => {
    const { openmct } = window;
    const find = (key) => openmct.objects.get({ namespace: "passband", key });
    const root = await find("passband");
    const children = await openmct.composition.get(root).load();
    const power = await find("housekeeping.power");
    const [start, end] = [Date.now() - 600e3, Date.now() + 1000];
    const history = await openmct.telemetry.request(power, { start, end });
    const latest = await openmct.telemetry.request(power, { start, end, strategy: "latest", size: 1 });
    const [range] = openmct.telemetry.getMetadata(power).valuesForHints(["range"]);
    const live = new Promise((resolve) => {
      const stop = openmct.telemetry.subscribe(power, (datum) => (stop(), resolve(datum)));
      setTimeout(() => resolve(null), 8000);
    });
    const formatter = openmct.telemetry.getValueFormatter(range);
    const evaluator = openmct.telemetry.limitEvaluator(power);
    const beyond = [99, 26, 10].map((value) => evaluator.evaluate({ value }, range)?.name ?? "");
    return { beyond, children: children.length, history: history.length, latest, live: await live, said: formatter.format(latest[0]), limits: Object.keys(await openmct.telemetry.getLimits(power).limits()) };
  });
  check("Open MCT has a folder a packet", result.children >= 10, result.children);
  check("history", result.history > 10, result.history);
  check("the latest", result.latest.length === 1 && Number(result.said) > 5, JSON.stringify(result.latest));
  check("live data", result.live?.id === "housekeeping.power" && result.live.timestamp > result.latest[0].timestamp, JSON.stringify(result.live));
  check("limits are judged", result.beyond.join() === "red high,yellow high,", result.beyond.join());
  check("limits", result.limits.includes("CRITICAL"), result.limits);
  await page.goto(`${origin}/openmct/#/browse/passband:passband/passband:housekeeping/passband:housekeeping.power?view=plot-single`);
  const plotted = () => page.evaluate("[...document.querySelectorAll('.gl-plot canvas')].length");
  await until("and a plot of it is drawn", async () => (await plotted()) > 0);
  await wait(1500);
  await page.screenshot({ path: join(shots, "openmct.png") });
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const { origin } = await startGround();
  const token = (await readFile(at("token"), "utf8")).trim();
  await withoutToken(origin);
  await thePage(browser, origin, token);
  if (openmct) await theOpenMct(browser, origin, token);
} catch (e) {
  problems.push(String(e?.stack ?? e));
} finally {
  await browser.close();
  running.forEach((child) => child.kill("SIGINT"));
  await wait(300);
  await rm(scratch, { recursive: true, force: true });
}
[...new Set(problems)].slice(0, 20).forEach((problem) => console.error(`web: ${problem}`));
console.log(`web: ${checks} checks, ${new Set(problems).size} problems, ${((Date.now() - started) / 1000).toFixed(1)} s (in Chromium)`);
process.exit(problems.length || !checks ? 1 : 0);
