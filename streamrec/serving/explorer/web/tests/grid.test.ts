import { describe, expect, it } from "vitest";
import { Grid, LARGEST } from "../src/grid";

/** A repeatable stream of numbers from 0 to 1. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("grid", () => {
  const next = numbers(7);
  const count = 4000;
  // Half of them in a small cluster, as on a real map.
  const place = (i: number) => Math.floor((i % 2 ? next() : 0.4 + 0.02 * next()) * (LARGEST + 1));
  const x = Uint16Array.from({ length: count }, (_, i) => place(i));
  const y = Uint16Array.from({ length: count }, (_, i) => place(i));
  const grid = new Grid(x, y);

  function scan(px: number, py: number, radius: number, accepts: (point: number) => boolean): number | null {
    let best: number | null = null;
    let limit = (radius * LARGEST) ** 2;
    for (let i = 0; i < count; i++) {
      const distance = (x[i] - px * LARGEST) ** 2 + (y[i] - py * LARGEST) ** 2;
      if (accepts(i) && (best === null ? distance < limit : distance <= limit)) [best, limit] = [i, distance];
    }
    return best;
  }

  it("finds what a scan of all points finds", () => {
    for (let trial = 0; trial < 500; trial++) {
      const [px, py] = trial % 2 ? [next(), next()] : [0.4 + 0.02 * next(), 0.4 + 0.02 * next()];
      const radius = 0.001 + 0.05 * next();
      expect(grid.nearest(px, py, radius)).toBe(scan(px, py, radius, () => true));
      const third = (point: number) => point % 3 === 0;
      expect(grid.nearest(px, py, radius, third)).toBe(scan(px, py, radius, third));
    }
  });

  it("finds points at every edge, and nothing outside the radius", () => {
    const corners = new Grid(Uint16Array.of(0, LARGEST, 0, LARGEST), Uint16Array.of(0, 0, LARGEST, LARGEST));
    expect(corners.nearest(0.001, 0.999, 0.01)).toBe(2);
    expect(corners.nearest(1.2, 1.2, 0.5)).toBe(3);
    expect(corners.nearest(0.5, 0.5, 0.4)).toBeNull();
    expect(new Grid(new Uint16Array(0), new Uint16Array(0)).nearest(0.5, 0.5, 1)).toBeNull();
  });

  it("takes the last of several points at one place", () => {
    const same = new Grid(Uint16Array.of(9, 9, 9), Uint16Array.of(4, 4, 4));
    expect(same.nearest(9 / LARGEST, 4 / LARGEST, 0.01)).toBe(2);
  });
});
