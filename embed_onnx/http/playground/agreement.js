/* How far two models agree on the same texts. Their cosines have other scales, so that ranks are compared. */

import { dot, unit } from "./vectors.js";

const MOST_PAIRS = 20;

/**
 * @param left, right The vectors of the same texts by two models, two texts or more.
 * @returns {{correlation: number, same: number, pairs: Array}} Spearman's correlation of the cosines of all pairs; the
 *     number of texts whose nearest other text is the same; and the pairs whose ranks differ most, as
 *     `{first, second, cosines, shift}`, where shift is the second model's rank less the first one's, -1 to 1.
 */
export function agreement(left, right) {
  const cosines = [left, right].map(ofPairs);
  const ranks = cosines.map(ranked);
  const places = pairsOf(left.length);
  const most = Math.max(1, places.length - 1);
  const shift = (pair) => (ranks[1][pair] - ranks[0][pair]) / most;
  const order = [...places.keys()].sort((one, other) => Math.abs(shift(other)) - Math.abs(shift(one)));
  return {
    correlation: correlation(...ranks),
    same: sameNearest(left.length, places, cosines),
    pairs: order.slice(0, MOST_PAIRS).map((pair) => ({
      first: places[pair][0],
      second: places[pair][1],
      cosines: cosines.map((values) => values[pair]),
      shift: shift(pair),
    })),
  };
}

/** Every pair of so many texts, in the order of `ofPairs`. */
function pairsOf(count) {
  const pairs = [];
  for (let first = 0; first < count; first++) {
    for (let second = first + 1; second < count; second++) pairs.push([first, second]);
  }
  return pairs;
}

function ofPairs(vectors) {
  const units = vectors.map(unit);
  return Float64Array.from(pairsOf(units.length), ([first, second]) => dot(units[first], units[second]));
}

/** The rank of each value, 0 for the least; equal values share the mean of theirs. */
function ranked(values) {
  const order = Uint32Array.from(values.keys()).sort((one, other) => values[one] - values[other]);
  const ranks = new Float64Array(values.length);
  for (let start = 0, end; start < order.length; start = end) {
    for (end = start + 1; end < order.length && values[order[end]] === values[order[start]]; ) end++;
    for (let place = start; place < end; place++) ranks[order[place]] = (start + end - 1) / 2;
  }
  return ranks;
}

/** Pearson's, which is Spearman's where the values are ranks; 1 where nothing varies. */
function correlation(left, right) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [one, other] = [left, right].map((values) => {
    const middle = mean(values);
    return values.map((value) => value - middle);
  });
  const lengths = Math.sqrt(dot(one, one) * dot(other, other));
  return lengths ? dot(one, other) / lengths : 1;
}

/** How many texts have the same nearest text by both. */
function sameNearest(count, places, cosines) {
  const [one, other] = cosines.map((values) => {
    const nearest = Array(count).fill(-1);
    const best = new Float64Array(count).fill(-Infinity);
    places.forEach((pair, at) => {
      pair.forEach((text, side) => {
        if (values[at] > best[text]) [best[text], nearest[text]] = [values[at], pair[1 - side]];
      });
    });
    return nearest;
  });
  return one.filter((text, index) => text === other[index]).length;
}
