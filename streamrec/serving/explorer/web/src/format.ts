/** Numbers, cells and names as people read them. */

import type { Cell } from "./answers";

export function count(value: number): string {
  return value.toLocaleString("en");
}

/** Three significant digits; whole numbers as they are. */
export function number(value: number): string {
  if (Number.isInteger(value)) return count(value);
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

export function share(value: number): string {
  return `${(100 * value).toFixed(1)}%`;
}

export function plural(amount: number, noun: string): string {
  return `${count(amount)} ${noun}${amount === 1 ? "" : "s"}`;
}

/** A cell on one line; an empty one as a dash. */
export function cell(value: Cell | undefined): string {
  if (value === null || value === undefined || value === "") return "–";
  if (Array.isArray(value)) return value.length > 0 ? value.map(String).join(", ") : "–";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : number(value);
  return String(value);
}

/** `20261121T160738.642925Z-725e2053` as `21 Nov 2026, 16:07 UTC`; another form as it is. */
export function moment(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  const date = time.toLocaleDateString("en-GB", {
    day: "numeric", month: "short", year: "numeric", timeZone: "UTC",
  });
  return `${date}, ${time.toISOString().slice(11, 16)} UTC`;
}

/** The part of a version that tells it from others at a glance. */
export function shortVersion(version: string): string {
  return version.split("-").at(-1) ?? version;
}

/** `neighbour_recall` as `Neighbour recall`. */
export function words(name: string): string {
  const text = name.replaceAll("_", " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}
