/* Texts as points on a plane, with as many labels as find room. */

import { draw, shorten } from "./dom.js";
import { Room } from "./room.js";

const MARGIN = 28;
const DOT = 4.5;
const LINE = 16;
const GAP = 3; // between a label and the dots around it
const EDGE = 8; // between a label and the frame
const MOST_LABELS = 40;
const MOST_TRIES = 150; // texts for whose labels room is looked for
const CROWDED = 150; // from here on, dots are small
const ORDER = ["query", "hit", "text", "other"]; // who has a label first, and is drawn last

/** A map in an element, drawn again in every width that this has. */
export class TextMap {
  constructor(place) {
    this.place = place;
    this.items = [];
    new ResizeObserver(() => this.draw()).observe(place);
  }

  /**
   * Show items `{point, text, mark, kind, index}`: `mark` comes before the text in its label, `kind` is one of ORDER,
   * and `index`, if there is one, is that of the text among all.
   */
  show(items, name) {
    this.items = items;
    this.name = name;
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.place;
    if (this.items.length && width) this.place.replaceChildren(drawn(this.items, this.name, width, height));
  }
}

function drawn(items, name, width, height) {
  const radius = items.length > CROWDED ? 2.5 : DOT;
  const places = fit(items.map(({ point }) => point), width, height);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": name });
  const placed = items.map((item, index) => ({ ...item, x: places[index][0], y: places[index][1] }));
  const order = ({ kind }) => ORDER.indexOf(kind);
  const last = placed.toSorted((one, other) => order(other) - order(one));
  svg.append(...last.map((item) => circle(item, item.kind === "query" ? DOT + 1.5 : radius)));
  const first = placed.toSorted((one, other) => order(one) - order(other));
  svg.append(...labelled(first, { width, height, radius }));
  return svg;
}

function circle({ index, text, kind, x, y }, radius) {
  const attributes = { class: kind, cx: x.toFixed(1), cy: y.toFixed(1), r: radius };
  if (index !== undefined) attributes["data-index"] = index;
  return draw("circle", attributes, draw("title", {}, text));
}

/** Points in pixels: one scale for both axes, so that distances can be compared, and centred. */
function fit(points, width, height) {
  const [left, right] = range(points.map(([x]) => x));
  const [top, bottom] = range(points.map(([, y]) => y));
  const room = [width - 2 * MARGIN, height - 2 * MARGIN];
  const scale = Math.min(room[0] / (right - left || 1e-9), room[1] / (bottom - top || 1e-9));
  const usable = right - left + bottom - top > 1e-6 ? scale : 0;
  return points.map(([x, y]) => [
    width / 2 + (x - (left + right) / 2) * usable,
    height / 2 + (y - (top + bottom) / 2) * usable,
  ]);
}

function range(values) {
  const wider = ([least, most], value) => [Math.min(least, value), Math.max(most, value)];
  return values.reduce(wider, [Infinity, -Infinity]);
}

/** Labels beside their points, tried in several places and lengths; one that finds no room is left out. */
function labelled(items, { width, height, radius }) {
  const around = radius + GAP;
  const dot = ({ x, y }) => box(x - around, y - around, 2 * around, 2 * around);
  const room = new Room(width, height, EDGE);
  for (const item of items) room.take(dot(item));
  const labels = [];
  for (const item of items.slice(0, MOST_TRIES)) {
    if (labels.length === MOST_LABELS) break;
    room.free(dot(item)); // its own dot is in nobody's way but its label's, which stands beside it
    const label = place(item, radius, room);
    room.take(dot(item));
    if (!label) continue;
    room.take(label.box);
    const mark = draw("tspan", { class: "index" }, String(item.mark));
    const position = { class: item.kind, x: label.box.left.toFixed(1), y: (label.box.top + LINE - 4).toFixed(1) };
    labels.push(draw("text", position, mark, draw("tspan", { dx: item.mark === "" ? 0 : 4 }, label.text)));
  }
  return labels;
}

function place({ text, mark, x, y }, radius, room) {
  for (const characters of [48, 32, 22, 14, 0]) {
    const label = characters ? shorten(text, characters) : "";
    const length = measure(String(mark)) + (mark !== "" && label ? 4 : 0) + measure(label);
    const away = radius + 5;
    const corners = [
      [x + away, y - LINE / 2],
      [x - away - length, y - LINE / 2],
      [x - length / 2, y - away - LINE],
      [x - length / 2, y + away],
      [x + away, y - LINE - 1],
      [x + away, y + 1],
      [x - away - length, y - LINE - 1],
      [x - away - length, y + 1],
    ];
    const corner = length && corners.find(([left, top]) => room.isFree(box(left, top, length, LINE)));
    if (corner) return { box: box(...corner, length, LINE), text: label };
  }
  return null;
}

const box = (left, top, width, height) => ({ left, top, right: left + width, bottom: top + height });

let canvas = null;

/** The width of a text in pixels, in the font of the map's labels. */
function measure(text) {
  if (!canvas) {
    canvas = document.createElement("canvas").getContext("2d");
    canvas.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  }
  return canvas.measureText(text).width;
}
