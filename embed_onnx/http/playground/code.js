/* The last request, as code to copy. */

import { address } from "./api.js";

// Invisible, or taken for the end of a line: written as escapes, which JSON and Python share.
const UNSEEN = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** A shell command. A here-document holds any JSON as it is: nothing in it is expanded, and its end is on no line. */
export function curl(path, body, withKey) {
  return [
    `curl --silent --show-error ${quoted(address(path))} \\`,
    ...(withKey ? ['  --header "Authorization: Bearer $EMBED_ONNX_API_KEY" \\'] : []),
    "  --header 'Content-Type: application/json' \\",
    "  --data-binary @- <<'JSON'",
    literal(body, 2),
    "JSON",
  ].join("\n");
}

/** The same through OpenAI's client, which requests base64 by itself. */
export function python(body, withKey) {
  const { model, input, dimensions, encoding_format: _, ...extra } = body;
  const call = [
    `model=${literal(model)},`,
    "input=[",
    ...input.map((text) => `    ${literal(text)},`),
    "],",
    ...(dimensions === undefined ? [] : [`dimensions=${dimensions},`]),
    ...(Object.keys(extra).length ? [`extra_body=${literal(extra)},`] : []),
  ];
  return [
    ...(withKey ? ["import os", ""] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${literal(address("v1"))}, api_key=${withKey ? 'os.environ["EMBED_ONNX_API_KEY"]' : '"unused"'})`,
    "response = client.embeddings.create(",
    ...call.map((line) => `    ${line}`),
    ")",
    "vectors = [item.embedding for item in response.data]",
  ].join("\n");
}

/** A rank by an HTTP client, as OpenAI's has none. */
export function pythonOfRank(body, withKey) {
  return [
    ...(withKey ? ["import os", ""] : []),
    "import httpx",
    "",
    "response = httpx.post(",
    `    ${literal(address("v1/rerank"))},`,
    ...(withKey ? [`    headers={"Authorization": f"Bearer {os.environ['EMBED_ONNX_API_KEY']}"},`] : []),
    "    json={",
    ...Object.entries(body).flatMap(([name, value]) =>
      Array.isArray(value)
        ? [`        ${literal(name)}: [`, ...value.map((text) => `            ${literal(text)},`), "        ],"]
        : [`        ${literal(name)}: ${literal(value)},`],
    ),
    "    },",
    ")",
    'results = response.raise_for_status().json()["results"]',
  ].join("\n");
}

/** JSON, whose strings are also Python's. */
function literal(value, indent) {
  const escape = (character) => "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0");
  return JSON.stringify(value, null, indent).replace(UNSEEN, escape);
}

/** A word of the shell. */
const quoted = (word) => `'${word.replaceAll("'", "'\\''")}'`;
