import { describe, expect, it } from "vitest";
import { cell, moment, number, plural, shortVersion, words } from "../src/format";
import { sortQuality } from "../src/quality";

describe("format", () => {
  it("shows numbers with three significant digits", () => {
    expect([0.508412, 12.3456, 16, 1234567, 0.0000123].map(number)).toEqual(["0.508", "12.3", "16", "1,234,567", "1.23e-5"]);
  });

  it("shows every kind of cell on one line", () => {
    expect(["a", 3, 0.25, true, null, "", [], ["x", 7]].map(cell)).toEqual(["a", "3", "0.25", "true", "–", "–", "–", "x, 7"]);
    expect(cell(2026)).toBe("2026");
  });

  it("shows times in UTC, and what is no time as it is", () => {
    expect(moment("2026-11-21T16:07:38.6+00:00")).toBe("21 Nov 2026, 16:07 UTC");
    expect(moment("soon")).toBe("soon");
  });

  it("counts and names", () => {
    expect([plural(1, "item"), plural(20000, "item")]).toEqual(["1 item", "20,000 items"]);
    expect(shortVersion("20261121T160738.642925Z-725e2053")).toBe("725e2053");
    expect(words("active_units")).toBe("Active units");
  });
});

describe("sortQuality", () => {
  it("puts the same figure of several spaces into one row", () => {
    const sorted = sortQuality({ pca_purity_channel: 0.8, active_units: 16, latent_purity_channel: 0.9, latent_overlap_tags: null });
    expect(sorted.spaces).toEqual(["Embedding", "PCA"]);
    expect(sorted.rows).toEqual([
      { name: "Purity of channel", values: [0.9, 0.8] },
      { name: "Overlap of tags", values: [null, null] },
    ]);
    expect(sorted.rest).toEqual([{ name: "Active units", value: 16 }]);
  });
});
