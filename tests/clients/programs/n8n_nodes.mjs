// What n8n's nodes Embeddings OpenAI and Embeddings Ollama make of their fields: node n8n_nodes.mjs URL KEY MODEL TEXT ...
import { OllamaEmbeddings } from "@langchain/ollama";
import { OpenAIEmbeddings } from "@langchain/openai";

const [url, apiKey, model, ...texts] = process.argv.slice(2);
const configuration = { baseURL: `${url}/v1` };
const openai = new OpenAIEmbeddings({ model, apiKey, configuration });
const options = { dimensions: 8, batchSize: 2, encodingFormat: "float", timeout: 60_000 };
const short = new OpenAIEmbeddings({ model, apiKey, configuration, ...options });
const ollama = new OllamaEmbeddings({ model, baseUrl: url, headers: { Authorization: `Bearer ${apiKey}` } });

const answers = {
  openai: await openai.embedDocuments(texts),
  short: await short.embedDocuments(texts),
  ollama: await ollama.embedDocuments(texts),
  query: [await openai.embedQuery(texts[0])],
};
let failure = {};
try {
  await new OpenAIEmbeddings({ model: "text-embedding-ada-002", apiKey, configuration }).embedQuery(texts[0]);
} catch (error) {
  failure = { status: error.status, code: error.code };
}
console.log(JSON.stringify({ answers, failure }));
