/* The terms of sparse vectors: of each text the vocabulary's entries with the greatest weights, and those weights. */

import { hasKey, sparse } from "./api.js";
import * as code from "./code.js";
import { showCode } from "./copy.js";
import { counted, duration, find, make, number } from "./dom.js";
import { report } from "./report.js";
import { column, cut, showRows, textCell } from "./rows.js";
import { check, texts } from "./texts.js";
import { explainMarks } from "./vocabulary.js";

export const LABEL = "Show terms";
export const MODEL = "weigher";

const MOST = 30; // terms of a text

export const inputs = () => ({ model: find("weigher").value, input: texts() });

export async function answer(body, { signal }) {
  check(body.input);
  const weighed = await sparse({ ...body, max_active_dims: MOST, return_terms: true }, signal);
  return [
    () => showRun(body, weighed),
    () => showTerms(body.input, weighed.items),
    () => showCode("terms-", code.ofSparse(body, hasKey())),
  ];
}

function showRun({ model, input }, weighed) {
  find("status").textContent = `Weighed ${counted(input.length, "text")} in ${duration(weighed.roundTrip)}.`;
  const figures = [
    ["Model", model],
    ["Texts", number(input.length)],
    ["Tokens", number(weighed.tokens)],
    ["Vocabulary", `${number(weighed.entries)} entries`],
    ["Round trip", duration(weighed.roundTrip)],
  ];
  report("terms-", figures, weighed);
}

function showTerms(documents, items) {
  const marks = explainMarks(items.map(({ terms }) => terms));
  find("terms-note").textContent = `Of each text the ${MOST} greatest weights, the greatest first.${marks}`;
  const greatest = Math.max(0, ...items.flatMap(({ values }) => values));
  const table = showRows(find("terms-list"), [column("Text"), column("Terms and weights")], items.length, (index) => {
    const item = items[index];
    const terms = byWeight(item).map(([word, weight]) => term(word, weight, weight / greatest));
    return make("tr", {}, textCell(documents[index]), make("td", { class: "terms" }, ...terms, ...cut(item.truncated)));
  });
  table.classList.add("weights");
}

/** The terms of an item and their weights, the greatest first. */
function byWeight({ terms, values }) {
  return terms.map((word, place) => [word, values[place]]).sort((one, other) => other[1] - one[1]);
}

/** A term whose paper is as strong as its share of the greatest weight. */
function term(word, weight, share) {
  const element = make("span", {}, word, " ", make("b", {}, number(weight, 2)));
  element.style.setProperty("--share", `${Math.round(share * 100)}%`);
  return element;
}
