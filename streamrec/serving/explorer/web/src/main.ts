/** The page: what happens when. */

import { Api, ApiError, BundleChanged, Unreachable } from "./api";
import type { Answer, ItemId } from "./answers";
import { bundlePanel } from "./bundle_panel";
import { cell, plural, shortVersion } from "./format";
import { h } from "./dom";
import { itemPanel } from "./item_panel";
import { Legend } from "./legend";
import { Loader } from "./loader";
import { MapView, type Hit } from "./map_view";
import { Notices } from "./notices";
import { SearchBox } from "./search_box";
import { Store, type Selection } from "./store";
import { Tabs } from "./tabs";
import { askToken } from "./token_dialog";
import { WalkPanel } from "./walk_panel";

const POLL_MS = 4000;

class Page {
  private readonly api = new Api(sessionStorage, askToken);
  private readonly loader = new Loader(this.api);
  private readonly store = new Store();
  private readonly notices = new Notices();
  private readonly tabs = new Tabs(["Item", "Walk", "Bundle"]);
  private readonly suggest = (text: string) => this.loader.suggest(text);
  private readonly search = new SearchBox("Find an item", "id or title", this.suggest, (id) => void this.find(id));
  private readonly legend = new Legend(
    this.store,
    (column) => void this.colour(column),
    (shown) => void this.showSamples(shown),
  );
  private readonly walk = new WalkPanel(this.store, this.suggest, (from, to) => this.walkBetween(from, to), (id) => void this.select(id));
  private readonly chip = h("button", { type: "button", class: "chip", onclick: () => this.tabs.show("Bundle") });
  private readonly view = new MapView(this.store, (hit) => void this.pick(hit), (hit) => this.describe(hit));
  private reloading: Promise<void> | null = null;
  private asked = 0;

