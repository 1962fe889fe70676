"""The champion towers: those of the newest published bundle that has some, asked about today's items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from streamrec.catalog.codec import FeatureCodec
from streamrec.config import load_config
from streamrec.errors import BundleError, StreamRecError
from streamrec.evaluation.latents import feature_matrix
from streamrec.interactions.file import load_interactions
from streamrec.interactions.splits import split
from streamrec.interactions.table import Interactions
from streamrec.promotion.challenger import CONFIG
from streamrec.promotion.champion import NoChampion
from streamrec.recommenders.fit_towers import TowersRecommender, distinct
from streamrec.retrieval import towers as names
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import MANIFEST, TOWERS, Manifest
from streamrec.retrieval.releases import Releases
from streamrec.retrieval.tower_encoder import TowerEncoder
from streamrec.runs import run_that_registered
from streamrec.user_config import UserRetrievalConfig

CHAMPION = "champion"
"""Name of the champion among recommenders."""


@dataclass(frozen=True)
class ChampionTowers:
    """Towers in use, and the bundle that they were made of."""

    bundle: Bundle
    towers: TowerEncoder

    @property
    def version(self) -> str:
        """Version of their bundle."""
        return self.bundle.manifest.version

    def known_items(self, item_ids: pa.Array) -> NDArray[np.int64]:
        """(I,) positions of items among those that the towers have; -1 where they do not have one."""
        own = pa.array(self.towers.ids, item_ids.type)
        return pc.fill_null(pc.index_in(item_ids, own), -1).to_numpy().astype(np.int64)

    def recommender(self, seen: Interactions, users: pa.Table | None) -> TowersRecommender:
        """Vectors of today's items (I, k) and of users (U, k) by the events that they are asked with.

        Items that the towers do not have get zeros, and must be no candidates; nor do events with them count.

        Args:
            seen: today's events.
            users: rows of the users' table, whose users come first; None where there is none.

        Raises:
            StreamRecError: the towers read other features of users than there are.
        """
        towers, content = self.towers, self.towers.content
        place = self.known_items(seen.item_ids)
        known = place >= 0
        own = towers.model.item_vectors(content.latents, content.features, towers.ids)
        items = np.zeros((len(place), own.shape[1]), np.float32)
        items[known] = own[place[known]]
        told = seen.select(known[seen.items])
        histories = [place[items] for items in distinct(told.histories())]
        return TowersRecommender(
            CHAMPION, items, towers.users(histories, self._features(users, len(histories)))
        )

    def _features(self, users: pa.Table | None, total: int) -> NDArray[np.float32] | None:
        folder = f"{TOWERS}/{names.CODEC}"
        if not any(name.startswith(f"{folder}/") for name in self.bundle.manifest.files):
            return None
        if users is None:
            raise BundleError("the champion reads features of users, and this run has none")
        codec = FeatureCodec.load(self.bundle.path / folder)
        known = feature_matrix(codec.encode(users), codec.layout)
        features = np.zeros((total, known.shape[1]), np.float32)
        features[: len(known)] = known
        return features


def find_champion_towers(published: Path, bundle: Bundle) -> ChampionTowers | NoChampion:
    """The towers of `bundle`, the current one, or of the newest bundle before it that has some, verified.

    New items are published without towers: those that recommend until then are in an older bundle.
    """
    releases = Releases(published)
    for version in reversed([v for v in releases.versions if v <= bundle.manifest.version]):
        try:
            manifest = Manifest.read(published / version / MANIFEST)
            if manifest.towers is None:
                continue
            if manifest.schema_fingerprint != bundle.manifest.schema_fingerprint:
                return NoChampion(
                    f"the champion is of another schema: {manifest.schema_fingerprint}, "
                    f"now {bundle.manifest.schema_fingerprint}"
                )
            found = Bundle.open(published / version)
            return ChampionTowers(found, TowerEncoder.load(found.path / TOWERS))
        except StreamRecError as error:
            return NoChampion(f"no champion: its bundle cannot be used: {error}")
    return NoChampion("no champion: no published bundle has towers")


def events_trained_on(champion: ChampionTowers, runs: Path, events: Interactions) -> NDArray[np.bool_] | None:
    """(n,) which of `events` the champion was trained on; None where the folder of its run is gone.

    Args:
        champion: the towers.
        runs: folder of the runs.
        events: today's events.

    Raises:
        StreamRecError: the folder of its run is damaged.
    """
    source = champion.bundle.manifest.towers
    model = None if source is None else source.model
    run = None if model is None else run_that_registered(runs, str(model.name), str(model.version))
    if run is None or not (run.folder / CONFIG).exists():
        return None
    config = load_config(run.folder / CONFIG, model=UserRetrievalConfig)
    item_ids, user_ids = pa.array(champion.towers.ids, events.item_ids.type), None
    if config.users is not None:
        table = pq.read_table(run.folder / "users" / "catalog.parquet")
        user_ids = table[config.users.features.item_id].combine_chunks()
    then = load_interactions(run.folder / "interactions.parquet", item_ids, user_ids)
    fit = split(then, config.split, config.seed).fit
    users = _positions(fit.user_ids, events.user_ids)[fit.users]
    items = _positions(fit.item_ids, events.item_ids)[fit.items]
    known = (users >= 0) & (items >= 0)
    wide = np.int64(len(events.item_ids))
    return np.isin(events.users * wide + events.items, users[known] * wide + items[known])


def _positions(ids: pa.Array, among: pa.Array) -> NDArray[np.int64]:
    return pc.fill_null(pc.index_in(ids.cast(among.type), among), -1).to_numpy().astype(np.int64)
