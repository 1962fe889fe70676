"""Names of the files that a comparison of augmenters writes."""

from __future__ import annotations

COMPARISON_TABLE = "comparison.parquet"
COMPARISON_PAGE = "comparison.html"
