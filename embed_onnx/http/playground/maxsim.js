/* Which vectors of documents match those of a query, and how well (MaxSim), as the server computes its ranks. */

import { decode } from "./base64.js";
import { dot } from "./vectors.js";

/**
 * Match each vector of a query with the vector of each document that it has the greatest product with.
 * @param query Its vectors as the API has them: `embeddings` in base64, their `shape` and `dtype`.
 * @param documents A list of the same.
 * @returns of each document the `places` of its vectors and the `products` with them, both by the query's vectors,
 *     and its `score`, the sum of the products; null of a document without vectors.
 */
export function matches(query, documents) {
  const rows = vectors(query);
  return documents.map((document) => (document.shape[0] ? match(rows, vectors(document)) : null));
}

function match(query, document) {
  const places = new Int32Array(query.length);
  const products = new Float64Array(query.length).fill(-Infinity);
  query.forEach((vector, row) => {
    document.forEach((other, place) => {
      const product = dot(vector, other);
      if (product <= products[row]) return;
      products[row] = product;
      places[row] = place;
    });
  });
  return { places, products, score: products.reduce((sum, product) => sum + product, 0) };
}

/** A Float32Array for each. */
function vectors({ embeddings, shape: [count, dimensions], dtype }) {
  const numbers = decode(embeddings, dtype);
  return Array.from({ length: count }, (_, place) => numbers.subarray(place * dimensions, (place + 1) * dimensions));
}
