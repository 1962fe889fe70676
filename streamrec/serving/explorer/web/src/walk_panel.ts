/** `WalkPanel`: two items, and a slider that goes from one to the other through what lies between. */

import type { ItemId, Suggestions } from "./answers";
import { h } from "./dom";
import { neighbourList } from "./item_panel";
import { SearchBox } from "./search_box";
import type { Store } from "./store";

export class WalkPanel {
  readonly element: HTMLElement;
  private from: ItemId | null = null;
  private to: ItemId | null = null;
  private readonly fromBox: SearchBox;
  private readonly toBox: SearchBox;
  private readonly slider = h("input", {
    type: "range",
    id: "walk-step",
    min: 0,
    value: 0,
    oninput: () => this.goTo(Number(this.slider.value)),
  });
  private readonly where = h("output", { for: "walk-step" });
  private readonly nearest = h("div");
  private readonly way = h("div", { hidden: true });
  private readonly note = h("p", { class: "note" });

  /**
   * @param begin called with both ends once both are known.
   */
  constructor(
    private readonly store: Store,
    suggest: (text: string) => Promise<Suggestions["items"]>,
    private readonly begin: (from: ItemId, to: ItemId) => Promise<void>,
    private readonly select: (id: ItemId) => void,
  ) {
    this.fromBox = new SearchBox("From", "id of an item", suggest, (id) => this.setFrom(id));
    this.toBox = new SearchBox("To", "id of an item", suggest, (id) => this.setTo(id));
    this.way.append(
      h("div", { class: "field" }, h("label", { for: "walk-step" }, "Step"), this.slider, this.where),
      h("h3", {}, "Nearest items at this step"),
      this.nearest,
    );
    this.element = h(
      "div",
      { class: "walk" },
      this.fromBox.element,
      this.toBox.element,
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", onclick: () => this.swap() }, "Swap"),
        h("button", { type: "button", onclick: () => this.clear() }, "Clear"),
      ),
      this.note,
      this.way,
    );
    store.on(["walk", "column"], () => this.render());
    this.render();
  }

  setFrom(id: ItemId): void {
    this.from = id;
    this.fromBox.value = id;
    this.start();
  }

  setTo(id: ItemId): void {
    this.to = id;
    this.toBox.value = id;
    this.start();
  }

  clear(): void {
    this.from = this.to = null;
    this.fromBox.value = this.toBox.value = "";
    this.store.set({ walk: null });
    this.render();
  }

  /** Ask again, after the bundle changed. */
  start(): void {
    this.render();
    if (this.from !== null && this.to !== null) void this.begin(this.from, this.to);
  }

  private swap(): void {
    [this.from, this.to] = [this.to, this.from];
    this.fromBox.value = this.from ?? "";
    this.toBox.value = this.to ?? "";
    this.start();
  }

  private goTo(step: number): void {
    const { walk } = this.store.state;
    if (walk) this.store.set({ walk: { ...walk, step } });
  }

  private render(): void {
    const { walk, column, map } = this.store.state;
    this.way.hidden = walk === null;
    if (walk) {
      const last = walk.places.length - 1;
      this.slider.max = String(last);
      this.slider.value = String(walk.step);
      const share = `${Math.round((100 * walk.step) / last)}% of the way`;
      this.slider.setAttribute("aria-valuetext", share);
      this.where.textContent = share;
      this.note.textContent = `${walk.angle.toFixed(0)}° apart. Each step turns the embedding by the same angle.`;
      this.nearest.replaceChildren(neighbourList(walk.nearest[walk.step], column, map?.description.title_column ?? null, this.select));
    } else {
      this.note.textContent =
        this.from !== null && this.to === null
          ? "Choose where the walk ends."
          : this.from === null && this.to !== null
            ? "Choose where the walk begins."
            : "Choose two items: the slider then goes through what lies between them, with the nearest items at each step.";
    }
  }
}
