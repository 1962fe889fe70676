"""`FeatureCodec`: rows of the catalogue to the arrays a model reads, and back."""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamrec.catalog.encoded import EncodedRows
from streamrec.catalog.numbers import NumberCodec
from streamrec.catalog.scaling import Scaler
from streamrec.catalog.vocabulary import CategoryCodec, LabelCodec
from streamrec.config import CodecConfig
from streamrec.errors import BundleError, CatalogError, ConfigError
from streamrec.files import replacing
from streamrec.layout import FeatureLayout
from streamrec.schema import FeatureSchema

FORMAT = 1
"""Version of the stored form; another one is refused."""
BLOCK_ROWS = 65_536
"""Rows encoded at once: the columns of a block are written into its rows while they are in cache."""


@dataclass(frozen=True)
class FeatureCodec:
    """Fitted translation between a schema's feature columns and `EncodedRows`.

    Fitted on training rows only and stored beside every model trained on its output: two codecs with
    the same `fingerprint` encode alike. What is exact in `decode(encode(rows))`: categories and labels
    of the vocabulary; missing cells, but that a missing list becomes an empty one; atoms; any number of
    a `quantile` column with at most 1,000 distinct training values; integers and booleans of a
    `standard` column within four million of its mean. Other training values come back within the
    rounding of their score to float32, a small part of the distance between the knots around them.
    Integers beyond 2**53 are rounded to the nearest float64, numbers beyond 1e300 to 1e300.
    """

    schema: FeatureSchema
    categories: tuple[CategoryCodec, ...]
    labels: tuple[LabelCodec, ...]
    numbers: tuple[NumberCodec, ...]

    @classmethod
    def fit(
        cls, table: pa.Table | pa.RecordBatch, schema: FeatureSchema, config: CodecConfig
    ) -> FeatureCodec:
        """Learn vocabularies, atoms and scalings from the training rows.

        The result depends on the rows only, not on their order or chunking.

        Raises:
            CatalogError: no rows, or a feature column is absent or of a type its role cannot have.
            ConfigError: `config.columns` names a column that is not numeric.
        """
        for name in config.columns:
            if name not in schema.numeric:
                close = difflib.get_close_matches(name, schema.numeric, n=1)
                hint = f"; did you mean '{close[0]}'?" if close else ""
                raise ConfigError(f"codec.columns: '{name}' is not a numeric column of the schema{hint}")
        if table.num_rows == 0:
            raise CatalogError("item table: found no rows, expected at least one to fit the codec on")
        return cls(
            schema,
            tuple(
                CategoryCodec.fit(name, _column(table, name), config.max_categories)
                for name in schema.categorical
            ),
            tuple(LabelCodec.fit(c, _column(table, c.name), config.max_labels) for c in schema.multi_label),
            tuple(NumberCodec.fit(name, _column(table, name), config) for name in schema.numeric),
        )

    @property
    def layout(self) -> FeatureLayout:
        """Names and sizes of the encoded columns."""
        return FeatureLayout(
            categorical=tuple((codec.name, codec.codes) for codec in self.categories),
            multi_label=tuple((codec.name, len(codec.vocabulary)) for codec in self.labels),
            numeric=tuple((codec.name, codec.states) for codec in self.numbers),
            nullable=tuple(
                [codec.name for codec in self.categories if codec.nullable]
                + [codec.name for codec in self.numbers if codec.nullable]
            ),
        )

    def encode(self, rows: pa.Table | pa.RecordBatch) -> EncodedRows:
        """Encode rows (n,) that have at least the schema's feature columns; every number is finite.

        Column types may differ from the training table's where the values are unambiguous: integers
        for floats, dictionary-encoded or large strings, columns of nulls, labels as delimited text.

        Raises:
            CatalogError: a feature column is absent, there twice, or holds values of another kind.
        """
        columns = {name: _column(rows, name) for name in self.schema.feature_columns}
        encoded = self._allocate(rows.num_rows)
        for start in range(0, rows.num_rows, BLOCK_ROWS):
            block = encoded[start : start + BLOCK_ROWS]
            cells = {name: column.slice(start, BLOCK_ROWS) for name, column in columns.items()}
            for index, category in enumerate(self.categories):
                block.categories[:, index] = category.encode(cells[category.name])
            for label, where in self._label_slices():
                block.labels[:, where] = label.encode(cells[label.name])
            for index, number in enumerate(self.numbers):
                block.numbers[:, index], block.states[:, index] = number.encode(cells[number.name])
        return encoded

    def decode(self, rows: EncodedRows) -> pa.Table:
        """The feature columns of rows (n,), also of generated ones, in the order of the schema.

        Types are those of the training table. Ordinary numbers are finite and within the training
        range whatever the scaled number; missing and unseen categories are null; a missing list is an
        empty list.

        Raises:
            CatalogError: an array's shape, a code or a state does not belong to this codec.
        """
        self._check(rows)
        columns = {
            **{codec.name: codec.decode(rows.categories[:, i]) for i, codec in enumerate(self.categories)},
            **{codec.name: codec.decode(rows.labels[:, where]) for codec, where in self._label_slices()},
            **{
                codec.name: codec.decode(rows.numbers[:, i], rows.states[:, i])
                for i, codec in enumerate(self.numbers)
            },
        }
        return pa.table({name: columns[name] for name in self.schema.feature_columns})

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over everything `encode` and `decode` depend on."""
        digest = hashlib.sha256(json.dumps(self._to_dict(), sort_keys=True).encode())
        for knots in self._knots().values():
            digest.update(knots.astype("<f8").tobytes())
        return digest.hexdigest()[:16]

    def save(self, folder: str | Path) -> None:
        """Write `codec.json` and `codec.npz`; equal codecs give equal bytes.

        Each file appears whole, and `load` refuses one of an older codec beside one of a newer.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = io.BytesIO()
        np.savez(arrays, allow_pickle=False, **self._knots())
        _replace(folder / "codec.npz", arrays.getvalue())
        data = {"format": FORMAT, "fingerprint": self.fingerprint, **self._to_dict()}
        _replace(folder / "codec.json", json.dumps(data, indent=1, ensure_ascii=False).encode())

    @classmethod
    def load(cls, folder: str | Path) -> FeatureCodec:
        """Inverse of `save`.

        Raises:
            BundleError: a file is absent, of another format version, broken, or of another codec.
        """
        folder = Path(folder)
        try:
            data = json.loads((folder / "codec.json").read_bytes())
            if data["format"] != FORMAT:
                raise BundleError(
                    f"{folder / 'codec.json'}: found format {data['format']!r}, expected {FORMAT}; "
                    "load it with the version of streamrec that wrote it"
                )
            with np.load(folder / "codec.npz", allow_pickle=False) as arrays:
                codec = cls._from_dict(data, {name: arrays[name] for name in arrays.files})
        except OSError as error:
            raise BundleError(f"{folder}: cannot read the codec: {error}; restore both its files") from error
        except (ValueError, LookupError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise BundleError(
                f"{folder}: codec.json or codec.npz is broken ({type(error).__name__}); restore both files"
            ) from error
        if codec.fingerprint != data["fingerprint"]:
            raise BundleError(
                f"{folder}: the codec has fingerprint {codec.fingerprint}, expected {data['fingerprint']}: "
                "a file was altered or belongs to another codec; restore both files"
            )
        return codec

    def _to_dict(self) -> dict[str, Any]:
        return {
            "schema": self.schema.model_dump(mode="json"),
            "categories": [codec.to_dict() for codec in self.categories],
            "labels": [codec.to_dict() for codec in self.labels],
            "numbers": [codec.to_dict() for codec in self.numbers],
        }

    def _knots(self) -> dict[str, NDArray[np.float64]]:
        arrays = {}
        for index, codec in enumerate(self.numbers):
            arrays[f"{index}.values"] = codec.scaler.values
            arrays[f"{index}.scores"] = codec.scaler.scores
        return arrays

    @classmethod
    def _from_dict(cls, data: dict[str, Any], knots: dict[str, NDArray[np.float64]]) -> FeatureCodec:
        return cls(
            FeatureSchema.model_validate(data["schema"]),
            tuple(CategoryCodec.from_dict(item) for item in data["categories"]),
            tuple(LabelCodec.from_dict(item) for item in data["labels"]),
            tuple(
                NumberCodec.from_dict(item, Scaler(knots[f"{index}.values"], knots[f"{index}.scores"]))
                for index, item in enumerate(data["numbers"])
            ),
        )

    def _label_slices(self) -> Iterator[tuple[LabelCodec, slice]]:
        start = 0
        for codec in self.labels:
            yield codec, slice(start, start + len(codec.vocabulary))
            start += len(codec.vocabulary)

    def _allocate(self, rows: int) -> EncodedRows:
        return EncodedRows(
            categories=np.empty((rows, len(self.categories)), dtype=np.int64),
            labels=np.empty((rows, self.layout.label_width), dtype=np.float32),
            numbers=np.empty((rows, len(self.numbers)), dtype=np.float32),
            states=np.empty((rows, len(self.numbers)), dtype=np.int64),
        )

    def _check(self, rows: EncodedRows) -> None:
        expected = self._allocate(0)
        for kind in ("categories", "labels", "numbers", "states"):
            shape, width = getattr(rows, kind).shape, getattr(expected, kind).shape[1]
            if shape != (len(rows), width):
                raise CatalogError(f"encoded rows: {kind} has shape {shape}, expected ({len(rows)}, {width})")
        for codes, sizes in ((rows.categories, self.layout.categorical), (rows.states, self.layout.numeric)):
            for index, (name, size) in enumerate(sizes):
                wrong = (codes[:, index] < 0) | (codes[:, index] >= size)
                if wrong.any():
                    found = codes[np.argmax(wrong), index]
                    raise CatalogError(f"encoded rows: '{name}' holds {found}, expected 0 to {size - 1}")


def _column(rows: pa.Table | pa.RecordBatch, name: str) -> pa.ChunkedArray:
    found = rows.schema.get_all_field_indices(name)
    if len(found) != 1:
        problem = "no column" if not found else f"{len(found)} columns named"
        raise CatalogError(
            f"item table: {problem} '{name}', expected one; found {', '.join(rows.schema.names)}"
        )
    column = rows.column(found[0])
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _replace(path: Path, content: bytes) -> None:
    with replacing(path) as partial:
        partial.write_bytes(content)
