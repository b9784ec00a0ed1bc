/* The texts as points on a plane, with as many labels as find room. */

import { draw, shorten } from "./dom.js";

const MARGIN = 28;
const DOT = 4.5;
const LINE = 16;
const GAP = 3; // between a label and the dots around it
const EDGE = 8; // between a label and the frame
const MOST_LABELS = 40;
const CROWDED = 150; // from here on, dots are small

/** The map as SVG, of so many pixels. */
export function map(texts, points, width, height) {
  const radius = points.length > CROWDED ? 2.5 : DOT;
  const places = fit(points, width, height);
  const name = `Map of ${texts.length} texts: those close in meaning lie close together`;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": name });
  places.forEach(([x, y], index) => {
    const title = draw("title", {}, `${index + 1} ${texts[index]}`);
    svg.append(draw("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: radius }, title));
  });
  svg.append(...labelled(texts, places, { width, height, radius }));
  return svg;
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
function labelled(texts, places, frame) {
  const around = frame.radius + GAP;
  const dots = places.map(([x, y]) => box(x - around, y - around, 2 * around, 2 * around));
  const taken = [];
  const labels = [];
  for (let index = 0; index < places.length && labels.length < MOST_LABELS; index++) {
    const label = room(texts[index], index, places[index], [...taken, ...dots.toSpliced(index, 1)], frame);
    if (!label) continue;
    taken.push(label.box);
    const { x, y, text } = label;
    const number = draw("tspan", { class: "index" }, String(index + 1));
    labels.push(draw("text", { x: x.toFixed(1), y: y.toFixed(1) }, number, draw("tspan", { dx: 4 }, text)));
  }
  return labels;
}

function room(text, index, [x, y], taken, { width, height, radius }) {
  for (const characters of [48, 32, 22, 14, 0]) {
    const label = characters ? shorten(text, characters) : "";
    const length = measure(`${index + 1}`) + (label ? 4 + measure(label) : 0);
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
    for (const [left, top] of corners) {
      const place = box(left, top, length, LINE);
      const inside = left >= EDGE && top >= EDGE && place.right <= width - EDGE && place.bottom <= height - EDGE;
      if (inside && !taken.some((other) => overlap(place, other))) {
        return { box: place, x: left, y: top + LINE - 4, text: label };
      }
    }
  }
  return null;
}

const box = (left, top, width, height) => ({ left, top, right: left + width, bottom: top + height });

const overlap = (one, other) =>
  one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;

let canvas = null;

/** The width of a text in pixels, in the font of the map's labels. */
function measure(text) {
  canvas ??= document.createElement("canvas").getContext("2d");
  canvas.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return canvas.measureText(text).width;
}
