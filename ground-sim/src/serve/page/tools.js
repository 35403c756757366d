// Passband's page. What came from the satellite is put into the page as text, never as markup.
"use strict";

const $ = (id) => document.getElementById(id);

// An element of a name, with attributes and children; what is no element becomes text.
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null) continue;
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const two = (n) => String(n).padStart(2, "0");

// A time to wait: 1 d 02:03:04, 02:03:04 or 03:04.
function wait(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  const clock = `${two(m)}:${two(s % 60)}`;
  return d ? `${d} d ${two(h)}:${clock}` : h ? `${two(h)}:${clock}` : clock;
}

const utc = (ms) => new Date(ms).toISOString();
const clock = (ms) => utc(ms).slice(11, 19);
const day = (ms) => `${utc(ms).slice(5, 10)} ${clock(ms)}`;

function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 90) return `${s} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  return s < 172800 ? `${Math.round(s / 3600)} h ago` : `${Math.round(s / 86400)} d ago`;
}

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (bytes >= 1000 && at < units.length - 1) [bytes, at] = [bytes / 1000, at + 1];
  return `${at ? bytes.toFixed(1) : bytes} ${units[at]}`;
}

const percent = (x, digits = 1) => `${(100 * x).toFixed(digits)} %`;
const nothing = (what) => el("div", { class: "none" }, what);

// Puts rows in the place of what is there.
function fill(id, rows, empty) {
  $(id).replaceChildren(...(rows.length ? rows : [nothing(empty)]));
}
