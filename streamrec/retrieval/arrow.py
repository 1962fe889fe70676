"""NumPy to Arrow and back without `pa.array`, `pa.scalar` and `to_numpy`.

Those import pandas, which takes longer than everything else in a process that asks a bundle one question.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def to_numpy(array: pa.Array) -> np.ndarray:
    """The numbers of an array without nulls, not copied."""
    return np.from_dlpack(array)


def to_arrow(numbers: np.ndarray) -> pa.Array:
    """An int64 array."""
    buffer = pa.py_buffer(np.ascontiguousarray(numbers, dtype=np.int64))
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, buffer])


def to_scalar(value: str | int) -> pa.Scalar:
    """A string or int64 scalar."""
    if isinstance(value, int):
        return to_arrow(np.array([value]))[0]
    text = value.encode()
    offsets = np.array([0, len(text)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(text)])[0]
