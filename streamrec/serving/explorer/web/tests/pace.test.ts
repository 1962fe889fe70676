import { describe, expect, it } from "vitest";
import { Pace, shuffled } from "../src/pace";

/** A movement on a machine that takes so long for all points, and a fixed part for anything. */
function move(pace: Pace, all: number, frames: number, from = 0, fixed = 6): number {
  let now = from;
  for (let frame = 0; frame < frames; frame++) {
    now += Math.max(16, fixed + all * pace.share);
    pace.frame(now);
  }
  return now;
}

describe("pace", () => {
  it("draws all points where that is quick", () => {
    const pace = new Pace();
    move(pace, 8, 200);
    expect(pace.share).toBe(1);
  });

  it("draws fewer points where that is slow, until frames follow each other quickly enough", () => {
    const pace = new Pace();
    move(pace, 150, 60);
    expect(6 + 150 * pace.share).toBeLessThan(50);
    expect(pace.share).toBeGreaterThan(0.1);
  });

  it("never draws none", () => {
    const pace = new Pace();
    move(pace, 900, 300);
    expect(pace.share).toBe(0.08);
  });

  it("draws more again once the machine has time", () => {
    const pace = new Pace();
    const end = move(pace, 300, 60);
    expect(pace.share).toBeLessThan(0.3);
    move(pace, 4, 60, end);
    expect(pace.share).toBe(1);
  });

  it("bears a single late frame and the pauses between movements", () => {
    const pace = new Pace();
    let now = move(pace, 8, 20);
    pace.frame((now += 70));
    now = move(pace, 8, 20, now);
    for (let movement = 0; movement < 10; movement++) now = move(pace, 8, 5, now + 5000);
    expect(pace.share).toBe(1);
  });
});

describe("shuffled", () => {
  it("has every number once, in another order, and the same each time", () => {
    const order = shuffled(5000);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 5000 }, (_, i) => i));
    expect(shuffled(5000)).toEqual(order);
    // The first tenth comes from everywhere.
    const early = order.slice(0, 500).filter((number) => number < 2500).length;
    expect(Math.abs(early - 250)).toBeLessThan(60);
  });
});
