"""What the pages of an evaluation share: style sheet, macros, filters; how pages and tables are written."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from streamrec.evaluation import formats
from streamrec.files import replacing


@dataclass(frozen=True)
class Cell:
    """A figure as it is read: see `cells` in `figures.html`."""

    mean: str
    range: str = ""
    """Empty where it is a single value as written."""
    best: bool = False


def environment() -> Environment:
    """Templates that escape what they show, with the functions of `formats` as filters, `page.css` as `style`
    and the macros of `figures.html`."""
    made = Environment(
        loader=PackageLoader("streamrec.evaluation", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters |= {
        "count": formats.count,
        "number": formats.number,
        "percent": formats.percent,
        "seconds": formats.seconds,
        "size": formats.size,
        "cell": formats.cell,
        "breakable": formats.breakable,
    }
    made.globals["style"] = Markup((files("streamrec.evaluation") / "page.css").read_text("utf-8"))
    return made


def write_page(path: Path, page: str) -> None:
    """Write the page, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")


def write_table(path: Path, table: pa.Table) -> None:
    """Write the Parquet file, whole or not at all."""
    with replacing(path) as partial:
        pq.write_table(table, partial)
