/** What part of the map is seen: a square of side 1, y upwards, drawn at `scale` pixels. */

export interface View {
  /** Centre, in map units. */
  x: number;
  y: number;
  /** CSS pixels per map unit. */
  scale: number;
  /** Size of the picture in CSS pixels. */
  width: number;
  height: number;
}

export interface Position {
  x: number;
  y: number;
}

const FARTHEST = 0.5;
const NEAREST = 400;

export function fitScale(width: number, height: number): number {
  return Math.max(1, Math.min(width, height));
}

/** The whole map in the middle of a picture. */
export function fit(width: number, height: number): View {
  return { x: 0.5, y: 0.5, scale: fitScale(width, height), width, height };
}

/** How much nearer than `fit`. */
export function zoom(view: View): number {
  return view.scale / fitScale(view.width, view.height);
}

export function toScreen(view: View, place: Position): Position {
  return {
    x: (place.x - view.x) * view.scale + view.width / 2,
    y: (view.y - place.y) * view.scale + view.height / 2,
  };
}

export function toMap(view: View, pixel: Position): Position {
  return {
    x: view.x + (pixel.x - view.width / 2) / view.scale,
    y: view.y - (pixel.y - view.height / 2) / view.scale,
  };
}

/** Move the picture by pixels; its centre stays on the map. */
export function pan(view: View, right: number, down: number): View {
  return centre(view, { x: view.x - right / view.scale, y: view.y + down / view.scale });
}

/** Come nearer by `factor`; what is under `pixel` stays there. */
export function zoomAt(view: View, factor: number, pixel: Position): View {
  const fitted = fitScale(view.width, view.height);
  const scale = Math.min(NEAREST * fitted, Math.max(FARTHEST * fitted, view.scale * factor));
  const under = toMap(view, pixel);
  const moved = toMap({ ...view, scale }, pixel);
  return centre({ ...view, scale }, { x: view.x + under.x - moved.x, y: view.y + under.y - moved.y });
}

export function centre(view: View, place: Position): View {
  return { ...view, x: Math.min(1, Math.max(0, place.x)), y: Math.min(1, Math.max(0, place.y)) };
}

/** The same place and nearness in a picture of another size. */
export function resize(view: View, width: number, height: number): View {
  return { ...view, scale: zoom(view) * fitScale(width, height), width, height };
}

/** A view of all places, or of one from nearer by; a little of what is around them is seen too. */
export function frame(view: View, places: readonly Position[], nearest = 6): View {
  const xs = places.map((place) => place.x);
  const ys = places.map((place) => place.y);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const wanted = Math.min(view.width / (right - left || 1e-9), view.height / (high - low || 1e-9)) * 0.7;
  const fitted = fitScale(view.width, view.height);
  const scale = Math.min(nearest * fitted, Math.max(fitted, wanted));
  return { ...view, scale, x: (left + right) / 2, y: (low + high) / 2 };
}

/** A view on the way from one to another, in equal ratios of scale. */
export function between(from: View, to: View, share: number): View {
  const scale = from.scale * (to.scale / from.scale) ** share;
  // The centre moves with the scale, so that both arrive together.
  const far = 1 / from.scale - 1 / to.scale;
  const moved = Math.abs(far) < 1e-12 ? share : (1 / from.scale - 1 / scale) / far;
  return { ...to, scale, x: from.x + (to.x - from.x) * moved, y: from.y + (to.y - from.y) * moved };
}
