"""Where a table's files lie: a local path or a URL, a file or a folder, and the format of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote

import fsspec
import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType, FSSpecHandler, LocalFileSystem, PyFileSystem

from streamrec.catalog.formats import ArrowTable, Format, ParquetTable, TableFile, TextTable, readable
from streamrec.errors import CatalogError

ATOMIC_ENDINGS = (".item", ".inter", ".user")
"""Endings of RecBole's atomic files: tab-separated, typed headers, no quoting."""
ENDINGS: dict[str, Format] = {
    **dict.fromkeys((".parquet", ".parq", ".pq"), "parquet"),
    ".csv": "csv",
    **dict.fromkeys((".tsv", ".tab", *ATOMIC_ENDINGS), "tsv"),
    **dict.fromkeys((".arrow", ".feather", ".ipc"), "arrow"),
}
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
"""Endings after which text is decompressed while it is read."""
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Part:
    """One file of the table and the partition columns that its folder names give it."""

    file: TableFile
    partition: dict[str, str | None]

    @property
    def schema(self) -> pa.Schema:
        """Columns of the file, then of the partition (text: folder names have no types)."""
        stored = self.file.schema
        return pa.schema(
            [*stored, *(pa.field(n, pa.string()) for n in self.partition if n not in stored.names)]
        )


def locate(path: str, format: Literal["auto"] | Format = "auto") -> tuple[str, Format, tuple[Part, ...]]:
    """What errors call the table (its path without credentials), its format, its files by path.

    Raises:
        CatalogError: nothing there, a URL nobody knows, no ending that tells the format, or a folder
            that mixes formats.
    """
    label = re.sub(r"//[^/@]*@", "//***@", path).rstrip("/")
    filesystem, root = _filesystem(path, label)
    with readable(label, "table"):
        info = filesystem.get_file_info(root)
        if info.type == FileType.NotFound:
            raise CatalogError(f"{label}: no such file or folder")
        if info.type == FileType.File:
            found = {label: root}
        else:
            listed = filesystem.get_file_info(FileSelector(root, recursive=True))
            files = sorted(item.path for item in listed if item.type == FileType.File)
            below = {file: _below(file, root) for file in files}
            found = {
                f"{label}/{relative}": file
                for file, relative in below.items()
                if not any(name[0] in "._" for name in relative.parts)
            }
    kind, labels = _choose(found, format, label)
    return (
        label,
        kind,
        tuple(
            Part(_file(filesystem, found[name], name, kind), _partition(name.removeprefix(label)))
            for name in labels
        ),
    )


def _filesystem(path: str, label: str) -> tuple[FileSystem, str]:
    if "://" not in path and "::" not in path:
        return LocalFileSystem(), str(Path(path).expanduser())
    try:
        return FileSystem.from_uri(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass  # not one of pyarrow's own
    try:
        filesystem, root = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError, OSError) as error:
        raise CatalogError(f"{label}: cannot open the URL: {' '.join(str(error).split())}") from error
    return PyFileSystem(FSSpecHandler(filesystem)), root


def _below(path: str, root: str) -> PurePosixPath:
    return PurePosixPath(path.replace("\\", "/").removeprefix(root.replace("\\", "/")).lstrip("/"))


def _format_of(name: str) -> Format | None:
    suffixes = [suffix for suffix in PurePosixPath(name.lower()).suffixes if suffix not in COMPRESSED]
    return ENDINGS.get(suffixes[-1]) if suffixes else None


def _choose(found: dict[str, str], format: Literal["auto"] | Format, label: str) -> tuple[Format, list[str]]:
    endings = {name: _format_of(name) for name in found}
    by_format = {kind: name for name, kind in endings.items() if kind is not None}
    if format == "auto" and len(by_format) > 1:
        shown = " and ".join(by_format.values())
        raise CatalogError(f"{label}: files of several formats ({shown}); set ingest.format to one of them")
    kind = format if format != "auto" else next(iter(by_format), None)
    if kind is None or not found:
        what = "an ending that tells the format" if label in found else "a table file in the folder"
        raise CatalogError(f"{label}: expected {what} ({', '.join(ENDINGS)}); else set ingest.format")
    return kind, [name for name in found if endings[name] == kind] or list(found)


def _file(filesystem: FileSystem, path: str, label: str, kind: Format) -> TableFile:
    if kind == "parquet":
        return ParquetTable(filesystem, path, label)
    if kind == "arrow":
        return ArrowTable(filesystem, path, label)
    name = path.lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return TextTable(filesystem, path, label, "\t" if kind == "tsv" else ",", name.endswith(ATOMIC_ENDINGS))


def _partition(relative: str) -> dict[str, str | None]:
    pairs = (folder.split("=", 1) for folder in PurePosixPath(relative).parts[:-1] if "=" in folder)
    return {unquote(key): None if value == HIVE_NULL else unquote(value) for key, value in pairs}
