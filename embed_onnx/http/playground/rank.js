/* Documents ranked for a query; beside the order of an embedder, if one is served. */

import { Failure, embed, hasKey, rerank } from "./api.js";
import { pythonOfRank, curl } from "./code.js";
import { counted, decimal, duration, find, lines, make, number, options } from "./dom.js";
import { sending } from "./form.js";
import { ordered } from "./order.js";
import { report } from "./report.js";
import { dot, unit } from "./vectors.js";

export const TASK = "rerank";

const FIELDS = { query: "query", documents: "documents", model: "reranker" };

let rerankers = [];

/** Let the view work; `ready` waits until it has its models. Returns what shows a failure. */
export function start(ready) {
  find("documents").addEventListener("input", showCount);
  find("reranker").addEventListener("change", showModel);
  showCount();
  const ids = {
    form: "rank-form",
    results: "rank-results",
    error: "rank-error",
    selects: ["reranker", "embedder"],
    fields: FIELDS,
  };
  return sending(ids, async (signal) => {
    await ready();
    const body = request();
    const embedder = find("embedder").value;
    const retrieved = embedder ? await retrieve(embedder, body, signal) : null;
    const answer = await rerank(body, signal);
    return () => show(body, answer, retrieved);
  });
}

/** Offer the models that rank, and those that embed beside them. */
export function fill(served) {
  rerankers = served.filter(({ tasks }) => tasks.includes(TASK));
  const embedders = served.filter(({ tasks }) => tasks.includes("embed"));
  find("reranker").replaceChildren(...options(rerankers.map(({ id }) => id)));
  find("reranker").disabled = false;
  const none = make("option", { value: "" }, "None");
  find("embedder").replaceChildren(...options(embedders.map(({ id }) => id)), none);
  find("embedder").disabled = false;
  find("embedder-field").hidden = !embedders.length;
  showModel();
}

function showModel() {
  const { max_tokens: limit, precision, runs_on: engine } = rerankers.find(({ id }) => id === find("reranker").value);
  const tokens = limit === null ? "any number of tokens a pair" : `${number(limit)} tokens a pair`;
  find("rank-about").textContent = `${tokens}, ${precision} on ${engine}`;
}

function showCount() {
  find("rank-count").textContent = counted(documents().length, "document");
}

const documents = () => lines(find("documents").value);

/** The request's body, from the form. */
function request() {
  const query = find("query").value;
  if (!query.trim()) throw new Failure("There is no query yet: type what the documents are ranked for.", { param: "query" });
  if (!documents().length) throw new Failure("There is no document yet: type at least one line.", { param: "documents" });
  return { model: find("reranker").value, query, documents: documents() };
}

/** The cosine of each document with the query, with the model's prompts for both, and milliseconds. */
async function retrieve(model, { query, documents }, signal) {
  const encoded = (input, role) => embed({ model, input, prompt_name: role, encoding_format: "base64" }, signal);
  const texts = await encoded(documents, "document");
  const { vectors, roundTrip } = await encoded([query], "query");
  const direction = unit(vectors[0]);
  return {
    model,
    cosines: texts.vectors.map((vector) => dot(direction, unit(vector))),
    roundTrip: texts.roundTrip + roundTrip,
  };
}

function show(body, answer, retrieved) {
  find("rank-empty").hidden = true;
  find("rank-answer").hidden = false;
  showRun(body, answer, retrieved);
  showOrders(body, answer, retrieved);
  find("rank-curl").textContent = curl("v1/rerank", body, hasKey());
  find("rank-python").textContent = pythonOfRank(body, hasKey());
}

function showRun(body, answer, retrieved) {
  const count = counted(body.documents.length, "document");
  find("rank-status").textContent = `Ranked ${count} in ${duration(answer.roundTrip)}.`;
  const figures = [
    ["Reranker", body.model],
    ["Documents", number(body.documents.length)],
    ["Tokens", number(answer.tokens)],
    ["Round trip", duration(answer.roundTrip)],
    ...(retrieved ? [["Retrieval before it", duration(retrieved.roundTrip)]] : []),
  ];
  report("rank-", figures, answer);
}

function showOrders({ documents }, { results }, retrieved) {
  const reranked = results.map(({ index, relevance_score: score, truncated }) => ({
    index,
    text: documents[index],
    value: score,
    label: number(score, 3),
    truncated,
  }));
  find("retrieved").hidden = !retrieved;
  find("orders").classList.toggle("two", Boolean(retrieved));
  find("order-note").textContent = retrieved ? "" : "Scores are 0 to 1. None depends on the other documents.";
  const before = retrieved ? byCosine(documents, retrieved.cosines) : null;
  if (before) find("retrieved-list").replaceChildren(ordered(before, "Cosine"));
  find("reranked-list").replaceChildren(ordered(reranked, "Score", before));
  if (before) find("order-note").textContent = moves(before, reranked);
}

/** Documents by their cosines, the nearest first, of equal ones the first. */
function byCosine(documents, cosines) {
  const rows = documents.map((text, index) => ({ index, text, value: cosines[index], label: decimal(cosines[index]) }));
  return rows.sort((one, other) => other.value - one.value || one.index - other.index);
}

/** What the reranker changed, in a sentence. */
function moves(before, after) {
  const moved = after.filter(({ index }, place) => before[place].index !== index).length;
  if (!moved) return "The reranker keeps the embedder’s order.";
  const first = before[0].index === after[0].index ? "the same document is first" : "another document is first";
  return `${counted(moved, "document")} moved; ${first}.`;
}
