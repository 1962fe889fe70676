/** The run's figures, sorted into a table of spaces and a list of the rest. */

import { words } from "./format";

export interface QualityTable {
  /** Names of the spaces that have figures, in the order of `SPACES`. */
  spaces: string[];
  rows: { name: string; values: (number | null)[] }[];
  rest: { name: string; value: number | null }[];
}

/** Prefixes of the figures, and what they are of. */
const SPACES: readonly [string, string][] = [
  ["latent_", "Embedding"],
  ["pca_", "PCA"],
  ["features_", "Features"],
];

export function sortQuality(quality: Record<string, number | null>): QualityTable {
  const rows = new Map<string, Map<string, number | null>>();
  const rest: QualityTable["rest"] = [];
  const found = new Set<string>();
  for (const [name, value] of Object.entries(quality)) {
    const space = SPACES.find(([prefix]) => name.startsWith(prefix));
    if (!space) {
      rest.push({ name: words(name), value });
      continue;
    }
    const metric = name.slice(space[0].length);
    found.add(space[1]);
    rows.set(metric, (rows.get(metric) ?? new Map()).set(space[1], value));
  }
  const spaces = SPACES.map(([, name]) => name).filter((name) => found.has(name));
  return {
    spaces,
    rows: [...rows].map(([metric, values]) => ({
      name: metricName(metric),
      values: spaces.map((space) => values.get(space) ?? null),
    })),
    rest,
  };
}

function metricName(metric: string): string {
  const purity = /^purity_(.+)$/.exec(metric);
  if (purity) return `Purity of ${purity[1]}`;
  const overlap = /^overlap_(.+)$/.exec(metric);
  return overlap ? `Overlap of ${overlap[1]}` : words(metric.replace("_euclidean", ", Euclidean"));
}
