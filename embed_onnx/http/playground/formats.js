/* Vectors as files: JSON, CSV and NumPy's npy. Numbers have as few digits as give the same float32 again. */

/** `[{"text": ..., "embedding": [...]}, ...]`, an item a line. */
export function json(texts, vectors) {
  const items = texts.map((text, index) => {
    return `{"text": ${JSON.stringify(text)}, "embedding": [${numbers(vectors[index]).join(", ")}]}`;
  });
  return `[\n${items.join(",\n")}\n]\n`;
}

/** A column of texts, and one for each dimension. */
export function csv(texts, vectors) {
  const head = ["text", ...vectors[0].keys()];
  const rows = texts.map((text, index) => [`"${text.replaceAll('"', '""')}"`, ...numbers(vectors[index])]);
  return [head, ...rows].map((row) => row.join(",") + "\r\n").join("");
}

/** float32 [texts, dimensions], little-endian, in version 1.0 of the format that numpy.lib.format describes. */
export function npy(_, vectors) {
  const width = vectors[0].length;
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${vectors.length}, ${width}), }`;
  const start = Math.ceil((10 + header.length + 1) / 64) * 64;
  const bytes = new Uint8Array(start + 4 * vectors.length * width).fill(" ".charCodeAt(0), 0, start);
  const view = new DataView(bytes.buffer);
  bytes.set([0x93, ...ascii("NUMPY"), 1, 0]);
  view.setUint16(8, start - 10, true);
  bytes.set(ascii(header), 10);
  bytes[start - 1] = "\n".charCodeAt(0);
  vectors.forEach((vector, row) => {
    vector.forEach((value, column) => view.setFloat32(start + 4 * (row * width + column), value, true));
  });
  return bytes;
}

const ascii = (text) => [...text].map((character) => character.charCodeAt(0));

const numbers = (vector) => Array.from(vector, shortest);

/** Six digits are often enough for a float32, nine always. */
function shortest(value) {
  for (let digits = 6; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === value) return String(candidate);
  }
  return String(Number(value.toPrecision(9)));
}
