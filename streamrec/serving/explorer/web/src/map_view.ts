/** `MapView`: the map as a control: drag, wheel, pinch and keys move it, a click or Enter picks a point. */

import { between, fit, frame, pan, resize, toMap, toScreen, zoom, zoomAt, type Position, type View } from "./camera";
import { members, slots, PLAIN } from "./colours";
import { h } from "./dom";
import { LARGEST, type Grid } from "./grid";
import { drawMarks, type Colours } from "./overlay";
import { Pace } from "./pace";
import { Scatter, type Theme } from "./scatter";
import type { State, Store } from "./store";

/** A point of the map or a synthetic sample. */
export interface Hit {
  kind: "item" | "sample";
  point: number;
  place: Position;
}

const REACH = 10;
const STEP = 60;
const FLIGHT_MS = 350;
const DRAG_FROM = 4;
const REST_MS = 160;

export class MapView {
  readonly element: HTMLElement;
  private readonly canvas = h("canvas", {
    class: "points",
    tabindex: 0,
    role: "application",
    "aria-label": "Map of the items. Arrow keys move, plus and minus zoom, 0 shows all, Enter picks the item nearest to the cross.",
  });
  private readonly marks = h("canvas", { class: "marks", "aria-hidden": "true" });
  private readonly tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  private readonly scatter: Scatter;
  private view: View = fit(1, 1);
  private marked: Uint8Array | null = null;
  private hovered: Hit | null = null;
  private pointers = new Map<number, Position>();
  private dragged = 0;
  private readonly pace = new Pace();
  private moving = false;
  private rest = 0;
  private waiting = false;
  private flight = 0;

  /**
   * @param pick called with what was clicked; null for an empty place.
   * @param describe lines of the tip beside the pointer.
   * @throws Error where the browser has no WebGL 2.
   */
  constructor(
    private readonly store: Store,
    private readonly pick: (hit: Hit | null) => void,
    private readonly describe: (hit: Hit) => Promise<string[]>,
  ) {
    const button = (text: string, name: string, act: () => void) =>
      h("button", { type: "button", "aria-label": name, title: name, onclick: act }, text);
    this.element = h(
      "div",
      { class: "map" },
      this.canvas,
      this.marks,
      this.tip,
      h(
        "div",
        { class: "zoom" },
        button("+", "Zoom in", () => this.fly(zoomAt(this.view, 2, this.middle()))),
        button("−", "Zoom out", () => this.fly(zoomAt(this.view, 0.5, this.middle()))),
        button("⤢", "Show all", () => this.showAll()),
      ),
    );
    this.scatter = new Scatter(this.canvas);
    this.listen();
    store.on(["map"], () => this.newMap());
    store.on(["column", "highlighted"], () => this.repaint());
    store.on(["samples"], (state) => this.setSamples(state));
    store.on(["selection", "walk"], () => this.redraw());
  }

  showAll(): void {
    this.fly(fit(this.view.width, this.view.height));
  }

  /** Fly to where all of the places are seen. */
  show(places: readonly Position[]): void {
    if (places.length > 0) this.fly(frame(this.view, places));
  }

  /** Move only if a place is near the edge or out of sight. */
  reveal(place: Position): void {
    const { x, y } = toScreen(this.view, place);
    const [left, top] = [this.view.width * 0.06, this.view.height * 0.06];
    const seen = x > left && y > top && x < this.view.width - left && y < this.view.height - top;
    if (!seen) this.fly({ ...this.view, x: place.x, y: place.y });
  }

  private newMap(): void {
    this.hovered = null;
    this.setItems();
    this.setSamples(this.store.state);
    this.redraw();
  }

  private setItems(): void {
    const { map, column, highlighted } = this.store.state;
    const points = map?.x.length ?? 0;
    this.marked = column && highlighted !== null ? members(column, highlighted, points) : null;
    this.scatter.set("items", map && {
      x: map.x, y: map.y, slots: slots(column, points), marked: this.marked, shape: "disc",
    });
  }

