"""What the command line shows while it works: a bar per stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

LINE_SECONDS = 10.0
"""Away from a terminal, a stage in progress gets a line at most this often."""


class StageDisplay:
    """Shows stages that follow one another; a context manager. It writes to the standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._bar = self._bars.add_task("", visible=False)
        self._next_line = 0.0

    def __enter__(self) -> StageDisplay:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def started(self, stage: str) -> None:
        """Show a bar for `stage`, without an end until it is known."""
        self._bar = self._bars.add_task(stage, total=None)
        self._next_line = time.monotonic() + LINE_SECONDS

    def advanced(self, stage: str, done: int, total: int | None) -> None:
        """Move the bar to `done` of `total`."""
        self._bars.update(self._bar, completed=done, total=total)
        if not self._console.is_terminal and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_SECONDS
            self._line(stage, f"{done:,}" if total is None else f"{done:,} of {total:,}")

    def finished(self, stage: str, seconds: float) -> None:
        """Replace the bar by a line with the duration."""
        self._bars.remove_task(self._bar)
        self._line(stage, f"{seconds:.1f} s")

    def reused(self, stage: str, seconds: float, source: str) -> None:
        """The same, with where the stage's output came from."""
        self._bars.remove_task(self._bar)
        self._line(stage, f"{seconds:.1f} s, reused from {source}")

    def told(self, line: str) -> None:
        """A line of its own."""
        self._console.print(f"  {line}", highlight=False)

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int | None], None]]:
        """A stage that lasts as long as the `with` block, whose value takes its progress."""
        self.started(name)
        start = time.perf_counter()
        yield lambda done, total: self.advanced(name, done, total)
        self.finished(name, time.perf_counter() - start)

    def _line(self, stage: str, text: str) -> None:
        self._console.print(f"  {stage:<12} {text}", highlight=False)


def align(rows: Iterable[Sequence[str]], indent: int = 0) -> str:
    """Rows of cells as lines, columns padded to their widest cell and set apart by two spaces."""
    lines = [list(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        " " * indent + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
