// A mission to look at: an output folder with frames, pictures, detections and alerts, as `receive` leaves it.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";

const FRAMES = [
  { name: "permian-0412", class: "alert", lat: 31.9123, lon: -102.0456, probability: 0.98, peak: 1250, plumes: 3 },
  { name: "permian-0413", class: "suspect", lat: 31.7441, lon: -101.8632, probability: 0.71, peak: 640, plumes: 2 },
  { name: "permian-0415", class: "routine", lat: 32.0332, lon: -102.3121, probability: 0.34, peak: 280, plumes: 1 },
];

export const plumes = FRAMES.reduce((sum, frame) => sum + frame.plumes, 0);
export const frames = FRAMES.length;

// Writes it below `out`; frames were made on board in the last hour.
export async function writeMission(out) {
  const now = Date.now();
  const listed = [];
  for (const [at, frame] of FRAMES.entries()) {
    const id = `${at + 1}`.repeat(24);
    const made = now - (at + 1) * 900e3;
    const folder = join(out, "frames", `${frame.name}-${id.slice(0, 8)}`);
    const picture = png(240, 180, at);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${frame.name}.quicklook.png`), picture);
    await writeFile(join(folder, "frame.json"), "{}");
    await writeFile(join(folder, "detections.geojson"), JSON.stringify({ type: "FeatureCollection", features: features(frame, id, made) }));
    listed.push({
      schema: 1, id: `a${at}`.repeat(12), folder: `${frame.name}-quicklook-${at}`, spacecraft: 7, name: `${frame.name} quicklook`, product: "quicklook", class: frame.class,
      created_unix_ms: made, frame: frame.name, frame_id: id, tasking: null, reason: null, gas: "CH4", probability: frame.probability, detections: frame.plumes, part: null, lines: null,
      samples: null, bytes: picture.length, files: [{ name: `${frame.name}.quicklook.png`, bytes: picture.length, sha256: "0".repeat(64) }], preview: null, positions: [],
    });
  }
  await mkdir(join(out, "catalogue"), { recursive: true });
  await writeFile(join(out, "catalogue/products.jsonl"), listed.map((product) => `${JSON.stringify(product)}\n`).join(""));
  await mkdir(join(out, "alerts"), { recursive: true });
  const [first] = FRAMES;
  const alert = { number: 12, time_unix_ms: now - 900e3, gas: "CH4", frame: first.name, probability_permille: 980, plumes: 3, class: "alert", position: { lat_e7: Math.round(first.lat * 1e7), lon_e7: Math.round(first.lon * 1e7) } };
  await writeFile(join(out, "alerts/alert-7-1-12-28c62b55.json"), JSON.stringify(alert));
}

function features(frame, frame_id, time_unix_ms) {
  return Array.from({ length: frame.plumes }, (_, at) => at).flatMap((at) => {
    const [lon, lat, half] = [frame.lon + 0.05 * at, frame.lat - 0.03 * at, 0.004];
    const properties = { frame: frame.name, frame_id, plume: at + 1, gas: "CH4", class: frame.class, time_unix_ms, probability: frame.probability - 0.1 * at, peak_ppm_m: frame.peak / (at + 1), rate_kg_h: 310, rate_kg_h_sigma: 90 };
    const ring = [[-half, -half], [half, -half], [half, half], [-half, half], [-half, -half]].map(([x, y]) => [lon + x, lat + y]);
    const feature = (shape, geometry) => ({ type: "Feature", id: `${frame_id}-${at + 1}-${shape}`, geometry, properties: { ...properties, shape } });
    return [feature("box", { type: "Polygon", coordinates: [ring] }), feature("centre", { type: "Point", coordinates: [lon, lat] })];
  });
}

// A picture (PNG, W3C second edition): brown ground with a plume drawn over it.
function png(width, height, seed) {
  const rows = Buffer.alloc((3 * width + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const ground = 105 + 22 * Math.sin((x + 40 * seed) / 23) * Math.cos(y / 17) + 14 * Math.sin((x * y) / 900 + seed);
      const along = x - 70 - 25 * seed;
      const plume = along < 0 ? 0 : Math.exp(-(((y - 90 - along / 6) / (7 + along / 9)) ** 2) - along / 95);
      const at = y * (3 * width + 1) + 1 + 3 * x;
      rows[at] = Math.min(255, ground * 1.08 + 190 * plume);
      rows[at + 1] = Math.min(255, ground * 0.92 + 40 * plume);
      rows[at + 2] = Math.min(255, ground * 0.72);
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const chunk = (name, data) => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}
