/* Texts ranked by a model of token vectors, and which of their tokens match which of the query. */

import { embedTokens, hasKey } from "./api.js";
import { card } from "./choices.js";
import * as code from "./code.js";
import { showCode } from "./copy.js";
import { counted, duration, find, number } from "./dom.js";
import { embedAll, sum } from "./embedding.js";
import { showMatches } from "./matched.js";
import { compute } from "./maths.js";
import { report } from "./report.js";
import { check, checkQuery, texts } from "./texts.js";

export const LABEL = "Match";
export const MODEL = "matcher";

const MOST = 256; // texts: of 300 tokens and 128 dimensions each, they are 26 MB

export const inputs = () => ({ model: find("matcher").value, query: find("query").value, documents: texts() });

export async function answer(body, run) {
  checkQuery(body.query);
  check(body.documents, MOST);
  const options = { model: body.model, return_tokens: true };
  const ofTexts = { ...options, prompt_name: "document", output_dtype: "float16" };
  const documents = await embedAll(body.documents, ofTexts, run, { send: embedTokens });
  const ofQuery = { ...options, prompt_name: "query" };
  const question = await embedAll([body.query], ofQuery, { ...run, progress: () => {} }, { send: embedTokens });
  const [query] = question.items;
  const matched = await compute("matches", query.vectors, documents.items.map(({ vectors }) => vectors));
  const divisor = card(body.model).similarity === "meanmaxsim" ? query.tokens.length : 1;
  const rows = matched.map((match, index) => ({ match, index, ...documents.items[index] }));
  for (const row of rows) row.score = row.match && row.match.score / divisor;
  rows.sort((one, other) => (other.score ?? -Infinity) - (one.score ?? -Infinity) || one.index - other.index);
  return [
    () => showRun(body, sum([documents, question])),
    () => showMatches(query, rows, divisor > 1),
    () => showCode("matches-", code.ofTokens(body, divisor > 1, hasKey())),
  ];
}

function showRun({ model, documents }, requests) {
  find("status").textContent = `Matched ${counted(documents.length, "text")} in ${duration(requests.roundTrip)}.`;
  const figures = [
    ["Model", model],
    ["Texts", number(documents.length)],
    ["Requests", number(requests.requests)],
    ["Tokens", number(requests.tokens)],
    ["Round trip", duration(requests.roundTrip)],
  ];
  report("matches-", figures, requests, { title: "These requests" });
}
