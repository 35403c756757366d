// The map: longitude and latitude as they are (equirectangular about its middle), a graticule, a scale. It knows no coasts.
const map = {
  features: [],
  view: null,
  touched: false,

  show(collection) {
    this.features = (collection.features ?? []).filter((feature) => feature.geometry);
    if (!this.touched) this.fit();
    this.draw();
    const count = new Set((collection.features ?? []).map((f) => `${f.properties.frame_id} ${f.properties.plume}`)).size;
    $("map-note").textContent = count ? `${count} plumes, WGS 84` : "none yet";
  },

  points() {
    return this.features.flatMap(({ geometry }) => (geometry.type === "Point" ? [geometry.coordinates] : geometry.coordinates[0] ?? []));
  },

  // All detections, with a margin; the whole earth without any.
  fit() {
    const points = this.points();
    if (!points.length) {
      this.view = { lon: 0, lat: 0, span: 360 };
      return;
    }
    const [lons, lats] = [points.map((p) => p[0]), points.map((p) => p[1])];
    const [west, east, south, north] = [Math.min(...lons), Math.max(...lons), Math.min(...lats), Math.max(...lats)];
    const { width, height } = this.size();
    const lat = (south + north) / 2;
    const tall = ((north - south) * width) / height / Math.max(0.1, Math.cos((lat * Math.PI) / 180));
    this.view = { lon: (west + east) / 2, lat, span: Math.min(360, Math.max(0.02, (east - west) * 1.4, tall * 1.4)) };
  },

  size() {
    const box = $("map-svg").getBoundingClientRect();
    return { width: box.width || 800, height: box.height || 380 };
  },

  // Pixels of a degree of longitude and of latitude.
  factors() {
    const x = this.size().width / this.view.span;
    return { x, y: x / Math.max(0.1, Math.cos((this.view.lat * Math.PI) / 180)) };
  },

  place([lon, lat]) {
    const { width, height } = this.size();
    const { x, y } = this.factors();
    return [width / 2 + (lon - this.view.lon) * x, height / 2 - (lat - this.view.lat) * y];
  },

  at(px, py) {
    const { width, height } = this.size();
    const { x, y } = this.factors();
    return [this.view.lon + (px - width / 2) / x, this.view.lat - (py - height / 2) / y];
  },

  draw() {
    if (!this.view) this.fit();
    const drawn = [...this.graticule(), ...this.features.filter((f) => f.geometry.type === "Polygon").map((f) => this.box(f)),
      ...this.features.filter((f) => f.geometry.type === "Point").map((f) => this.plume(f)), ...this.scale()];
    $("map-svg").replaceChildren(...drawn, svg("text", { id: "map-at", class: "said", x: 10, y: 18 }));
  },

  graticule() {
    const { width, height } = this.size();
    const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
    const step = steps.find((s) => this.view.span / s <= 9) ?? 30;
    const digits = step < 0.01 ? 3 : step < 0.1 ? 2 : step < 1 ? 1 : 0;
    const [[west, north], [east, south]] = [this.at(0, 0), this.at(width, height)];
    const lines = [];
    for (let lon = Math.ceil(west / step) * step; lon <= east; lon += step) {
      if (lon < -180.001 || lon > 180.001) continue;
      const [x] = this.place([lon, 0]);
      const [, top] = this.place([0, Math.min(90, north)]);
      const [, bottom] = this.place([0, Math.max(-90, south)]);
      lines.push(svg("line", { class: Math.abs(lon) < 1e-9 ? "zero" : "grid", x1: x, x2: x, y1: top, y2: bottom }),
        svg("text", { x: x + 3, y: height - 6 }, degrees(lon, digits, "E", "W")));
    }
    for (let lat = Math.ceil(south / step) * step; lat <= north; lat += step) {
      if (lat < -90.001 || lat > 90.001) continue;
      const [, y] = this.place([0, lat]);
      lines.push(svg("line", { class: Math.abs(lat) < 1e-9 ? "zero" : "grid", x1: 0, x2: width, y1: y, y2: y }));
      if (y > 30 && y < height - 24) lines.push(svg("text", { x: 4, y: y - 3 }, degrees(lat, digits, "N", "S")));
    }
    return lines;
  },

  box({ geometry, properties }) {
    const points = geometry.coordinates[0].map((p) => this.place(p).map((c) => c.toFixed(1)).join(",")).join(" ");
    const shape = svg("polygon", { class: "box", points });
    shape.style.stroke = color(properties.probability);
    return shape;
  },

  plume({ geometry, properties: p }) {
    const [cx, cy] = this.place(geometry.coordinates);
    const r = 5 + 5 * Math.min(1, (p.peak_ppm_m ?? 0) / 3000);
    const said = [`${p.gas ?? "plume"} in ${p.frame}, plume ${p.plume}`, degrees(geometry.coordinates[1], 4, "N", "S") + "  " + degrees(geometry.coordinates[0], 4, "E", "W"),
      p.probability === null || p.probability === undefined ? "" : `${percent(p.probability, 0)} sure`, p.peak_ppm_m ? `${p.peak_ppm_m.toFixed(0)} ppm·m peak` : "",
      p.rate_kg_h ? `${p.rate_kg_h.toFixed(0)} ± ${(p.rate_kg_h_sigma ?? 0).toFixed(0)} kg/h` : "", p.time_unix_ms ? utc(p.time_unix_ms) : ""];
    const mark = svg("circle", { class: "plume", cx, cy, r }, svg("title", {}, said.filter(Boolean).join("\n")));
    mark.style.fill = color(p.probability);
    return mark;
  },

  // A bar of a round number of metres at the middle's latitude (a degree of the mean radius, 6371.0088 km, is 111.195 km).
  scale() {
    const { width, height } = this.size();
    const km = 111.195 / this.factors().y;
    const rounds = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
    const long = rounds.filter((r) => r / km <= width / 4).pop() ?? 0.01;
    const [x, y] = [width - 20, height - 26];
    return [svg("path", { class: "scale", d: `M${x - long / km} ${y - 5}v5H${x}v-5` }),
      svg("text", { class: "said", x: x - long / km, y: y - 9 }, long < 1 ? `${long * 1000} m` : `${long} km`)];
  },

  start() {
    const own = $("map-svg");
    let held = null;
    own.addEventListener("pointerdown", (event) => {
      held = [event.clientX, event.clientY];
      own.setPointerCapture(event.pointerId);
    });
    own.addEventListener("pointerup", () => (held = null));
    own.addEventListener("pointermove", (event) => {
      const { x, y } = this.factors();
      if (held) {
        this.touched = true;
        this.view.lon = Math.min(180, Math.max(-180, this.view.lon - (event.clientX - held[0]) / x));
        this.view.lat = Math.min(85, Math.max(-85, this.view.lat + (event.clientY - held[1]) / y));
        held = [event.clientX, event.clientY];
        this.draw();
      }
      const box = own.getBoundingClientRect();
      const [lon, lat] = this.at(event.clientX - box.left, event.clientY - box.top);
      $("map-at").textContent = `${degrees(lat, 4, "N", "S")}  ${degrees(lon, 4, "E", "W")}`;
    });
    const zoom = (factor) => {
      this.touched = true;
      this.view.span = Math.min(360, Math.max(0.005, this.view.span * factor));
      this.draw();
    };
    own.addEventListener("wheel", (event) => (event.preventDefault(), zoom(event.deltaY > 0 ? 1.25 : 0.8)), { passive: false });
    own.addEventListener("keydown", (event) => event.key === "+" ? zoom(0.8) : event.key === "-" ? zoom(1.25) : null);
    own.addEventListener("dblclick", () => ((this.touched = false), this.fit(), this.draw()));
    new ResizeObserver(() => this.draw()).observe(own);
  },
};

function degrees(value, digits, plus, minus) {
  return `${Math.abs(value).toFixed(digits)}° ${value < 0 ? minus : plus}`;
}

// From cool to hot with the probability.
function color(probability) {
  return probability === null || probability === undefined ? "#8399ab" : `hsl(${45 - 45 * probability} 95% 52%)`;
}
