"""Colours of pictures and report: a picture names each by its light value, the page swaps in its own."""

PAGE = "#ffffff"
"""Behind everything."""
INK = "#1b1f24"
"""Text and the names of things."""
SOFT = "#5b6570"
"""Text of less weight, axes."""
GRID = "#dfe3e7"
"""Grid lines, borders."""
FIRST = "#3566c9"
"""The main series."""
SECOND = "#d9730d"
"""The series beside it."""
ACCENT = "#1a8f6d"
"""A third."""
OTHER = "#aab2bc"
"""What is not told apart."""
GROUPS = ("#4e79a7", "#f28e2b", "#e15759", "#59a14f", "#b07aa1", "#edc948", "#76b7b2", "#9c755f")
"""Categories: read on light and dark pages alike."""

THEME = {
    PAGE: "card",
    INK: "ink",
    SOFT: "soft",
    GRID: "line",
    FIRST: "now",
    SECOND: "second",
    ACCENT: "third",
    OTHER: "then",
}
"""CSS custom property of the page that stands for each colour of a picture."""
