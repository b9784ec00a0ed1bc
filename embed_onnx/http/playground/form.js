/* The form: it does what the current view does, one request at a time, of which the last counts. */

import { Failure } from "./api.js";
import * as choices from "./choices.js";
import { find, number, sentence } from "./dom.js";
import { ask } from "./key.js";

/** Fields by the names that the API has for them. */
const FIELDS = {
  input: "texts",
  documents: "texts",
  query: "query",
  prompt: "prompt",
  prompt_name: "prompt",
  dimensions: "dimensions",
};

const results = new Map(); // by view: the inputs of what it shows, as JSON

let running = null; // the AbortController of what is under way
let view = null;
let ready = null;

/** Let the form send; `models` waits until these are known, and requests them again if that failed. */
export function start(models) {
  ready = models;
  const form = find("form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("input", showStale);
  find("stop").addEventListener("click", () => {
    running?.abort();
    find("send").focus(); // its own button goes away
  });
}

/**
 * Be the form of a view.
 * @param name The view's; its results are the element of the id NAME-view, with an .empty and an .answer.
 * @param module Its `LABEL` of the button; `MODEL`, the id of its choice of a model; `inputs`, which gives what the
 *     form holds; and `answer`, which sends that, and gives functions that show the answer, a part each.
 */
export function serve(name, module) {
  view = { name, ...module };
  find("send").textContent = view.LABEL;
  for (const part of document.querySelectorAll("[data-views]")) {
    part.hidden = !part.dataset.views.split(" ").includes(name);
  }
  find("dimensions").disabled = find("dimensions").closest("[data-views]").hidden; // or it is validated unseen
  showError(null);
  showStale();
}

/** Show a failure, and take what to repeat once there is a key; null removes it. */
export function fail(err, again) {
  showError(err);
  if (err === null) return;
  if (!(err instanceof Failure)) throw err;
  choices.showUnknown();
  if (err.status === 401) ask(err.message, again);
}

/** Send; what is under way is cancelled. */
async function run() {
  running?.abort();
  const mine = (running = new AbortController());
  const { name, inputs, answer } = view;
  setBusy(true);
  try {
    await ready();
    const values = inputs();
    const steps = await answer(values, { signal: mine.signal, progress: showProgress });
    if (running !== mine) return;
    mine.signal.throwIfAborted();
    showError(null);
    results.set(name, ""); // if another request comes before all parts are drawn, they belong to neither
    find(`${name}-view`).querySelector(".empty").hidden = true;
    find(`${name}-view`).querySelector(".answer").hidden = false;
    for (const step of steps) {
      step();
      await turn();
      if (running !== mine) return;
    }
    results.set(name, JSON.stringify(values));
    showStale();
    if (view.name === name) comeIntoView(find("results"));
  } catch (err) {
    if (running !== mine) return;
    if (err.name === "AbortError") find("status").textContent = "Stopped.";
    else fail(err, run);
  } finally {
    if (running === mine) {
      running = null;
      setBusy(false);
    }
  }
}

/** On a narrow screen the results are below the form, out of sight. */
function comeIntoView(place) {
  if (place.getBoundingClientRect().top > window.innerHeight / 2) place.scrollIntoView();
}

/** Let the browser draw, and take what the user does, before more is shown. */
const turn = () => new Promise((resolve) => setTimeout(resolve));

/** Say of results that they are of other inputs than the form has now. */
function showStale() {
  find("stale-label").textContent = view.LABEL;
  find("stale").hidden = !results.has(view.name) || results.get(view.name) === JSON.stringify(view.inputs());
}

function setBusy(busy) {
  if (busy) find("results").setAttribute("aria-busy", "true");
  else find("results").removeAttribute("aria-busy");
  find("stop").hidden = !busy;
  find("keys").hidden = busy;
  find("progress").hidden = true;
}

function showProgress(done, total) {
  find("progress").hidden = !done;
  find("progress-bar").max = total;
  find("progress-bar").value = done;
  find("progress-text").textContent = `${number(done)} of ${number(total)} texts`;
}

const explain = (err) => (err instanceof Failure ? err.message : `The page has a fault: ${err.message}`);

/** Show a failure's sentence under the form and mark its field; null removes both. */
function showError(err) {
  const field = { ...FIELDS, model: view?.MODEL }[err?.param];
  for (const marked of find("form").querySelectorAll("[aria-invalid]")) marked.removeAttribute("aria-invalid");
  find("error").hidden = err === null;
  find("error").textContent = err === null ? "" : sentence(explain(err));
  if (field) find(field).setAttribute("aria-invalid", "true");
}
