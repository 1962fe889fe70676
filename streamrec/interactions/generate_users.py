"""Synthetic users: when they joined, how often they come, what they like, and what is known of them.

Every user, independently of the others except for the permutation of the ranks:

    country       c ~ COUNTRIES, Zipf with exponent 1;  the cell is then missing with probability 0.05
    age_group     g ~ AGE_SHARE;                        the cell is then missing with probability 0.1
    steady        sqrt(0.2) * country_centre[c] + sqrt(0.2) * age_centre[g] + sqrt(0.6) * N(0, I)
    from, to      N(0, I) each: where the moving part of the taste is at the start, and half way
    activity      1 / (rank + 0.01 U), ranks 1 to U in random order (Zipf-Mandelbrot), divided by the sum:
                  22 times the mean for the most active user, 0.2 times for the least, whatever U
    joined_at     uniform over the seconds of 2023 and 2024

The centres are normal draws, orthonormalised so that over the users they have mean 0 and covariance I:
so has `steady`, and the known features explain 0.4 of it (less where a cell is missing).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamrec.catalog.structured_parameters import FACTORS, orthonormal, zipf
from streamrec.schema import FeatureSchema

COUNTRIES = ("US", "IN", "BR", "GB", "DE", "FR", "JP", "MX", "ES", "IT", "NL", "SE")
AGE_GROUPS = ("under 18", "18-24", "25-34", "35-44", "45-54", "55-64", "65 and over")
AGE_SHARE = np.array([0.06, 0.2, 0.26, 0.19, 0.13, 0.09, 0.07])
MISSING_COUNTRY_RATE = 0.05
MISSING_AGE_RATE = 0.1
FEATURE_SHARE = 0.2
"""Share of the steady taste's variance that the country explains, and that the age group explains."""
ACTIVITY_OFFSET = 0.01
"""Added to the ranks, in units of the number of users: without it, one user has a tenth of all events."""

USER_SCHEMA = FeatureSchema(item_id="user_id", categorical=("country", "age_group"), timestamp="joined_at")
USER_ARROW_SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("country", pa.string()),
        ("age_group", pa.string()),
        ("joined_at", pa.timestamp("us")),
    ]
)
_FIRST_SECOND, _END_SECOND = np.array(["2023-01-01", "2025-01-01"], "datetime64[s]").astype(np.int64)


@dataclass(frozen=True)
class SyntheticUsers:
    """U users by position."""

    table: pa.Table
    """Columns of `USER_ARROW_SCHEMA`: what a platform knows of its users."""
    tastes: NDArray[np.float32]
    """(3, U, 6): `steady`, `from` and `to`."""
    activity: NDArray[np.float64]
    """(U,): share of the visits, if all had joined."""
    joined: NDArray[np.int64]
    """(U,): seconds since 1970."""


def draw_users(users: int, seed: int) -> SyntheticUsers:
    """The users of the interactions that are generated with this number of users and this seed."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
    country_share = zipf(len(COUNTRIES), 1.0)
    centres = [
        orthonormal(rng.standard_normal((len(share), FACTORS)), share) for share in (country_share, AGE_SHARE)
    ]
    country, age = (
        np.searchsorted(np.cumsum(share)[:-1], rng.random(users), side="right")
        for share in (country_share, AGE_SHARE)
    )
    tastes = rng.standard_normal((3, users, FACTORS))
    tastes[0] *= np.sqrt(1 - 2 * FEATURE_SHARE)
    tastes[0] += np.sqrt(FEATURE_SHARE) * (centres[0][country] + centres[1][age])
    activity = 1 / (rng.permutation(users) + 1 + ACTIVITY_OFFSET * users)
    joined = rng.integers(_FIRST_SECOND, _END_SECOND, size=users)
    columns = [
        user_ids(users),
        pa.array(COUNTRIES).take(pa.array(country, mask=rng.random(users) < MISSING_COUNTRY_RATE)),
        pa.array(AGE_GROUPS).take(pa.array(age, mask=rng.random(users) < MISSING_AGE_RATE)),
        pa.array(joined.astype("datetime64[s]").astype("datetime64[us]")),
    ]
    table = pa.table(columns, schema=USER_ARROW_SCHEMA)
    return SyntheticUsers(table, tastes.astype(np.float32), activity / activity.sum(), joined)


def user_ids(users: int) -> pa.Array:
    """`user_0000000`, ...: seven digits, more from the ten-millionth user on."""
    digits = pc.utf8_lpad(pa.array(np.arange(users)).cast(pa.string()), 7, "0")
    return pc.binary_join_element_wise("user", digits, "_")
