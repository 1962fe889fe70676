/** The item, or the synthetic sample, that is looked at: its features and its neighbours. */

import type { Column, ItemId } from "./answers";
import { colourOf, GREY_COLOUR } from "./colours";
import { h, swatch } from "./dom";
import { cell } from "./format";
import type { Placed, Selection, State } from "./store";

export interface ItemActions {
  select: (id: ItemId) => void;
  centre: () => void;
  walkFrom: (id: ItemId) => void;
  walkTo: (id: ItemId) => void;
}

export function itemPanel(state: Readonly<State>, actions: ItemActions): HTMLElement {
  const { selection, map, column } = state;
  if (!map) return h("div");
  if (!selection) {
    return h(
      "div",
      { class: "empty" },
      h("p", {}, "Click a point of the map, or search for an item, to see its features and its neighbours."),
      h("p", { class: "note" }, "By keyboard: Tab to the map, arrows to move, + and − to zoom, Enter for the item nearest to the cross, Esc to let go."),
    );
  }
  const { id_column: idColumn, title_column: titleColumn } = map.description;
  const named = titleColumn === null ? null : selection.details.features[titleColumn];
  const id = selection.kind === "item" ? String(selection.id) : `Synthetic sample ${selection.point! + 1}`;
  const off = selection.kind === "item" && selection.point === null;
  return h(
    "div",
    {},
    h("h2", {}, named ? cell(named) : id),
    named ? h("p", { class: "note" }, id) : null,
    selection.kind === "sample" && h("p", { class: "note" }, "Drawn by an augmenter: not an item of the catalogue. Its neighbours are items."),
    off && h("p", { class: "note" }, "The map shows a sample of the items and not this one; it is marked beside its neighbours."),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", onclick: actions.centre }, "Show on map"),
      selection.id !== null && h("button", { type: "button", onclick: () => actions.walkFrom(selection.id!) }, "Walk from"),
      selection.id !== null && h("button", { type: "button", onclick: () => actions.walkTo(selection.id!) }, "Walk to"),
    ),
    features(selection, [idColumn, titleColumn]),
    h("h3", {}, selection.kind === "item" ? "Neighbours" : "Nearest items"),
    neighbourList(selection.neighbours, column, titleColumn, actions.select),
  );
}

function features(selection: Selection, shown: readonly (string | null)[]): HTMLElement {
  const rows = Object.entries(selection.details.features)
    .filter(([name]) => !shown.includes(name))
    .flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, cell(value))]);
  return rows.length > 0 ? h("dl", { class: "features" }, ...rows) : h("p", { class: "note" }, "The bundle publishes no features of its items.");
}

/** Items by rank, each a button. */
export function neighbourList(
  items: readonly Placed[],
  column: Column | null,
  titleColumn: string | null,
  select: (id: ItemId) => void,
): HTMLElement {
  if (items.length === 0) return h("p", { class: "note" }, "None.");
  return h(
    "ol",
    { class: "neighbours" },
    ...items.map((item) => {
      const { colour, text } = value(item, column);
      const named = titleColumn === null ? null : item.features[titleColumn];
      const below = [named ? String(item.id) : null, text].filter((part) => part !== null).join(" · ");
      const bar = h("i", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", String(Math.max(0, item.score)));
      return h(
        "li",
        {},
        h(
          "button",
          { type: "button", onclick: () => select(item.id) },
          swatch(colour),
          h("span", { class: "name" }, h("span", {}, named ? cell(named) : String(item.id)), below !== "" && h("small", {}, below)),
          h("span", { class: "score", title: "cosine" }, item.score.toFixed(3), bar),
        ),
      );
    }),
  );
}

/** What an item has in the column that the map is coloured by. */
function value(item: Placed, column: Column | null): { colour: string; text: string | null } {
  const found = column === null ? null : item.features[column.name];
  if (column === null || found === null || found === undefined) return { colour: GREY_COLOUR, text: null };
  const codes = [found].flat().map((each) => column.values.indexOf(String(each))).filter((code) => code >= 0);
  return { colour: colourOf(codes.length > 0 ? Math.min(...codes) : -1), text: cell(found) };
}
