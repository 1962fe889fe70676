"""`RefreshSummary`: what a refresh came to: what was encoded, kept and removed, and whether items drifted."""

from __future__ import annotations

from pathlib import Path

from flows.summary import Timed, facts_page, out_option
from streamrec.console import align


class RefreshSummary(Timed):
    """The result of a `refresh-items` run."""

    run: str
    """Name of the run: of its folder and of its MLflow run."""
    folder: Path
    """Validation and summary."""
    source: str
    """Version of the bundle that was current."""
    bundle: Path | None
    """The new bundle; None where nothing had changed."""
    items: int
    """Items published now."""
    new: int
    """Items that the bundle did not have."""
    changed: int
    """Items that it had with other content."""
    kept: int
    """Items whose vectors were kept."""
    removed: int
    """Items that the table no longer has."""
    refused: int
    """Rows of the table that were put into quarantine."""
    model: str
    """Registered model."""
    version: int
    """Its version, the champion."""
    tracking_uri: str
    """MLflow store of the run."""
    recall: float
    """Share of true neighbours that the index finds, measured anew."""
    drifted: tuple[str, ...]
    """Columns that came to differ from what the encoder was trained on, and how."""
    warnings: tuple[str, ...]
    """Expectations that failed without stopping the run."""

    @property
    def headline(self) -> str:
        """One sentence on what became of the bundle."""
        if self.bundle is None:
            return f"Nothing changed: bundle {self.source} stays current."
        return (
            f"Published {self.items:,} items: {self.new:,} new, {self.changed:,} changed, "
            f"{self.kept:,} kept as they were; {self.removed:,} removed."
        )

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """That items drifted, before the others."""
        told = "items drifted: the encoder is to be trained again (streamrec run)"
        return (told, *self.warnings) if self.drifted else self.warnings

    def metrics(self) -> dict[str, float]:
        """The numbers worth tracking from run to run."""
        names = ("items", "new", "changed", "kept", "removed", "recall")
        return {f"refresh/{name}": float(getattr(self, name)) for name in names} | {
            "refresh/drifted": float(len(self.drifted))
        }

    def to_text(self) -> str:
        """The last screen of `streamrec refresh`."""
        refused = f"{self.refused:,} rows, kept in {self.folder / 'quarantine.parquet'}"
        blocks = [
            self.headline,
            *(f"warning: {warning}" for warning in self.all_warnings),
            align(
                [
                    ("bundle before", self.source),
                    *([("bundle", str(self.bundle))] if self.bundle else []),
                    ("model", f"{self.model} version {self.version}, the champion, in {self.tracking_uri}"),
                    ("recall", f"{self.recall:.2%} of true neighbours are found"),
                    *([("refused", refused)] if self.refused else []),
                    *self.duration_rows(),
                ]
            ),
            f"Next: streamrec info{out_option(self.folder)}",
        ]
        return "\n\n".join(blocks)

    def to_markdown(self) -> str:
        """A page for Prefect's artifacts."""
        facts = {
            "items": self.headline,
            "bundle before": f"`{self.source}`",
            **({"bundle": f"`{self.bundle}`"} if self.bundle else {}),
            "model": f"{self.model} version {self.version}, champion",
            "recall": f"{self.recall:.4f}",
            "rows refused": f"{self.refused:,}",
            **self.duration_facts(),
        }
        return facts_page(self.run, facts, self.all_warnings)
