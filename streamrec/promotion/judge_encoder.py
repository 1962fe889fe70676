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
from streamrec.promotion.judge import encoder_rows, index_row, taken_back_rows
from streamrec.promotion.measure import MeasuredEncoders, measure_encoders
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.index import MAX_FLAT_ROWS, ItemIndex
from streamrec.retrieval.recall import ExactNeighbours

MIN_UNSEEN = 10
"""Figures are not compared on fewer items, none of which either encoder was trained on."""

Progress = Callable[[int, int | None], None]


def judge_encoder(
    config: RunConfig,
    catalog: Catalog,
    folder: Path,
    published: Path,
    taken_back: str | None = None,
    progress: Progress | None = None,
) -> Decision:
    """Measure the encoder in `folder` against that of the current bundle, and apply the gates.

    Both are asked about items that the challenger's training held out, and of these only about those that the
    champion's did too, where that can be told. The same arguments give the same decision.

    Args:
        config: of the run.
        catalog: of the run.
        folder: of the run: its `codec` and `model`.
        published: folder of the bundles.
        taken_back: what the registry says of a rollback of this very encoder, where there was one.
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
            measured, notes, reason = _measure(config, catalog, challenger, found, published.parent / "runs")
        except CatalogError as error:
            reason = f"the champion cannot read these items: {error}"
    else:
        reason = found.reason
    step(1, 2)
    rows = encoder_rows(measured, config.gates, catalog.schema, reason)
    rows += _index_rows(config, catalog, challenger, found)
    rows += taken_back_rows(taken_back)
    step(2, 2)
    return Decision.of(rows, None if measured is None else _version(found), notes)


def _measure(
    config: RunConfig, catalog: Catalog, challenger: ItemEncoder, champion: Champion, runs: Path
) -> tuple[MeasuredEncoders, tuple[str, ...], str]:
    """Also notes, and why nothing but the lists can be compared, where that is so."""
    train, held_out = split_items(catalog, config)
    trained = items_trained_on(champion.bundle, runs)
    ids, reason = held_out[catalog.schema.item_id], ""
    if trained is None:
        asked, note = held_out, "It cannot be told which of them the champion was trained on."
    else:
        seen = pc.is_in(ids.cast(pa.string()), value_set=trained.cast(pa.string()))
        asked, note = held_out.filter(pc.invert(seen)), "Neither was trained on any of them."
        if len(asked) >= MIN_UNSEEN:
            train = pa.concat_tables([train, held_out.filter(seen)])
        else:
            reason = f"only {len(asked):,} held-out items are new to the champion too, not {MIN_UNSEEN}"
            asked, note = held_out, "The champion was trained on nearly all of them: only lists are compared."
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
    return measured, (told,), reason


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
