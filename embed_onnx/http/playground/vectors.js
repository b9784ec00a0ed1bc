/* Cosines, and the plane in which vectors differ most. */

const ITERATIONS = 200;
const SETTLED = 1e-10;
const NOTHING = 1e-9;

/** A vector of length 1; zeros stay zeros. */
export function unit(vector) {
  const length = Math.sqrt(dot(vector, vector)) || 1;
  return Float64Array.from(vector, (value) => value / length);
}

export function dot(left, right) {
  let sum = 0;
  for (let index = 0; index < left.length; index++) sum += left[index] * right[index];
  return sum;
}

/** The cosine of each vector with one vector. */
export function cosines(vector, vectors) {
  const direction = unit(vector);
  return Float64Array.from(vectors, (each) => dot(direction, unit(each)));
}

/**
 * The first two principal components of vectors.
 * @returns points, one [x, y] a vector, and the share of the variance that they keep, 0 to 1.
 */
export function project(vectors) {
  const rows = centred(vectors);
  const total = spread(rows);
  const points = rows.map(() => []);
  let kept = 0;
  for (let axis = 0; axis < 2; axis++) {
    const direction = principal(rows);
    rows.forEach((row, index) => {
      const along = dot(row, direction);
      points[index].push(along);
      kept += along * along;
      row.forEach((_, at) => (row[at] -= along * direction[at]));
    });
  }
  return { points, kept: total > NOTHING ? kept / total : 1 };
}

/** Power iteration from the longest row, without the covariance matrix: its direction, or zeros. */
function principal(rows) {
  const longest = rows.reduce((best, row) => (dot(row, row) > dot(best, best) ? row : best));
  if (dot(longest, longest) < NOTHING) return new Float64Array(longest.length);
  let direction = unit(longest);
  for (let round = 0; round < ITERATIONS; round++) {
    const sum = new Float64Array(direction.length);
    for (const row of rows) {
      const along = dot(row, direction);
      for (let at = 0; at < row.length; at++) sum[at] += along * row[at];
    }
    const next = unit(sum);
    const settled = 1 - dot(next, direction) < SETTLED;
    direction = next;
    if (settled) break;
  }
  return direction;
}

function centred(vectors) {
  const mean = new Float64Array(vectors[0].length);
  for (const vector of vectors) vector.forEach((value, at) => (mean[at] += value / vectors.length));
  return vectors.map((vector) => Float64Array.from(vector, (value, at) => value - mean[at]));
}

const spread = (rows) => rows.reduce((sum, row) => sum + dot(row, row), 0);
