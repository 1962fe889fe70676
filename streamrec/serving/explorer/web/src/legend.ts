/** `Legend`: what the map is coloured by, its values with their numbers of items, and one that stands out. */

import { colourOf, GREY_COLOUR } from "./colours";
import { h, swatch } from "./dom";
import { count } from "./format";
import type { Store } from "./store";

/** From here on the values can be narrowed by typing. */
const MANY = 12;

export class Legend {
  readonly element: HTMLElement;
  private readonly select = h("select", { id: "colour-by", onchange: () => this.choose(this.select.value || null) });
  private readonly filter = h("input", {
    type: "search",
    "aria-label": "Narrow the values",
    placeholder: "Narrow the values",
    hidden: true,
    oninput: () => this.render(),
  });
  private readonly list = h("ul", { class: "values", "aria-label": "Values" });
  private readonly note = h("p", { class: "note", hidden: true });
  private readonly toggle = h("input", {
    type: "checkbox",
    id: "show-samples",
    onchange: () => this.showSamples(this.toggle.checked),
  });
  private readonly samples = h("div", { class: "samples", hidden: true });

  /**
   * @param choose load a column and colour by it; null for none.
   * @param showSamples draw the synthetic samples, or take them away.
   */
  constructor(
    private readonly store: Store,
    private readonly choose: (column: string | null) => void,
    private readonly showSamples: (shown: boolean) => void,
  ) {
    this.element = h(
      "section",
      { class: "legend", "aria-label": "Colours" },
      h("div", { class: "field" }, h("label", { for: "colour-by" }, "Colour by"), this.select),
      this.filter,
      this.list,
      this.note,
      this.samples,
    );
    this.list.addEventListener("keydown", (event) => this.arrow(event));
    store.on(["map"], () => this.columns());
    store.on(["column"], () => {
      this.filter.value = "";
      this.render();
    });
    store.on(["highlighted"], () => this.render());
    store.on(["samples"], (state) => {
      this.toggle.checked = state.samples !== null;
    });
  }

  private columns(): void {
    const description = this.store.state.map?.description;
    const options = description?.columns.map(({ name }) => h("option", { value: name }, name)) ?? [];
    this.select.replaceChildren(h("option", { value: "" }, "nothing"), ...options);
    this.select.value = this.store.state.column?.name ?? "";
    const made = description?.samples;
    this.samples.hidden = !made;
    if (made) {
      this.samples.replaceChildren(
        h("label", { for: "show-samples" }, this.toggle, swatch("", "diamond"), "Synthetic samples"),
        h("p", { class: "note" }, `${count(made.rows)} rows drawn by the augmenter “${made.family}”, not items`),
      );
    }
  }

  private render(): void {
    const { column, highlighted } = this.store.state;
    this.select.value = column?.name ?? "";
    this.filter.hidden = (column?.values.length ?? 0) <= MANY;
    const wanted = this.filter.value.trim().toLowerCase();
    // The row that had the focus has it again after the list was made anew.
    const focused = this.list.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.code : undefined;
    const rows = (column?.values ?? [])
      .map((value, code) => ({ value, code }))
      .filter(({ value }) => value.toLowerCase().includes(wanted))
      .map(({ value, code }) =>
        h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              "data-code": code,
              "aria-pressed": String(code === highlighted),
              onclick: () => this.store.set({ highlighted: code === highlighted ? null : code }),
            },
            swatch(colourOf(code)),
            h("span", { class: "value", title: value }, value),
            h("span", { class: "count" }, count(column!.counts[code])),
          ),
        ),
      );
    const rest = [
      [column?.others ?? 0, "other values"],
      [column?.missing ?? 0, "no value"],
    ] as const;
    for (const [items, name] of rest) {
      if (items > 0 && wanted === "") {
        rows.push(h("li", { class: "rest" }, swatch(GREY_COLOUR), h("span", { class: "value" }, name), h("span", { class: "count" }, count(items))));
      }
    }
    this.list.replaceChildren(...rows);
    this.list.classList.toggle("chosen", highlighted !== null);
    if (focused !== undefined) this.list.querySelector<HTMLElement>(`[data-code="${focused}"]`)?.focus();
    this.note.hidden = !(column && rows.length === 0);
    this.note.textContent = wanted ? `No value has “${wanted}” in it.` : "No item has a value here.";
  }

  private arrow(event: KeyboardEvent): void {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const buttons = [...this.list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    if (!move || at < 0) return;
    event.preventDefault();
    buttons[Math.min(buttons.length - 1, Math.max(0, at + move))].focus();
  }
}
