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
    const [first, last] = [Math.max(0, Math.floor(left / SQUARE)), Math.min(this.columns, Math.ceil(right / SQUARE))];
    for (let row = Math.max(0, Math.floor(top / SQUARE)); row < Math.min(this.rows, Math.ceil(bottom / SQUARE)); row++) {
      for (let column = first; column < last; column++) visit(row * this.columns + column);
    }
  }
}
