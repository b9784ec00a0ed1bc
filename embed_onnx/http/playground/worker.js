/* The page's worker: calls the operation of a message, and answers with its value or the message of its error. */

import { agreement } from "./agreement.js";
import { csv, json, npy } from "./formats.js";
import { matches } from "./maxsim.js";
import { cosines, project } from "./vectors.js";

const OPERATIONS = { agreement, cosines, csv, json, matches, npy, project };

self.addEventListener("message", ({ data: { id, name, values } }) => {
  try {
    self.postMessage({ id, value: OPERATIONS[name](...values) });
  } catch (err) {
    self.postMessage({ id, error: err.message });
  }
});
