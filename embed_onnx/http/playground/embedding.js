/* Texts embedded in lists, each text once: what came is kept while its texts, the model and the options stay. */

import { embed } from "./api.js";

const LIST = 64; // texts of a request: an answer comes soon, and is read within a frame
const LIST_CHARACTERS = 400_000;
const MOST_KEPT = 8; // combinations of a model and options

const kept = new Map(); // items by text, by model and options; those used last are at the end

/**
 * Embed texts.
 * @param options The request's body without `input`.
 * @param run `signal`, an AbortSignal; and `progress`, called with the numbers of texts that are done and of all.
 * @param anew Whether to embed texts once more of which none is new, or which are one request's.
 * @param send What sends a list, of api.js.
 * @returns `items` by text, as that gives them; and the `sum` of the requests. What came before a failure is kept for
 *     the next call.
 */
export async function embedAll(texts, options, { signal, progress }, { anew = false, send = embed } = {}) {
  const key = JSON.stringify(options);
  const before = kept.get(key) ?? new Map();
  const again = anew && (texts.length <= LIST || texts.every((text) => before.has(text)));
  const vectors = again ? new Map() : before;
  const pending = again ? texts : [...new Set(texts)].filter((text) => !vectors.has(text));
  keep(key, vectors);
  const answers = [];
  let done = texts.length - pending.length;
  for (const input of lists(pending)) {
    progress(done, texts.length);
    const answer = await send({ ...options, input }, signal);
    input.forEach((text, index) => vectors.set(text, answer.items[index]));
    answers.push({ ...answer, requests: 1 });
    done += input.length;
  }
  progress(done, texts.length);
  keep(key, new Map(texts.map((text) => [text, vectors.get(text)]))); // without texts that are not there any more
  return { items: texts.map((text) => vectors.get(text)), ...sum(answers) };
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

/** Of requests, or of sums of requests, together: `requests`, `tokens`, and `roundTrip` and `stages` in milliseconds. */
export function sum(parts) {
  const whole = { requests: 0, tokens: 0, roundTrip: 0, stages: {} };
  for (const part of parts) {
    for (const name of ["requests", "tokens", "roundTrip"]) whole[name] += part[name];
    for (const [name, value] of Object.entries(part.stages)) whole.stages[name] = (whole.stages[name] ?? 0) + value;
  }
  return whole;
}