  private repaint(): void {
    const { map, column, highlighted } = this.store.state;
    if (!map) return;
    this.marked = column && highlighted !== null ? members(column, highlighted, map.x.length) : null;
    this.scatter.repaint("items", slots(column, map.x.length), this.marked);
    this.redraw();
  }

  private setSamples({ samples }: Readonly<State>): void {
    this.scatter.set("samples", samples && {
      x: samples.xs, y: samples.ys, slots: new Uint8Array(samples.xs.length).fill(PLAIN), marked: null, shape: "diamond",
    });
    this.redraw();
  }

  /** Draw at the next frame, once however often it is asked for. */
  redraw(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame((now) => {
      this.waiting = false;
      if (this.moving) this.pace.frame(now);
      this.draw();
    });
  }

  /** Draw while the map moves: perhaps not all points, until it rests. */
  private redrawMoving(): void {
    this.moving = true;
    clearTimeout(this.rest);
    this.rest = window.setTimeout(() => {
      this.moving = false;
      this.redraw();
    }, REST_MS);
    this.redraw();
  }

  private draw(): void {
    const { map, selection, walk } = this.store.state;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.scatter.draw(this.view, ratio, this.pointSize(map?.x.length ?? 0), this.theme(), this.moving ? this.pace.share : 1);
    drawMarks(this.marks, this.view, ratio, {
      hovered: this.hovered?.place ?? null,
      selected: selection?.place ?? null,
      neighbours: walk ? [] : (selection?.neighbours.map((item) => item.place) ?? []),
      path: walk?.places ?? [],
      step: walk ? walk.places[walk.step] : null,
      nearest: walk ? walk.nearest[walk.step].map((item) => item.place) : [],
      cross: document.activeElement === this.canvas && this.canvas.matches(":focus-visible"),
    }, this.theme());
  }

  /** Few points are drawn large, many small; coming nearer enlarges them slowly. */
  private pointSize(points: number): number {
    const area = this.view.width * this.view.height;
    const base = Math.min(7, Math.max(2, Math.sqrt((0.36 * area) / Math.max(1, points))));
    return Math.min(14, base * Math.max(1, zoom(this.view)) ** 0.4);
  }

  private theme(): Theme & Colours {
    const style = getComputedStyle(this.element);
    const colour = (name: string) => style.getPropertyValue(`--${name}`).trim() || "#808080";
    return { ink: colour("ink"), page: colour("map"), accent: colour("now"), second: colour("second") };
  }

  private fly(to: View): void {
    const from = this.view;
    const flight = ++this.flight;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const begun = performance.now();
    const advance = () => {
      if (flight !== this.flight) return;
      const share = still ? 1 : Math.min(1, (performance.now() - begun) / FLIGHT_MS);
      this.view = between(from, to, share * share * (3 - 2 * share));
      this.redrawMoving();
      if (share < 1) requestAnimationFrame(advance);
    };
    advance();
  }

  private move(view: View): void {
    this.flight++;
    this.view = view;
    this.redrawMoving();
  }

  private middle(): Position {
    return { x: this.view.width / 2, y: this.view.height / 2 };
  }

  private listen(): void {
    const canvas = this.canvas;
    new ResizeObserver(() => {
      const { width, height } = canvas.getBoundingClientRect();
      if (width === 0 || height === 0) return;
      this.view = this.view.width <= 1 ? fit(width, height) : resize(this.view, width, height);
      this.redraw();
    }).observe(canvas);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.scatter.prepare();
      this.newMap();
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
      this.move(zoomAt(this.view, Math.exp(-event.deltaY * lines * 0.0016), pixel(event)));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.dragOrHover(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("dblclick", (event) => this.fly(zoomAt(this.view, 2, pixel(event))));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.redraw());
    canvas.addEventListener("blur", () => this.redraw());
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    if (this.pointers.size === 0) this.dragged = 0;
    this.pointers.set(event.pointerId, pixel(event));
  }

