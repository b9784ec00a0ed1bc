/* The box of texts, one a line: typed, or read from a file that is opened or dropped on the page. */

import { Failure } from "./api.js";
import { counted, find, lines, number } from "./dom.js";
import { read } from "./files.js";
import { forget } from "./kept.js";

/** What the page takes, which is also what a request does by default. */
export const MOST_TEXTS = 2048;

/** Let the box work; `fail` shows a failure, or with null removes it. */
export function start(fail) {
  const [box, query] = [find("texts"), find("query")];
  const examples = { texts: box.defaultValue, query: query.defaultValue };
  box.addEventListener("input", () => {
    showCount();
    note("");
  });
  find("examples").addEventListener("click", () => {
    query.value = examples.query;
    fill(examples.texts.split("\n"));
    forget();
  });
  find("open").addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", ({ target }) => {
    load(target.files[0], fail);
    target.value = ""; // so that the same file can be opened again
  });
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    box.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) box.classList.remove("over"); // it left the page
  });
  document.addEventListener("drop", (event) => {
    box.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    load(event.dataTransfer.files[0], fail);
  });
  showCount();
}

/** The texts in the box. */
export const texts = () => lines(find("texts").value);

/** Throw a Failure where there are no texts, or too many. */
export function check(all, most = MOST_TEXTS) {
  if (!all.length) throw new Failure("The texts are empty: type at least one line.", { param: "input" });
  if (all.length > most) {
    const taker = most < MOST_TEXTS ? "view" : "page";
    const rule = `There are ${number(all.length)} texts and this ${taker} takes ${number(most)}`;
    throw new Failure(`${rule}; leave some out, or use embed-onnx embed, which takes files of any size`, {
      param: "input",
    });
  }
}

/** Throw a Failure where there is no query. */
export function checkQuery(query) {
  if (query.trim()) return;
  throw new Failure("There is no query yet: type what the texts are ranked for.", { param: "query" });
}

async function load(file, fail) {
  try {
    const all = await read(file);
    fill(all.slice(0, MOST_TEXTS));
    note(
      all.length > MOST_TEXTS
        ? `The first ${number(MOST_TEXTS)} of the ${number(all.length)} texts in ${file.name}.`
        : `Read from ${file.name}.`,
    );
    fail(null);
  } catch (err) {
    fail(err);
  }
}

function fill(all) {
  find("texts").value = all.join("\n");
  find("texts").dispatchEvent(new Event("input", { bubbles: true }));
}

function showCount() {
  find("count").textContent = counted(texts().length, "text");
}

function note(text) {
  find("file-note").textContent = text;
}
