/* The server's load, read every two seconds while the page is visible. */

import { call } from "./api.js";
import { draw, find, number } from "./dom.js";

const SECONDS = 2;
const SECONDS_AWAY = 10; // between requests to a server that does not answer
const SAMPLES = 60;
const WIDTH = 120;
const HEIGHT = 28;

const FIGURES = {
  tokens: { field: "tokens_total", rate: true, show: (value) => number(value) },
  requests: {
    field: "requests_total",
    rate: true,
    show: (value) => number(value, value > 0 && value < 10 ? 1 : 0),
  },
  queued: { field: "queue_tokens", show: (value) => number(value) },
  memory: { field: "memory_bytes", show: (value) => `${number(value / 2 ** 20)} MiB` },
};

const seen = Object.fromEntries(Object.keys(FIGURES).map((name) => [name, []]));
let before = null;
let waiting = null;

document.addEventListener("visibilitychange", watch);

/** Read it now, and again as long as the page is visible and the key is accepted. */
export function watch() {
  clearTimeout(waiting);
  if (document.visibilityState !== "visible") {
    before = null; // a rate over the time in between would say little
    return;
  }
  sample().then((seconds) => {
    clearTimeout(waiting);
    if (document.visibilityState === "visible" && seconds !== null) waiting = setTimeout(watch, seconds * 1000);
  });
}

/** Show the load of this moment; returns the seconds until the next, or null: the key is not accepted. */
async function sample() {
  let load = null;
  let seconds = SECONDS;
  try {
    load = await (await call("page/load")).json();
  } catch (err) {
    // Figures become dashes; the form says what is wrong.
    seconds = err.status === 401 ? null : SECONDS_AWAY;
  }
  const now = { at: performance.now(), started: load?.started ?? null, values: {} };
  for (const [name, figure] of Object.entries(FIGURES)) {
    now.values[name] = load?.[figure.field] ?? null;
    show(name, figure.rate ? rate(name, now) : now.values[name]);
  }
  before = load && now;
  return seconds;
}

/** A counter's growth a second; null at first, and where another process answers than before. */
function rate(name, now) {
  if (before?.started !== now.started) return null;
  const [old, value] = [before?.values[name] ?? null, now.values[name]];
  if (old === null || value === null || value < old) return null;
  return ((value - old) * 1000) / (now.at - before.at);
}

function show(name, value) {
  const samples = seen[name];
  if (value !== null) samples.push(value);
  if (samples.length > SAMPLES) samples.shift();
  const place = find("load").querySelector(`[data-figure=${name}]`);
  place.replaceChildren(value === null ? "–" : FIGURES[name].show(value), sparkline(samples));
}

function sparkline(samples) {
  const most = Math.max(...samples, 1e-9);
  const at = (value, index) => {
    const x = WIDTH - ((samples.length - 1 - index) * WIDTH) / (SAMPLES - 1);
    return `${x.toFixed(1)},${(HEIGHT - 2 - (value / most) * (HEIGHT - 4)).toFixed(1)}`;
  };
  const line = draw("polyline", { points: samples.map(at).join(" ") });
  const frame = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  return draw("svg", frame, line);
}
