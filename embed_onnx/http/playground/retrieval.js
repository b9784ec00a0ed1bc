/* What an embedder retrieves: texts by their cosine with a query, with the model's prompts for both. */

import { embedAll, sum } from "./embedding.js";
import { compute } from "./maths.js";

/**
 * Embed a query, and the texts that are not yet embedded.
 * @returns `documents` and `question` as embedAll gives them, the `vectors` of the documents, the `cosines` of these
 *     with the query, and the `sum` of all requests.
 */
export async function retrieve(model, query, texts, run) {
  const documents = await embedAll(texts, { model, prompt_name: "document" }, run);
  const question = await embedAll([query], { model, prompt_name: "query" }, { ...run, progress: () => {} });
  const vectors = documents.items.map(({ vector }) => vector);
  const cosines = await compute("cosines", question.items[0].vector, vectors);
  return { documents, question, vectors, cosines, ...sum([documents, question]) };
}
