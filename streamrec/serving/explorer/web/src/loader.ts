/** `Loader`: turns answers into what the page shows. Every method belongs to the bundle of `api.version`. */

import type { Answer, Column, Description, IdPage, Item, ItemId, Neighbour, Places, Points, Sample, Samples, Suggestions } from "./answers";
import { ApiError, type Api } from "./api";
import type { Position } from "./camera";
import { Grid, LARGEST } from "./grid";
import { angleBetween, walk as directions } from "./slerp";
import type { MapData, Placed, SampleLayer, Selection, Walk } from "./store";

export const NEIGHBOURS = 12;
export const WALK_STEPS = 25;
const WALK_NEAREST = 6;
const ID_PAGE = 5000;
const PATIENCE_MS = 120_000;
const PAUSE_MS = 700;

interface Found extends Answer {
  items: Neighbour[];
}

export class Loader {
  private pages = new Map<number, Promise<IdPage>>();

  constructor(private readonly api: Api) {}

  /** The map of the bundle that the service has now; the first one to ask for it waits until it is made. */
  async map(): Promise<MapData> {
    this.pages.clear();
    this.api.version = null;
    const description = await this.patiently(() => this.api.get<Description>("v1/explorer/map"));
    this.api.version = description.bundle;
    const points = await this.patiently(() => this.api.get<Points>("v1/explorer/points"));
    const x = Uint16Array.from(points.x);
    const y = Uint16Array.from(points.y);
    return { description, x, y, grid: new Grid(x, y) };
  }

  column(name: string): Promise<Column> {
    return this.patiently(() => this.api.get<Column>("v1/explorer/column", { name }));
  }

  async suggest(text: string): Promise<Suggestions["items"]> {
    return (await this.api.get<Suggestions>("v1/explorer/suggest", { text })).items;
  }

  /** Id and title of a point of the map. */
  async idOf(point: number): Promise<{ id: ItemId; title: string | null }> {
    const start = Math.floor(point / ID_PAGE) * ID_PAGE;
    let page = this.pages.get(start);
    if (!page) {
      page = this.api.get<IdPage>("v1/explorer/ids", { start, count: ID_PAGE });
      page.catch(() => this.pages.delete(start));
      this.pages.set(start, page);
    }
    const { ids, titles } = await page;
    return { id: ids[point - start], title: titles?.[point - start] ?? null };
  }

  async item(id: ItemId): Promise<Selection> {
    const path = encodeURIComponent(String(id));
    const [details, found] = await Promise.all([
      this.api.get<Item>(`v1/items/${path}`),
      this.api.get<Found>(`v1/items/${path}/neighbors`, { k: NEIGHBOURS, features: "true" }),
    ]);
    const [own, ...neighbours] = await this.placed([{ id: details.id, score: 1, features: {} }, ...found.items]);
    return { kind: "item", id: details.id, point: own.point, place: own.place, details, neighbours };
  }

  async samples(): Promise<SampleLayer> {
    const samples = await this.patiently(() => this.api.get<Samples>("v1/explorer/samples"));
    const xs = Uint16Array.from(samples.x);
    const ys = Uint16Array.from(samples.y);
    return { ...samples, xs, ys, grid: new Grid(xs, ys) };
  }

  async sample(row: number, place: Position): Promise<Selection> {
    const details = await this.api.get<Sample>("v1/explorer/sample", { row });
    const [near] = await this.search([details.vector], NEIGHBOURS);
    return { kind: "sample", id: null, point: row, place, details, neighbours: await this.placed(near) };
  }

  async walk(from: ItemId, to: ItemId): Promise<Walk> {
    const ends = await Promise.all([from, to].map((id) => this.api.get<Item>(`v1/items/${encodeURIComponent(String(id))}`)));
    const [first, last] = ends.map((end) => end.vector);
    const vectors = directions(first, last, WALK_STEPS);
    const [found, on] = await Promise.all([
      this.search(vectors, WALK_NEAREST),
      this.api.post<Places>("v1/explorer/places", { vectors }),
    ]);
    const [begin, end, ...placed] = await this.placed([
      ...ends.map(({ id, features }) => ({ id, score: 1, features })),
      ...found.flat(),
    ]);
    const between = on.x.map((x, i) => place(x, on.y[i])).slice(1, -1);
    let start = 0;
    return {
      from: ends[0].id,
      to: ends[1].id,
      angle: angleBetween(first, last),
      places: [begin.place, ...between, end.place],
      nearest: found.map((items) => placed.slice(start, (start += items.length))),
      step: 0,
    };
  }

  private async search(vectors: number[][], k: number): Promise<Neighbour[][]> {
    const queries = vectors.map((vector) => ({ vector }));
    const answer = await this.api.post<Answer & { results: { items: Neighbour[] }[] }>("v1/search", { queries, k, features: true });
    return answer.results.map((result) => result.items);
  }

  private async placed(items: readonly Neighbour[]): Promise<Placed[]> {
    const ids = [...new Set(items.map((item) => item.id))];
    const { x, y, points } = await this.api.post<Places>("v1/explorer/places", { ids });
    const at = new Map(ids.map((id, i) => [id, i]));
    return items.map((item) => {
      const i = at.get(item.id)!;
      return { ...item, place: place(x[i], y[i]), point: points[i] < 0 ? null : points[i] };
    });
  }

  /** Ask again while the map is being made, which may take longer than the service gives one request. */
  private async patiently<T>(ask: () => Promise<T>): Promise<T> {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        const soon = error instanceof ApiError && ["timeout", "busy"].includes(error.code);
        if (!soon || performance.now() > end) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }
}

function place(x: number, y: number): Position {
  return { x: x / LARGEST, y: y / LARGEST };
}
