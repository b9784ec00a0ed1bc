/* A ranking: a table of documents, the best first, with a bar for each value and how far each one moved. */

import { make, number } from "./dom.js";

/**
 * The table of rows `{index, text, value, label, truncated}`, whose values are 0 to 1 where a bar shows them.
 * @param name What the values are.
 * @param before The same documents in an order before, or null.
 */
export function ordered(rows, name, before = null) {
  const places = before && new Map(before.map(({ index }, place) => [index, place]));
  const body = rows.map((row, place) =>
    make(
      "tr",
      {},
      make("td", { class: "index" }, String(place + 1)),
      make("td", { class: "text" }, make("div", { title: row.text }, row.text)),
      ...(before ? [make("td", { class: "moved" }, ...move(places.get(row.index) - place))] : []),
      make("td", { class: "value" }, row.label, ...cut(row), bar(row.value)),
    ),
  );
  const column = (text, attributes = {}) => make("th", { scope: "col", ...attributes }, text);
  const moves = before ? [column("Moved", { class: "moves" })] : [];
  const head = [column("Rank"), column("Document"), ...moves, column(name)];
  return make("table", { class: "rows" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
}

/** By how many ranks a document rose, or fell if that is below zero. */
function move(ranks) {
  if (!ranks) return [make("span", { class: "stays" }, "–")];
  const [name, arrow] = ranks > 0 ? ["up", "▲"] : ["down", "▼"];
  const sign = make("span", { "aria-hidden": "true" }, arrow);
  return [make("span", { class: name }, sign, make("span", { class: "sr" }, name), ` ${number(Math.abs(ranks))}`)];
}

const cut = ({ truncated }) => (truncated ? [" ", make("mark", {}, "cut")] : []);

function bar(value) {
  const line = make("i");
  line.style.inlineSize = `${Math.min(1, Math.max(0, value)) * 100}%`;
  return line;
}
