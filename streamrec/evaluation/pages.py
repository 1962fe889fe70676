"""What the HTML pages of an evaluation share: style sheet, filters, and how a page is written."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from streamrec.evaluation import formats


def environment() -> Environment:
    """Templates that escape what they show, with the functions of `formats` as filters and `page.css` as
    `style`."""
    made = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
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
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
