/**
 * `Pace`: what share of the points to draw while the map moves, so that it moves smoothly on slow machines too.
 *
 * Where a graphics processor draws, that is always all of them. At rest all are drawn anyhow.
 */

/** Frames farther apart do not belong to one movement. */
const PAUSE_MS = 1500;
const SLOW_MS = 45;
const QUICK_MS = 24;
const LEAST = 0.08;
/** Weight of the newest frame: a single late one changes nothing. */
const NEWEST = 0.3;

export class Pace {
  /** Share of the points, from 0 to 1. */
  share = 1;
  private last = Number.NEGATIVE_INFINITY;
  private mean: number | null = null;

  /** Note a frame of a movement, at a time in milliseconds. */
  frame(now: number): void {
    const interval = now - this.last;
    this.last = now;
    if (interval > PAUSE_MS) return;
    this.mean = this.mean === null ? interval : this.mean + NEWEST * (interval - this.mean);
    if (this.mean > SLOW_MS) this.change(0.6);
    else if (this.mean < QUICK_MS) this.change(1.25);
  }

  private change(factor: number): void {
    const next = Math.min(1, Math.max(LEAST, this.share * factor));
    if (next === this.share) return;
    this.share = next;
    // What the frames took with another share says nothing of this one.
    this.mean = (SLOW_MS + QUICK_MS) / 2;
  }
}

/** The numbers below `count` in an order without order, the same at every call. */
export function shuffled(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  let state = 1;
  for (let i = count - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = Math.floor((state / 2 ** 32) * (i + 1));
    [order[i], order[other]] = [order[other], order[i]];
  }
  return order;
}
