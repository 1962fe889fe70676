import { describe, expect, it } from "vitest";
import { angleBetween, slerp, unit, walk } from "../src/slerp";

const length = (vector: readonly number[]) => Math.hypot(...vector);

describe("slerp", () => {
  it("goes along the great circle at equal angles", () => {
    const steps = walk([2, 0, 0], [0, 5, 0], 4);
    const expected = [0, 30, 60, 90].map((degrees) => (degrees * Math.PI) / 180);
    steps.forEach((step, i) => {
      expect(step[0]).toBeCloseTo(Math.cos(expected[i]), 12);
      expect(step[1]).toBeCloseTo(Math.sin(expected[i]), 12);
      expect(step[2]).toBeCloseTo(0, 12);
    });
  });

  it("begins and ends at the directions of both ends, whatever their lengths", () => {
    const [from, to] = [[0.3, -0.2, 7], [11, 4, -2]];
    expect(slerp(from, to, 0)).toEqual(unit(from).map((entry) => expect.closeTo(entry, 12)));
    expect(slerp(from, to, 1)).toEqual(unit(to).map((entry) => expect.closeTo(entry, 12)));
  });

  it("stays on the sphere between directions that are nearly the same", () => {
    const to = [1, 1e-9, 0];
    for (const share of [0, 0.25, 0.5, 1]) expect(length(slerp([1, 0, 0], to, share))).toBeCloseTo(1, 12);
  });

  it("has an answer of finite numbers between opposite directions", () => {
    for (const share of [0, 0.4, 1]) expect(slerp([1, 0], [-1, 0], share).every(Number.isFinite)).toBe(true);
  });

  it("measures angles in degrees", () => {
    expect(angleBetween([1, 0], [1, 1])).toBeCloseTo(45, 10);
    expect(angleBetween([1, 0], [3, 0])).toBeCloseTo(0, 5);
  });

  it("leaves a vector without direction as it is", () => {
    expect(unit([0, 0])).toEqual([0, 0]);
  });
});
