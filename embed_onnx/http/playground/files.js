/* Texts out of a file: its lines, or the column `text` of CSV, TSV and JSON lines. */

import { Failure } from "./api.js";

const COLUMN = "text";
const MOST_BYTES = 64 * 2 ** 20;

/** The texts of a File, each on one line, without blank ones. Throws a Failure if they cannot be read. */
export async function read(file) {
  if (file.size > MOST_BYTES) {
    throw new Failure(`${file.name} has ${Math.round(file.size / 2 ** 20)} MiB; this page reads files of up to 64 MiB`);
  }
  const content = (await file.text()).replace(/^\ufeff/, "");
  if (content.includes("\0")) throw new Failure(`${file.name} is not a file of text; open .txt, .csv, .tsv or .jsonl`);
  const texts = reader(file.name)(content, file.name)
    .map((text) => text.replace(/\s*[\r\n]+\s*/g, " ").trim())
    .filter(Boolean);
  if (!texts.length) throw new Failure(`${file.name} has no text`);
  return texts;
}

const READERS = {
  csv: (content, name) => column(table(content, ",", name), name),
  tsv: (content, name) => column(table(content, "\t", name), name),
  jsonl: jsonLines,
  ndjson: jsonLines,
};

const reader = (name) => READERS[name.split(".").at(-1).toLowerCase()] ?? ((content) => content.split(/\r\n|\n|\r/));

function jsonLines(content, name) {
  return content.split("\n").flatMap((line, index) => {
    if (!line.trim()) return [];
    let value;
    try {
      value = JSON.parse(line);
    } catch {
      throw new Failure(`line ${index + 1} of ${name} is not JSON`);
    }
    const text = typeof value === "string" ? value : value?.[COLUMN];
    if (typeof text === "string") return [text];
    throw new Failure(`line ${index + 1} of ${name} has no field "${COLUMN}" with a text`);
  });
}

/** The column of that name, or the only one. */
function column([head, ...rows], name) {
  const place = head.length === 1 ? 0 : head.findIndex((title) => title.trim().toLowerCase() === COLUMN);
  if (place >= 0) return rows.map((row) => row[place] ?? "");
  throw new Failure(`${name} has no column "${COLUMN}"; its first line has ${head.join(", ").slice(0, 200)}`);
}

/** Rows of cells, as RFC 4180 has them: a quoted cell may hold separators, line ends and doubled quotes. */
function table(content, separator, name) {
  const rows = [[]];
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|((?!")[^${separator}\\r\\n]*))(${separator}|\\r\\n|\\n|\\r|$)`, "y");
  while (cell.lastIndex < content.length) {
    const match = cell.exec(content);
    if (!match) throw new Failure(`row ${rows.length} of ${name} has a quote that does not end, or a text after one`);
    const [, quoted, plain, end] = match;
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end !== separator) rows.push([]);
  }
  return rows.filter((row) => row.length);
}
