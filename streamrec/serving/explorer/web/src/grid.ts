/** `Grid`: finds the point nearest to a place; points are sorted into square cells once. */

export const LARGEST = 65535;

const SIDE = 256;

export class Grid {
  private readonly starts: Uint32Array;
  private readonly order: Uint32Array;

  constructor(
    private readonly x: Uint16Array,
    private readonly y: Uint16Array,
  ) {
    const cells = new Uint32Array(x.length);
    this.starts = new Uint32Array(SIDE * SIDE + 1);
    for (let i = 0; i < x.length; i++) {
      cells[i] = (y[i] >> 8) * SIDE + (x[i] >> 8);
      this.starts[cells[i] + 1]++;
    }
    for (let cell = 0; cell < SIDE * SIDE; cell++) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    this.order = new Uint32Array(x.length);
    for (let i = 0; i < x.length; i++) this.order[next[cells[i]]++] = i;
  }

  /**
   * The accepted point nearest to a place, at most `radius` away, all in map units; null without one.
   *
   * Of points at one place the last is nearest.
   */
  nearest(x: number, y: number, radius: number, accepts: (point: number) => boolean = () => true): number | null {
    const [px, py, reach] = [x * LARGEST, y * LARGEST, radius * LARGEST];
    const column = (value: number) => Math.min(SIDE - 1, Math.max(0, Math.floor(value / 256)));
    let best: number | null = null;
    let limit = reach * reach;
    for (let row = column(py - reach); row <= column(py + reach); row++) {
      const first = this.starts[row * SIDE + column(px - reach)];
      const end = this.starts[row * SIDE + column(px + reach) + 1];
      for (let at = first; at < end; at++) {
        const point = this.order[at];
        const distance = (this.x[point] - px) ** 2 + (this.y[point] - py) ** 2;
        if (distance < limit || (distance === limit && (best === null || point > best))) {
          if (!accepts(point)) continue;
          best = point;
          limit = distance;
        }
      }
    }
    return best;
  }
}
