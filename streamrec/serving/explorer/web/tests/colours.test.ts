import { describe, expect, it } from "vitest";
import type { Column } from "../src/answers";
import { GREY, GROUPS, PALETTE, PLAIN, colourOf, members, rgb, slots } from "../src/colours";

const CATEGORY: Column = {
  bundle: "v", name: "channel", values: ["news", "sport"], counts: [2, 1], others: 0, missing: 1,
  codes: [0, 1, -1, 0], starts: null,
};
/** Labels of four items: none, [1], [2, 0], [1, -1]. */
const LABELS: Column = { ...CATEGORY, values: ["a", "b", "c"], codes: [1, 2, 0, 1, -1], starts: [0, 0, 1, 3, 5] };

describe("colours", () => {
  it("gives a category's points the slots of their values, grey to those without one", () => {
    expect([...slots(CATEGORY, 4)]).toEqual([0, 1, GREY, 0]);
  });

  it("gives an item of several labels the colour of its most frequent one", () => {
    expect([...slots(LABELS, 4)]).toEqual([GREY, 1, 0, 1]);
  });

  it("gives every point one colour where nothing is coloured by", () => {
    expect([...slots(null, 3)]).toEqual([PLAIN, PLAIN, PLAIN]);
  });

  it("marks every item that has a value, also among other labels", () => {
    expect([...members(CATEGORY, 0, 4)]).toEqual([1, 0, 0, 1]);
    expect([...members(LABELS, 2, 4)]).toEqual([0, 0, 1, 0]);
  });

  it("shares grey between all values beyond the palette", () => {
    expect(colourOf(GROUPS.length)).toBe(PALETTE[GREY]);
    expect(colourOf(-1)).toBe(PALETTE[GREY]);
    expect(new Set(GROUPS).size).toBe(GROUPS.length);
  });

  it("reads colours in both forms that a style sheet may have them in", () => {
    expect(rgb("#ff8000")).toEqual([1, 128 / 255, 0]);
    expect(rgb("#f08")).toEqual(rgb("#ff0088"));
    expect(rgb("#fff")).toEqual([1, 1, 1]);
  });
});
