"""`item_content`: what the towers read of a bundle's items, from its own files."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from streamrec.catalog.codec import FeatureCodec
from streamrec.errors import BundleError
from streamrec.evaluation.latents import feature_matrix
from streamrec.interactions.content import ItemContent
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.embeddings import EMBEDDING, to_matrix
from streamrec.retrieval.manifest import EMBEDDINGS


def item_content(bundle: Bundle) -> ItemContent:
    """Latents and encoded features of the bundle's items, in its order.

    Raises:
        BundleError: the files are gone or broken.
    """
    path = bundle.path / EMBEDDINGS
    try:
        rows = pq.read_table(path, columns=[*bundle.manifest.features.columns, EMBEDDING])
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"{path}: cannot read the items: {error}; publish again") from None
    codec = FeatureCodec.load(bundle.path / "codec")
    return ItemContent(to_matrix(rows[EMBEDDING]), encoded_features(rows, codec))


def encoded_features(rows: pa.Table, codec: FeatureCodec) -> NDArray[np.float32]:
    """(n, F) encoded features of item rows."""
    return feature_matrix(codec.encode(rows), codec.layout)
