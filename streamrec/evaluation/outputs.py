"""Names of the files that an evaluation writes, and of the columns that it adds to tables of items."""

from __future__ import annotations

QUALITY = "latents.json"
SAMPLES = "prior_samples.parquet"
NEIGHBOURS = "neighbours.parquet"
INTERPOLATION = "interpolation.parquet"
PICTURES = ("training.svg", "units.svg", "map.svg", "columns.svg", "interpolation.svg")

PATH = "_path"
"""Column of an interpolation: the share of the way from the first item to the second."""
FIRST, LAST = "_from", "_to"
"""Columns of a written interpolation: ids of the two items."""
QUERY, RANK, SIMILARITY = "_query", "_rank", "_similarity"
"""Columns of neighbour examples: id of the item asked for, 0 for itself and 1 to k, cosine."""
