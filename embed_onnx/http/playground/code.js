/* What a view did, as programs to copy: for a shell, for Python, and for JavaScript. */

import { curl, httpx, javascript, list, literal, openai } from "./programs.js";

const EMBEDDINGS = "v1/embeddings";

const titled = (shell, python, script, library = "openai") => ({
  curl: ["curl", shell],
  python: [`Python, with ${library}`, python],
  javascript: ["JavaScript", script],
});

/** Programs for the body of a request for embeddings, which give `vectors`. */
export function ofEmbeddings(body, withKey) {
  const { model, input, dimensions, ...extra } = body;
  const python = [
    ...openai(withKey),
    "response = client.embeddings.create(",
    `    model=${literal(model)},`,
    ...list("    input=", input),
    ...(dimensions === undefined ? [] : [`    dimensions=${dimensions},`]),
    ...(Object.keys(extra).length ? [`    extra_body=${literal(extra)},`] : []),
    ")",
    "vectors = [item.embedding for item in response.data]",
  ];
  const script = [
    ...javascript(EMBEDDINGS, withKey),
    `const { data } = await post(${literal(body, 2)});`,
    "const vectors = data.map((item) => item.embedding);",
  ];
  return titled(curl(EMBEDDINGS, body, withKey), python.join("\n"), script.join("\n"));
}

/** Programs that search texts for a query, which give `hits`: the place and cosine of each text, the nearest first. */
export function ofSearch({ model, query, texts }, withKey) {
  const bodies = [
    { model, input: texts, prompt_name: "document" },
    { model, input: [query], prompt_name: "query" },
  ];
  const python = [
    ...openai(withKey, ["import numpy as np"]),
    ...list("texts = ", texts, "]"),
    "",
    "",
    "def embed(texts, prompt_name):",
    '    extra = {"prompt_name": prompt_name}',
    `    response = client.embeddings.create(model=${literal(model)}, input=texts, extra_body=extra)`,
    "    vectors = np.array([item.embedding for item in response.data])",
    "    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)",
    "",
    "",
    'vectors = embed(texts, "document")  # keep them: another query needs only its own',
    `cosines = vectors @ embed([${literal(query)}], "query")[0]`,
    'hits = [(int(place), float(cosines[place])) for place in np.argsort(-cosines, kind="stable")]',
    "for place, cosine in hits[:10]:",
    '    print(f"{cosine:.2f}  {texts[place]}")',
  ];
  const script = [
    ...javascript(EMBEDDINGS, withKey),
    "async function embed(input, prompt_name) {",
    `  const { data } = await post({ model: ${literal(model)}, input, prompt_name });`,
    "  return data.map(({ embedding }) => {",
    "    const length = Math.hypot(...embedding);",
    "    return embedding.map((value) => value / length);",
    "  });",
    "}",
    "",
    `const texts = ${literal(texts, 2)};`,
    'const vectors = await embed(texts, "document"); // keep them: another query needs only its own',
    `const [query] = await embed([${literal(query)}], "query");`,
    "const cosines = vectors.map((vector) => vector.reduce((sum, value, at) => sum + value * query[at], 0));",
    "const hits = [...cosines.entries()].sort((one, other) => other[1] - one[1]);",
    "for (const [place, cosine] of hits.slice(0, 10)) console.log(cosine.toFixed(2), texts[place]);",
  ];
  const shell = bodies.map((body) => curl(EMBEDDINGS, body, withKey));
  return titled(shell.join("\n"), python.join("\n"), script.join("\n"));
}

/** Programs that embed texts by two models, which give `vectors` by model. */
export function ofModels({ models, texts }, withKey) {
  const body = (model) => ({ model, input: texts, prompt_name: "document" });
  const python = [
    ...openai(withKey),
    ...list("texts = ", texts, "]"),
    "vectors = {}",
    'extra = {"prompt_name": "document"}',
    `for model in ${literal(models)}:`,
    "    response = client.embeddings.create(model=model, input=texts, extra_body=extra)",
    "    vectors[model] = [item.embedding for item in response.data]",
  ];
  const script = [
    ...javascript(EMBEDDINGS, withKey),
    `const texts = ${literal(texts, 2)};`,
    "const vectors = {};",
    `for (const model of ${literal(models)}) {`,
    '  const { data } = await post({ model, input: texts, prompt_name: "document" });',
    "  vectors[model] = data.map((item) => item.embedding);",
    "}",
  ];
  const shell = models.map((model) => curl(EMBEDDINGS, body(model), withKey));
  return titled(shell.join("\n"), python.join("\n"), script.join("\n"));
}

