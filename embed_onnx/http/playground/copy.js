/* Buttons that copy code. */

import { find } from "./dom.js";

const COPIED_SECONDS = 1.5;

/** Let each button with `data-copy` copy the text of the element of that id. */
export function start() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(button, find(button.dataset.copy)));
  }
}

async function copy(button, code) {
  if (navigator.clipboard) await navigator.clipboard.writeText(code.textContent);
  else copyOld(code); // a page over plain HTTP from another machine has no clipboard
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), COPIED_SECONDS * 1000);
}

function copyOld(code) {
  getSelection().selectAllChildren(code);
  document.execCommand("copy");
}
