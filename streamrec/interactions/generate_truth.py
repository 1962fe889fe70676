"""`TrueRelevance`: how likely a synthetic user wants an item at a time; never shown to a model.

K = 6 factors per item (`z`, of the preset `structured`) and per user. Time `tau` runs from 0 at
`FIRST_SECOND` to 1 at `END_SECOND`. With the three vectors of a user (`generate_users` draws them),

    taste w_u(tau)  = sqrt(1 - D) * steady_u + sqrt(D) * (cos(pi tau) * from_u + sin(pi tau) * to_u)
    fit(u, i, tau)  = TASTE_SLOPE * w_u(tau) . z_i / sqrt(K)
    relevance       = sigmoid(INTERCEPT + fit(u, i, tau) + POPULARITY_SLOPE * q_i)

where `D = DRIFT_SHARE`. The three vectors are independent with mean 0 and covariance I over the users, so
the taste has covariance I at every time and autocorrelation `1 - D + D cos(pi * difference of tau)`: 0.4
over the whole window. A fit has variance TASTE_SLOPE^2 over users and items.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamrec.errors import CatalogError
from streamrec.interactions.table import Positions

FIRST_SECOND, END_SECOND = (
    int(day) for day in np.array(["2024-01-01", "2025-01-01"], "datetime64[s]").astype(np.int64)
)
"""Events happen from the first of these seconds on and before the second one: the catalogue's second year."""
DRIFT_SHARE = 0.3
"""Share of a taste's variance that moves with time."""
INTERCEPT = -2.0
TASTE_SLOPE = 2.0
POPULARITY_SLOPE = 0.5


@dataclass(frozen=True)
class TrueRelevance:
    """Tastes of the users over time, factors and popularity of the items."""

    user_ids: pa.Array
    """(U,) text."""
    item_ids: pa.Array
    """(I,) text."""
    tastes: NDArray[np.float32]
    """(3, U, 6): `steady`, `from` and `to` of each user."""
    factors: NDArray[np.float32]
    """(I, 6): `z`."""
    popularity: NDArray[np.float32]
    """(I,): `q`, mean 0 and variance 1 over the catalogue."""

    def taste(self, users: Positions, times: NDArray[np.int64] | int) -> NDArray[np.float64]:
        """(n, 6) `w` of users by position at times (n,) or one time, microseconds since 1970."""
        angle = np.pi * (np.asarray(times) / 1e6 - FIRST_SECOND) / (END_SECOND - FIRST_SECOND)
        steady, start, end = self.tastes[:, users].astype(np.float64)
        turning = np.cos(angle)[..., None] * start + np.sin(angle)[..., None] * end
        return np.sqrt(1 - DRIFT_SHARE) * steady + np.sqrt(DRIFT_SHARE) * turning

    def fit(self, tastes: NDArray[np.float64], items: Positions) -> NDArray[np.float64]:
        """(n,) part of the logit that is the user's own, from tastes (n, 6) and items by position (n,)."""
        # Not a matrix product: BLAS rounds differently with another number of threads.
        total = tastes[:, 0] * self.factors[items, 0]
        for k in range(1, tastes.shape[1]):
            total += tastes[:, k] * self.factors[items, k]
        return TASTE_SLOPE / np.sqrt(tastes.shape[1]) * total

    def probability(
        self, users: Positions, items: Positions, times: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(n,) relevance of items to users, both by position, at times in microseconds since 1970."""
        return self.sigmoid(self.fit(self.taste(users, times), items), items)

    def sigmoid(self, fit: NDArray[np.float64], items: Positions) -> NDArray[np.float64]:
        """(n,) relevance given the fit."""
        return 1 / (1 + np.exp(-(INTERCEPT + fit + POPULARITY_SLOPE * self.popularity[items])))

    def at(self, time: int) -> RelevanceAt:
        """The ranking of all items by relevance at a time, microseconds since 1970."""
        return RelevanceAt(self, time)

    def select(self, user_ids: pa.Array, item_ids: pa.Array) -> TrueRelevance:
        """The truth of some users and items, in the order of these ids.

        Raises:
            CatalogError: an id is not in the truth.
        """
        users = _positions(user_ids, self.user_ids, "user")
        items = _positions(item_ids, self.item_ids, "item")
        return replace(
            self,
            user_ids=user_ids,
            item_ids=item_ids,
            tastes=self.tastes[:, users],
            factors=self.factors[items],
            popularity=self.popularity[items],
        )

    def save(self, path: str | Path) -> None:
        """Write an npz of the five fields; an existing file is replaced."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                np.savez(
                    file,
                    user_ids=np.array(self.user_ids.to_pylist(), dtype=str),
                    item_ids=np.array(self.item_ids.to_pylist(), dtype=str),
                    tastes=self.tastes,
                    factors=self.factors,
                    popularity=self.popularity,
                )
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> TrueRelevance:
        """Inverse of `save`.

        Raises:
            CatalogError: the file is missing or is no truth of interactions.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                users, items = (
                    pa.array(arrays[name].tolist(), pa.string()) for name in ("user_ids", "item_ids")
                )
                return cls(users, items, arrays["tastes"], arrays["factors"], arrays["popularity"])
        except (OSError, KeyError, ValueError) as error:
            raise CatalogError(
                f"{path}: no truth of interactions ({error}); write one with `streamrec generate`"
            ) from error


@dataclass(frozen=True)
class RelevanceAt:
    """A recommender that knows the truth.

    Not the best at foretelling clicks: what is shown favours popular and new items.
    """

    relevance: TrueRelevance
    time: int
    """Microseconds since 1970."""
    name: str = "truth"

    def scores(self, users: Positions) -> NDArray[np.float32]:
        """(u, I) logit of the relevance of every item to users by position."""
        truth = self.relevance
        tastes = truth.taste(users, self.time)
        fit = TASTE_SLOPE / np.sqrt(tastes.shape[1]) * tastes.astype(np.float32) @ truth.factors.T
        logits: NDArray[np.float32] = np.asarray(
            INTERCEPT + fit + POPULARITY_SLOPE * truth.popularity, dtype=np.float32
        )
        return logits


def _positions(wanted: pa.Array, known: pa.Array, what: str) -> Positions:
    found = pc.index_in(wanted, known)
    if found.null_count:
        unknown = wanted.filter(pc.is_null(found))[0].as_py()
        raise CatalogError(f"{what} '{unknown}' is not in the truth; give the truth of these interactions")
    positions: Positions = found.to_numpy().astype(np.int64)
    return positions
