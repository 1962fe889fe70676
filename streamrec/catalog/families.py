"""What an Arrow type means, whatever its width and encoding."""

from __future__ import annotations

import pyarrow as pa


def family(kind: pa.DataType) -> str:
    """What a type means, whatever its encoding: text, integer, float, timestamp, `list of text` ..."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return family(kind.storage_type)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return family(kind.value_type)
    if is_list(kind):
        return f"list of {family(kind.value_type)}"
    for name, test in (
        ("null", types.is_null),
        ("text", lambda t: types.is_string(t) or types.is_large_string(t) or types.is_string_view(t)),
        ("text", lambda t: types.is_binary(t) or types.is_large_binary(t) or types.is_binary_view(t)),
        ("boolean", types.is_boolean),
        ("unsigned 64-bit integer", types.is_uint64),
        ("integer", types.is_integer),
        ("float", types.is_floating),
        ("decimal", types.is_decimal),
        ("timestamp", lambda t: types.is_timestamp(t) or types.is_date(t)),
    ):
        if test(kind):
            return name
    return str(kind)


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's five list types."""
    types = pa.types
    views = types.is_list_view(kind) or types.is_large_list_view(kind)
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind) or views)


def merge(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that both can be read as, None where there is none; integer and float give `float64`."""
    families = {family(one), family(other)}
    if "null" in families:
        return other if family(one) == "null" else one
    if families == {"integer", "float"}:
        return pa.float64()
    return one if len(families) == 1 else None
