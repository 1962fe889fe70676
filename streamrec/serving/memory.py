"""`give_back`: memory that reading a bundle has left unused."""

from __future__ import annotations

import ctypes

import pyarrow as pa


def give_back() -> None:
    """Return unused memory to the system: Arrow's allocator, and glibc's where there is one, keep it else.

    Of a bundle of a million items that is as much as its vectors.
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
