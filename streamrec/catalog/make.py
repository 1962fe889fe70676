"""`make_catalog`: the catalogue of a run, generated or ingested as its configuration says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamrec.catalog.generate import generate
from streamrec.catalog.ingest import Ingested, ingest
from streamrec.config import GenerateConfig, RunConfig


def make_catalog(
    config: RunConfig, folder: Path, progress: Callable[[int, int | None], None] | None = None
) -> Ingested:
    """Write `folder`/catalog.parquet and, when rows of the user's table were refused, quarantine.parquet.

    Raises:
        CatalogError: the table cannot be read, or too many of its rows break a rule.
    """
    if config.ingest is not None and config.features is not None:
        return ingest(config.ingest, config.features, folder, progress)
    catalog = generate(config.generate or GenerateConfig(), folder / "catalog.parquet", progress=progress)
    return Ingested(catalog, quarantine=None, rows_read=catalog.num_rows, rows_refused=0)
