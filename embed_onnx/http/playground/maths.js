/* What takes long, computed by a worker, so that the page answers while it runs. */

const SCRIPT = new URL("worker.js", import.meta.url).href;

let worker = null;
let address = null; // as the policy gives it, which the browser lets be made once
let count = 0;
const waiting = new Map(); // what to call with the outcome, by the number of a call

/**
 * Call one of the worker's operations.
 * @param name What worker.js exports under that name.
 * @returns {Promise} its value; rejected with its error.
 */
export function compute(name, ...values) {
  worker ??= start();
  count += 1;
  return new Promise((resolve, reject) => {
    waiting.set(count, { resolve, reject });
    worker.postMessage({ id: count, name, values });
  });
}

function start() {
  const started = new Worker((address ??= trusted()), { type: "module" });
  started.addEventListener("message", ({ data: { id, value, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(value);
    else reject(new Error(error));
  });
  started.addEventListener("error", () => {
    for (const { reject } of waiting.values()) reject(new Error(`${SCRIPT} did not start`));
    waiting.clear();
    worker = null;
  });
  return started;
}

/** The address of the one script that the page's policy lets a worker run, whatever string is passed to it. */
function trusted() {
  if (!window.trustedTypes) return SCRIPT;
  return trustedTypes.createPolicy("worker", { createScriptURL: () => SCRIPT }).createScriptURL("");
}
