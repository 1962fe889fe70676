"""`Decision`: whether a challenger becomes champion, gate by gate, with reasons in words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from streamrec.errors import BundleError

DECISION, DECISION_TABLE = "decision.json", "decision.parquet"
"""Files of a run's folder."""
TAG_CHARACTERS = 1_000
"""Characters of a tag's value; MLflow takes 5,000 at most."""

Outcome = Literal["passed", "failed", "not applicable"]


class Row(BaseModel):
    """One gate and how it came out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gate: str
    """What is measured, as `purity of genre`."""
    champion: float | None = None
    """The champion's figure; None where it has none."""
    challenger: float | None = None
    bound: float | None = None
    """What the challenger's figure, given the benefit of its interval, is to reach."""
    outcome: Outcome
    reason: str
    """In words."""


class Decision(BaseModel):
    """What was decided about a challenger."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: tuple[Row, ...]
    """Gate by gate."""
    promoted: bool
    """Whether the challenger becomes champion: no gate failed, or it was forced."""
    forced: bool = False
    """Whether somebody promoted it although a gate failed."""
    why: str | None = None
    """The reason that was given for that."""
    champion: str | None = None
    """Version of the bundle whose models the challenger was compared with."""
    notes: tuple[str, ...] = ()
    """What to know of the comparison."""

    @classmethod
    def of(cls, rows: tuple[Row, ...], champion: str | None = None, notes: tuple[str, ...] = ()) -> Decision:
        """Promote unless a gate failed."""
        held = all(row.outcome != "failed" for row in rows)
        return cls(rows=rows, promoted=held, champion=champion, notes=notes)

    @classmethod
    def standing(cls, champion: str) -> Decision:
        """Of a challenger that the current bundle holds already."""
        return cls(rows=(), promoted=True, champion=champion, notes=(f"It is in use already: {champion}.",))

    def force(self, why: str) -> Decision:
        """The same findings, but promoted for a reason of somebody's own."""
        return self.model_copy(update={"promoted": True, "forced": True, "why": why})

    @property
    def failed(self) -> tuple[Row, ...]:
        """Gates that do not hold."""
        return tuple(row for row in self.rows if row.outcome == "failed")

    @property
    def headline(self) -> str:
        """One sentence."""
        if not self.rows and not self.forced:
            return self.notes[0] if self.notes else "Promoted: there are no gates."
        failed, applied = len(self.failed), sum(row.outcome != "not applicable" for row in self.rows)
        names = ", ".join(row.gate for row in self.failed)
        if self.forced:
            held = f"{failed} of {applied} gates did not hold ({names})" if failed else "all gates held"
            return f"Promoted by force, {held}: {self.why}"
        if failed:
            return f"Not promoted: {failed} of {applied} gates do not hold: {names}."
        of_champion = " against the champion" if self.champion else "; there was no champion to compare with"
        return f"Promoted: {applied} of {applied} gates hold{of_champion}."

    def lines(self) -> list[tuple[str, ...]]:
        """A header and a line per gate: gate, champion, challenger, bound, outcome, reason."""
        header = ("gate", "champion", "challenger", "at least", "outcome", "reason")
        return [
            header,
            *(
                (row.gate, *map(_figure, (row.champion, row.challenger, row.bound)), row.outcome, row.reason)
                for row in self.rows
            ),
        ]

    def to_table(self) -> pa.Table:
        """The rows as a table; what holds of all of them is in its metadata."""
        columns = {name: [getattr(row, name) for row in self.rows] for name in Row.model_fields}
        types = {"champion": pa.float64(), "challenger": pa.float64(), "bound": pa.float64()}
        schema = pa.schema([(name, types.get(name, pa.string())) for name in columns])
        rest = self.model_dump_json(exclude={"rows"})
        return pa.table(columns, schema=schema).replace_schema_metadata({b"streamrec.decision": rest})

    def to_markdown(self) -> str:
        """The headline, a table and the notes."""
        header, *rows = (tuple(cell.replace("|", "\\|") for cell in line) for line in self.lines())
        written = ["|" + "|".join(cells) + "|" for cells in (header, ("---",) * len(header), *rows)]
        return "\n\n".join([self.headline, "\n".join(written), *self.notes]) + "\n"

    def to_tags(self) -> dict[str, str]:
        """For a run and a model version of MLflow: the decision, and a tag per gate."""
        tags = {
            "promotion": "forced" if self.forced else "promoted" if self.promoted else "refused",
            "promotion.headline": self.headline,
            "promotion.champion": self.champion or "none",
            **({"promotion.why": self.why} if self.why else {}),
            **({"promotion.failed": ", ".join(row.gate for row in self.failed)} if self.failed else {}),
            **{_key(f"gate.{row.gate}"): f"{row.outcome}: {row.reason}" for row in self.rows},
        }
        return {name: value[:TAG_CHARACTERS] for name, value in tags.items()}

    def write(self, folder: Path) -> None:
        """Write `decision.json` and `decision.parquet`."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
        (folder / DECISION).write_text(text, encoding="utf-8")
        pq.write_table(self.to_table(), folder / DECISION_TABLE)

    @classmethod
    def read(cls, folder: Path) -> Decision:
        """What `write` wrote.

        Raises:
            BundleError: there is no decision, or it is damaged.
        """
        path = folder / DECISION
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise BundleError(f"{path}: no decision: {error.strerror}; the run came to none") from None
        except ValidationError as error:
            first = error.errors()[0]
            raise BundleError(f"{path}: not a decision: {first['msg']}; run again") from None


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _key(name: str) -> str:
    """A column may be called anything, a tag of MLflow may not."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:250]
