"""Facts about columns -> a role for each, with the reason: what `streamrec init` proposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from streamrec.catalog.cells import Role
from streamrec.catalog.names import is_code, key_rank, time_rank
from streamrec.catalog.observe import LONG_TEXT, MAX_REPEATS, NUMBERS, ColumnFacts, LabelFacts
from streamrec.config import ValidationConfig

MAX_ODD = 0.01
"""Share of cells that may fail to be numbers, or dates: they would be refused, the column is still one."""
ROWS_PER_CATEGORY = 10
"""Text repeats this often, on average, when its values are categories ..."""
FEW_CATEGORIES = 50
"""... or has no more values than this, each twice."""
MAX_LABELS = 1_000
ROWS_PER_LABEL = 3
"""A label is found this often, on average, when labels are what the delimiter separates."""
MIN_SEVERAL = {"|": 0.01, ";": 0.01, ",": 0.05, " ": 0.05}
"""Share of cells with two or more labels, by delimiter: commas and spaces also occur in plain text."""


@dataclass(frozen=True)
class Proposal:
    """The role proposed for a column and why."""

    role: Role | Literal["ignored"]
    reason: str
    delimiter: str | None = None


def propose(columns: Sequence[ColumnFacts]) -> list[Proposal]:
    """A role for each column, one item id and at most one timestamp among them.

    No column gets the role `item_id` when none can have it: unique and never missing, but for a share
    of `MAX_REPEATS` when its name is a key's.
    """
    ids = [(rank, _flaws(f), i) for i, f in enumerate(columns) if (rank := _id_rank(f)) is not None]
    chosen = min(ids)[-1] if ids else None
    proposals = [
        Proposal("item_id", "unique, never missing" if _flaws(facts) == 0 else _flawed(facts))
        if i == chosen
        else _propose(facts)
        for i, facts in enumerate(columns)
    ]
    dates = [i for i, proposal in enumerate(proposals) if proposal.role == "timestamp"]
    # The sort is stable: between names that say as much, the table's order decides.
    for i in (ranked := sorted(dates, key=lambda i: _time_rank(columns[i])))[1:]:
        proposals[i] = Proposal("ignored", f"a date; '{columns[ranked[0]].name}' is the timestamp")
    return proposals


def _id_rank(facts: ColumnFacts) -> int | None:
    if facts.repeats is None or facts.characters > LONG_TEXT * facts.present:
        return None
    rank = key_rank(facts.name)
    allowed = MAX_REPEATS * facts.rows if rank < 4 else 0
    return rank if _flaws(facts) <= allowed else None


def _time_rank(facts: ColumnFacts) -> float:
    rank = time_rank(facts.name)
    return float("inf") if rank is None else rank


def _flaws(facts: ColumnFacts) -> int:
    return facts.missing + (facts.repeats or 0)


def _flawed(facts: ColumnFacts) -> str:
    return f"{facts.missing:,} missing and {facts.repeats or 0:,} repeated ones would be refused"


def _propose(facts: ColumnFacts) -> Proposal:
    limit = ValidationConfig().max_null_share
    if facts.missing > limit * facts.rows:
        return Proposal("ignored", f"missing in {facts.missing / facts.rows:.0%} of the rows")
    if facts.distinct == 1 and not facts.missing:
        return Proposal("ignored", "the same value in every row")
    if facts.declared == "float_seq":
        return Proposal("ignored", "a vector, not a feature")
    if facts.family == "timestamp":
        return Proposal("timestamp", "a date type")
    if facts.family == "boolean":
        return Proposal("categorical", "boolean")
    if facts.family.startswith("list of "):
        return _propose_list(facts)
    if facts.family in NUMBERS:
        return _propose_number(facts)
    if facts.family == "text":
        return _propose_text(facts)
    return Proposal("ignored", f"no role holds {facts.family}")


def _propose_list(facts: ColumnFacts) -> Proposal:
    labels = facts.labels.get(None)
    if labels is None:
        return Proposal("ignored", f"{facts.family}: not labels")
    if labels.distinct < 2:
        return Proposal("ignored", "a single label")
    return Proposal("multi_label", "a list")


def _propose_number(facts: ColumnFacts) -> Proposal:
    odd = facts.present - facts.numbers
    if odd > MAX_ODD * facts.present:
        return Proposal("ignored", f"{odd:,} cells are no finite number")
    note = f"; {odd:,} cells are no finite number: their rows would be refused" if odd else ""
    is_time = time_rank(facts.name) is not None and facts.dates >= (1 - MAX_ODD) * facts.present
    if is_time and facts.earliest >= "1990" and facts.latest < "2100":
        return Proposal("timestamp", "numbers that are Unix time or dates" + note)
    if facts.maximum >= 2**63:
        return Proposal("ignored", "numbers beyond int64: a hash, not a quantity")
    if facts.whole and is_code(facts.name):
        if _is_categorical(facts):
            return Proposal("categorical", "integers under the name of a code" + note)
        return Proposal("ignored", "integers under the name of a code, too many to be categories")
    return Proposal("numeric", "numbers" + note)


def _propose_text(facts: ColumnFacts) -> Proposal:
    if facts.numbers >= (1 - MAX_ODD) * facts.present and not facts.padded:
        return _propose_number(facts)
    if facts.dates >= (1 - MAX_ODD) * facts.present:
        odd = facts.present - facts.dates
        return Proposal("timestamp", "text that is dates" + (f"; {odd:,} are not: refused" if odd else ""))
    for delimiter, labels in facts.labels.items():
        if delimiter is not None and _are_labels(delimiter, labels):
            reason = f"{labels.distinct:,} labels between '{delimiter}', several in {labels.several:.0%}"
            return Proposal("multi_label", reason, delimiter)
    if _is_categorical(facts):
        return Proposal("categorical", "text that repeats")
    if facts.characters > LONG_TEXT * facts.present:
        return Proposal("ignored", "long text")
    return Proposal("display", "text that hardly repeats")


def _is_categorical(facts: ColumnFacts) -> bool:
    if facts.distinct is None:
        return False
    few = facts.distinct <= FEW_CATEGORIES and 2 * facts.distinct <= facts.present
    return few or ROWS_PER_CATEGORY * facts.distinct <= facts.present


def _are_labels(delimiter: str, labels: LabelFacts) -> bool:
    repeated = 2 <= labels.distinct <= MAX_LABELS and labels.total >= ROWS_PER_LABEL * labels.distinct
    if not repeated or labels.several < MIN_SEVERAL[delimiter]:
        return False
    # Labels combine: more combinations than labels, in varying number. Names ("Ann Lee") and places
    # ("Paris, France") do not.
    return delimiter in "|;" or (
        2 * labels.distinct <= labels.cells and labels.varying >= MIN_SEVERAL[delimiter]
    )
