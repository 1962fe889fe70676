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


def decoded(table: pa.Table) -> pa.Table:
    """The same table, values in place of their codes in a dictionary."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            chunks = [chunk.dictionary_decode() for chunk in table.column(place).chunks]
            column = pa.chunked_array(chunks, field.type.value_type)
            table = table.set_column(place, field.with_type(column.type), column)
    return table


def to_scalar(value: str | int) -> pa.Scalar:
    """A string or int64 scalar."""
    if isinstance(value, int):
        return to_arrow(np.array([value]))[0]
    text = value.encode()
    offsets = np.array([0, len(text)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(text)])[0]
