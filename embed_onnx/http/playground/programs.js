/* Parts of programs, of which each is a string or a list of lines. */

import { address } from "./api.js";

// Invisible, or taken for the end of a line: written as escapes, which JSON, Python and JavaScript share.
const UNSEEN = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Python's expression for the key. */
const pythonKey = `os.environ['EMBED_ONNX_API_KEY']`;

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

/** OpenAI's client in Python, which requests base64 by itself; `imports` are of other packages. */
export function openai(withKey, imports = []) {
  const key = withKey ? 'os.environ["EMBED_ONNX_API_KEY"]' : '"unused"';
  return [
    ...(withKey ? ["import os", ""] : []),
    ...imports,
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${literal(address("v1"))}, api_key=${key})`,
  ];
}

/** The start of a call of an HTTP client in Python, before its `json=`; for what OpenAI's client has no method for. */
export const httpx = (path, withKey) => [
  "response = httpx.post(",
  `    ${literal(address(path))},`,
  ...(withKey ? [`    headers={"Authorization": f"Bearer {${pythonKey}}"},`] : []),
];

/** A function `post` in JavaScript, for browsers, Node, Deno and Bun. */
export function javascript(path, withKey) {
  const key = withKey ? ", Authorization: `Bearer ${process.env.EMBED_ONNX_API_KEY}`" : "";
  return [
    "async function post(body) {",
    `  const response = await fetch(${literal(address(path))}, {`,
    '    method: "POST",',
    `    headers: { "Content-Type": "application/json"${key} },`,
    "    body: JSON.stringify(body),",
    "  });",
    "  if (!response.ok) throw new Error(await response.text());",
    "  return response.json();",
    "}",
    "",
  ];
}

/** Python's list of texts, one a line, indented as what is before it. */
export function list(start, texts, end = "],") {
  const [indent] = start.match(/^ */);
  return [`${start}[`, ...texts.map((text) => `${indent}    ${literal(text)},`), indent + end];
}

/** JSON, whose strings are also Python's and JavaScript's. */
export function literal(value, indent) {
  const escape = (character) => "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0");
  return JSON.stringify(value, null, indent).replace(UNSEEN, escape);
}

/** A word of the shell. */
const quoted = (word) => `'${word.replaceAll("'", "'\\''")}'`;
