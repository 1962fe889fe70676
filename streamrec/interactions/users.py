"""`ingest_users`: features of users, read with the rules of the item table."""

from __future__ import annotations

from pathlib import Path

from streamrec.catalog.ingest import Ingested, Progress, ingest
from streamrec.config import IngestConfig
from streamrec.interactions.settings import UsersConfig


def ingest_users(config: UsersConfig, folder: Path, progress: Progress | None = None) -> Ingested:
    """Write `folder`/users/catalog.parquet, a row per user, and its quarantine (see `catalog.ingest`).

    Raises:
        CatalogError: as `catalog.ingest`.
        QuarantineError: as `catalog.ingest`; the setting is `users.max_quarantined_share`.
    """
    table = IngestConfig(**config.model_dump(exclude={"features"}))
    return ingest(table, config.features, folder / "users", progress, section="users")
