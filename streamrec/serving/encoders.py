"""`Encoders`: vectors of what a bundle does not have, by its own models, loaded when first asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from streamrec.errors import BundleError
from streamrec.retrieval.bundle import Bundle
from streamrec.schema import FeatureSchema
from streamrec.serving.problems import Problem

if TYPE_CHECKING:
    from streamrec.retrieval.tower_encoder import BundleEncoder

log = logging.getLogger("streamrec.serving")
Row = Mapping[str, Any]
T = TypeVar("T")


class Encoders:
    """The models of one bundle; calls wait for each other, and the first loads torch: use a thread."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._lock = threading.Lock()
        self._models: BundleEncoder | None = None
        self._used: set[str] = set()

    def items(self, rows: Sequence[Row]) -> np.ndarray:
        """Embeddings (n, d) of raw items.

        Raises:
            Problem: a column that no model reads; the models cannot be read.
            CatalogError: values of another kind than the column's.
        """
        table = features_table(rows, self._bundle.manifest.features, "item")
        with self._lock:
            vectors = self._ask(lambda encoder: encoder.item_vectors(table))
            self._used.add("items")
            return vectors

    def users(self, histories: Sequence[np.ndarray], rows: Sequence[Row] | None = None) -> np.ndarray:
        """Vectors (u, k) of users by the positions of the items that they have seen, and by raw features.

        Raises:
            Problem: as `items`; the towers know no features of users.
            CatalogError: as `items`.
        """
        with self._lock:
            if rows is None:
                vectors = self._ask(lambda encoder: encoder.histories(histories))
                self._used.add("users")
                return vectors
            schema = self._ask(lambda encoder: encoder.user_schema)
            if schema is None:
                raise Problem(
                    422,
                    "user_features: the towers of this bundle know no features of users",
                    "recommend by 'history', or train towers with a table of users",
                )
            table = features_table(rows, schema, "user_features")
            return self._ask(lambda encoder: encoder.histories(histories, table))

    def warm_as(self, other: Encoders) -> None:
        """Load what `other` has loaded, so that the next request need not wait for it."""
        if "items" in other._used:
            self.items([{}])
        if "users" in other._used and self._bundle.recommendations is not None:
            self.users([np.zeros(1, np.int64)])

    def _ask(self, question: Callable[[BundleEncoder], T]) -> T:
        if self._models is None:
            from streamrec.retrieval.tower_encoder import BundleEncoder

            self._models = BundleEncoder(self._bundle)
        try:
            return question(self._models)
        except BundleError as error:
            # Not the fault of the request: a file was removed or altered since the bundle was opened.
            log.exception("the models of bundle %s", self._bundle.manifest.version)
            raise Problem(
                503,
                f"the models of bundle {self._bundle.manifest.version} cannot be used",
                "the service's log says why; vectors and known users are still answered",
            ) from error


def features_table(rows: Sequence[Row], schema: FeatureSchema, place: str) -> pa.Table:
    """Raw rows as a table of the schema's feature columns; a column that a row does not name is missing.

    Raises:
        Problem: an unknown column; values of kinds that no column can hold together.
    """
    known = schema.feature_columns
    for row in rows:
        for name in row:
            if name not in known:
                raise Problem(
                    422, f"{place}: no feature column '{name[:80]}'", f"columns: {', '.join(known)}"
                )
    columns = {}
    for name in known:
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise Problem(422, f"{place}: column '{name}': {reason}") from None
    return pa.table(columns)
