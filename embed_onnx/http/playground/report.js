/* What requests took: figures, and their time by stages. */

import { duration, find, make } from "./dom.js";

const STAGES = ["tokenize", "queue", "infer"];
const AWAY = "network and browser";

/**
 * Show what requests took in the section of the id `report` after a prefix.
 * @param figures Of each its label and its value, as text.
 * @param timings `roundTrip`, and the `stages` in it, in milliseconds.
 * @param title Of the section; and a `note` below it, which may be empty.
 */
export function report(prefix, figures, { roundTrip, stages }, { title = "This request", note = "" } = {}) {
  const known = STAGES.filter((name) => name in stages).map((name) => [name, stages[name]]);
  const inside = known.reduce((sum, [, value]) => sum + value, 0);
  const parts = [...known, [AWAY, Math.max(0, roundTrip - inside)]];
  const bars = parts.map(([, value]) => {
    const part = make("i");
    part.style.flexGrow = value;
    return part;
  });
  find(`${prefix}report`).replaceChildren(
    make("h2", {}, title),
    ...(note ? [make("p", { class: "note" }, note)] : []),
    make("dl", { class: "figures", id: `${prefix}figures` }, ...figures.map(figure)),
    make("div", { class: "stages", "aria-hidden": "true" }, ...bars),
    make(
      "dl",
      { class: "timings", id: `${prefix}timings` },
      ...parts.map(([label, value]) => figure([label, duration(value)])),
    ),
  );
}

/** A label and its value, in a list of those. */
export const figure = ([label, value]) => make("div", {}, make("dt", {}, label), make("dd", {}, value));
