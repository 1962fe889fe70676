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
from streamrec.retrieval.embeddings import EMBEDDING, published_columns, to_matrix
from streamrec.retrieval.manifest import EMBEDDINGS


def item_content(bundle: Bundle) -> ItemContent:
    """Latents and encoded features of the bundle's items, in its order.

    Raises:
        BundleError: the files are gone or broken.
    """
    path = bundle.path / EMBEDDINGS
    try:
        rows = pq.read_table(path, columns=[*published_columns(bundle.manifest.features), EMBEDDING])
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"{path}: cannot read the items: {error}; open the current bundle") from None
    codec = FeatureCodec.load(bundle.path / "codec")
    return ItemContent(to_matrix(rows[EMBEDDING]), published_features(rows, codec))


def published_features(rows: pa.Table, codec: FeatureCodec) -> NDArray[np.float32]:
    """(n, F) encoded features of item rows, as much of them as a bundle publishes.

    Numbers are not published, and count as missing here even where `rows` has them: towers know them from the
    latents, and an item must look the same in the bundle and as a raw row.

    Raises:
        CatalogError: a category or label column is missing or holds values of another kind.
    """
    for name in codec.schema.numeric:
        if name in rows.column_names:
            rows = rows.drop_columns(name)
        rows = rows.append_column(name, pa.nulls(len(rows), pa.float64()))
    return feature_matrix(codec.encode(rows), codec.layout)
