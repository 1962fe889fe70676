"""`Samples`: the bundle's synthetic items on its map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streamrec.retrieval.embeddings import EMBEDDING, to_matrix
from streamrec.retrieval.publish_samples import read_samples
from streamrec.serving.explorer.item_map import ItemMap, Places


@dataclass(frozen=True)
class Samples:
    """Synthetic rows, their embeddings, and where each would be among the items."""

    rows: pa.Table
    """(n,) feature columns."""
    vectors: np.ndarray
    """(n, d) float32."""
    places: Places
    """(n, 2) coordinates of the map."""

    @classmethod
    def of(cls, item_map: ItemMap) -> Samples:
        """Read and verify the bundle's samples and place them.

        Raises:
            BundleError: it has none, or the file is gone or altered.
        """
        table = read_samples(item_map.bundle)
        vectors = to_matrix(table[EMBEDDING])
        return cls(table.drop_columns([EMBEDDING]), vectors, item_map.place(vectors))
