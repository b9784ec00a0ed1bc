/* Texts ranked for a query by a reranker; beside the order of an embedder, if one is served. */

import { hasKey, rerank } from "./api.js";
import { card } from "./choices.js";
import * as code from "./code.js";
import { showCode } from "./copy.js";
import { counted, duration, find, number } from "./dom.js";
import { byCosine, moves, showOrder } from "./order.js";
import { report } from "./report.js";
import { retrieve } from "./retrieval.js";
import { check, checkQuery, texts } from "./texts.js";

export const LABEL = "Rank";
export const MODEL = "reranker";

const SUMS = "Scores are sums over the query’s tokens: compare those of one query only.";

export const inputs = () => ({
  model: find("reranker").value,
  embedder: find("embedder").value,
  query: find("query").value,
  documents: texts(),
});

export async function answer({ embedder, ...body }, run) {
  checkQuery(body.query);
  check(body.documents);
  const retrieved = embedder ? await retrieve(embedder, body.query, body.documents, run) : null;
  const ranking = await rerank(body, run.signal);
  return [
    () => showRun(body, ranking, retrieved),
    () => showOrders(body, ranking, retrieved),
    () => showCode("rank-", code.ofRank(body, hasKey())),
  ];
}

function showRun(body, ranking, retrieved) {
  const count = counted(body.documents.length, "text");
  find("status").textContent = `Ranked ${count} in ${duration(ranking.roundTrip)}.`;
  const figures = [
    ["Reranker", body.model],
    ["Texts", number(body.documents.length)],
    ["Tokens", number(ranking.tokens)],
    ["Round trip", duration(ranking.roundTrip)],
    ...(retrieved ? [["Retrieval before it", duration(retrieved.roundTrip)]] : []),
  ];
  report("rank-", figures, ranking);
}

function showOrders({ model, documents }, { results }, retrieved) {
  const isSum = card(model).tasks.includes("embed_tokens");
  const most = isSum ? Math.max(1e-9, results[0].relevance_score) : 1;
  const reranked = results.map(({ index, relevance_score: score, truncated }) => ({
    index,
    text: documents[index],
    value: score / most,
    label: number(score, 3),
    truncated,
  }));
  find("retrieved").hidden = !retrieved;
  find("orders").classList.toggle("two", Boolean(retrieved));
  const before = retrieved ? byCosine(documents, retrieved.cosines) : null;
  if (before) showOrder(find("retrieved-list"), before, "Cosine");
  showOrder(find("reranked-list"), reranked, "Score", before);
  find("order-note").textContent = before
    ? `${moves(before, reranked)}.`
    : `${isSum ? SUMS : "Scores are 0 to 1."} None depends on the other texts.`;
}
