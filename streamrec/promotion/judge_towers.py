"""`judge_towers`: the decision about a run's towers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from streamrec.errors import StreamRecError
from streamrec.evaluation.ranking.comparison import RankingComparison
from streamrec.evaluation.ranking.evaluate import evaluate_parts
from streamrec.evaluation.ranking.verdict import Verdict
from streamrec.fit_user_retrieval import FITTED, UserData, candidate_sets
from streamrec.interactions.splits import split
from streamrec.promotion.champion_towers import (
    CHAMPION,
    ChampionTowers,
    events_trained_on,
    find_champion_towers,
)
from streamrec.promotion.decision import Decision, Row
from streamrec.promotion.judge import compared_rows, index_row, not_applicable, taken_back_rows
from streamrec.promotion.measure import Compared
from streamrec.recommenders.fit_towers import TowersRecommender
from streamrec.recommenders.towers import Towers
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import TowerFacts
from streamrec.user_config import UserRetrievalConfig

AGAINST_BASELINES = "against the baselines"
"""Ending of the names of the gates of `baseline_rows`."""
MIN_USERS = 30
"""Towers are not compared with the champion by fewer users."""


def judge_towers(
    config: UserRetrievalConfig,
    data: UserData,
    users: pa.Table | None,
    verdict: tuple[Row, ...],
    facts: TowerFacts,
    bundle: Bundle,
    folder: Path,
    taken_back: str | None = None,
) -> Decision:
    """Apply the gates to the towers in `folder`: baselines, champion, indexes.

    Args:
        config: of the run; its `out` holds the published bundles and the runs.
        data: what the towers were fitted to.
        users: rows of the users' table, where there is one.
        verdict: what `baseline_rows` makes of the comparison with the baselines.
        facts: of the towers.
        bundle: that the towers are to be published with.
        folder: of the run.
        taken_back: what the registry says of a rollback of these very towers, where there was one.
    """
    rows, gates = list(verdict), config.gates
    out = config.out.resolve()
    found = find_champion_towers(out / "published", bundle)
    version: str | None = None
    notes: tuple[str, ...] = ()
    if gates.figures is not None:
        judged = {figure: f"{figure} against the champion" for figure in config.evaluate.judged}
        reason = ""
        if isinstance(found, ChampionTowers):
            try:
                figures, notes = _compare(config, data, users, found, folder, out / "runs")
                version = found.version
                tolerances = {judged[figure]: gates.figures * figures[figure].champion for figure in judged}
                rows += compared_rows({judged[f]: compared for f, compared in figures.items()}, tolerances)
            except StreamRecError as error:
                reason = f"the champion cannot be compared: {error}"
        else:
            reason = found.reason
        if reason:
            rows += not_applicable(judged.values(), reason)
    if gates.index_recall is not None:
        published = found.bundle.manifest.towers if isinstance(found, ChampionTowers) else None
        for name, recall, theirs in (
            ("items", facts.item_recall, published and published.facts.item_recall),
            ("users", facts.user_recall, published and published.facts.user_recall),
        ):
            before = theirs.value if theirs else None
            rows.append(
                index_row(
                    recall.value,
                    before,
                    config.publish.min_recall,
                    gates.index_recall,
                    f"index recall of {name}",
                )
            )
    return Decision.of((*rows, *taken_back_rows(taken_back)), version, notes)


def baseline_rows(verdict: Verdict) -> tuple[Row, ...]:
    """A row per judged figure; its bound is the best baseline's figure."""
    if not verdict.differences:
        reason = "there is no baseline to beat"
        return tuple(
            Row(gate=f"{figure} {AGAINST_BASELINES}", outcome="failed", reason=reason)
            for figure in verdict.judged
        )
    rows = []
    for figure in verdict.judged:
        all_of_it = [found for found in verdict.differences if found.figure == figure]
        held = all(found.standing == "above" for found in all_of_it)
        closest, mine = verdict.closest(figure), verdict.figures[figure]
        rows.append(
            Row(
                gate=f"{figure} {AGAINST_BASELINES}",
                challenger=mine,
                bound=mine - closest.mean,
                outcome="passed" if held else "failed",
                reason=f"{closest.mean:+.4f} ({closest.low:+.4f} to {closest.high:+.4f}) against "
                f"{closest.baseline}; the interval must lie above 0",
            )
        )
    return tuple(rows)


def _compare(
    config: UserRetrievalConfig,
    data: UserData,
    users: pa.Table | None,
    champion: ChampionTowers,
    folder: Path,
    runs: Path,
) -> tuple[dict[str, Compared], tuple[str, ...]]:
    """Figures of both, for the same users, among the items that both have.

    What either was trained on counts as seen: it is nobody's relevant item and no candidate.
    """
    parts, events = split(data.events, config.split, config.seed), data.events
    trained = events_trained_on(champion, runs, events)
    if trained is None and parts.kind != "time":
        raise StreamRecError(
            f"the folder of its run is gone, and with it which {parts.kind}s it was tested on"
        )
    candidates = champion.known_items(events.item_ids) >= 0
    judged = next(iter(candidate_sets(parts).values()))
    if judged is not None:
        candidates &= judged
    seen = parts.fit
    if trained is None:
        note = "It cannot be told which of the test's events the champion was trained on."
    else:
        wide = np.int64(len(events.item_ids))
        codes = events.users * wide + events.items
        seen = events.select(np.isin(codes, seen.users * wide + seen.items) | trained)
        note = "Neither was trained on any of them."
        if parts.kind == "item":
            candidates &= np.bincount(events.items[trained], minlength=len(candidates)) == 0
    challenger = TowersRecommender.of(
        Towers.load(folder / FITTED), parts.fit, data.content, data.user_features
    )
    qualities = [
        evaluate_parts(recommender, seen, parts.test, {"both": candidates}, config.seed)["both"]
        for recommender in (challenger, champion.recommender(parts.fit, users))
    ]
    if len(qualities[0]) < MIN_USERS:
        raise StreamRecError(
            f"only {len(qualities[0])} users have test events that neither was trained on, "
            f"expected at least {MIN_USERS}"
        )
    comparison = RankingComparison.of(
        parts.kind,
        parts.why,
        {"both": qualities},
        main=challenger.name,
        judged=config.evaluate.judged,
        replicates=config.gates.draws,
    )
    figures, both = {}, comparison.first
    for found in comparison.verdict.differences:
        mean = {name: both.figures[name][found.figure].mean for name in (CHAMPION, challenger.name)}
        figures[found.figure] = Compared(mean[CHAMPION], mean[challenger.name], found.low, found.high)
    told = (
        f"Champion and challenger were asked by {both.users:,} users for test events with "
        f"{both.candidates:,} items that both have. {note}"
    )
    return figures, (told,)
