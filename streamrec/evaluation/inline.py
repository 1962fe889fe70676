"""`inline_svg`: a picture's file as a part of an HTML page that follows the page's colours and font."""

from __future__ import annotations

import re

from streamrec.evaluation.colours import THEME

_DROPPED = re.compile(
    r"^.*?(?=<svg )|<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|\s*xmlns(:xlink)?=\"[^\"]*\"", re.S
)
_SIZE = re.compile(r'(<svg\b[^>]*?) width="[^"]*" height="[^"]*"')
_IMAGE_ID = re.compile(r'(<image\b[^>]*?) id="[^"]*"')
"""Nothing refers to it, and equal images have equal ones."""
_IDS = re.compile(r'(\bid="|url\(#|href="#)')
_STYLE = re.compile(r'style="[^"]*"')
_FONT = re.compile(r"font-family: [^;\"]*|'DejaVu Sans'[^;\"]*")


def inline_svg(svg: bytes, name: str, label: str) -> str:
    """The `<svg>` element of a file that `plots.to_svg` wrote.

    Colours become the page's custom properties (`colours.THEME`), text takes its font, ids begin with `name`
    so that several pictures share a page, and the picture is as wide as its place allows.
    """
    text = _DROPPED.sub("", svg.decode("utf-8"))
    text = _SIZE.sub(r"\1", text, count=1)
    text = _IMAGE_ID.sub(r"\1", text)
    text = _IDS.sub(rf"\g<1>{name}-", text)
    text = _STYLE.sub(_themed, text)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _themed(match: re.Match[str]) -> str:
    style = _FONT.sub(lambda found: ("font-family: " * found[0].startswith("font")) + "inherit", match[0])
    for colour, name in THEME.items():
        style = style.replace(colour, f"var(--{name})")
    return style
