/* A ranking: a table of documents, the best first, with a bar for each value and how far each one moved. */

import { counted, decimal, make, number } from "./dom.js";
import { bar, column, cut, showRows, textCell } from "./rows.js";

/**
 * Show rows `{index, text, value, label, truncated}` in a place; a bar shows a value of 0 to 1.
 * @param name What the values are.
 * @param before The same documents in an order before, or null.
 */
export function showOrder(place, rows, name, before = null) {
  const places = before && new Map(before.map(({ index }, rank) => [index, rank]));
  const moves = before ? [column("Moved", { class: "moves" })] : [];
  const columns = [column("Rank"), column("Text"), ...moves, column(name)];
  const table = showRows(place, columns, rows.length, (rank) => {
    const row = rows[rank];
    return make(
      "tr",
      { "data-index": row.index },
      make("td", { class: "index" }, String(rank + 1)),
      textCell(row.text),
      ...(before ? [make("td", { class: "moved" }, ...move(places.get(row.index) - rank))] : []),
      make("td", { class: "value" }, row.label, ...cut(row.truncated), bar(row.value)),
    );
  });
  table.classList.add("ranking");
}

/** Texts by their cosines, the nearest first, of equal ones the first; as rows. */
export function byCosine(texts, cosines) {
  const rows = texts.map((text, index) => ({ index, text, value: cosines[index], label: decimal(cosines[index]) }));
  return rows.sort((one, other) => other.value - one.value || one.index - other.index);
}

/** What another order changed, in words. */
export function moves(before, after) {
  const moved = after.filter(({ index }, place) => before[place].index !== index).length;
  if (!moved) return "The order is the same";
  const first = before[0].index === after[0].index ? "the same text is first" : "another text is first";
  return `${counted(moved, "text")} moved; ${first}`;
}

/** By how many ranks a document rose, or fell if that is below zero. */
function move(ranks) {
  if (!ranks) return [make("span", { class: "stays" }, "–")];
  const [name, arrow] = ranks > 0 ? ["up", "▲"] : ["down", "▼"];
  const sign = make("span", { "aria-hidden": "true" }, arrow);
  return [make("span", { class: name }, sign, make("span", { class: "sr" }, name), ` ${number(Math.abs(ranks))}`)];
}
