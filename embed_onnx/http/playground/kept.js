/* What the form holds, kept in this browser over a reload; never the API key, nor an answer of the server. */

import { find } from "./dom.js";

const SECONDS = 0.4; // after the last change
// Another server may live below another path of the same host.
const PLACE = `embed-onnx ${new URL(".", document.baseURI).pathname}`;
const FIELDS = ["query", "texts", "model", "other", "reranker", "embedder", "weigher", "matcher", "prompt", "dimensions"];

const before = recall();
let waiting = null;

/** Give the fields of text what they held, and keep every change of the form from now on. */
export function start() {
  for (const id of ["query", "texts"]) restore(id);
  find("form").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(keep, SECONDS * 1000);
  });
  window.addEventListener("pagehide", () => waiting && keep());
}

/** Give a field what it held when the page was left, if it takes that. */
export function restore(id) {
  const field = find(id);
  const value = before[id];
  if (value === undefined) return;
  if (!(field instanceof HTMLSelectElement) || [...field.options].some((option) => option.value === value)) {
    field.value = value;
  }
}

/** Whether a field still has what it had when the page was left. */
export const isRestored = (id) => before[id] !== undefined && find(id).value === before[id];

/** Forget all of it. */
export function forget() {
  clearTimeout(waiting);
  waiting = null;
  attempt(() => localStorage.removeItem(PLACE));
}

function keep() {
  waiting = null;
  const values = FIELDS.filter((id) => !isPlaceholder(find(id))).map((id) => [id, find(id).value]);
  // Too much for the browser's store: better nothing than the texts of before.
  if (!attempt(() => localStorage.setItem(PLACE, JSON.stringify(Object.fromEntries(values))))) forget();
}

/** Whether it is a choice that waits for the models. */
const isPlaceholder = (field) => field instanceof HTMLSelectElement && field.disabled;

function recall() {
  let values = null;
  attempt(() => (values = JSON.parse(localStorage.getItem(PLACE))));
  return Object.fromEntries(Object.entries(values ?? {}).filter(([, value]) => typeof value === "string"));
}

/** Whether it works: a browser may have no store for this page, or no room in it. */
function attempt(action) {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}
