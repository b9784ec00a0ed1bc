/* Texts embedded, and how close they are: as a table of cosines and as a map. */

import { Failure, embed, hasKey } from "./api.js";
import { curl, python } from "./code.js";
import { counted, decimal, duration, find, lines, make, number, options } from "./dom.js";
import { sending } from "./form.js";
import { MOST, heatmap } from "./heatmap.js";
import { map } from "./map.js";
import { report } from "./report.js";
import { project, unit } from "./vectors.js";

export const TASK = "embed";

const FIELDS = { input: "texts", model: "model", prompt: "prompt", prompt_name: "prompt", dimensions: "dimensions" };

let models = [];
let drawn = null; // texts and points of the map, to draw it again in another width

/** Let the view work; `ready` waits until it has its models. Returns what shows a failure. */
export function start(ready) {
  find("texts").addEventListener("input", showCount);
  find("model").addEventListener("change", showModel);
  new ResizeObserver(drawMap).observe(find("map"));
  showCount();
  const ids = { form: "form", results: "results", error: "error", selects: ["model", "prompt"], fields: FIELDS };
  return sending(ids, async (signal) => {
    await ready();
    const body = request();
    const answer = await embed(body, signal);
    return () => show(body, answer);
  });
}

/** Offer the models that embed. */
export function fill(served) {
  models = served.filter(({ tasks }) => tasks.includes(TASK));
  find("model").replaceChildren(...options(models.map(({ id }) => id)));
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

function showCount() {
  find("count").textContent = counted(texts().length, "text");
}

const texts = () => lines(find("texts").value);

/** The request's body, from the form. */
function request() {
  const input = texts();
  if (!input.length) throw new Failure("The texts are empty: type at least one line.", { param: "input" });
  const { id, dimensions } = selectedModel();
  const body = { model: id, input, encoding_format: "base64" };
  const count = find("dimensions").valueAsNumber;
  if (count !== dimensions) body.dimensions = count;
  const prompt = find("prompt").value;
  if (prompt === "none") body.prompt = "";
  if (prompt.startsWith("name:")) body.prompt_name = prompt.slice("name:".length);
  return body;
}

function show(body, answer) {
  find("empty").hidden = true;
  find("answer").hidden = false;
  const vectors = answer.vectors.map(unit);
  showRun(body, answer);
  showHeat(body.input, vectors);
  showMap(body.input, vectors);
  showTokens(body, answer);
  find("curl").textContent = curl("v1/embeddings", body, hasKey());
  find("python").textContent = python(body, hasKey());
}

function showRun(body, answer) {
  const { vectors, tokens, roundTrip } = answer;
  find("status").textContent =
    `Embedded ${counted(vectors.length, "text")}, ${number(tokens)} tokens, in ${duration(roundTrip)}.`;
  const figures = [
    ["Model", body.model],
    ["Texts", number(vectors.length)],
    ["Tokens", number(tokens)],
    ["Dimensions", number(vectors[0].length)],
    ["Round trip", duration(roundTrip)],
  ];
  report("", figures, answer);
}

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
    make("table", { class: "rows" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)),
  );
  find("tokens-note").textContent = cut
    ? `${cut === 1 ? "1 text is" : `${number(cut)} texts are`} longer than the model’s limit of ${number(limit)} tokens and cut there.`
    : "Counted with the prompt and the special tokens that the model adds.";
}
