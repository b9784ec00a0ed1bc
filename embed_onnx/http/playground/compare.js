/* Texts embedded, and how close they are: as a table of cosines and as a map; their vectors and tokens. */

import { hasKey } from "./api.js";
import { card } from "./choices.js";
import * as code from "./code.js";
import { showCode } from "./copy.js";
import { counted, decimal, duration, find, make, number } from "./dom.js";
import { embedAll } from "./embedding.js";
import { MOST, heatmap } from "./heatmap.js";
import { link } from "./link.js";
import { TextMap } from "./map.js";
import { compute } from "./maths.js";
import * as numbers from "./numbers.js";
import { report } from "./report.js";
import { bar, column, cut, showRows, textCell } from "./rows.js";
import { check, texts } from "./texts.js";
import { unit } from "./vectors.js";

export const LABEL = "Embed";
export const MODEL = "model";

let map = null;

export function start() {
  map = new TextMap(find("map"));
  link(find("compare-view"));
  numbers.start();
}

export const inputs = () => ({
  model: find("model").value,
  prompt: find("prompt").value,
  dimensions: find("dimensions").valueAsNumber,
  input: texts(),
});

export async function answer(values, run) {
  const { input, ...options } = request(values);
  check(input);
  const embedded = await embedAll(input, options, run, { anew: true });
  const vectors = embedded.items.map(({ vector }) => vector);
  const plane = await compute("project", vectors);
  return [
    () => showRun(options.model, embedded),
    () => showHeat(input, vectors.slice(0, MOST).map(unit)),
    () => showMap(input, plane),
    () => numbers.show(options.model, input, vectors),
    () => showTokens(options.model, input, embedded.items),
    () => showCode("", code.ofEmbeddings({ ...options, input }, hasKey())),
  ];
}

/** The body of a request. */
function request({ model, prompt, dimensions, input }) {
  const body = { model, input };
  if (dimensions !== card(model).dimensions) body.dimensions = dimensions;
  if (prompt === "none") body.prompt = "";
  if (prompt.startsWith("name:")) body.prompt_name = prompt.slice("name:".length);
  return body;
}

function showRun(model, embedded) {
  const { items, requests, roundTrip } = embedded;
  const tokens = items.reduce((sum, item) => sum + item.num_tokens, 0);
  find("status").textContent =
    `Embedded ${counted(items.length, "text")}, ${number(tokens)} tokens, in ${duration(roundTrip)}.`;
  const figures = [
    ["Model", model],
    ["Texts", number(items.length)],
    ["Tokens", number(tokens)],
    ["Dimensions", number(items[0].vector.length)],
    ["Round trip", requests === 1 ? duration(roundTrip) : `${duration(roundTrip)} in ${number(requests)} requests`],
  ];
  report("", figures, embedded);
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

function showMap(texts, { points, kept }) {
  const apart = points.some(([x, y]) => Math.abs(x) + Math.abs(y) > 1e-4);
  find("map-note").textContent = apart
    ? `The two directions in which these texts differ most; they hold ${number(kept * 100)} % of the variance.`
    : texts.length === 1
      ? "One text alone has nothing to be near to; add another."
      : "All of these texts have the same vector.";
  const items = texts.map((text, index) => ({ index, text, kind: "text", mark: index + 1, point: points[index] }));
  map.show(items, `Map of ${texts.length} texts: those close in meaning lie close together`);
}

function showTokens(model, texts, items) {
  const { max_tokens: limit } = card(model);
  const most = items.reduce((largest, { num_tokens: tokens }) => Math.max(largest, tokens), 1);
  showRows(find("tokens"), [make("td"), column("Text"), column("Tokens")], items.length, (index) => {
    const { num_tokens: tokens, truncated } = items[index];
    return make(
      "tr",
      { "data-index": index },
      make("td", { class: "index" }, String(index + 1)),
      textCell(texts[index]),
      make("td", { class: "count" }, number(tokens), ...cut(truncated), bar(tokens / most)),
    );
  });
  const long = items.filter(({ truncated }) => truncated).length;
  const are = long === 1 ? "is" : "are";
  find("tokens-note").textContent = long
    ? `${counted(long, "text")} ${are} longer than the model’s limit of ${number(limit)} tokens and cut there.`
    : "Counted with the prompt and the special tokens that the model adds.";
}
