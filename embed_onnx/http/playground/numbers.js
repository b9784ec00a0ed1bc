/* Vectors as numbers: to see, to copy and to save as files. */

import { copyText } from "./copy.js";
import { counted, find, make, number } from "./dom.js";
import { compute } from "./maths.js";
import { column, showRows, textCell } from "./rows.js";

const FIRST = 6; // numbers of a vector that are shown

let current = null; // the model, texts and vectors that are shown

/** Let the buttons work. */
export function start() {
  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => save(button.dataset.save));
  }
  find("copy-vectors").addEventListener("click", async ({ currentTarget: button }) => {
    copyText(button, await compute("json", current.texts, current.vectors));
  });
}

/** Show the vectors of texts. */
export function show(model, texts, vectors) {
  current = { model, texts, vectors };
  const length = vectors[0].length;
  find("vectors-note").textContent =
    `${counted(vectors.length, "vector")} of ${number(length)} float32 numbers each, as the server gave them.`;
  const columns = [make("td"), column("Text"), column(length > FIRST ? `First ${FIRST} numbers` : "Numbers")];
  showRows(find("vectors"), columns, texts.length, (index) =>
    make(
      "tr",
      { "data-index": index },
      make("td", { class: "index" }, String(index + 1)),
      textCell(texts[index]),
      make("td", { class: "numbers" }, make("div", {}, beginning(vectors[index]))),
    ),
  );
}

function beginning(vector) {
  const numbers = [...vector.slice(0, FIRST)].map((value) => number(value, 4).replace("-", "−"));
  return numbers.join("  ") + (vector.length > FIRST ? "  …" : "");
}

/** Save a file of a kind: json, csv or npy. */
async function save(kind) {
  const { model, texts, vectors } = current;
  const content = await compute(kind, texts, vectors);
  const address = URL.createObjectURL(new Blob([content]));
  make("a", { href: address, download: `${model.split("/").at(-1)}.${kind}` }).click();
  URL.revokeObjectURL(address);
}
