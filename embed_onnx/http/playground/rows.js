/* A table whose rows are drawn when they are scrolled to: thousands at once would hold up the page. */

import { make } from "./dom.js";

const STEP = 60; // rows drawn at once
const ELEMENTS = 800; // or fewer rows that have so many elements: some rows have hundreds
const AHEAD = 600; // pixels below the visible ones

/**
 * Show a table in a place that scrolls.
 * @param columns The cells of its head.
 * @param count How many rows there are.
 * @param row Draws the row of an index.
 * @returns the table.
 */
export function showRows(place, columns, count, row) {
  const body = make("tbody");
  const more = () => {
    const end = Math.min(body.rows.length + STEP, count);
    for (let drawn = 0; body.rows.length < end && drawn < ELEMENTS; ) {
      const next = row(body.rows.length);
      drawn += next.querySelectorAll("*").length;
      body.append(next);
    }
  };
  more();
  const head = make("thead", {}, make("tr", {}, ...columns));
  const table = make("table", { class: "rows", "aria-rowcount": count + 1 }, head, body);
  place.replaceChildren(table);
  place.scrollTop = 0;
  place.onscroll = () => {
    if (place.scrollTop + place.clientHeight + AHEAD > place.scrollHeight) more();
  };
  return table;
}

/** A cell of a table's head. */
export const column = (text, attributes = {}) => make("th", { scope: "col", ...attributes }, text);

/** A line as long as a share, 0 to 1. */
export function bar(share) {
  const line = make("i");
  line.style.inlineSize = `${Math.min(1, Math.max(0, share)) * 100}%`;
  return line;
}

/** A cell with a user's text on one line, all of it in its tooltip. */
export const textCell = (text) => make("td", { class: "text" }, make("div", { title: text }, text));

/** What marks a text that was cut at the model's limit. */
export const cut = (truncated) => (truncated ? [" ", make("mark", {}, "cut")] : []);
