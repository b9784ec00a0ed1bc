/* A form and its results: one request at a time, of which the last counts; a failure is a sentence below it. */

import { Failure } from "./api.js";
import { find, make, sentence } from "./dom.js";
import { ask } from "./key.js";

/**
 * Let a form send.
 * @param ids Of the `form`, of its `results` and of the `error` below it; `selects`, the first of which is disabled
 *     until the models are known; `fields`, by the names that the API has for them.
 * @param answer Sends what the form holds, under an AbortSignal; gives a function that shows the answer.
 * @returns a function that shows a failure, and takes what to repeat once there is a key.
 */
export function sending({ form, results, error, selects, fields }, answer) {
  let running = null; // the AbortController of the request under way

  find(form).addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  find(form).addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    find(form).requestSubmit();
  });

  /** Send; a request under way is cancelled. */
  async function run() {
    running?.abort();
    const mine = (running = new AbortController());
    const current = () => running === mine;
    find(results).setAttribute("aria-busy", "true");
    try {
      const show = await answer(mine.signal);
      if (!current()) return;
      showError(null);
      show();
      // On a narrow screen the results are below the form, out of sight.
      if (find(results).getBoundingClientRect().top > window.innerHeight / 2) find(results).scrollIntoView();
    } catch (err) {
      if (current()) fail(err, run);
    } finally {
      if (current()) find(results).removeAttribute("aria-busy");
    }
  }

  function fail(err, again) {
    if (!(err instanceof Failure)) {
      showError(new Failure(`The page has a fault: ${err.message}`));
      throw err;
    }
    showError(err);
    if (find(selects[0]).disabled) for (const id of selects) find(id).replaceChildren(make("option", {}, "not known"));
    if (err.status === 401) ask(err.message, again);
  }

  /** Show a failure's sentence under the form and mark its field; null removes both. */
  function showError(err) {
    find(error).hidden = err === null;
    find(error).textContent = err === null ? "" : sentence(err.message);
    for (const id of new Set(Object.values(fields))) find(id).removeAttribute("aria-invalid");
    if (fields[err?.param]) find(fields[err.param]).setAttribute("aria-invalid", "true");
  }

  return (err, again) => (err === null ? showError(null) : fail(err, again));
}
