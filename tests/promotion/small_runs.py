"""Small runs over items, as a flow leaves them, trained for half a second each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamrec.catalog.make import make_catalog
from streamrec.catalog.table import Catalog
from streamrec.config import RunConfig, parse_config
from streamrec.fit import fit_item_encoder
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.manifest import ModelSource
from streamrec.retrieval.publish import publish

ITEMS = 400


@dataclass(frozen=True)
class SmallRun:
    config: RunConfig
    catalog: Catalog
    folder: Path
    encoder: ItemEncoder

    @property
    def published(self) -> Path:
        return self.folder.parents[1] / "published"

    def publish(self, version: int = 1) -> Bundle:
        """As the flow does, from a version of a registered model."""
        return publish(
            self.published,
            self.catalog,
            self.encoder,
            self.config.publish,
            self.config.seed,
            model=ModelSource(name="encoder", version=str(version)),
            summary=self.config.model_dump(mode="json", exclude_none=True),
        )


def train(out: Path, name: str, seed: int = 1, epochs: int = 20, **settings: Any) -> SmallRun:
    """A run of so many epochs that holds out three items in ten."""
    base = {
        "out": str(out),
        "seed": seed,
        "generate": {"preset": "structured", "items": ITEMS},
        "train": {"epochs": epochs, "validation_share": 0.3},
    }
    config = parse_config(base | settings)
    folder = out / "runs" / name
    catalog = make_catalog(config, folder).catalog
    encoder, _ = fit_item_encoder(catalog, config, folder)
    return SmallRun(config, catalog, folder, encoder)
