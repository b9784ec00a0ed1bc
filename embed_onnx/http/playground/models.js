/* The served models: what each of them does, its limits, and how near it is to its original. */

import { find, make, number } from "./dom.js";

const DOES = {
  embed: "embeds",
  embed_sparse: "embeds sparsely",
  embed_tokens: "embeds tokens",
  rerank: "reranks",
  classify: "classifies",
};

/** Show a card for each model. */
export function showModels(models) {
  find("models-note").textContent =
    "A request names a model by its name or an alias. Fidelity is how near its answers are to the float32 original’s.";
  find("cards").replaceChildren(...models.map(card));
}

function card(model) {
  const facts = rows(model).filter(([, value]) => value);
  return make(
    "article",
    { class: "card" },
    make("h3", {}, model.id),
    make("p", { class: "tasks" }, ...model.tasks.map((task) => make("span", {}, DOES[task] ?? task))),
    make("dl", {}, ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
  );
}

function rows(model) {
  const { aliases, bytes, dimensions, entries, labels, matryoshka, max_tokens: limit } = model;
  const lengths = matryoshka.length ? `${number(dimensions)}, trained for ${matryoshka.join(", ")} too` : dimensions;
  return [
    ["Aliases", aliases.join(", ")],
    ["Dimensions", lengths === null ? "" : String(lengths)],
    ["Vocabulary", entries && `${number(entries)} entries`],
    ["Labels", labels?.join(", ")],
    ["Longest text", limit === null ? "any number of tokens" : `${number(limit)} tokens`],
    ["Fidelity", fidelity(model)],
    ["Precision", model.precision],
    ["Size on disk", size(bytes)],
    ["Runs on", model.runs_on],
    ["Pooling", model.pooling.join(", ")],
    ["Prompts", promptsOf(model.prompts, model.default_prompt)],
    ["Exported", new Date(model.created * 1000).toLocaleDateString("en", { dateStyle: "medium" })],
  ];
}

const size = (bytes) => (bytes < 1e6 ? `${number(bytes / 1e3)} kB` : `${number(bytes / 1e6, bytes < 1e7 ? 1 : 0)} MB`);

/** What was measured at its export, on texts that are the same for all models. */
function fidelity({ parity, sparse_parity: sparse, token_parity: tokens, score_parity: scores }) {
  const vectors = parity ?? sparse ?? tokens;
  if (vectors) {
    const { cosine_mean: mean, cosine_min: least, texts } = vectors;
    return `cosine ${down(mean)} on average, at least ${down(least)}, over ${number(texts)} texts`;
  }
  if (scores) {
    const { score_difference: difference, spearman, items } = scores;
    const most = number(Math.ceil(difference * 1000) / 1000, 3);
    return `scores within ${most}, rank correlation ${down(spearman)}, over ${number(items)} items`;
  }
  return "not measured for what runs it here";
}

/** Four decimals, never rounded up: what is said is not more than was measured. */
const down = (value) => number(Math.floor(value * 10_000) / 10_000, 4);

function promptsOf(prompts, byDefault) {
  const all = Object.entries(prompts).filter(([, text]) => text);
  return all.map(([name, text]) => `${name} “${text.trim()}”${name === byDefault ? " (default)" : ""}`).join(", ");
}
