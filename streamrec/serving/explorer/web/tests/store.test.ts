import { describe, expect, it, vi } from "vitest";
import { Store } from "../src/store";

describe("store", () => {
  it("tells only those who asked about what changed, once per change", () => {
    const store = new Store();
    const [either, other] = [vi.fn(), vi.fn()];
    store.on(["column", "highlighted"], either);
    store.on(["walk"], other);
    const column = { bundle: "a", name: "c", values: [], counts: [], others: 0, missing: 0, codes: [], starts: null };
    store.set({ column, highlighted: 3 });
    expect(either).toHaveBeenCalledTimes(1);
    expect(either).toHaveBeenCalledWith(expect.objectContaining({ highlighted: 3 }));
    expect(other).not.toHaveBeenCalled();
    store.set({ highlighted: 3 });
    expect(either).toHaveBeenCalledTimes(1);
  });
});
