/* Code to read and copy, and what copies a text. */

import { find, make } from "./dom.js";

const COPIED_SECONDS = 1.5;

/** Let each button with `data-copy` copy the text of the element of that id, whenever that comes to be. */
export function start() {
  document.addEventListener("click", ({ target }) => {
    if (target.dataset.copy) copyText(target, find(target.dataset.copy).textContent);
  });
}

/** Copy a text, and say on the button that it was. */
export async function copyText(button, text) {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copyOld(text); // a page over plain HTTP from another machine has no clipboard
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = label), COPIED_SECONDS * 1000);
}

/**
 * Show programs in the section whose id is `code` after a prefix.
 * @param programs Of each `name`, for the id, the title and the text.
 */
export function showCode(prefix, programs) {
  find(`${prefix}code`).replaceChildren(
    make("h2", {}, "The same in code"),
    ...Object.entries(programs).map(([name, [title, text]]) => {
      const id = prefix + name;
      const label = { "data-copy": id, "aria-label": `Copy ${title}` };
      const button = make("button", { type: "button", class: "quiet", ...label }, "Copy");
      const head = make("div", {}, make("h3", { id: `${id}-title` }, title), button);
      const place = { tabindex: 0, role: "region", "aria-labelledby": `${id}-title` };
      return make("div", { class: "code" }, head, make("pre", place, make("code", { id }, text)));
    }),
  );
}

function copyOld(text) {
  const field = make("textarea", {}, text);
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
