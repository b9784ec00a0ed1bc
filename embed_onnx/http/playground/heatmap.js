/* Cosines of the first texts with each other: a table whose cells are coloured by value. */

import { decimal, make, shorten } from "./dom.js";
import { dot } from "./vectors.js";

export const MOST = 24;

/**
 * The table of unit vectors' cosines.
 * @returns the table, and the value at which colour begins.
 */
export function heatmap(texts, vectors) {
  const first = vectors.slice(0, MOST);
  const cosines = first.map((left) => first.map((right) => dot(left, right)));
  const low = Math.min(0.9, Math.floor(Math.min(...cosines.flat()) * 10) / 10);
  const heads = first.map((_, index) => make("th", { scope: "col", title: texts[index] }, String(index + 1)));
  const corner = make("td");
  const rows = cosines.map((row, index) =>
    make("tr", {}, rowHead(index, texts[index]), ...row.map((value) => cell(value, low))),
  );
  const table = make(
    "table",
    { class: "heat" },
    make("thead", {}, make("tr", {}, corner, ...heads)),
    make("tbody", {}, ...rows),
  );
  return { table, low };
}

function rowHead(index, text) {
  const number = make("span", { class: "index" }, String(index + 1));
  return make("th", { scope: "row", title: text }, make("div", {}, number, " ", shorten(text, 80)));
}

function cell(value, low) {
  const heat = Math.min(1, Math.max(0, (value - low) / (1 - low)));
  const data = make("td", {}, decimal(value));
  data.style.setProperty("--heat", heat.toFixed(3));
  return data;
}
