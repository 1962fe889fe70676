/** `Store`: what the page shows, and who is told when a part of it changes. */

import type { Column, Description, Item, ItemId, Sample, Samples } from "./answers";
import type { Grid } from "./grid";
import type { Neighbour } from "./answers";
import type { Position } from "./camera";

/** The items of the map; loaded once per bundle. */
export interface MapData {
  description: Description;
  x: Uint16Array;
  y: Uint16Array;
  grid: Grid;
}

/** What is looked at: an item, on the map or not, or a synthetic sample. */
export interface Selection {
  kind: "item" | "sample";
  /** Of an item. */
  id: ItemId | null;
  /** Point of the map, or row of the samples; null for an item that is not on the map. */
  point: number | null;
  place: Position;
  details: Item | Sample;
  neighbours: Placed[];
}

/** A neighbour and where it is on the map. */
export interface Placed extends Neighbour {
  place: Position;
  point: number | null;
}

export interface Walk {
  from: ItemId;
  to: ItemId;
  /** Degrees between both ends. */
  angle: number;
  /** Where each step is on the map. */
  places: Position[];
  /** The nearest items of each step. */
  nearest: Placed[][];
  /** The step looked at. */
  step: number;
}

export interface SampleLayer extends Samples {
  xs: Uint16Array;
  ys: Uint16Array;
  grid: Grid;
}

export interface State {
  map: MapData | null;
  column: Column | null;
  /** Code of the value that stands out. */
  highlighted: number | null;
  selection: Selection | null;
  walk: Walk | null;
  samples: SampleLayer | null;
}

export type Key = keyof State;
type Listener = (state: Readonly<State>) => void;

export class Store {
  private readonly listeners: { keys: Set<Key>; listener: Listener }[] = [];
  private current: State = {
    map: null,
    column: null,
    highlighted: null,
    selection: null,
    walk: null,
    samples: null,
  };

  get state(): Readonly<State> {
    return this.current;
  }

  /** Call `listener` when one of `keys` has changed. */
  on(keys: readonly Key[], listener: Listener): void {
    this.listeners.push({ keys: new Set(keys), listener });
  }

  /** Change some parts; listeners of several of them are called once. */
  set(change: Partial<State>): void {
    const changed = (Object.keys(change) as Key[]).filter((key) => this.current[key] !== change[key]);
    if (changed.length === 0) return;
    this.current = { ...this.current, ...change };
    for (const { keys, listener } of this.listeners) {
      if (changed.some((key) => keys.has(key))) listener(this.current);
    }
  }
}