  start(): void {
    this.tabs.fill("Walk", this.walk.element);
    document.body.append(
      h("header", {}, h("h1", {}, "StreamRec ", h("span", {}, "explorer")), this.search.element, this.chip),
      h("main", {}, this.legend.element, h("section", { class: "stage", "aria-label": "Map" }, this.view.element, this.notices.cover, this.notices.element), this.tabs.element),
    );
    this.store.on(["map", "selection", "column"], (state) => {
      const actions = {
        select: (id: ItemId) => void this.select(id),
        centre: () => this.near(),
        walkFrom: (id: ItemId) => { this.tabs.show("Walk"); this.walk.setFrom(id); },
        walkTo: (id: ItemId) => { this.tabs.show("Walk"); this.walk.setTo(id); },
      };
      this.tabs.fill("Item", itemPanel(state, actions));
    });
    this.store.on(["map"], (state) => {
      this.tabs.fill("Bundle", bundlePanel(state.map));
      const description = state.map?.description;
      this.chip.replaceChildren(description ? h("span", {}, "bundle ") : "no bundle", description ? `${shortVersion(description.bundle)} · ${plural(description.items, "item")}` : "");
      this.chip.title = description?.bundle ?? "";
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented) this.letGo();
    });
    window.setInterval(() => void this.poll(), POLL_MS);
    void this.reload();
  }

  /** Load everything of the bundle that is served now, and what was looked at before, where it is still there. */
  private reload(): Promise<void> {
    this.reloading ??= this.load().finally(() => {
      this.reloading = null;
    });
    return this.reloading;
  }

  private async load(): Promise<void> {
    const before = this.store.state;
    const old = before.map?.description.bundle;
    if (!before.map) this.notices.block("Drawing the map", "The first visit to a bundle takes some seconds.");
    try {
      const map = await this.loader.map();
      const names = map.description.columns.map((column) => column.name);
      const name = before.map ? before.column?.name : names[0];
      const column = name !== undefined && names.includes(name) ? await this.loader.column(name) : null;
      const value = before.highlighted === null ? undefined : before.column?.values[before.highlighted];
      const highlighted = value === undefined || !column ? -1 : column.values.indexOf(value);
      const samples = before.samples && map.description.samples ? await this.loader.samples() : null;
      this.store.set({ map, column, highlighted: highlighted < 0 ? null : highlighted, samples, selection: null, walk: null });
      this.notices.unblock();
      if (old !== undefined && old !== map.description.bundle) {
        this.notices.say(`The service now has bundle ${shortVersion(map.description.bundle)}: the page shows it.`);
      }
      const again = before.selection;
      if (again?.id != null) await this.select(again.id, false);
      this.walk.start();
    } catch (error) {
      if (error instanceof BundleChanged) return this.load();
      this.blocked(error);
    }
  }

  private blocked(error: unknown): void {
    const retry = () => {
      this.notices.block("Drawing the map", "Asking the service again.");
      void this.reload();
    };
    this.store.set({ map: null, column: null, highlighted: null, selection: null, walk: null, samples: null });
    if (error instanceof Unreachable) {
      this.notices.block("The service does not answer", "It may be starting or stopped. The page asks again every few seconds.", retry);
    } else if (error instanceof ApiError) {
      this.notices.block(error.status === 503 ? "Nothing to show yet" : "The map cannot be shown", [error.message, error.hint].filter(Boolean).join(". "), retry);
    } else {
      this.notices.block("The map cannot be shown", error instanceof Error ? error.message : String(error), retry);
    }
  }

  /** Ask which bundle is served: a change is noticed although nobody clicks. */
  private async poll(): Promise<void> {
    if (document.hidden || this.reloading) return;
    if (!this.store.state.map) return this.reload();
    await this.guarded(() => this.api.get<Answer>("v1/bundle"), false);
  }

  /** Do something that asks the service; say what went wrong, and reload where its bundle has changed. */
  private async guarded(act: () => Promise<unknown>, loud = true): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (error instanceof BundleChanged) return this.reload();
      if (error instanceof Unreachable) this.notices.say("The service does not answer. The page goes on with what it has.", "bad");
      else if (loud) this.notices.say([error instanceof Error ? error.message : String(error), error instanceof ApiError ? error.hint : null].filter(Boolean).join(". "), "bad");
    }
  }

  private colour(name: string | null): Promise<void> {
    return this.guarded(async () => {
      const column = name === null ? null : await this.loader.column(name);
      this.store.set({ column, highlighted: null });
    });
  }

  private showSamples(shown: boolean): Promise<void> {
    if (!shown) {
      const { selection } = this.store.state;
      this.store.set({ samples: null, ...(selection?.kind === "sample" ? { selection: null } : {}) });
      return Promise.resolve();
    }
    return this.guarded(async () => this.store.set({ samples: await this.loader.samples() }));
  }

  private async pick(hit: Hit | null): Promise<void> {
    if (!hit) return this.letGo();
    if (hit.kind === "sample") return this.look(() => this.loader.sample(hit.point, hit.place));
    return this.look(async () => this.loader.item((await this.loader.idOf(hit.point)).id));
  }

  private select(id: ItemId, show = true): Promise<void> {
    return this.look(() => this.loader.item(id), show);
  }

  /** Select an item that was searched for, and come near to it and its neighbours. */
  private async find(id: ItemId): Promise<void> {
    const before = this.store.state.selection;
    await this.select(id);
    if (this.store.state.selection !== before) this.near();
  }

  private near(): void {
    const { selection } = this.store.state;
    if (selection) this.view.show([selection.place, ...selection.neighbours.map((item) => item.place)]);
  }

  /** Show what was asked for last, whatever is answered first. */
  private look(load: () => Promise<Selection>, show = true): Promise<void> {
    const asked = ++this.asked;
    return this.guarded(async () => {
      const selection = await load();
      if (asked !== this.asked) return;
      this.store.set({ selection });
      if (show) {
        this.notices.clear();
        this.tabs.show("Item");
      }
      this.view.reveal(selection.place);
    }, show);
  }

  private walkBetween(from: ItemId, to: ItemId): Promise<void> {
    return this.guarded(async () => {
      const walk = await this.loader.walk(from, to);
      this.store.set({ walk });
      this.view.show(walk.places);
    });
  }

  private letGo(): void {
    this.asked++;
    this.notices.clear();
    const { highlighted, walk, selection } = this.store.state;
    if (selection) this.store.set({ selection: null });
    else if (walk) this.walk.clear();
    else if (highlighted !== null) this.store.set({ highlighted: null });
  }

  private async describe(hit: Hit): Promise<string[]> {
    const { column } = this.store.state;
    if (hit.kind === "sample") return ["Synthetic sample"];
    const { id, title } = await this.loader.idOf(hit.point);
    const codes = column === null ? [] : column.starts === null ? [column.codes[hit.point]] : column.codes.slice(column.starts[hit.point], column.starts[hit.point + 1]);
    const values = codes.map((code) => column!.values[code] ?? "other");
    return [title ?? String(id), ...(title ? [String(id)] : []), ...(values.length > 0 ? [cell(values)] : [])];
  }
}

try {
  new Page().start();
} catch (error) {
  document.body.append(
    h("div", { class: "cover" }, h("h2", {}, "The map cannot be drawn"), h("p", {}, `${error instanceof Error ? error.message : error}. Use a browser with WebGL 2, or ask the service itself: see its /openapi.json.`)),
  );
}
