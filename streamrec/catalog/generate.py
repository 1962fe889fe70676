"""`generate`: a synthetic item table of any size, with its ground truth beside it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streamrec.catalog import generate_independent as independent
from streamrec.catalog import generate_structured as structured
from streamrec.catalog.structured_parameters import structured_parameters
from streamrec.catalog.table import Catalog
from streamrec.config import GenerateConfig
from streamrec.errors import CatalogError, ConfigError
from streamrec.schema import FeatureSchema

CHUNK_ROWS = 65_536
"""Rows drawn at once and rows per Parquet row group; another value gives other tables."""

_SCHEMAS = {"independent": independent.SCHEMA, "structured": structured.SCHEMA}


def preset_schema(preset: str) -> FeatureSchema:
    """The schema of the tables that `generate` makes for a preset.

    Raises:
        ConfigError: no preset has that name.
    """
    try:
        return _SCHEMAS[preset]
    except KeyError:
        known = ", ".join(_SCHEMAS)
        raise ConfigError(f"generate.preset: found '{preset}', expected one of {known}") from None


def generate(
    config: GenerateConfig,
    path: str | Path,
    truth: str | Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Catalog:
    """Draw `config.items` rows into the Parquet file `path`, and the ground truth into `truth`.

    The columns, their equations and the form of the truth are those of the preset:
    `streamrec.catalog.generate_independent` (truth: an npz of the true parameters) or
    `streamrec.catalog.generate_structured` (truth: a Parquet, row for row beside the catalogue).

    Rows are drawn, written and forgotten `CHUNK_ROWS` at a time, each chunk from its own random stream,
    so memory does not grow with `items`, and a shorter table is a prefix of a longer one with the same
    seed. The same configuration gives the same bytes; numpy may change its streams in a new version.
    Neither file is seen under its name before both are complete.

    Args:
        config: preset, number of items, seed.
        path: the catalogue to write; an existing file is replaced.
        truth: the truth to write; an existing file is replaced.
        progress: called with (rows done, rows in all) after every chunk.

    Raises:
        CatalogError: `path` and `truth` are the same file, or one of them cannot be written.
    """
    path, truth = Path(path), None if truth is None else Path(truth)
    if truth is not None and truth.resolve() == path.resolve():
        raise CatalogError(f"{path}: named for both the catalogue and its truth; give the truth another name")
    write = _write_independent if config.preset == "independent" else _write_structured
    try:
        with contextlib.ExitStack() as stack:
            # Left in reverse order: the truth is in place before the catalogue it belongs to appears.
            catalog_file = stack.enter_context(_replacing(path))
            truth_file = None if truth is None else stack.enter_context(_replacing(truth))
            write(config, catalog_file, truth_file, progress or _no_progress)
    except OSError as error:
        where = error.filename or path
        raise CatalogError(f"{where}: cannot write the synthetic table: {error.strerror or error}") from error
    return Catalog(path, preset_schema(config.preset))


def _write_independent(
    config: GenerateConfig,
    catalog_file: BinaryIO,
    truth_file: BinaryIO | None,
    progress: Callable[[int, int | None], None],
) -> None:
    parameters = independent.independent_parameters(config.seed)
    if truth_file is not None:
        np.savez(truth_file, **parameters.arrays())
    with _writer(catalog_file, independent.ARROW_SCHEMA) as writer:
        for start, rows, rng in _chunks(config):
            batch = independent.draw(parameters, rng, start, CHUNK_ROWS)
            writer.write_batch(batch.slice(0, rows))
            progress(start + rows, config.items)


def _write_structured(
    config: GenerateConfig,
    catalog_file: BinaryIO,
    truth_file: BinaryIO | None,
    progress: Callable[[int, int | None], None],
) -> None:
    parameters = structured_parameters(config.seed)
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(_writer(catalog_file, structured.ARROW_SCHEMA))
        truth_writer = None
        if truth_file is not None:
            truth_writer = stack.enter_context(_writer(truth_file, structured.TRUTH_ARROW_SCHEMA))
        for start, rows, rng in _chunks(config):
            batch, truth = structured.draw(parameters, rng, start, CHUNK_ROWS)
            writer.write_batch(batch.slice(0, rows))
            if truth_writer is not None:
                truth_writer.write_batch(truth.slice(0, rows))
            progress(start + rows, config.items)


def _chunks(config: GenerateConfig) -> Iterator[tuple[int, int, np.random.Generator]]:
    for index, start in enumerate(range(0, config.items, CHUNK_ROWS)):
        stream = np.random.SeedSequence(config.seed, spawn_key=(1, index))
        yield start, min(CHUNK_ROWS, config.items - start), np.random.default_rng(stream)


def _writer(file: BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    # Drawn numbers hardly repeat: a dictionary of them is only built to be thrown away.
    texts = [field.name for field in schema if pa.types.is_string(field.type) and field.name != "item_id"]
    texts += [f"{field.name}.list.element" for field in schema if pa.types.is_list(field.type)]
    return pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=texts)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _no_progress(done: int, total: int | None) -> None:
    pass
