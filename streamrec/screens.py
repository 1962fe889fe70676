"""What the command line prints: aligned text, the same on a terminal and in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamrec.console import align
from streamrec.retrieval.manifest import IndexSettings, Manifest, MeasuredRecall, PublishedTowers
from streamrec.retrieval.search import Neighbours

CELL_WIDTH = 40
"""Longer cells are cut."""
FIGURES = ("ndcg@10", "recall@20", "hit@10", "coverage@20")
"""Those of the towers' figures that are shown; the manifest has all."""


def neighbours_table(neighbours: Neighbours) -> str:
    """Id, score and published features of each neighbour, best first."""
    names = neighbours.items.column_names
    features = [name for name in names if name != neighbours.id_column]
    header = [neighbours.id_column, "score", *features]
    rows = [
        [_cell(item[neighbours.id_column]), f"{score:.4f}", *(_cell(item[name]) for name in features)]
        for item, score in zip(neighbours.items.to_pylist(), neighbours.scores, strict=True)
    ]
    return align([header, *rows])


def manifest_page(path: Path, manifest: Manifest) -> str:
    """What a bundle holds, for people."""
    schema, model = manifest.features, manifest.model
    roles = {
        "id": (schema.item_id,),
        "categorical": schema.categorical,
        "multi-label": schema.multi_label_names,
        "numeric": schema.numeric,
        "timestamp": (schema.timestamp,) if schema.timestamp else (),
        "display": schema.display,
    }
    facts = [
        ("bundle", str(path)),
        ("published", f"{manifest.created:%Y-%m-%d %H:%M:%S} UTC"),
        ("items", f"{manifest.rows:,}"),
        ("embeddings", f"{manifest.dimension} numbers each, compared by {manifest.metric}"),
        ("index", _index(manifest.index, manifest.recall)),
        ("model", f"{model.name} version {model.version}, run {model.run_id}"),
        *_space_facts(manifest),
        *_tower_facts(manifest.towers),
        *((f"{role} columns", ", ".join(names)) for role, names in roles.items() if names),
        ("schema", manifest.schema_fingerprint),
        ("codec", manifest.codec_fingerprint),
        *((name, f"{value:.4g}") for name, value in (manifest.quality or {}).items() if value is not None),
        *((name, f"{record.bytes:,} bytes") for name, record in manifest.files.items()),
    ]
    return align(facts)


def versions_list(manifests: Mapping[str, Manifest | None], current: str) -> str:
    """Versions of the bundles that are there, the newest first: those that `streamrec rollback` goes to.

    Of each it is said whether its vectors may be compared with the current ones; None: it cannot be read.
    """
    now = manifests.get(current)
    rows = [
        (f"  {version}", "current" if version == current else _beside(manifest, now))
        for version, manifest in sorted(manifests.items(), reverse=True)
    ]
    return "\n".join(["versions", align(rows)])


def _beside(manifest: Manifest | None, current: Manifest | None) -> str:
    if manifest is None or current is None:
        return "cannot be read"
    spaces = [found.space or found.version for found in (manifest, current)]
    return "comparable with the current one" if spaces[0] == spaces[1] else "another space: not comparable"


def _space_facts(manifest: Manifest) -> list[tuple[str, str]]:
    facts = [("space", f"that of {manifest.space}")] if manifest.space not in (None, manifest.version) else []
    if (found := manifest.alignment) is not None:
        verdict = "comparable" if found.comparable else "not comparable"
        facts.append(
            (
                "aligned to",
                f"{found.reference}: {verdict}; cosine {found.mean_cosine:.4f} on average, 95% above "
                f"{found.p05_cosine:.4f}, of {found.common_items:,} common items",
            )
        )
    if (made := manifest.refreshed) is not None:
        facts.append(
            (
                "refreshed from",
                f"{made.source}: {made.encoded:,} encoded, {made.kept:,} kept, {made.removed:,} removed",
            )
        )
    return facts


def _tower_facts(towers: PublishedTowers | None) -> list[tuple[str, str]]:
    if towers is None:
        return [("towers", "none: the bundle recommends to no user; train some with streamrec retrieve")]
    facts, model, quality = towers.facts, towers.model, towers.quality or {}
    return [
        ("towers", f"{model.name} version {model.version}, run {model.run_id}"),
        ("  vectors", f"{facts.users:,} users and {facts.items:,} items, {facts.dimension} numbers each"),
        ("  item index", _index(facts.item_index, facts.item_recall)),
        ("  user index", _index(facts.user_index, facts.user_recall)),
        *((f"  {name}", f"{value:.4g}") for name in FIGURES if (value := quality.get(name)) is not None),
    ]


def _index(index: IndexSettings, recall: MeasuredRecall) -> str:
    lists = "" if index.lists is None else f", {index.lists:,} lists of which {index.nprobe} are probed"
    return f"{index.kind}{lists}; finds {recall.value:.2%} of the {recall.k} nearest"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 1] + "…"
