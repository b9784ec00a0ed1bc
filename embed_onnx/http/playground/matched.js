/* The tokens of texts, shaded by how well they match the query's; those that a token of the query matched are marked. */

import { decimal, find, make, number } from "./dom.js";
import { bar, column, cut, showRows } from "./rows.js";
import { explainMarks } from "./vocabulary.js";

const HINT = "Point at a token of the query, or choose it, to see what it matched in each text.";

/**
 * Show the tokens of a query, and those of texts.
 * @param query Its `tokens`, of which the last ones are its `expansion`.
 * @param rows Texts, the best first: `tokens`, `truncated`, the `match` of maxsim.js and the `score`, null for none.
 * @param isMean Whether scores are divided by the number of the query's tokens.
 */
export function showMatches(query, rows, isMean) {
  const parts = partsOf(query);
  const most = Math.max(1e-9, ...rows.map(({ score }) => score));
  const columns = [column("Rank"), column("Text"), column("Score")];
  let current = null;
  const table = showRows(find("matches-list"), columns, rows.length, (rank) => {
    const { match, tokens, score, truncated } = rows[rank];
    const label = match ? number(score, 2) : "none";
    const row = make(
      "tr",
      { "data-rank": rank },
      make("td", { class: "index" }, String(rank + 1)),
      make("td", { class: "tokens" }, ...shaded(tokens, match, query.tokens), make("p", { class: "hint" })),
      make("td", { class: "value" }, label, ...cut(truncated), bar(score / most)),
    );
    mark(row, rows[rank], current);
    return row;
  });
  table.classList.add("ranking", "matches");
  const show = (part) => {
    current = part;
    for (const row of table.tBodies[0].rows) mark(row, rows[row.dataset.rank], part);
    find("matches-hint").textContent = part ? `In the first text, ${said(rows[0], part)}.` : HINT;
  };
  show(null);
  find("query-tokens").replaceChildren(...buttons(parts, show));
  const marks = explainMarks(rows.map(({ tokens }) => tokens));
  const sum = isMean ? "mean" : "sum";
  const expansion = query.expansion
    ? ` The model fills a query up with ${query.tokens.at(-1)} tokens, which stand for words that it might have.`
    : "";
  find("matches-note").textContent =
    `The score of a text is the ${sum}, over the query’s tokens, of the greatest similarity with one of its ` +
    `tokens (MaxSim).${expansion} The more colour, the more similar.${marks}`;
}

/** The tokens of a query by themselves, and those of its expansion together: of each part its label and places. */
function partsOf({ tokens, expansion }) {
  const own = tokens.length - expansion;
  const parts = tokens.slice(0, own).map((label, place) => ({ label, places: [place] }));
  if (!expansion) return parts;
  const added = Array.from({ length: expansion }, (_, place) => own + place);
  return [...parts, { label: `${expansion} × ${tokens.at(-1)}`, places: added }];
}

/** A button for each part of a query: it is shown while it has the pointer or the focus, or once it is pressed. */
function buttons(parts, show) {
  let pressed = null;
  const all = parts.map((part) => {
    const button = make("button", { type: "button", class: "token", "aria-pressed": "false" }, part.label);
    const press = () => {
      pressed = pressed === part ? null : part;
      all.forEach((each, place) => each.setAttribute("aria-pressed", String(parts[place] === pressed)));
      show(pressed);
    };
    button.addEventListener("click", press);
    for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => show(part));
    for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => show(pressed));
    return button;
  });
  return all;
}

/** The tokens of a text, each as strong as the greatest similarity with a token of the query that it matched. */
function shaded(tokens, match, ofQuery) {
  const best = new Map();
  match?.products.forEach((product, place) => {
    if (!(product <= best.get(match.places[place])?.product)) best.set(match.places[place], { product, place });
  });
  return tokens.map((token, place) => {
    const element = make("span", {}, token);
    if (!best.has(place)) return element;
    const { product, place: from } = best.get(place);
    element.className = "matched";
    element.style.setProperty("--share", `${Math.round(Math.min(1, Math.max(0, product)) ** 2 * 100)}%`);
    element.title = `matches “${ofQuery[from]}”, ${decimal(product)}`;
    return element;
  });
}

/** Mark in the row of a text what a part of the query matched, and say so below it; null marks nothing. */
function mark(row, text, part) {
  const [, cell] = row.cells;
  for (const token of cell.querySelectorAll(".best")) token.classList.remove("best");
  if (part && text.match) for (const place of part.places) cell.children[text.match.places[place]].classList.add("best");
  cell.lastChild.textContent = part ? said(text, part) : "";
}

/** What a part of the query matched in a text, in words. */
function said({ match, tokens }, { label, places }) {
  if (!match) return "no token has a vector";
  const products = places.map((place) => match.products[place]);
  const matched = new Set(places.map((place) => match.places[place]));
  const total = decimal(products.reduce((sum, product) => sum + product, 0));
  if (places.length === 1) return `“${label}” matches “${tokens[match.places[places[0]]]}”, similarity ${total}`;
  return `“${label}” match ${matched.size} of its tokens, ${total} together`;
}
