/* The dialog that asks for an API key. */

import { useKey } from "./api.js";
import { find, sentence } from "./dom.js";

let retry = null; // what to repeat once there is a key

/** Let the dialog and its button work; `onKey` is called after each new key. */
export function start(onKey) {
  find("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useKey(find("key").value);
    close();
    retry?.();
    onKey();
  });
  find("key-cancel").addEventListener("click", close);
  find("key-dialog").addEventListener("close", () => (find("key").value = ""));
}

/** Ask for a key, and say why; `again` is called once there is one. */
export function ask(reason, again) {
  retry = again;
  find("change-key").hidden = false;
  find("key-reason").textContent = sentence(reason);
  if (!find("key-dialog").open) find("key-dialog").showModal();
}

const close = () => find("key-dialog").close();
