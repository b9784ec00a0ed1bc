// A client over types that openapi-typescript generates from the server's schema.
import createClient from "openapi-fetch";

import type { paths } from "./schema.js";

const [url, key, model, ...texts] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { authorization: `Bearer ${key}` } });

const { data } = await client.POST("/v1/embeddings", { body: { input: texts, model } });
const { error } = await client.POST("/v1/embeddings", { body: { input: texts, model: "no-such-model" } });
const vectors = data?.data.map((item) => item.embedding as number[]);
console.log(JSON.stringify({ vectors, tokens: data?.usage.total_tokens, code: error?.error.code }));
