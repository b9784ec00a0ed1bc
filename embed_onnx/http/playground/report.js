/* What a request took: figures, and its time by stages. */

import { duration, find, make } from "./dom.js";

const STAGES = ["tokenize", "queue", "infer"];
const AWAY = "network and browser";

/** Show figures as [label, value], and where the time of an answer went, in places with ids of a prefix. */
export function report(prefix, figures, { roundTrip, stages }) {
  find(`${prefix}figures`).replaceChildren(...figures.map(([label, value]) => figure(label, value)));
  const known = STAGES.filter((name) => name in stages).map((name) => [name, stages[name]]);
  const inside = known.reduce((sum, [, value]) => sum + value, 0);
  const parts = [...known, [AWAY, Math.max(0, roundTrip - inside)]];
  find(`${prefix}timings`).replaceChildren(...parts.map(([label, value]) => figure(label, duration(value))));
  find(`${prefix}stages`).replaceChildren(
    ...parts.map(([, value]) => {
      const part = make("i");
      part.style.flexGrow = value;
      return part;
    }),
  );
}

const figure = (label, value) => make("div", {}, make("dt", {}, label), make("dd", {}, value));
