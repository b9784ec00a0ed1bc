/* The form, its requests, and their answers as figures, tables and a map. */

import { Failure, embed, hasKey, listModels, useKey } from "./api.js";
import { curl, python } from "./code.js";
import { decimal, duration, find, make, number } from "./dom.js";
import { MOST, heatmap } from "./heatmap.js";
import { watch } from "./load.js";
import { map } from "./map.js";
import { project, unit } from "./vectors.js";

const STAGES = ["tokenize", "queue", "infer"];
const AWAY = "network and browser";
const COPIED_SECONDS = 1.5;

let models = [];
let running = null; // the AbortController of the request under way
let retry = null; // what to repeat once there is a key
let drawn = null; // texts and points of the map, to draw it again in another width

function start() {
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  find("form").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    find("form").requestSubmit();
  });
  find("texts").addEventListener("input", showCount);
  find("model").addEventListener("change", showModel);
  find("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useKey(find("key").value);
    closeKeyDialog();
    retry?.();
    watch();
  });
  find("key-cancel").addEventListener("click", closeKeyDialog);
  find("key-dialog").addEventListener("close", () => (find("key").value = ""));
  find("change-key").addEventListener("click", () => {
    retry = models.length ? null : loadModels;
    askKey("Requests are sent with this key.");
  });
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(button, find(button.dataset.copy)));
  }
  new ResizeObserver(drawMap).observe(find("map"));
  showCount();
  loadModels();
  watch();
}

async function loadModels() {
  try {
    await fillModels();
    showError(null);
  } catch (err) {
    failed(err, loadModels);
  }
}

async function fillModels() {
  models = await listModels();
  find("model").replaceChildren(...models.map(({ id }) => make("option", { value: id }, id)));
  find("model").disabled = false;
  showModel();
}

function showModel() {
  const { dimensions, max_tokens: limit, precision, runs_on: engine, prompts } = selectedModel();
  const tokens = limit === null ? "any number of tokens a text" : `${number(limit)} tokens a text`;
  find("about").textContent = `${dimensions} dimensions, ${tokens}, ${precision} on ${engine}`;
  find("dimensions").max = dimensions;
  find("dimensions").value = dimensions;
  find("dimensions").required = true; // not before: while no models are known, Embed loads them
  const stored = Object.entries(prompts ?? {}).map(([name, text]) =>
    make("option", { value: `name:${name}` }, text ? `${name} “${text}”` : name),
  );
  const without = make("option", { value: "none" }, "None");
  const choices = [make("option", { value: "default" }, "Default"), without, ...stored];
  find("prompt").replaceChildren(...(stored.length ? choices : [make("option", { value: "default" }, "None stored")]));
  find("prompt").disabled = !stored.length;
}

const selectedModel = () => models.find(({ id }) => id === find("model").value);

const lines = () => find("texts").value.split("\n").filter((line) => line.trim());

function showCount() {
  const count = lines().length;
  find("count").textContent = count === 1 ? "1 text" : `${number(count)} texts`;
}

/** The request's body, from the form. */
function request() {
  const input = lines();
  if (!input.length) throw new Failure("There is no text yet: type at least one line.", { param: "input" });
  const { id, dimensions } = selectedModel();
  const body = { model: id, input, encoding_format: "base64" };
  const count = find("dimensions").valueAsNumber;
  if (count !== dimensions) body.dimensions = count;
  const prompt = find("prompt").value;
  if (prompt === "none") body.prompt = "";
  if (prompt.startsWith("name:")) body.prompt_name = prompt.slice("name:".length);
  return body;
}

/** Embed the texts of the form; a request under way is cancelled. */
async function run() {
  running?.abort();
  const mine = (running = new AbortController());
  const current = () => running === mine;
  find("results").setAttribute("aria-busy", "true");
  try {
    if (!models.length) await fillModels();
    const body = request();
    const answer = await embed(body, mine.signal);
    if (!current()) return;
    showError(null);
    show(body, answer);
  } catch (err) {
    if (current()) failed(err, run);
  } finally {
    if (current()) find("results").removeAttribute("aria-busy");
  }
}

function failed(err, again) {
  if (!(err instanceof Failure)) {
    showError(new Failure(`The page has a fault: ${err.message}`));
    throw err;
  }
  showError(err);
  if (!models.length) for (const id of ["model", "prompt"]) find(id).replaceChildren(make("option", {}, "not known"));
  if (err.status !== 401) return;
  retry = again;
  find("change-key").hidden = false;
  askKey(err.message);
}

const FIELDS = { input: "texts", model: "model", prompt: "prompt", prompt_name: "prompt", dimensions: "dimensions" };

