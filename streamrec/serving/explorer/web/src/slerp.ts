/** Spherical interpolation: points of the great circle between two directions, at equal angles. */

export type Vector = readonly number[];

/** Below this sine of the angle the circle through both is not defined to rounding. */
const STRAIGHT = 1e-6;

export function unit(vector: Vector): number[] {
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((entry) => entry / length) : [...vector];
}

/**
 * The direction at `share` of the way from `from` to `to`, of length 1 (Shoemake 1985, equation 1).
 *
 * Nearly equal or opposite directions are joined by a straight line, which has no other choice.
 */
export function slerp(from: Vector, to: Vector, share: number): number[] {
  const a = unit(from);
  const b = unit(to);
  const cosine = a.reduce((sum, entry, i) => sum + entry * b[i], 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  const first = sine < STRAIGHT ? 1 - share : Math.sin((1 - share) * angle) / sine;
  const second = sine < STRAIGHT ? share : Math.sin(share * angle) / sine;
  return unit(a.map((entry, i) => first * entry + second * b[i]));
}

/** `steps` directions, both ends included. */
export function walk(from: Vector, to: Vector, steps: number): number[][] {
  return Array.from({ length: steps }, (_, step) => slerp(from, to, step / (steps - 1)));
}

/** Degrees between two directions. */
export function angleBetween(from: Vector, to: Vector): number {
  const a = unit(from);
  const b = unit(to);
  const cosine = a.reduce((sum, entry, i) => sum + entry * b[i], 0);
  return (Math.acos(Math.min(1, Math.max(-1, cosine))) * 180) / Math.PI;
}
