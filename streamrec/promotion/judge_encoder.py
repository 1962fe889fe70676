"""`judge_encoder`: the decision about a run's item encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamrec.catalog.split import split_items
from streamrec.catalog.table import Catalog
from streamrec.config import PublishConfig, RunConfig
from streamrec.errors import CatalogError
from streamrec.promotion.champion import Champion, NoChampion, find_champion, items_trained_on
from streamrec.promotion.decision import Decision, Row
from streamrec.promotion.judge import encoder_rows, index_row
from streamrec.promotion.measure import MeasuredEncoders, measure_encoders
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.index import MAX_FLAT_ROWS, ItemIndex
from streamrec.retrieval.recall import ExactNeighbours

MIN_UNSEEN = 100
"""From so many on, or where all are such, items that neither encoder was trained on are asked about alone."""

Progress = Callable[[int, int | None], None]


def judge_encoder(
    config: RunConfig, catalog: Catalog, folder: Path, published: Path, progress: Progress | None = None
) -> Decision:
    """Measure the encoder in `folder` against that of the current bundle, and apply the gates.

    Both are asked about items that the challenger's training held out, and of these about items that the
    champion's held out too, where it can be told and they are enough. The same arguments give the same
    decision.

    Args:
        config: of the run.
        catalog: of the run.
        folder: of the run: its `codec` and `model`.
        published: folder of the bundles.
        progress: told the steps done, of two.

    Raises:
        StreamRecError: the challenger cannot be read.
    """
    step = progress or (lambda done, total: None)
    step(0, 2)
    challenger, found = ItemEncoder.load(folder), find_champion(published, catalog.schema)
    measured: MeasuredEncoders | None = None
    notes: tuple[str, ...] = ()
    reason = ""
    if isinstance(found, Champion):
        try:
            measured, notes = _measure(config, catalog, challenger, found, published.parent / "runs")
        except CatalogError as error:
            reason = f"the champion cannot read these items: {error}"
    else:
        reason = found.reason
    step(1, 2)
    rows = encoder_rows(measured, config.gates, catalog.schema, reason)
    rows += _index_rows(config, catalog, challenger, found)
    step(2, 2)
    return Decision.of(rows, None if measured is None else _version(found), notes)


def _measure(
    config: RunConfig, catalog: Catalog, challenger: ItemEncoder, champion: Champion, runs: Path
) -> tuple[MeasuredEncoders, tuple[str, ...]]:
    train, held_out = split_items(catalog, config)
    trained = items_trained_on(champion.bundle, runs)
    ids = held_out[catalog.schema.item_id]
    if trained is None:
        asked, note = held_out, "It cannot be told which of them the champion was trained on."
    else:
        seen = pc.is_in(ids, value_set=trained.cast(ids.type))
        unseen = held_out.filter(pc.invert(seen))
        if len(unseen) >= min(len(held_out), MIN_UNSEEN):
            asked, note = unseen, "Neither encoder was trained on any of them."
            train = pa.concat_tables([train, held_out.filter(seen)])
        else:
            known = len(held_out) - len(unseen)
            asked, note = held_out, f"The champion was trained on {known:,} of them, which favours it."
    measured = measure_encoders(
        champion.encoder,
        challenger,
        asked,
        train,
        config.evaluate,
        config.codec,
        config.seed,
        config.gates.draws,
    )
    told = (
        f"Both encoders were asked for the {measured.k} neighbours of {measured.items:,} items that the "
        f"challenger's training held out, among {measured.reference:,} items. {note}"
    )
    return measured, (told,)


def _index_rows(
    config: RunConfig, catalog: Catalog, challenger: ItemEncoder, found: Champion | NoChampion
) -> tuple[Row, ...]:
    tolerance = config.gates.index_recall
    if tolerance is None:
        return ()
    recall = index_recall(challenger, catalog, config.publish, config.seed)
    published = found.bundle.manifest.recall.value if found.bundle else None
    return (index_row(recall, published, config.publish.min_recall, tolerance),)


def index_recall(encoder: ItemEncoder, catalog: Catalog, config: PublishConfig, seed: int) -> float:
    """ANN recall of the index that publishing will build of all items; a flat one is exact and not built.

    Holds all embeddings in memory, as the index does.
    """
    rows = catalog.num_rows
    if config.index == "flat" or (config.index == "auto" and rows <= MAX_FLAT_ROWS):
        return 1.0
    vectors = np.concatenate([encoder.encode(batch) for batch in catalog.batches()])
    index = ItemIndex.build(config.index, lambda: iter([vectors]), rows, encoder.dimension, seed)
    return ExactNeighbours.sample(lambda: iter([vectors]), rows, seed).widen(index, config.min_recall)


def _version(found: Champion | NoChampion) -> str | None:
    return found.version if isinstance(found, Champion) else None
