/* The server's API. The key lives in this module's memory and nowhere else. */

import { decode } from "./base64.js";

let key = null;

/** A request that failed, with a sentence for the user. */
export class Failure extends Error {
  constructor(message, { status = 0, param = null } = {}) {
    super(message);
    this.status = status;
    this.param = param;
  }
}

export function useKey(word) {
  key = word;
}

export const hasKey = () => key !== null;

/** Where a path of the API is, also when the server lives under a path of another one. */
export const address = (path) => new URL(path, document.baseURI).href;

/**
 * Send a request. Throws a Failure with the server's sentence, or an AbortError.
 * @returns {Promise<Response>}
 */
export async function call(path, options = {}) {
  const headers = { ...options.headers, ...(key === null ? {} : { authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(address(path), { ...options, headers, credentials: "same-origin", cache: "no-store" });
  } catch (err) {
    throw unreachable(err);
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  const sentence = body?.error?.message ?? `the server answered ${response.status} ${response.statusText}`;
  throw new Failure(sentence, { status: response.status, param: body?.error?.param ?? null });
}

/** The served models, each under its own name. */
export async function listModels() {
  return (await (await call("v1/models")).json()).data.filter(({ id, root }) => id === root);
}

/** Embed texts: what `post` gives, the answer's items, each with its vector as Float32Array, and its tokens. */
export async function embed(body, signal) {
  const { answer, ...timings } = await post("v1/embeddings", { ...body, encoding_format: "base64" }, signal);
  const items = answer.data.map(({ embedding, num_tokens, truncated = false }) => {
    return { vector: decode(embedding), num_tokens, truncated };
  });
  return { items, tokens: answer.usage.total_tokens, ...timings };
}

/** Embed tokens of texts: the same, each item with its vectors in base64 and the texts of its tokens. */
export async function embedTokens(body, signal) {
  const { answer, ...timings } = await post("v1/token_embeddings", { ...body, encoding_format: "base64" }, signal);
  const items = answer.data.map(({ embeddings, shape, dtype, tokens, expansion, truncated = false }) => {
    return { vectors: { embeddings, shape, dtype }, tokens, expansion, truncated };
  });
  return { items, tokens: answer.usage.total_tokens, ...timings };
}

/** Rank documents: what `post` gives, and the answer's results, the best first, and its tokens. */
export async function rerank(body, signal) {
  const { answer, ...timings } = await post("v1/rerank", body, signal);
  return { results: answer.results, tokens: answer.usage.total_tokens, ...timings };
}

/** Make sparse vectors: what `post` gives, and the answer's items, its tokens, and the entries of the vocabulary. */
export async function sparse(body, signal) {
  const { answer, ...timings } = await post("v1/sparse_embeddings", body, signal);
  return { items: answer.data, tokens: answer.usage.total_tokens, entries: answer.entries, ...timings };
}

/**
 * Send JSON.
 * @returns the answer, and milliseconds: the round trip, and each stage of the server by name.
 */
async function post(path, body, signal) {
  const started = performance.now();
  const headers = { "content-type": "application/json" };
  const response = await call(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  let answer;
  try {
    answer = await response.json();
  } catch (err) {
    throw unreachable(err);
  }
  const roundTrip = performance.now() - started;
  return { answer, roundTrip, stages: parseTimings(response.headers.get("server-timing") ?? "") };
}

/** "tokenize;dur=0.2, queue;dur=0.1" as milliseconds by name. */
export function parseTimings(header) {
  const stages = header.matchAll(/([\w-]+)\s*;[^,]*?dur=([\d.]+)/g);
  return Object.fromEntries([...stages].map(([, name, value]) => [name, Number(value)]));
}

function unreachable(err) {
  if (err.name === "AbortError") return err;
  return new Failure(`${location.host} does not answer; see whether the server still runs, then try again`);
}
