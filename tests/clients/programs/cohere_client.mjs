// Cohere's own client for Node, of both versions of its API: node cohere_client.mjs URL KEY MODEL TEXT ...
import { CohereClient, CohereClientV2 } from "cohere-ai";

const [url, token, model, ...texts] = process.argv.slice(2);
const inputType = "search_document";
const options = { token, environment: url, baseUrl: url };
const second = new CohereClientV2(options);

const first = await new CohereClient(options).embed({ texts, model, inputType });
const answer = await second.embed({ texts, model, inputType, embeddingTypes: ["float", "int8", "ubinary"] });
let failure = {};
try {
  await second.embed({ texts, model: "nope", inputType, embeddingTypes: ["float"] });
} catch (error) {
  failure = { kind: error.constructor.name, status: error.statusCode };
}
console.log(JSON.stringify({ first: first.embeddings, second: answer.embeddings, meta: answer.meta, failure }));
