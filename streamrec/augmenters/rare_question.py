"""`RareQuestion`: how well held-out rows of rare categories fare with what was learnt from a table."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from streamrec.augmenters.lift import AUC, PURITY, RECALL
from streamrec.catalog.codec import FeatureCodec
from streamrec.config import RunConfig
from streamrec.errors import CatalogError, ConfigError
from streamrec.evaluation.latents import feature_matrix
from streamrec.evaluation.neighbours import (
    Positions,
    draw_positions,
    nearest,
    neighbour_recall,
    purity,
    unit_rows,
)
from streamrec.evaluation.synthetic.columns import Columns
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE
from streamrec.training.device import one_thread, resolve_device
from streamrec.training.loop import fit
from streamrec.training.objective import ELBO


@dataclass(frozen=True)
class RareQuestion:
    """What is asked of every training: always the same held-out rows among the same real rows."""

    codec: FeatureCodec
    config: RunConfig
    column: str
    held_out: pa.Table
    real: pa.Table
    """Held-out rows, then training rows: what neighbours are searched among."""
    vocabulary: Columns
    """Training rows, whose vocabulary the trees read."""
    queries: dict[Hashable, Positions]
    """By rare category: positions of held-out rows."""

    @classmethod
    def of(
        cls,
        train: pa.Table,
        held_out: pa.Table,
        codec: FeatureCodec,
        config: RunConfig,
        column: str,
        rare: list[Any],
        seed: int,
    ) -> RareQuestion:
        """The question for `rare` categories; samples of many rows are drawn by seed.

        Raises:
            CatalogError: no held-out row of a rare category, or none of another.
        """
        rng, size = np.random.default_rng([seed, 10]), config.evaluate.reference_rows
        asked = held_out.take(draw_positions(rng, len(held_out), size))
        others = train.take(draw_positions(rng, len(train), size - len(asked)))
        cells = np.array(asked[column].to_pylist(), dtype=object)
        queries = {c: np.flatnonzero(cells == c) for c in rare}
        queries = {c: positions for c, positions in queries.items() if 0 < len(positions) < len(cells)}
        if not queries or len(train[column].unique()) < 2:
            raise CatalogError(
                f"augment: found no held-out rows of '{column}' {', '.join(map(str, rare[:5]))} beside "
                "others to measure by; raise train.validation_share or the target, or change the seed"
            )
        limit = config.evaluate.queries
        queries = {c: p[draw_positions(rng, len(p), limit)] for c, p in queries.items()}
        real = pa.concat_tables([asked, others])
        return cls(codec, config, column, asked, real, Columns.of(train, codec.schema), queries)

    def answer(self, table: pa.Table, seed: int) -> dict[str, float]:
        """The measures, as `rare_lift` has them, of an ItemVAE and of trees that learn from `table`."""
        rows, index = self.codec.encode(self.real), self.codec.schema.categorical.index(self.column)
        model = self._train(table, seed)
        with one_thread(resolve_device("cpu")):
            latents = unit_rows(model.embed(ItemBatch.from_arrays(rows)).numpy())
        features = feature_matrix(rows, self.codec.layout)
        found: dict[str, list[float]] = {PURITY: [], RECALL: [], AUC: []}
        k = min(self.config.evaluate.k, len(rows) - 1)
        for positions in self.queries.values():
            neighbours = nearest(latents, positions, k)
            found[PURITY].append(purity(neighbours, rows.categories[:, index], positions))
            found[RECALL].append(neighbour_recall(neighbours, features, positions))
        found[AUC] = self._areas(table, index, seed)
        return {name: float(np.mean(values)) for name, values in found.items()}

    def _train(self, table: pa.Table, seed: int) -> ItemVAE:
        train, valid = (ItemBatch.from_arrays(self.codec.encode(part)) for part in (table, self.held_out))
        torch.manual_seed(seed)
        try:
            model = ItemVAE(self.codec.layout, self.config.model)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        with one_thread(resolve_device("cpu")):
            model.initialise(model.prepare(train))
        fit(ELBO(model), train, valid, self.config.train, seed)
        return model

    def _areas(self, table: pa.Table, index: int, seed: int) -> list[float]:
        taught, asked = (
            Columns.of(part, self.codec.schema, train=self.vocabulary) for part in (table, self.held_out)
        )
        features, test = taught.matrix(without=self.column), asked.matrix(without=self.column)
        areas = []
        for positions in self.queries.values():
            code = asked.categories[positions[0], index]
            # Early stopping would begin at 10,000 rows: synthetic rows must not switch it on.
            trees = HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
            trees.fit(features, taught.categories[:, index] == code)
            scores = trees.predict_proba(test)[:, 1]
            areas.append(float(roc_auc_score(asked.categories[:, index] == code, scores)))
        return areas
