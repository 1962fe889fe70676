"""`TowerEncoder`: vectors of users and items that the bundle does not have, from histories and raw rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streamrec.catalog.codec import FeatureCodec
from streamrec.errors import BundleError
from streamrec.evaluation.latents import feature_matrix
from streamrec.interactions.content import ItemContent
from streamrec.retrieval import towers as names
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.content import encoded_features
from streamrec.retrieval.embeddings import to_matrix
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.manifest import TOWERS
from streamrec.retrieval.tower_model import TowerModel
from streamrec.retrieval.unaltered import check_unaltered
from streamrec.schema import FeatureSchema

Load = Callable[[Path], TowerModel]


class TowerEncoder:
    """The two-tower model and what it reads of the published items."""

    def __init__(self, model: TowerModel, content: ItemContent, ids: Sequence[Any]) -> None:
        self.model = model
        self.content = content
        self.ids = ids

    @classmethod
    def load(cls, folder: Path, load: Load | None = None) -> TowerEncoder:
        """From a folder that `write_towers` wrote; `load` reads the model, by default a `Towers`.

        Raises:
            StreamRecError: a file is missing or broken.
        """
        path = folder / names.ITEMS
        try:
            table = pq.read_table(path)
            content = ItemContent(to_matrix(table[names.LATENT]), to_matrix(table[names.FEATURES]))
        except (OSError, pa.ArrowException, KeyError, AttributeError) as error:
            raise BundleError(f"{path}: cannot read the items of the towers: {error}") from None
        return cls((load or load_towers)(folder / names.MODEL), content, table.column(0).to_pylist())

    def users(self, histories: Sequence[np.ndarray], user_features: np.ndarray | None = None) -> np.ndarray:
        """Vectors (u, k) of users that the bundle need not have.

        Args:
            histories: positions of the items that each has seen, none twice; maybe none.
            user_features: (u, G) as the towers' own codec makes them; None where nothing is known.
        """
        content = self.content
        return self.model.user_vectors(
            list(histories), content.latents, content.features, self.ids, user_features
        )

    def items(self, rows: pa.Table, encoder: ItemEncoder) -> np.ndarray:
        """Vectors (n, k) of items that the bundle need not have, from raw rows of the catalogue.

        Args:
            rows: with the feature columns; the id column may be missing.
            encoder: the item encoder that the towers were trained on.

        Raises:
            StreamRecError: a feature column is missing or holds another type of value.
        """
        features = encoded_features(rows, encoder.codec)
        if features.shape[1] != self.content.features.shape[1]:
            raise BundleError(
                f"item rows: {features.shape[1]} encoded features, the towers read "
                f"{self.content.features.shape[1]}; use the encoder of their bundle"
            )
        column = encoder.schema.item_id
        ids = rows[column].to_pylist() if column in rows.column_names else [None] * len(rows)
        return self.model.item_vectors(encoder.encode(rows), features, ids)


class BundleEncoder:
    """The models of one bundle, read when first needed and checked against its manifest.

    What needs towers raises a BundleError for a bundle without.
    """

    def __init__(self, bundle: Bundle, load: Load | None = None) -> None:
        self._bundle = bundle
        self._load = load

    def item_vectors(self, rows: pa.Table) -> np.ndarray:
        """Embeddings (n, d) of raw rows of the catalogue, as `ItemEncoder.encode` makes them."""
        return self._encoder.encode(rows)

    def histories(self, histories: Sequence[np.ndarray], users: pa.Table | None = None) -> np.ndarray:
        """As `TowerEncoder.users`; `users` (u rows) holds raw features in the columns of `user_schema`.

        Raises:
            StreamRecError: the towers were trained without features of users; a column is missing or holds
                another type of value.
        """
        if users is None:
            return self._towers.users(histories)
        codec = self._user_codec
        if codec is None:
            raise BundleError(
                f"{self._bundle.path}: its towers know no features of users; recommend by history, "
                "or train towers with a table of users"
            )
        return self._towers.users(histories, feature_matrix(codec.encode(users), codec.layout))

    def new_items(self, rows: pa.Table) -> np.ndarray:
        """As `TowerEncoder.items`, by the bundle's item encoder."""
        return self._towers.items(rows, self._encoder)

    @property
    def user_schema(self) -> FeatureSchema | None:
        """Roles of the users' columns; None where the towers were trained without any."""
        return None if self._user_codec is None else self._user_codec.schema

    @cached_property
    def _user_codec(self) -> FeatureCodec | None:
        folder = f"{TOWERS}/{names.CODEC}/"
        if not any(name.startswith(folder) for name in self._bundle.manifest.files):
            return None
        check_unaltered(self._bundle, folder)
        return FeatureCodec.load(self._bundle.path / folder)

    @cached_property
    def _towers(self) -> TowerEncoder:
        _ = self._bundle.recommender
        check_unaltered(self._bundle, f"{TOWERS}/{names.MODEL}/", f"{TOWERS}/{names.ITEMS}")
        return TowerEncoder.load(self._bundle.path / TOWERS, self._load)

    @cached_property
    def _encoder(self) -> ItemEncoder:
        check_unaltered(self._bundle, "codec/", "model/")
        return ItemEncoder.load(self._bundle.path)


def load_towers(folder: Path) -> TowerModel:
    """The two-tower model in `folder`."""
    from streamrec.recommenders.towers import Towers

    return Towers.load(folder)
