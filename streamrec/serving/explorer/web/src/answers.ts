/** What the service answers; every answer names the bundle it was taken from. */

export type ItemId = string | number;

/** A cell of the item table. */
export type Cell = string | number | boolean | null | (string | number | boolean)[];

export interface Answer {
  bundle: string;
}

export interface ColumnInfo {
  name: string;
  kind: "category" | "labels";
}

/** `GET v1/explorer/map` */
export interface Description extends Answer {
  created: string;
  items: number;
  points: number;
  dimension: number;
  id_column: string;
  /** Column that names items for people, where the catalogue has one. */
  title_column: string | null;
  columns: ColumnInfo[];
  samples: { rows: number; family: string } | null;
  quality: Record<string, number | null> | null;
  recommends: boolean;
  model: string | null;
  index: { kind: string; recall: number; k: number };
}

/** `GET v1/explorer/points`: whole numbers from 0 to 65,535, y growing upwards. */
export interface Points extends Answer {
  x: number[];
  y: number[];
}

/** `GET v1/explorer/column`: values by falling number of items; -1 stands for a value that is not listed. */
export interface Column extends Answer {
  name: string;
  values: string[];
  counts: number[];
  /** Items with a value that is not listed. */
  others: number;
  /** Items without a value. */
  missing: number;
  /** A category: one code per point. Labels: those of all points, one after the other. */
  codes: number[];
  /** Labels: where each point's codes begin, and the end. A category has none. */
  starts: number[] | null;
}

/** `GET v1/explorer/ids` */
export interface IdPage extends Answer {
  start: number;
  ids: ItemId[];
  /** Text of the first display column, where the catalogue has one. */
  titles: (string | null)[] | null;
}

/** `GET v1/explorer/suggest` */
export interface Suggestions extends Answer {
  items: { id: ItemId; title: string | null }[];
}

/** `POST v1/explorer/places` */
export interface Places extends Answer {
  x: number[];
  y: number[];
  /** Points of the map; -1 for what is not one of them. */
  points: number[];
}

/** `GET v1/explorer/samples` */
export interface Samples extends Answer {
  family: string;
  x: number[];
  y: number[];
}

/** `GET v1/explorer/sample` */
export interface Sample extends Answer {
  row: number;
  features: Record<string, Cell>;
  vector: number[];
}

/** `GET v1/items/{id}` */
export interface Item extends Answer {
  id: ItemId;
  features: Record<string, Cell>;
  vector: number[];
}

export interface Neighbour {
  id: ItemId;
  score: number;
  features: Record<string, Cell>;
}
