"""`RetrievalSummary`: what a run over users came to: whether its towers were published, and why."""

from __future__ import annotations

import shlex
from pathlib import Path

from flows.summary import Timed, facts_page, out_option
from streamrec.console import align


class RetrievalSummary(Timed):
    """The result of a `user-retrieval` run."""

    run: str
    """Name of the run: of its folder and of its MLflow run."""
    folder: Path
    """Events, validation, model, towers and rankings."""
    trained_on: str
    """Version of the bundle that has the items."""
    bundle: Path | None
    """The bundle published with the towers; None where they were not."""
    promotion: str
    """Whether they beat their baselines and hold against the champion, in a sentence."""
    items: int
    """Items of the bundle."""
    users: int
    """Users with a vector."""
    events: int
    """Events kept."""
    refused: int
    """Rows of the events that were put into quarantine."""
    model: str
    """Registered model."""
    version: int
    """Its version: the champion where it was published, else the challenger."""
    tracking_uri: str
    """MLflow store of the run."""
    split: str
    """How the events were split, and what that measures."""
    verdict: tuple[str, ...]
    """Whether the towers beat their baselines, and by how much."""
    metrics: dict[str, float]
    """The towers' figures on the test."""
    example: str
    """Id of a user, to recommend to."""
    warnings: tuple[str, ...]
    """Expectations that failed without stopping the run, and baselines left out."""

    @property
    def published(self) -> bool:
        """Whether the towers held against their gates and recommend now."""
        return self.bundle is not None

    @property
    def headline(self) -> str:
        """One sentence on what became of the towers."""
        if self.published:
            return f"Published towers for {self.users:,} users and {self.items:,} items."
        return (
            f"Not published: version {self.version} of {self.model} stays the challenger, and what was "
            f"published before stays as it was. {self.promotion}"
        )

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """That the towers were not published, before the others."""
        return self.warnings if self.published else (self.headline, *self.warnings)

    @property
    def rankings(self) -> Path:
        """The page of the comparison."""
        return self.folder / "rankings" / "rankings.html"

    def to_text(self) -> str:
        """The last screen of `streamrec retrieve`."""
        option = out_option(self.folder)
        alias = "champion" if self.published else "challenger"
        refused = f"{self.refused:,} rows, kept in {self.folder / 'quarantine.parquet'}"
        next_steps = [
            *([f"streamrec recommend --user {shlex.quote(self.example)}{option}"] if self.published else []),
            f"streamrec info{option}",
            f"mlflow ui --backend-store-uri {shlex.quote(self.tracking_uri)}",
        ]
        blocks = [
            self.headline if self.published else f"warning: {self.headline}",
            "\n".join(self.verdict),
            *(f"warning: {warning}" for warning in self.warnings),
            align(
                [
                    ("items of", self.trained_on),
                    *([("bundle", str(self.bundle))] if self.published else []),
                    ("promotion", self.promotion),
                    ("rankings", str(self.rankings)),
                    ("model", f"{self.model} version {self.version}, the {alias}, in {self.tracking_uri}"),
                    *([("refused", refused)] if self.refused else []),
                    *self.duration_rows(),
                ]
            ),
            "Next: " + "\n      ".join(next_steps),
        ]
        return "\n\n".join(blocks)

    def to_markdown(self) -> str:
        """A page for Prefect's artifacts."""
        facts = {
            "towers": self.headline,
            "promotion": self.promotion,
            "verdict": "<br>".join(self.verdict),
            "split": self.split,
            "items of": f"`{self.trained_on}`",
            **({"bundle": f"`{self.bundle}`"} if self.published else {}),
            "events": f"{self.events:,} ({self.refused:,} rows refused)",
            "users": f"{self.users:,}",
            "model": f"{self.model} version {self.version}, {'champion' if self.published else 'challenger'}",
            **self.duration_facts(),
            **{name: f"{value:.4g}" for name, value in self.metrics.items()},
        }
        return facts_page(self.run, facts, self.all_warnings)
