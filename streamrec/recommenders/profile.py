"""Items close to the mean of the user's items, in the space of the features or of the latents."""

from __future__ import annotations

import numpy as np

from streamrec.interactions.table import Interactions
from streamrec.recommenders.forms import DotProduct, Fallback, Floats, known_items, unit


def profile(events: Interactions, vectors: Floats, centred: bool, name: str) -> DotProduct:
    """Cosine of the item's vector with the mean of the user's unit vectors.

    `vectors` (I, d); `centred` subtracts the mean of the items with events first, so that the profile says
    what sets the user's items apart.
    """
    known = known_items(events)
    items = unit(vectors - vectors[known].mean(0)) if centred else unit(vectors)
    history = events.matrix()
    counts = np.maximum(np.diff(history.indptr), 1).astype(np.float32)
    return DotProduct(name, (history @ items) / counts[:, None], items, Fallback.of(events))
