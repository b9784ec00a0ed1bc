/* Texts ranked by how close they are to a query, and where all of them lie on a map. */

import { hasKey } from "./api.js";
import { card, promptOf } from "./choices.js";
import * as code from "./code.js";
import { showCode } from "./copy.js";
import { counted, duration, find, number } from "./dom.js";
import { link } from "./link.js";
import { TextMap } from "./map.js";
import { compute } from "./maths.js";
import { byCosine, showOrder } from "./order.js";
import { report } from "./report.js";
import { retrieve } from "./retrieval.js";
import { check, checkQuery, texts } from "./texts.js";

export const LABEL = "Search";
export const MODEL = "model";

const HITS = 10; // what the map marks

let map = null;

export function start() {
  map = new TextMap(find("search-map"));
  link(find("search-view"));
}

export const inputs = () => ({ model: find("model").value, query: find("query").value, texts: texts() });

export async function answer({ model, query, texts }, run) {
  checkQuery(query);
  check(texts);
  const retrieved = await retrieve(model, query, texts, run);
  const { documents, question, vectors, cosines } = retrieved;
  const plane = await compute("project", [...vectors, question.items[0].vector]);
  const rows = byCosine(texts, cosines).map((row) => ({ ...row, truncated: documents.items[row.index].truncated }));
  return [
    () => showRun(model, retrieved),
    () => showHits(model, rows),
    () => showMap(texts, query, rows, plane),
    () => showCode("search-", code.ofSearch({ model, query, texts }, hasKey())),
  ];
}

function showRun(model, retrieved) {
  const { documents, requests, tokens, roundTrip } = retrieved;
  const total = documents.items.length;
  find("status").textContent = `Searched ${counted(total, "text")} in ${duration(roundTrip)}.`;
  const figures = [
    ["Model", model],
    ["Texts", number(total)],
    ["Requests", number(requests)],
    ["Tokens", number(tokens)],
    ["Round trip", duration(roundTrip)],
  ];
  const note = documents.requests
    ? "Texts are embedded once; another query over them is one short request."
    : "The texts were embedded before, and are not sent again.";
  report("search-", figures, retrieved, { title: "These requests", note });
}

function showHits(model, rows) {
  const [query, document] = ["query", "document"].map((role) => promptOf(card(model), role));
  const how = query || document ? `${said("the query", query)}, and ${said("each text", document)}` : "";
  find("hits-note").textContent = how
    ? `${model} reads ${how}.`
    : "By cosine. This model reads queries and texts in the same way, without a prompt.";
  showOrder(find("hits"), rows, "Cosine");
}

const said = (what, prompt) => (prompt ? `“${prompt.trim()}” before ${what}` : `nothing before ${what}`);

function showMap(texts, query, rows, { points, kept }) {
  const ranks = new Map(rows.slice(0, HITS).map(({ index }, rank) => [index, rank + 1]));
  const items = texts.map((text, index) => {
    const kind = ranks.has(index) ? "hit" : "other";
    return { index, text, kind, mark: ranks.get(index) ?? "", point: points[index] };
  });
  items.push({ text: query, kind: "query", mark: "Query", point: points.at(-1) });
  map.show(items, `Map of ${texts.length} texts and what they were searched for, the nearest ${ranks.size} marked`);
  const share = `they hold ${number(kept * 100)} % of the variance`;
  find("search-map-note").textContent =
    `The two directions in which these texts differ most; ${share}, so that the nearest dot need not be the best hit.`;
}
