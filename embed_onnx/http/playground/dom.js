/* Elements by name and attributes; what comes from users is only ever text. */

const SVG = "http://www.w3.org/2000/svg";

export const find = (id) => document.getElementById(id);

/** An HTML element with attributes and children, which are elements or text. */
export function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** A text of at most so many characters, with an ellipsis where it was cut. */
export function shorten(text, characters) {
  const all = [...text];
  return all.length <= characters ? text : all.slice(0, characters - 1).join("").trimEnd() + "…";
}

/** A text of the server as a sentence. */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!…]$/.test(text) ? "" : ".");

/** The lines of a text that are not blank. */
export const lines = (text) => text.split("\n").filter((line) => line.trim());

/** "1 text", "2 texts". */
export const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** A number with the separators of English, which the page is written in. */
export function number(value, digits = 0) {
  formats[digits] ??= new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return formats[digits].format(value);
}

const formats = []; // by digits, as making one takes longer than using it

/** A cosine with two decimals; never a minus before zero. */
export const decimal = (value) => number(Math.round(value * 100) / 100 || 0, 2).replace("-", "−");

/** Milliseconds as text, with no more digits than matter. */
export function duration(value) {
  if (value >= 10_000) return `${number(value / 1000, 1)} s`;
  return `${number(value, value < 10 ? 1 : 0)} ms`;
}

/** Choices of a select. */
export const options = (values) => values.map((value) => make("option", { value }, value));

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
