import { describe, expect, it } from "vitest";
import { between, fit, frame, pan, resize, toMap, toScreen, zoom, zoomAt } from "../src/camera";

const VIEW = fit(800, 600);

describe("camera", () => {
  it("shows the whole map, y upwards", () => {
    expect(toScreen(VIEW, { x: 0.5, y: 0.5 })).toEqual({ x: 400, y: 300 });
    expect(toScreen(VIEW, { x: 0, y: 1 })).toEqual({ x: 100, y: 0 });
    expect(toScreen(VIEW, { x: 1, y: 0 })).toEqual({ x: 700, y: 600 });
  });

  it("finds the place under a pixel in any view", () => {
    const view = zoomAt(pan(VIEW, 40, -70), 3.7, { x: 211, y: 480 });
    const there = toMap(view, { x: 123, y: 456 });
    expect(toScreen(view, there).x).toBeCloseTo(123, 8);
    expect(toScreen(view, there).y).toBeCloseTo(456, 8);
  });

  it("keeps what is under the pointer where it is while zooming", () => {
    const pixel = { x: 320, y: 250 };
    const before = toMap(VIEW, pixel);
    const after = toMap(zoomAt(VIEW, 2.5, pixel), pixel);
    expect(after.x).toBeCloseTo(before.x, 12);
    expect(after.y).toBeCloseTo(before.y, 12);
  });

  it("comes no nearer and goes no farther than its limits", () => {
    expect(zoom(zoomAt(VIEW, 1e9, { x: 0, y: 0 }))).toBe(400);
    expect(zoom(zoomAt(VIEW, 1e-9, { x: 0, y: 0 }))).toBe(0.5);
  });

  it("moves the picture with the pointer, and never loses the map", () => {
    const moved = pan(VIEW, 60, 30);
    expect(toScreen(moved, { x: 0.5, y: 0.5 })).toEqual({ x: 460, y: 330 });
    expect(pan(VIEW, 1e6, 0).x).toBe(0);
  });

  it("frames places so that all are seen", () => {
    const places = [{ x: 0.2, y: 0.3 }, { x: 0.4, y: 0.35 }];
    const view = frame(VIEW, places);
    for (const place of places) {
      const { x, y } = toScreen(view, place);
      expect(x).toBeGreaterThan(0);
      expect(x).toBeLessThan(800);
      expect(y).toBeGreaterThan(0);
      expect(y).toBeLessThan(600);
    }
    expect(zoom(view)).toBeGreaterThan(1);
    expect(zoom(frame(VIEW, [places[0]]))).toBe(6);
  });

  it("keeps place and nearness when the window changes", () => {
    const near = zoomAt(VIEW, 4, { x: 10, y: 20 });
    const other = resize(near, 300, 900);
    expect([other.x, other.y, zoom(other)]).toEqual([near.x, near.y, zoom(near)]);
  });

  it("flies from one view to another", () => {
    const to = zoomAt(VIEW, 8, { x: 600, y: 100 });
    expect(between(VIEW, to, 1)).toEqual(to);
    const half = between(VIEW, to, 0.5);
    expect(half.scale / VIEW.scale).toBeCloseTo(Math.sqrt(8), 10);
    expect(between(VIEW, pan(VIEW, 100, 0), 0.5).x).toBeCloseTo(VIEW.x - 50 / VIEW.scale, 12);
  });
});
