"""`RunSummary`: what a run made, how good it is and how long it took."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

COMPUTE = frozenset({"generate", "ingest", "train", "evaluate", "publish"})
"""Stages that do the work; the others, and what lies between stages, are the price of orchestration:
Prefect, validation, tracking and registry."""


class RunSummary(BaseModel):
    """The result of an `item-embeddings` run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    """Name of the run: of its folder and of its MLflow run."""
    folder: Path
    """Catalogue, validation, codec, model and evaluation."""
    bundle: Path
    """The published bundle."""
    items: int
    """Items published."""
    refused: int
    """Rows of the table that were put into quarantine."""
    dimension: int
    """Entries of an embedding."""
    model: str
    """Registered model."""
    version: int
    """Its version, the champion."""
    tracking_uri: str
    """MLflow store of the run."""
    metrics: dict[str, float]
    """Metrics of the evaluation."""
    warnings: tuple[str, ...]
    """Expectations that failed without stopping the run."""
    seconds: dict[str, float]
    """Duration of each stage."""
    total_seconds: float
    """Duration of all: of the flow or, where the command line ran it, from the command's start."""

    @property
    def compute_seconds(self) -> float:
        """Time in which the catalogue, the model, its evaluation and the bundle were made."""
        return sum(seconds for stage, seconds in self.seconds.items() if stage in COMPUTE)

    @property
    def orchestration_seconds(self) -> float:
        """All other time."""
        return self.total_seconds - self.compute_seconds

    def to_markdown(self) -> str:
        """A page for Prefect's artifacts."""
        facts = {
            "bundle": f"`{self.bundle}`",
            "items": f"{self.items:,} ({self.refused:,} rows refused)",
            "model": f"{self.model} version {self.version}, champion",
            "compute": f"{self.compute_seconds:.1f} s",
            "orchestration": f"{self.orchestration_seconds:.1f} s",
            **{f"{stage} stage": f"{seconds:.1f} s" for stage, seconds in self.seconds.items()},
            **{name: f"{value:.4g}" for name, value in self.metrics.items()},
        }
        rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
        page = f"# {self.run}\n\n| | |\n|---|---|\n{rows}\n"
        if self.warnings:
            page += "\nWarnings:\n\n" + "\n".join(f"- {warning}" for warning in self.warnings) + "\n"
        return page