  private dragOrHover(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    const now = pixel(event);
    if (!before) {
      this.hover(event.pointerType === "mouse" ? this.at(now) : null);
      return;
    }
    this.dragged += Math.hypot(now.x - before.x, now.y - before.y);
    this.pointers.set(event.pointerId, now);
    if (this.pointers.size === 1 && this.dragged > DRAG_FROM) {
      this.hover(null);
      this.move(pan(this.view, now.x - before.x, now.y - before.y));
    } else if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)![1];
      const spread = (p: Position) => Math.hypot(p.x - other.x, p.y - other.y);
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      const moved = pan(this.view, (now.x - before.x) / 2, (now.y - before.y) / 2);
      this.move(zoomAt(moved, spread(now) / Math.max(1, spread(before)), middle));
    }
  }

  private up(event: PointerEvent): void {
    const held = this.pointers.delete(event.pointerId);
    if (held && this.pointers.size === 0 && this.dragged <= DRAG_FROM) this.pick(this.at(pixel(event)));
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrows: Record<string, [number, number]> = {
      ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP],
    };
    const arrow = arrows[event.key];
    if (arrow) this.move(pan(this.view, ...arrow));
    else if (event.key === "+" || event.key === "=") this.fly(zoomAt(this.view, 1.6, this.middle()));
    else if (event.key === "-") this.fly(zoomAt(this.view, 1 / 1.6, this.middle()));
    else if (event.key === "0") this.showAll();
    else if (event.key === "Enter" || event.key === " ") this.pick(this.at(this.middle(), this.view.width));
    else return;
    event.preventDefault();
  }

  /** The point nearest to a pixel; of those that stand out, where some do. */
  private at(at: Position, reach = REACH): Hit | null {
    const { map, samples } = this.store.state;
    if (!map) return null;
    const place = toMap(this.view, at);
    const radius = reach / this.view.scale;
    const marked = this.marked;
    const item = map.grid.nearest(place.x, place.y, radius, marked ? (point) => marked[point] === 1 : undefined);
    const sample = samples?.grid.nearest(place.x, place.y, radius) ?? null;
    const hits = [
      item === null ? null : hit("item", item, map),
      sample === null || !samples ? null : hit("sample", sample, { x: samples.xs, y: samples.ys }),
    ].filter((found): found is Hit => found !== null);
    const far = (found: Hit) => Math.hypot(found.place.x - place.x, found.place.y - place.y);
    return hits.sort((a, b) => far(a) - far(b))[0] ?? null;
  }

  private hover(found: Hit | null): void {
    if (found?.kind === this.hovered?.kind && found?.point === this.hovered?.point) return;
    this.hovered = found;
    this.canvas.classList.toggle("over", found !== null);
    this.tip.hidden = true;
    this.redraw();
    if (found) void this.describe(found).then((lines) => this.showTip(found, lines)).catch(() => undefined);
  }

  private showTip(found: Hit, lines: string[]): void {
    if (this.hovered !== found || lines.length === 0) return;
    const { x, y } = toScreen(this.view, found.place);
    this.tip.replaceChildren(...lines.map((line, i) => h(i === 0 ? "b" : "span", {}, line)));
    this.tip.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    const left = x + 14 + width > this.view.width ? x - 14 - width : x + 14;
    const top = Math.max(4, Math.min(this.view.height - height - 4, y - height / 2));
    this.tip.style.transform = `translate(${Math.max(4, left)}px, ${top}px)`;
  }
}

function hit(kind: Hit["kind"], point: number, layer: { x: Uint16Array; y: Uint16Array; grid?: Grid }): Hit {
  return { kind, point, place: { x: layer.x[point] / LARGEST, y: layer.y[point] / LARGEST } };
}

function pixel(event: MouseEvent): Position {
  return { x: event.offsetX, y: event.offsetY };
}