/** Programs that make sparse vectors, which give `vectors`; Python's by an HTTP client, as OpenAI's has none. */
export function ofSparse(body, withKey) {
  const path = "v1/sparse_embeddings";
  const python = [
    ...(withKey ? ["import os", ""] : []),
    "import httpx",
    "",
    ...httpx(path, withKey),
    `    json={"model": ${literal(body.model)},`,
    ...list('          "input": ', body.input, "]},"),
    ")",
    'vectors = response.raise_for_status().json()["data"]  # of each, indices and values',
  ];
  const script = [...javascript(path, withKey), `const { data: vectors } = await post(${literal(body, 2)});`];
  return titled(curl(path, body, withKey), python.join("\n"), script.join("\n"), "httpx");
}

/** Programs that score texts for a query by their token vectors, which give `scores`: a number for each text. */
export function ofTokens({ model, query, documents }, isMean, withKey) {
  const path = "v1/token_embeddings";
  const [ofTexts, ofQuery] = [
    { model, input: documents, prompt_name: "document" },
    { model, input: [query], prompt_name: "query" },
  ];
  const python = [
    ...(withKey ? ["import os"] : []),
    "from base64 import b64decode",
    "",
    "import httpx",
    "import numpy as np",
    "",
    "",
    "def embed(texts, prompt_name):",
    ...httpx(path, withKey).map((line) => `    ${line}`),
    "        json={",
    `            "model": ${literal(model)},`,
    '            "input": texts,',
    '            "prompt_name": prompt_name,',
    '            "encoding_format": "base64",',
    "        },",
    "    )",
    "    vectors = []",
    '    for item in response.raise_for_status().json()["data"]:',
    '        numbers = np.frombuffer(b64decode(item["embeddings"]), item["dtype"])',
    '        vectors.append(numbers.reshape(item["shape"]))',
    "    return vectors",
    "",
    "",
    ...list("texts = ", documents, "]"),
    'documents = embed(texts, "document")  # keep them: another query needs only its own',
    `(query,) = embed([${literal(query)}], "query")`,
    `scores = [float((query @ rows.T).max(axis=1).${isMean ? "mean" : "sum"}()) for rows in documents]`,
  ];
  const script = [
    ...javascript(path, withKey),
    `const { data: documents } = await post(${literal(ofTexts, 2)});`,
    `const { data: [query] } = await post(${literal(ofQuery, 2)});`,
    "const dot = (one, other) => one.reduce((sum, value, at) => sum + value * other[at], 0);",
    "const scores = documents.map(({ embeddings }) => {",
    "  const maxima = query.embeddings.map((vector) => Math.max(...embeddings.map((other) => dot(vector, other))));",
    `  return maxima.reduce((sum, value) => sum + value, 0)${isMean ? " / maxima.length" : ""};`,
    "});",
  ];
  const shell = [ofTexts, ofQuery].map((body) => curl(path, body, withKey));
  return titled(shell.join("\n"), python.join("\n"), script.join("\n"), "httpx");
}

/** Programs that rank, which give `results`; Python's by an HTTP client, as OpenAI's has no ranks. */
export function ofRank(body, withKey) {
  const path = "v1/rerank";
  const { model, query, documents } = body;
  const python = [
    ...(withKey ? ["import os", ""] : []),
    "import httpx",
    "",
    ...httpx(path, withKey),
    "    json={",
    `        "model": ${literal(model)},`,
    `        "query": ${literal(query)},`,
    ...list('        "documents": ', documents),
    "    },",
    ")",
    'results = response.raise_for_status().json()["results"]',
  ];
  const script = [...javascript(path, withKey), `const { results } = await post(${literal(body, 2)});`];
  return titled(curl(path, body, withKey), python.join("\n"), script.join("\n"), "httpx");
}
