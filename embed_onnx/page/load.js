/* The server's load, read from /metrics every two seconds while somebody looks at the page. */

import { ask } from "./api.js";
import { draw, find, number } from "./dom.js";

const SECONDS = 2;
const SECONDS_AWAY = 10; // between questions to a server that does not answer
const SAMPLES = 60;
const PROBES = /route="\/(metrics|health|ready)"/;
const WIDTH = 120;
const HEIGHT = 28;

const FIGURES = {
  tokens: { read: (page) => total(page, "embed_onnx_tokens_total"), rate: true, show: (value) => number(value) },
  requests: {
    read: (page) => total(page, "embed_onnx_requests_total", (labels) => !PROBES.test(labels)),
    rate: true,
    show: (value) => number(value, value > 0 && value < 10 ? 1 : 0),
  },
  queued: { read: (page) => total(page, "embed_onnx_queue_tokens"), show: (value) => number(value) },
  memory: {
    read: (page) => total(page, "process_resident_memory_bytes"),
    show: (value) => `${number(value / 2 ** 20)} MiB`,
  },
};

const seen = Object.fromEntries(Object.keys(FIGURES).map((name) => [name, []]));
let before = null;
let waiting = null;

/** Begin to ask, and go on as long as the page is visible. */
export function watch() {
  document.addEventListener("visibilitychange", look);
  look();
}

function look() {
  clearTimeout(waiting);
  if (document.visibilityState !== "visible") {
    before = null; // a rate over the time away would say little
    return;
  }
  sample().then((answered) => {
    clearTimeout(waiting);
    if (document.visibilityState !== "visible") return;
    waiting = setTimeout(look, (answered ? SECONDS : SECONDS_AWAY) * 1000);
  });
}

async function sample() {
  let page = null;
  try {
    page = parse(await (await ask("metrics")).text());
  } catch {
    // Shown as dashes: what to do about it is said where the user asks for something.
  }
  const now = { at: performance.now(), started: page && total(page, "process_start_time_seconds"), values: {} };
  for (const [name, figure] of Object.entries(FIGURES)) {
    now.values[name] = page && figure.read(page);
    show(name, figure.rate ? rate(name, now) : now.values[name]);
  }
  before = page && now;
  return page !== null;
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

/** Prometheus' text format: every line with its name, labels and value, and the names that are declared. */
function parse(text) {
  const lines = [...text.matchAll(/^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)/gm)];
  const declared = [...text.matchAll(/^# TYPE (\S+)/gm)];
  return {
    lines: lines.map(([, name, labels, value]) => ({ name, labels: labels ?? "", value: Number(value) })),
    declared: new Set(declared.map(([, name]) => name)),
  };
}

/** The sum of a metric over its labels, 0 where it has no line yet; null where the server has no such metric. */
function total(page, name, wanted = () => true) {
  const lines = page.lines.filter((line) => line.name === name);
  if (!lines.length && !page.declared.has(name)) return null;
  return lines.filter((line) => wanted(line.labels)).reduce((sum, line) => sum + line.value, 0);
}
