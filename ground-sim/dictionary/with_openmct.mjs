// Shows random packets in Open MCT, in a headless Chromium: its telemetry API, with our dictionary, formats every value.
//
//   node with_openmct.mjs DIR MODULES CHROMIUM
//
// DIR is what `random_packets` wrote and the dictionaries; MODULES has `openmct` and `playwright-core`.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join, normalize } from "node:path";

const [folder, modules, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, "/"))("playwright-core");
const started = Date.now();
const read = async (name) => JSON.parse(await readFile(join(folder, name), "utf8"));
const [dictionary, expected] = [await read("passband.json"), await read("expected.json")];

const page = `<!doctype html><title>Open MCT</title><script src="/openmct/openmct.js"></script>`;
const server = createServer(async (request, answer) => {
  const path = normalize(request.url.split("?")[0]);
  try {
    const file = path.startsWith("/openmct/") ? join(modules, "node_modules/openmct/dist", path.slice(9)) : join(folder, path);
    const body = path === "/" ? page : await readFile(file);
    const type = path === "/" ? "text/html" : path.endsWith(".js") ? "text/javascript" : "application/json";
    answer.writeHead(200, { "content-type": `${type}; charset=utf-8` }).end(body);
  } catch {
    answer.writeHead(404).end();
  }
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));

// In the page: a plugin as one writes it for Open MCT, then every value as its views would show it.
async function shown() {
  const { openmct } = window;
  const get = async (name) => (await fetch(name)).json();
  const [dictionary, ours, packets] = await Promise.all(["/passband-openmct.json", "/passband.json", "/openmct.json"].map(get));
  const places = new Map(ours.packets.map((p) => [p.name, { apid: p.apid, fields: p.fields.map((f) => f.name) }]));
  openmct.setAssetPath("/openmct");
  openmct.install((mct) => {
    const find = (key) => dictionary.measurements.find((m) => m.key === key);
    mct.types.addType("passband.channel", { name: "Channel" });
    mct.objects.addRoot({ namespace: "passband", key: dictionary.key });
    mct.objects.addProvider("passband", {
      get: async (identifier) => {
        const { key } = identifier;
        if (key === dictionary.key) return { identifier, name: dictionary.name, type: "folder", location: "ROOT" };
        const m = find(key);
        return { identifier, name: m.name, type: "passband.channel", telemetry: { values: m.values }, location: "passband:passband" };
      },
    });
    const ofUs = (object) => object.type === "passband.channel";
    mct.telemetry.addProvider({
      supportsRequest: ofUs,
      request: async (object) => {
        const [packet, field] = object.identifier.key.split(".");
        const { apid, fields } = places.get(packet);
        const at = fields.indexOf(field);
        const of = packets.filter((p) => p[0] === apid);
        return of.map((p, i) => ({ id: object.identifier.key, timestamp: i, value: p[1][at] }));
      },
      supportsLimits: ofUs,
      getLimits: (object) => ({ limits: async () => find(object.identifier.key).limits ?? {} }),
    });
  });
  openmct.install(openmct.plugins.LocalStorage());
  openmct.install(openmct.plugins.UTCTimeSystem());
  openmct.time.setClock("local", { start: -1000, end: 0 });
  openmct.time.setTimeSystem("utc", { start: 0, end: 1e9 });
  await new Promise((begun) => {
    openmct.on("start", begun);
    openmct.start();
  });
  const result = {};
  for (const { key } of dictionary.measurements) {
    const object = await openmct.objects.get({ namespace: "passband", key });
    const metadata = openmct.telemetry.getMetadata(object);
    const [range] = metadata.valuesForHints(["range"]);
    const formatter = openmct.telemetry.getValueFormatter(range);
    const data = await openmct.telemetry.request(object, { start: 0, end: 1e9 });
    const limits = await openmct.telemetry.getLimits(object).limits();
    const plotted = range.format === "string" ? [] : data.map((datum) => typeof formatter.parse(datum));
    result[key] = {
      values: data.map((datum) => String(Object.is(formatter.format(datum), -0) ? "-0" : formatter.format(datum))),
      numbers: plotted.every((type) => type === "number"),
      limits: Object.keys(limits).length,
      unit: range.unit ?? "",
    };
  }
  return result;
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
let [fields, mismatches] = [0, 0];
const same = (what, found, wanted) => {
  fields += 1;
  if (found !== wanted && (mismatches += 1) <= 20) console.error(`openmct: ${what}: ${found} is not ${wanted}`);
};
try {
  const tab = await browser.newPage();
  tab.on("pageerror", (error) => console.error(`openmct: ${error}`));
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  const result = await tab.evaluate(shown);
  for (const packet of dictionary.packets) compare(packet, result);
} finally {
  await browser.close();
  server.close();
}
const spent = ((Date.now() - started) / 1000).toFixed(1);
console.log(`openmct: ${expected.length} packets, ${fields} fields, ${mismatches} mismatches, ${spent} s (in Chromium)`);
process.exitCode = mismatches || !fields ? 1 : 0;

function compare(packet, result) {
  const of = expected.filter(([apid]) => apid === packet.apid);
  packet.fields.forEach((field, at) => {
    const key = `${packet.name}.${field.name}`;
    const { values, numbers, limits, unit } = result[key];
    same(`${key}, packets`, values.length, of.length);
    same(`${key}, unit`, unit, field.unit);
    same(`${key}, numbers to plot`, numbers, true);
    const defaults = dictionary.parameters.find((parameter) => parameter.name === field.limits)?.default ?? "-,-,-,-";
    same(`${key}, limits`, limits > 0, /\d/.test(defaults));
    of.forEach((packet, i) => same(key, as(field.kind, values[i]), as_expected(field.kind, packet[5][at])));
  });
}

// A float by its bits, all else as it is shown.
function as(kind, text) {
  if (kind.type !== "f32") return text;
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, Number(text));
  return Number.isNaN(Number(text)) ? "7fc00000" : view.getUint32(0).toString(16).padStart(8, "0");
}

function as_expected(kind, value) {
  if (kind.type !== "name") return value;
  return dictionary.names[kind.names].find(({ code }) => code === Number(value))?.name ?? value;
}
