/** Colours of the values of a column: the most frequent have one of their own, all others share grey. */

import type { Column } from "./answers";

/** Read on light and dark alike, and told apart with the usual kinds of colour blindness by their lightness. */
export const GROUPS = [
  "#4e79a7", "#f28e2b", "#e15759", "#59a14f", "#b07aa1", "#edc948",
  "#76b7b2", "#9c755f", "#ff8fab", "#7b6cd9", "#8cd17d", "#c0a000",
  "#2a9df4", "#d37295", "#6b8e23", "#b05c2e", "#5fd3c4", "#a0a0ff",
];

/** Slot of points whose value has no colour of its own, or that have none. */
export const GREY = GROUPS.length;
export const GREY_COLOUR = "#8d96a0";

/** Slot of every point where nothing is coloured by. */
export const PLAIN = GROUPS.length + 1;
export const PLAIN_COLOUR = "#5b86d6";

export const PALETTE: readonly string[] = [...GROUPS, GREY_COLOUR, PLAIN_COLOUR];

/** The slot of a value; values are numbered by falling number of items. */
export function slotOf(code: number): number {
  return code >= 0 && code < GROUPS.length ? code : GREY;
}

export function colourOf(code: number): string {
  return PALETTE[slotOf(code)];
}

/** The slot of each point; an item of several labels has the colour of its most frequent one. */
export function slots(column: Column | null, points: number): Uint8Array {
  const found = new Uint8Array(points).fill(column ? GREY : PLAIN);
  if (!column) return found;
  for (let point = 0; point < points; point++) {
    const codes = codesOf(column, point).filter((code) => code >= 0);
    if (codes.length > 0) found[point] = slotOf(Math.min(...codes));
  }
  return found;
}

/** The codes of a point: one, or those of its labels. */
export function codesOf(column: Column, point: number): number[] {
  return column.starts === null
    ? [column.codes[point]]
    : column.codes.slice(column.starts[point], column.starts[point + 1]);
}

/** 1 for each point that has the value. */
export function members(column: Column, code: number, points: number): Uint8Array {
  const found = new Uint8Array(points);
  for (let point = 0; point < points; point++) {
    if (codesOf(column, point).includes(code)) found[point] = 1;
  }
  return found;
}

/** Red, green and blue from 0 to 1, of `#rrggbb` or, as a build may shorten it, `#rgb`. */
export function rgb(colour: string): [number, number, number] {
  const digits = colour.length === 4 ? colour.replace(/[0-9a-f]/gi, "$&$&") : colour;
  const value = Number.parseInt(digits.slice(1), 16);
  return [(value >> 16) / 255, ((value >> 8) & 255) / 255, (value & 255) / 255];
}