/** Show a failure's sentence under the form and mark its field; null removes both. */
function showError(err) {
  find("error").hidden = err === null;
  find("error").textContent = err === null ? "" : sentence(err.message);
  for (const id of new Set(Object.values(FIELDS))) find(id).removeAttribute("aria-invalid");
  if (FIELDS[err?.param]) find(FIELDS[err.param]).setAttribute("aria-invalid", "true");
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!…]$/.test(text) ? "" : ".");

function askKey(reason) {
  find("key-reason").textContent = sentence(reason);
  if (!find("key-dialog").open) find("key-dialog").showModal();
}

const closeKeyDialog = () => find("key-dialog").close();

function show(body, answer) {
  find("empty").hidden = true;
  find("answer").hidden = false;
  const vectors = answer.vectors.map(unit);
  showRun(body, answer);
  showHeat(body.input, vectors);
  showMap(body.input, vectors);
  showTokens(body, answer);
  find("curl").textContent = curl(body, hasKey());
  find("python").textContent = python(body, hasKey());
  // On a narrow screen the results are below the form, out of sight.
  if (find("results").getBoundingClientRect().top > window.innerHeight / 2) find("results").scrollIntoView();
}

function showRun(body, { vectors, tokens, roundTrip, stages }) {
  const texts = vectors.length === 1 ? "1 text" : `${number(vectors.length)} texts`;
  find("status").textContent = `Embedded ${texts}, ${number(tokens)} tokens, in ${duration(roundTrip)}.`;
  find("figures").replaceChildren(
    figure("Model", body.model),
    figure("Texts", number(vectors.length)),
    figure("Tokens", number(tokens)),
    figure("Dimensions", number(vectors[0].length)),
    figure("Round trip", duration(roundTrip)),
  );
  const known = STAGES.filter((name) => name in stages).map((name) => [name, stages[name]]);
  const inside = known.reduce((sum, [, value]) => sum + value, 0);
  const parts = [...known, [AWAY, Math.max(0, roundTrip - inside)]];
  find("timings").replaceChildren(...parts.map(([label, value]) => figure(label, duration(value))));
  find("stages").replaceChildren(
    ...parts.map(([, value]) => {
      const part = make("i");
      part.style.flexGrow = value;
      return part;
    }),
  );
}

const figure = (label, value) => make("div", {}, make("dt", {}, label), make("dd", {}, value));

function showHeat(texts, vectors) {
  const { table, low } = heatmap(texts, vectors);
  find("heat").replaceChildren(table);
  find("legend-low").textContent = decimal(low);
  find("heat-note").textContent =
    texts.length > MOST
      ? `The first ${MOST} of ${number(texts.length)} texts; the map below has them all.`
      : "1.00 is the same direction; texts that are close in meaning come near to it.";
}

function showMap(texts, vectors) {
  const { points, kept } = project(vectors);
  const apart = points.some(([x, y]) => Math.abs(x) + Math.abs(y) > 1e-4);
  drawn = { texts, points };
  find("map-note").textContent = apart
    ? `The two directions in which these texts differ most; they hold ${number(kept * 100)} % of the variance.`
    : texts.length === 1
      ? "One text alone has nothing to be near to; add another."
      : "All of these texts have the same vector.";
  drawMap();
}

function drawMap() {
  const place = find("map");
  if (drawn && place.clientWidth) {
    place.replaceChildren(map(drawn.texts, drawn.points, place.clientWidth, place.clientHeight));
  }
}

function showTokens(body, { items }) {
  const limit = models.find(({ id }) => id === body.model).max_tokens;
  const cut = items.filter((item) => item.truncated).length;
  const most = Math.max(...items.map((item) => item.num_tokens));
  const rows = items.map((item, index) => {
    const bar = make("i");
    bar.style.inlineSize = `${(item.num_tokens / most) * 100}%`;
    const mark = item.truncated ? [" ", make("mark", {}, "cut")] : [];
    return make(
      "tr",
      {},
      make("td", { class: "index" }, String(index + 1)),
      make("td", { class: "text" }, make("div", { title: body.input[index] }, body.input[index])),
      make("td", { class: "count" }, number(item.num_tokens), ...mark, bar),
    );
  });
  const head = ["", "Text", "Tokens"].map((text) => (text ? make("th", { scope: "col" }, text) : make("td")));
  find("tokens").replaceChildren(
    make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)),
  );
  find("tokens-note").textContent = cut
    ? `${cut === 1 ? "1 text is" : `${number(cut)} texts are`} longer than the model’s limit of ${number(limit)} tokens and cut there.`
    : "Counted with the prompt and the special tokens that the model adds.";
}

async function copy(button, code) {
  if (navigator.clipboard) await navigator.clipboard.writeText(code.textContent);
  else copyOld(code); // a page over plain HTTP from another machine has no clipboard
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), COPIED_SECONDS * 1000);
}

function copyOld(code) {
  getSelection().selectAllChildren(code);
  document.execCommand("copy");
}

start();
