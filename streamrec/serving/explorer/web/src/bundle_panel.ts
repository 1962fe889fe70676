/** The bundle that is served, and the figures of the run that made it. */

import { h } from "./dom";
import { count, moment, number, share } from "./format";
import { sortQuality } from "./quality";
import type { MapData } from "./store";

export function bundlePanel(map: MapData | null): HTMLElement {
  if (!map) return h("div");
  const { description } = map;
  const facts: [string, string][] = [
    ["Version", description.bundle],
    ["Published", moment(description.created)],
    ["Items", count(description.items)],
    ["On the map", description.points < description.items ? `${count(description.points)}, a seeded sample` : "all of them"],
    ["Embedding", `${description.dimension} numbers, compared by cosine`],
    ["Index", `${description.index.kind}, recall@${description.index.k} ${share(description.index.recall)}`],
    ["Model", description.model ?? "not registered"],
    ["For users", description.recommends ? "recommends items" : "no towers"],
  ];
  return h(
    "div",
    {},
    h("h3", {}, "Bundle"),
    h("dl", { class: "features" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    h("h3", {}, "Quality on held-out items"),
    quality(description.quality),
    h("p", { class: "note" }, "Places on the map are made of neighbours alone: near points are alike, the distance between far clusters means little."),
  );
}

function quality(figures: Record<string, number | null> | null): HTMLElement {
  if (!figures || Object.keys(figures).length === 0) {
    return h("p", { class: "note" }, "The run that made this bundle published no figures.");
  }
  const { spaces, rows, rest } = sortQuality(figures);
  const shown = (value: number | null) => (value === null ? "–" : number(value));
  const aligned = (value: number | null) => (value === null ? "–" : value.toFixed(3));
  return h(
    "div",
    {},
    rows.length > 0 &&
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, ""), ...spaces.map((space) => h("th", { scope: "col" }, space)))),
        h("tbody", {}, ...rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.name), ...row.values.map((value) => h("td", {}, aligned(value)))))),
      ),
    rest.length > 0 && h("dl", { class: "features" }, ...rest.flatMap(({ name, value }) => [h("dt", {}, name), h("dd", {}, shown(value))])),
  );
}
