/* Texts embedded in lists, each text once: vectors are kept while its texts, the model and the options stay. */

import { embed } from "./api.js";

const LIST = 64; // texts of a request: an answer comes soon, and is read within a frame
const LIST_CHARACTERS = 400_000;
const MOST_KEPT = 8; // combinations of a model and options

const kept = new Map(); // vectors by text, by model and options; those used last are at the end

/**
 * Embed texts.
 * @param options The request's body without `input`.
 * @param run `signal`, an AbortSignal; and `progress`, called with the numbers of texts that are done and of all.
 * @param anew Whether to embed texts once more of which none is new, or which are one request's.
 * @returns `items` by text, each `{vector, num_tokens, truncated}`; `requests`, and of all of them together `tokens`,
 *     `roundTrip` and `stages` in milliseconds. What came before a failure is kept for the next call.
 */
export async function embedAll(texts, options, { signal, progress }, { anew = false } = {}) {
  const key = JSON.stringify(options);
  const before = kept.get(key) ?? new Map();
  const again = anew && (texts.length <= LIST || texts.every((text) => before.has(text)));
  const vectors = again ? new Map() : before;
  const pending = again ? texts : [...new Set(texts)].filter((text) => !vectors.has(text));
  keep(key, vectors);
  const sum = { requests: 0, tokens: 0, roundTrip: 0, stages: {} };
  let done = texts.length - pending.length;
  for (const input of lists(pending)) {
    progress(done, texts.length);
    const answer = await embed({ ...options, input, encoding_format: "base64" }, signal);
    input.forEach((text, index) => {
      const { num_tokens, truncated = false } = answer.items[index];
      vectors.set(text, { vector: answer.vectors[index], num_tokens, truncated });
    });
    add(sum, answer);
    done += input.length;
  }
  progress(done, texts.length);
  keep(key, new Map(texts.map((text) => [text, vectors.get(text)]))); // without texts that are not there any more
  return { items: texts.map((text) => vectors.get(text)), ...sum };
}

function keep(key, vectors) {
  kept.delete(key);
  kept.set(key, vectors);
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
}

function* lists(texts) {
  let list = [];
  let characters = 0;
  for (const text of texts) {
    if (list.length && (list.length === LIST || characters + text.length > LIST_CHARACTERS)) {
      yield list;
      list = [];
      characters = 0;
    }
    list.push(text);
    characters += text.length;
  }
  if (list.length) yield list;
}

function add(sum, { tokens, roundTrip, stages }) {
  sum.requests += 1;
  sum.tokens += tokens;
  sum.roundTrip += roundTrip;
  for (const [name, value] of Object.entries(stages)) sum.stages[name] = (sum.stages[name] ?? 0) + value;
}
