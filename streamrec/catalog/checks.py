"""`Check` and `ValidationResult`: what was expected of a catalogue, what was found, and what to do."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamrec.errors import ValidationFailedError

Severity = Literal["critical", "warning"]

NAMED_FAILURES = 3
"""Failures that an error names; the page has all of them."""


@dataclass(frozen=True)
class Check:
    """One expectation about the catalogue and how it came out."""

    name: str
    """What is checked: `columns`, `row_count`, `type`, `unique`, `missing`, `drift`, ..."""
    column: str | None
    """The column it is about; None: the table."""
    severity: Severity
    """A failed `critical` check stops the run, a failed `warning` is shown."""
    success: bool
    expected: str
    """In a few words, for people."""
    observed: str
    """In a few words, for people."""

    def __str__(self) -> str:
        subject = "table" if self.column is None else f"column '{self.column}'"
        return f"{subject}: {self.name}: expected {self.expected}, found {self.observed}"


@dataclass(frozen=True)
class ValidationResult:
    """Outcome of all checks and where it was written."""

    catalog: Path
    """The file that was checked."""
    rows: int
    sampled_rows: int
    """Rows on which shares of missing and unseen values were measured; all rows where it equals `rows`."""
    reference_rows: int | None
    """Rows of the reference profile; None without one."""
    seconds: float
    checks: tuple[Check, ...]
    """Table first, then column by column in the schema's order."""
    notes: tuple[str, ...]
    """What could not be done without harm to the result, for people."""
    files: dict[str, Path]
    """`result` (JSON), `summary` (page) and, where they could be built, `data_docs` (index page)."""

    @property
    def success(self) -> bool:
        """Whether no critical check failed."""
        return not self.critical_failures

    @property
    def critical_failures(self) -> tuple[Check, ...]:
        """Failed checks that stop the run."""
        return tuple(c for c in self.checks if not c.success and c.severity == "critical")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """Failed checks that are only shown."""
        return tuple(c for c in self.checks if not c.success and c.severity == "warning")

    @property
    def drifted(self) -> tuple[Check, ...]:
        """Failed checks of columns that differ from the reference: in their shares, or by unknown values."""
        return tuple(c for c in self.checks if not c.success and c.name in ("drift", "vocabulary"))

    def raise_for_critical(self) -> None:
        """Stop here if a critical check failed.

        Raises:
            ValidationFailedError: one line with the file and the first failures.
        """
        failures = self.critical_failures
        if failures:
            first = "; ".join(str(check) for check in failures[:NAMED_FAILURES])
            more = f"; and {len(failures) - NAMED_FAILURES} more" if len(failures) > NAMED_FAILURES else ""
            raise ValidationFailedError(f"{self.catalog}: {first}{more}; see {self.files['summary']}")

    def summary_rows(self) -> list[tuple[str, str, str, str]]:
        """A row per kind of check for a terminal: (check, outcome, passed, first failure).

        The outcome is `failed`, `warning` or `passed`; failures come first.
        """
        kinds: dict[str, list[Check]] = defaultdict(list)
        for check in self.checks:
            kinds[check.name].append(check)
        rows = []
        for name, checks in kinds.items():
            failed = [check for check in checks if not check.success]
            critical = any(check.severity == "critical" for check in failed)
            outcome = "failed" if critical else "warning" if failed else "passed"
            detail = ""
            if failed:
                subject = "" if failed[0].column is None else f"{failed[0].column}: "
                more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
                detail = f"{subject}found {failed[0].observed}, expected {failed[0].expected}{more}"
            rows.append((name, outcome, f"{len(checks) - len(failed)} of {len(checks)}", detail))
        return sorted(rows, key=lambda row: ("failed", "warning", "passed").index(row[1]))
