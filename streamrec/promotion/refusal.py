"""`refusal`: what is said where a challenger is not promoted, and what can be done."""

from __future__ import annotations

import shlex
from pathlib import Path

from streamrec.console import align
from streamrec.errors import NotPromotedError
from streamrec.promotion.decision import Decision


def refusal(decision: Decision, run: str, out: Path) -> NotPromotedError:
    """The error of a run, named with its folder of runs and bundles, that names the gates and the command."""
    option = "" if out.resolve() == Path("data").resolve() else f" --out {shlex.quote(str(out))}"
    failed = ", ".join(row.gate for row in decision.failed)
    return NotPromotedError(
        f"run {run}: not promoted, what was published stays: {failed} below the gate; find out why, or "
        f"publish it all the same: streamrec promote {run} --force --why REASON{option}",
        decision_screen(decision),
    )


def decision_screen(decision: Decision) -> str:
    """The headline, a line per gate, and the notes, for a terminal."""
    return "\n\n".join([decision.headline, align(decision.lines()), *decision.notes])
