// OpenAI's client for Node; it reads OPENAI_BASE_URL and OPENAI_API_KEY. Before: npm install openai
//
//   OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=unused node examples/openai_node.mjs

import OpenAI from "openai";

const client = new OpenAI();
const response = await client.embeddings.create({
  model: "all-MiniLM-L6-v2",
  input: ["A cat sleeps.", "A kitten naps."],
  dimensions: 256,
});
const [first, second] = response.data.map((item) => item.embedding);
const similarity = first.reduce((sum, value, place) => sum + value * second[place], 0);
console.log("dimensions:", first.length);
console.log("similarity:", similarity.toFixed(2));
console.log("tokens:", response.usage.total_tokens);
