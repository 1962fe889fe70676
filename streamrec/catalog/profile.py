"""`Profile`: what a catalogue's columns look like, kept with a bundle so that the next run can compare."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamrec.catalog.column_profiles import CategoryProfile, NumericProfile
from streamrec.catalog.table import Catalog
from streamrec.errors import CatalogError

RARE_SHARE = 0.005
"""Categories with less than this share of the reference are one cell of its KL divergence."""
PSEUDO_COUNT = 0.5
"""Rows added to every cell before shares are compared (Krichevsky and Trofimov, 1981)."""

ColumnProfile = Annotated[NumericProfile | CategoryProfile, Field(discriminator="kind")]


class Profile(BaseModel):
    """Row count and feature columns of a catalogue, as counts of all its rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    rows: int
    columns: dict[str, ColumnProfile]

    @classmethod
    def of(
        cls,
        catalog: Catalog,
        *,
        like: Profile | None = None,
        columns: Collection[str] | None = None,
        seed: int = 0,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Profile:
        """Count every row of the feature columns; one column is in memory at a time.

        Args:
            catalog: The item table.
            like: Count in this profile's bins and name its categories too, so that the two can be
                compared; columns it does not have get bins of their own.
            columns: Only these feature columns.
            seed: Of the sample from which bin edges are drawn, in tables above `EDGE_ROWS` rows.
            progress: Told the rows done, as far as finished columns go, and the number of rows.
        """
        rows, schema = catalog.num_rows, catalog.schema
        profiles: dict[str, ColumnProfile] = {}
        names = [name for name in schema.feature_columns if columns is None or name in columns]
        for done, name in enumerate(names, start=1):
            cells = catalog.table([name])[name]
            known = None if like is None else like.columns.get(name)
            if name in schema.numeric:
                bins_of = known if isinstance(known, NumericProfile) else None
                profiles[name] = NumericProfile.of(cells, bins_of, seed)
            else:
                kind: Literal["category", "labels"] = "category" if name in schema.categorical else "labels"
                named = known.counts if isinstance(known, CategoryProfile) else ()
                profiles[name] = CategoryProfile.of(cells, kind, tuple(named))
            if progress is not None:
                progress(rows * done // len(names), rows)
        return cls(rows=rows, columns=profiles)

    def save(self, path: str | Path) -> None:
        """Write the profile as JSON; the same profile gives the same bytes."""
        Path(path).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Inverse of `save`.

        Raises:
            CatalogError: the file cannot be read or is not a profile.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise CatalogError(f"{path}: cannot read the profile: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "file"
            raise CatalogError(f"{path}: not a profile: {where}: {first['msg']}; publish again") from None


@dataclass(frozen=True)
class Cell:
    """One cell of two histograms that are compared."""

    name: str
    current: int
    reference: int


def compare_cells(current: ColumnProfile, reference: ColumnProfile) -> list[Cell]:
    """The two histograms of one column, cell by cell; missing cells are a cell.

    A number's cells are its bins. A categorical or multi-label column's are the reference's values with
    at least `RARE_SHARE` of its counts, the rarer ones together, and those it did not name together if
    it had any. Values the reference cannot have known are in no cell: `unseen_share` measures them.

    Raises:
        CatalogError: the profiles are of different kinds or were counted in different bins.
    """
    missing = Cell("(missing)", current.missing, reference.missing)
    if isinstance(current, NumericProfile) and isinstance(reference, NumericProfile):
        if (current.atoms, current.edges) != (reference.atoms, reference.edges):
            raise CatalogError(
                "profiles counted in different bins cannot be compared; count with `like=reference`"
            )
        return [*map(Cell, reference.bin_names, current.counts, reference.counts), missing]
    if isinstance(current, NumericProfile) or isinstance(reference, NumericProfile):
        raise CatalogError(f"a {current.kind} column cannot be compared with a {reference.kind} column")
    least = RARE_SHARE * (sum(reference.counts.values()) + reference.other)
    rare = [name for name, count in reference.counts.items() if count < least]
    cells = [
        Cell(name, current.counts.get(name, 0), count)
        for name, count in reference.counts.items()
        if count >= least
    ]
    if rare:
        now, then = (sum(profile.counts.get(name, 0) for name in rare) for profile in (current, reference))
        cells.append(Cell("(rare)", now, then))
    if reference.other:
        cells.append(Cell("(other)", _unknown(current, reference), reference.other))
    if reference.kind == "labels":
        cells.append(Cell("(no label)", current.empty, reference.empty))
    return [*cells, missing]


def kl_divergence(cells: Collection[Cell]) -> float:
    """KL(current || reference) in nats, of counts smoothed by `PSEUDO_COUNT` a.

    With n_i and m_i the current and the reference count of cell i of k, and N and M their sums,
    sum_i p_i ln(p_i / q_i), where p_i = (n_i + a) / (N + a k) and q_i = (m_i + a) / (M + a k). It is
    finite, 0 for equal counts, and about (k - 1) (1/N + 1/M) / 2 on average for two samples of one
    distribution. Without current rows there is nothing to compare: 0.
    """
    now = np.array([cell.current for cell in cells], np.float64)
    then = np.array([cell.reference for cell in cells], np.float64)
    if now.sum() == 0:
        return 0.0
    p = (now + PSEUDO_COUNT) / (now.sum() + PSEUDO_COUNT * len(now))
    q = (then + PSEUDO_COUNT) / (then.sum() + PSEUDO_COUNT * len(then))
    return max(float(np.sum(p * np.log(p / q))), 0.0)


def kl_divergences(current: Profile, reference: Profile) -> dict[str, float]:
    """`kl_divergence` of each column that both profiles have in the same role, in nats.

    `current` is counted in the reference's bins: `Profile.of(catalog, like=reference)`.

    Raises:
        CatalogError: as `compare_cells`.
    """
    return {
        name: kl_divergence(compare_cells(now, reference.columns[name]))
        for name, now in current.columns.items()
        if name in reference.columns and reference.columns[name].kind == now.kind
    }


def unseen_share(current: CategoryProfile, reference: CategoryProfile) -> float:
    """Share of the present values (label occurrences) that the reference did not know.

    Where the reference could not name all its values, the share of those is taken off: values that are
    not named count only as far as there are more of them than there were.
    """
    total = sum(current.counts.values()) + current.other
    before = sum(reference.counts.values()) + reference.other
    expected = reference.other / before if before else 0.0
    return max(_unknown(current, reference) / total - expected, 0.0) if total else 0.0


def _unknown(current: CategoryProfile, reference: CategoryProfile) -> int:
    """Rows (occurrences) of values that the reference does not name."""
    return current.other + sum(c for name, c in current.counts.items() if name not in reference.counts)
