/* Two models on the same texts: how far they agree on what is close, and which hits each has for a query. */

import { Failure, hasKey } from "./api.js";
import { card } from "./choices.js";
import * as code from "./code.js";
import { showCode } from "./copy.js";
import { counted, decimal, duration, find, make, number } from "./dom.js";
import { embedAll } from "./embedding.js";
import { heatmap } from "./heatmap.js";
import { compute } from "./maths.js";
import { byCosine, moves, showOrder } from "./order.js";
import { figure } from "./report.js";
import { retrieve } from "./retrieval.js";
import { column, showRows } from "./rows.js";
import { check, texts } from "./texts.js";
import { unit } from "./vectors.js";

export const LABEL = "Compare";
export const MODEL = "model";

const SIDES = ["left", "right"];
const MOST_CELLS = 8; // texts of a heat map, as there are two side by side
const MOST_TEXTS = 1024; // of which all pairs are compared

export const inputs = () => ({
  models: [find("model").value, find("other").value],
  query: find("query").value,
  texts: texts(),
});

export async function answer({ models, query, texts }, run) {
  check(texts);
  if (models[0] === models[1]) throw new Failure("Both models are the same: choose another one.", { param: "model" });
  const sides = [];
  for (const model of models) sides.push(await embedded(model, query, texts, run));
  const pairs = sides.map(({ vectors }) => vectors.slice(0, MOST_TEXTS));
  const common = texts.length > 1 ? await compute("agreement", ...pairs) : null;
  return [
    () => showRun(models, texts, sides, common),
    () => showHits(models, query, texts, sides),
    () => showHeats(models, texts, sides),
    () => showPairs(models, texts, common),
    () => showCode("versus-", code.ofModels({ models, texts }, hasKey())),
  ];
}

/** Vectors of texts by a model, and their cosines with the query, null without one. */
async function embedded(model, query, texts, run) {
  if (query.trim()) return retrieve(model, query, texts, run);
  const { items, roundTrip } = await embedAll(texts, { model, prompt_name: "document" }, run);
  return { vectors: items.map(({ vector }) => vector), cosines: null, roundTrip };
}

function showRun(models, texts, sides, common) {
  find("status").textContent = `Compared ${models.join(" and ")} on ${counted(texts.length, "text")}.`;
  const compared = Math.min(texts.length, MOST_TEXTS);
  const figures = common
    ? [
        ["Rank correlation of similarities", decimal(common.correlation)],
        ["Same nearest text", `${number(common.same)} of ${number(compared)}`],
      ]
    : [];
  for (const [side, model] of models.entries()) {
    figures.push([model, `${number(card(model).dimensions)} dimensions, ${duration(sides[side].roundTrip)}`]);
  }
  find("versus-figures").replaceChildren(...figures.map(figure));
  const limit = texts.length > MOST_TEXTS ? ` Of the first ${number(MOST_TEXTS)} texts.` : "";
  find("versus-note").textContent = common
    ? `1.00: both models order all pairs of texts by similarity in the same way; 0: they have nothing in common.${limit}`
    : "One text alone has nothing to be near to; add another.";
}

function showHits(models, query, texts, sides) {
  find("versus-hits").hidden = !query.trim();
  if (!query.trim()) return;
  const [left, right] = sides.map(({ cosines }) => byCosine(texts, cosines));
  find("versus-hits-note").textContent = `${moves(left, right)}.`;
  for (const [index, side] of SIDES.entries()) find(`${side}-title`).textContent = models[index];
  showOrder(find("left-list"), left, "Cosine");
  showOrder(find("right-list"), right, "Cosine", left);
}

function showHeats(models, texts, sides) {
  find("versus-heat-note").textContent =
    texts.length > MOST_CELLS
      ? `The first ${MOST_CELLS} of ${number(texts.length)} texts. Colours begin at the least value of each model.`
      : "Colours begin at the least value of each model.";
  for (const [index, side] of SIDES.entries()) {
    const { table } = heatmap(texts, sides[index].vectors.slice(0, MOST_CELLS).map(unit));
    find(`${side}-heat-title`).textContent = models[index];
    find(`${side}-heat`).replaceChildren(table);
  }
}

function showPairs(models, texts, common) {
  const pairs = common?.pairs ?? [];
  find("versus-pairs").hidden = !pairs.length;
  const columns = [column("Texts"), ...models.map((model) => column(model)), column("Rank")];
  showRows(find("pairs"), columns, pairs.length, (place) => {
    const { first, second, cosines, shift } = pairs[place];
    const both = [first, second].map((index) => make("div", { title: texts[index] }, texts[index]));
    const way = shift > 0 ? "closer" : "further";
    const share = `${number(Math.abs(shift) * 100)} %`;
    return make(
      "tr",
      {},
      make("td", { class: "text" }, ...both),
      ...cosines.map((cosine) => make("td", {}, decimal(cosine))),
      make("td", {}, shift ? `${share} ${way}` : "the same"),
    );
  });
}
