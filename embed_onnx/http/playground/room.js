/* Which parts of a plane are taken: a grid of squares, so that a question costs the same whatever is there. */

const SQUARE = 4; // pixels

export class Room {
  /** All of it is free but the edge. */
  constructor(width, height, edge) {
    this.limits = { left: edge, top: edge, right: width - edge, bottom: height - edge };
    this.columns = Math.ceil(width / SQUARE);
    this.rows = Math.ceil(height / SQUARE);
    this.boxes = new Uint16Array(this.columns * this.rows); // how many lie on each square
  }

  take(box) {
    this.each(box, (square) => (this.boxes[square] += 1));
  }

  /** Undo a `take`. */
  free(box) {
    this.each(box, (square) => (this.boxes[square] -= 1));
  }

  isFree(box) {
    const { left, top, right, bottom } = this.limits;
    if (box.left < left || box.top < top || box.right > right || box.bottom > bottom) return false;
    let taken = 0;
    this.each(box, (square) => (taken += this.boxes[square]));
    return taken === 0;
  }

  each({ left, top, right, bottom }, visit) {
    const within = (start, end, count) => [
      Math.max(0, Math.floor(start / SQUARE)),
      Math.min(count, Math.ceil(end / SQUARE)),
    ];
    const [firstRow, endRow] = within(top, bottom, this.rows);
    const [firstColumn, endColumn] = within(left, right, this.columns);
    for (let row = firstRow; row < endRow; row++) {
      for (let column = firstColumn; column < endColumn; column++) visit(row * this.columns + column);
    }
  }
}
