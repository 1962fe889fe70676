"""`NumberCodec`: one numeric column as a scaled number and a state (ordinary, missing, atom)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamrec.catalog.scaling import (
    LARGEST,
    Floats,
    Scaler,
    find_atoms,
    fit_quantile,
    fit_standard,
    is_near_normal,
)
from streamrec.config import CodecConfig
from streamrec.errors import CatalogError
from streamrec.layout import FIRST_ATOM_STATE, MISSING_STATE, VALUE_STATE


@dataclass(frozen=True)
class NumberCodec:
    """Scaling, atoms and type of one numeric column.

    Null, NaN and infinite cells are missing. A value outside the training range is encoded as the
    nearest training value, so also as the atom at that end if there is one. Where every training value
    is an atom, a value between two is encoded as the nearest, the lower of two equally near: no row has
    a state that no training row had, but for missing. A column without any training value is always
    missing.
    """

    name: str
    dtype: pa.DataType
    scaling: Literal["quantile", "standard"]
    scaler: Scaler
    atoms: Floats
    """(k,) ascending."""
    all_atoms: bool
    """Whether no training row has an ordinary value."""
    nullable: bool
    """Whether a training row has no value."""

    @classmethod
    def fit(cls, name: str, column: pa.ChunkedArray, config: CodecConfig) -> NumberCodec:
        """Choose atoms and scaling; `auto` is `standard` where there are no atoms and `is_near_normal`."""
        cells = read_numbers(name, column)
        distinct, counts = np.unique(
            np.clip(cells[np.isfinite(cells)], -LARGEST, LARGEST), return_counts=True
        )
        values = distinct + 0.0  # minus zero becomes zero
        atoms = find_atoms(values, counts, config.min_atom_share, config.max_atoms)
        scaling = config.columns.get(name, config.scaling)
        if scaling == "auto":
            near_normal = len(values) > 0 and len(atoms) == 0 and is_near_normal(values, counts)
            scaling = "standard" if near_normal else "quantile"
        scaler = (
            fit_standard(values, counts) if scaling == "standard" else fit_quantile(values, counts, atoms)
        )
        nullable = not bool(np.isfinite(cells).all())
        dtype = _restored_type(column.type)
        return cls(name, dtype, scaling, scaler, atoms, len(atoms) == len(values), nullable)

    @property
    def states(self) -> int:
        """Number of states: ordinary, missing, and one per atom."""
        return FIRST_ATOM_STATE + len(self.atoms)

    def encode(self, column: pa.ChunkedArray) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scaled numbers (n,) and states (n,)."""
        cells = read_numbers(self.name, column)
        missing = ~np.isfinite(cells)
        if len(self.scaler.values) == 0:
            return np.zeros(len(cells), np.float32), np.full(len(cells), MISSING_STATE)
        low, high = self.scaler.values[[0, -1]]
        cells = np.clip(np.where(missing, low, cells), low, high)
        if pa.types.is_floating(self.dtype):
            # A 0.1 given in more digits than the training rows had is still their 0.1.
            cells = cells.astype(self.dtype.to_pandas_dtype()).astype(np.float64)
        if self.all_atoms:
            between = self.atoms[:-1] / 2 + self.atoms[1:] / 2
            nearest = np.searchsorted(between, cells)
            cells, states = self.atoms[nearest], nearest + FIRST_ATOM_STATE
        else:
            states = np.full(len(cells), VALUE_STATE)
            for index, atom in enumerate(self.atoms):
                states[cells == atom] = FIRST_ATOM_STATE + index
        numbers = self.scaler.scale(cells)
        numbers[missing] = 0
        states[missing] = MISSING_STATE
        return numbers, states

    def decode(self, numbers: NDArray[np.float32], states: NDArray[np.int64]) -> pa.Array:
        """Cells (n,) of the training type: atoms exactly, other values rounded and within range."""
        missing = states == MISSING_STATE
        if len(self.scaler.values) == 0:
            return pa.nulls(len(states), self.dtype)
        values = self.scaler.unscale(numbers)
        at_atom = states >= FIRST_ATOM_STATE
        values[at_atom] = self.atoms[states[at_atom] - FIRST_ATOM_STATE]
        if pa.types.is_floating(self.dtype):
            return pa.array(values, pa.float64(), mask=missing).cast(self.dtype, safe=False)
        whole = np.rint(values)
        if pa.types.is_boolean(self.dtype):
            return pa.array(whole > 0, mask=missing)
        bounds = np.iinfo(self.dtype.to_pandas_dtype())
        # The largest 64-bit integers have no float64: the nearest one is outside the type.
        inside = np.clip(whole, float(bounds.min), np.nextafter(float(bounds.max) + 1, 0))
        return pa.array(inside.astype(bounds.dtype), self.dtype, mask=missing)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready part; the scaler's knots go beside it as arrays."""
        return {
            "name": self.name,
            "dtype": str(self.dtype),
            "scaling": self.scaling,
            "atoms": self.atoms.tolist(),
            "all_atoms": self.all_atoms,
            "nullable": self.nullable,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], scaler: Scaler) -> NumberCodec:
        """Inverse of `to_dict`."""
        return cls(
            name=data["name"],
            dtype=pa.type_for_alias(data["dtype"]),
            scaling=data["scaling"],
            scaler=scaler,
            atoms=np.array(data["atoms"], dtype=np.float64),
            all_atoms=data["all_atoms"],
            nullable=data["nullable"],
        )


def _restored_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _restored_type(kind.value_type)
    exact = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return kind if exact else pa.float64()


def read_numbers(name: str, column: pa.ChunkedArray) -> Floats:
    """The cells (n,) as float64, NaN where null.

    Raises:
        CatalogError: the column holds neither numbers nor booleans.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return read_numbers(name, column.cast(kind.value_type))
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not (number or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise CatalogError(
            f"item table: column '{name}' holds {kind}, expected numbers; convert it or change its role"
        )
    return pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
