// Passband in Open MCT: a folder of packets, their channels, history and live data. Install it behind openmct.js:
//
//   openmct.install(PassbandPlugin());
//
// It asks the server that it came from.
"use strict";

// eslint-disable-next-line no-unused-vars
function PassbandPlugin({ base = "/openmct" } = {}) {
  const NAMESPACE = "passband";
  const get = async (path) => {
    const answer = await fetch(`${base}${path}`, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`Passband: ${path}: ${answer.status}`);
    return answer.json();
  };
  const limits = new Map();
  const dictionary = get("/dictionary").then((all) => {
    for (const measurement of all.measurements) limits.set(measurement.key, measurement.limits ?? {});
    return all;
  });
  const find = async (key) => (await dictionary).measurements.find((measurement) => measurement.key === key);
  const ours = (object) => object.type === "passband.channel";

  // One stream for all channels that are looked at, made anew when they change.
  const callbacks = new Map();
  let stream = null;
  let pending = null;
  const follow = () => {
    pending = null;
    stream?.close();
    stream = null;
    if (!callbacks.size) return;
    stream = new EventSource(`${base}/stream?keys=${[...callbacks.keys()].slice(0, 256).map(encodeURIComponent).join(",")}`);
    stream.addEventListener("data", (event) => {
      for (const datum of JSON.parse(event.data)) callbacks.get(datum.id)?.forEach((callback) => callback(datum));
    });
  };
  const change = () => (pending ??= setTimeout(follow, 50));

  // Which limit a value is beyond, the worst first; undefined for none. Channels of a kind that has no limits are asked, too.
  const beyond = (of, datum, metadata) => {
    const value = Number(datum[metadata?.source ?? metadata?.key ?? "value"]);
    if (!of || Number.isNaN(value) || metadata?.hints?.range === undefined) return undefined;
    for (const [name, color] of [["CRITICAL", "red"], ["WARNING", "yellow"]]) {
      const { low, high } = of[name] ?? {};
      const [min, max] = [low?.value ?? -Infinity, high?.value ?? Infinity];
      if (value < min) return { cssClass: `is-limit--lwr is-limit--${color}`, name: `${color} low`, low: -Infinity, high: min };
      if (value > max) return { cssClass: `is-limit--upr is-limit--${color}`, name: `${color} high`, low: max, high: Infinity };
    }
    return undefined;
  };

  const objects = {
    get: async (identifier) => {
      const { key } = identifier;
      const all = await dictionary;
      if (key === all.key) return { identifier, name: all.name, type: "folder", location: "ROOT" };
      const packet = all.packets.find((packet) => packet.key === key);
      if (packet) return { identifier, name: packet.name, type: "folder", location: `${NAMESPACE}:${all.key}` };
      const found = await find(key);
      if (!found) return undefined;
      return { identifier, name: found.name, type: "passband.channel", notes: found.description, telemetry: { values: found.values }, location: `${NAMESPACE}:${found.packet}` };
    },
  };
  const composition = {
    appliesTo: ({ identifier, type }) => identifier.namespace === NAMESPACE && type === "folder",
    load: async ({ identifier }) => {
      const all = await dictionary;
      const keys = identifier.key === all.key ? all.packets : all.measurements.filter(({ packet }) => packet === identifier.key);
      return keys.map(({ key }) => ({ namespace: NAMESPACE, key }));
    },
  };
  const telemetry = {
    supportsRequest: ours,
    request: ({ identifier }, { start, end, strategy, size }) => {
      const asked = new URLSearchParams({ start, end });
      if (strategy === "latest" || strategy === "minmax") asked.set("strategy", strategy);
      if (strategy && size) asked.set("size", Math.min(10000, Math.max(1, Math.round(size))));
      return get(`/history/${encodeURIComponent(identifier.key)}?${asked}`);
    },
    supportsSubscribe: ours,
    subscribe: ({ identifier: { key } }, callback) => {
      const of = callbacks.get(key) ?? new Set();
      callbacks.set(key, of.add(callback));
      change();
      return () => {
        of.delete(callback);
        if (!of.size) callbacks.delete(key);
        change();
      };
    },
    supportsLimits: ours,
    getLimits: ({ identifier }) => ({ limits: async () => (await find(identifier.key))?.limits ?? {} }),
    getLimitEvaluator: ({ identifier }) => ({ evaluate: (datum, metadata) => beyond(limits.get(identifier.key), datum, metadata) }),
  };
  return (openmct) => {
    openmct.types.addType("passband.channel", { name: "Channel", description: "A channel of the satellite", cssClass: "icon-telemetry" });
    openmct.objects.addRoot({ namespace: NAMESPACE, key: "passband" });
    openmct.objects.addProvider(NAMESPACE, objects);
    openmct.composition.addProvider(composition);
    openmct.telemetry.addProvider(telemetry);
  };
}
