"""Rotating a new encoder's space onto a published one, and saying how far its items moved.

Two trainings put equal items at other places: a VAE's latent has no preferred axes. A rotation, perhaps with
a reflection, brings the new space as near to the old one as it can be without changing a cosine in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamrec.catalog.table import Catalog
from streamrec.retrieval.anchors import anchored_rows
from streamrec.retrieval.changes import Changes
from streamrec.retrieval.embeddings import read_vectors
from streamrec.retrieval.index import normalised
from streamrec.retrieval.manifest import EMBEDDINGS, Alignment

if TYPE_CHECKING:
    from streamrec.retrieval.bundle import Bundle
    from streamrec.retrieval.encoder import ItemEncoder

Floats = NDArray[np.floating]

MAX_ITEMS = 100_000
"""Common items that are encoded at most, a seeded sample: more of them move no figure by 0.001."""
ITEMS_PER_AXIS = 20
"""Common items needed per entry of an embedding: fewer could be rotated onto anything."""
MIN_MEAN_COSINE = 0.95
MIN_P05_COSINE = 0.85
"""What vectors must reach, beside the published ones and beside those that the space began with, to be
comparable; `docs/refresh.md` says what was measured."""


@dataclass(frozen=True)
class Rotated:
    """A rotation, and how near it brings the spaces."""

    rotation: NDArray[np.float32]
    """(d, d) orthogonal R: a new vector v becomes v R."""
    alignment: Alignment
    """Figures of items that the rotation was not found from."""
    space: str | None
    """The space that is gone on with; None where the vectors are not comparable."""


def procrustes(source: Floats, target: Floats) -> NDArray[np.float64]:
    """The orthogonal matrix (d, d) R that makes || source R - target || smallest.

    source, target: (n, d). With the singular value decomposition source' target = U S V', R = U V'
    (Schoenemann, "A generalized solution of the orthogonal Procrustes problem", 1966). Neither is centred:
    cosines are taken from the origin, which a rotation leaves where it is.
    """
    # Without BLAS, whose sums depend on the number of threads.
    products = np.einsum("ni,nj->ij", source.astype(np.float64), target.astype(np.float64), optimize=False)
    left, _, right = np.linalg.svd(products)
    rotation: NDArray[np.float64] = left @ right
    return rotation


def compare_vectors(found: Floats, reference: Floats) -> dict[str, float]:
    """Mean and 5th percentile of the rows' cosines, and || found - reference || / || reference ||.

    found, reference: (n, d). Two rows of zeros have the cosine 1, one of them 0.
    """
    cosines = np.einsum("ni,ni->n", normalised(found), normalised(reference))
    cosines[~found.any(axis=1) & ~reference.any(axis=1)] = 1.0
    length = float(np.linalg.norm(reference.astype(np.float64)))
    distance = float(np.linalg.norm(found.astype(np.float64) - reference))
    return {
        "mean_cosine": float(np.clip(cosines.mean(), -1, 1)),
        "p05_cosine": float(np.clip(np.quantile(cosines, 0.05), -1, 1)),
        "relative_residual": distance / length if length else 0.0,
    }


def align(encoder: ItemEncoder, catalog: Catalog, bundle: Bundle, seed: int) -> Rotated | None:
    """The rotation of an encoder's space onto that of a bundle.

    It is found from one half of the items that the catalogue and the bundle have with equal content, and
    measured on the other. The same arguments give the same bits on one kind of machine.

    Args:
        encoder: without a rotation.
        catalog: what it was trained on.
        bundle: what is published.
        seed: of the sample of common items.

    Returns:
        None where there is nothing to align to: vectors of another width, or too few common items.

    Raises:
        StreamRecError: the bundle's table is gone or broken.
    """
    if encoder.dimension != bundle.manifest.dimension:
        return None
    changes = Changes.of(bundle, catalog)
    if changes is None or changes.kept.sum() < ITEMS_PER_AXIS * encoder.dimension:
        return None
    common = np.flatnonzero(changes.kept)
    chosen = np.random.default_rng([seed, 7]).permutation(len(common))[:MAX_ITEMS]
    half = np.zeros(len(common), dtype=bool)
    half[chosen[::2]] = True
    rows = np.sort(chosen)
    new = encoder.encode(catalog.rows(common[rows]))
    old = read_vectors(bundle.path / EMBEDDINGS)[changes.positions[common[rows]]]
    fitted = half[rows]
    rotation = procrustes(new[fitted], old[fitted]).astype(np.float32)
    figures = compare_vectors(new[~fitted] @ rotation, old[~fitted])
    manifest = bundle.manifest
    comparable = _near(figures) and _near_anchors(encoder.rotated(rotation), catalog, bundle, changes)
    alignment = Alignment(
        reference=manifest.version, common_items=len(common), **figures, comparable=comparable
    )
    space = (manifest.space or manifest.version) if comparable else None
    return Rotated(rotation, alignment, space)


def _near(figures: dict[str, float]) -> bool:
    return figures["mean_cosine"] >= MIN_MEAN_COSINE and figures["p05_cosine"] >= MIN_P05_COSINE


def _near_anchors(encoder: ItemEncoder, catalog: Catalog, bundle: Bundle, changes: Changes) -> bool:
    """Whether items lie where they lay when the space began, not only where they lay last."""
    anchors = anchored_rows(bundle, catalog, changes.hashes)
    if anchors is None:
        return True
    rows, vectors = anchors
    if len(rows) < ITEMS_PER_AXIS * encoder.dimension:
        return False
    return _near(compare_vectors(encoder.encode(catalog.rows(rows)), vectors))
