"""`RunSummary`: what a run made, how good it is and how long it took."""

from __future__ import annotations

import shlex
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from streamrec.console import align

COMPUTE = (
    "generate",
    "open",
    "ingest",
    "compare",
    "train",
    "align",
    "evaluate",
    "judge",
    "index",
    "publish",
    "augment",
    "samples",
    "report",
)
"""Stages that do the work. What is left is the price of orchestration."""
TRACKING = ("track", "register", "promote", "enrol", "announce")
"""Stages that speak to MLflow."""


class AugmentersSummary(BaseModel):
    """What a run's augmenters came to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: str | None = None
    """The one that was chosen; None where none could be."""
    reason: str | None = None
    """Why it was."""
    page: Path | None = None
    """The comparison."""
    model: str | None = None
    """Registered model of item rows."""
    version: int | None = None
    """Its version."""
    champion: bool = False
    """Whether it is the champion: not so where it gives training rows away."""
    error: str | None = None
    """What went wrong; the embeddings are published all the same."""

    def to_text(self) -> str:
        """The family and its version."""
        alias = "the champion" if self.champion else "the challenger: it gives training rows away"
        return f"{self.family}: {self.model} version {self.version}, {alias}"


class Timed(BaseModel):
    """Where the time of a run went."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: dict[str, float]
    """Duration of each stage."""
    total_seconds: float
    """Duration of all: of the flow or, where the command line ran it, from the command's start."""
    reused: dict[str, str] = {}
    """Stages that were not done again, and where their output came from."""

    @property
    def compute(self) -> dict[str, float]:
        """Seconds of the stages that made the catalogue, the model, its evaluation and the bundle."""
        return {stage: seconds for stage, seconds in self.seconds.items() if stage in COMPUTE}

    @property
    def orchestration(self) -> dict[str, float]:
        """All other seconds: validation, tracking with the registry, and Prefect with starting and ending."""
        validation = self.seconds.get("validate", 0.0)
        tracking = sum(self.seconds.get(stage, 0.0) for stage in TRACKING)
        rest = self.total_seconds - sum(self.compute.values()) - validation - tracking
        return {"Prefect": rest, "validation": validation, "tracking": tracking}

    @property
    def compute_seconds(self) -> float:
        """Sum of `compute`."""
        return sum(self.compute.values())

    @property
    def orchestration_seconds(self) -> float:
        """Sum of `orchestration`."""
        return sum(self.orchestration.values())

    def duration_rows(self) -> list[tuple[str, str]]:
        """The time in all, and what it went to, for a screen."""
        return [
            ("seconds", f"{self.total_seconds:.1f}"),
            ("  compute", f"{self.compute_seconds:.1f}: {_in_words(self.compute)}"),
            ("  orchestration", f"{self.orchestration_seconds:.1f}: {_in_words(self.orchestration)}"),
            *([("  reused", self.reused_in_words)] if self.reused else []),
        ]

    @property
    def reused_in_words(self) -> str:
        """The stages by where their output came from."""
        sources: dict[str, list[str]] = {}
        for stage, source in self.reused.items():
            sources.setdefault(source, []).append(stage)
        return "; ".join(f"{', '.join(stages)} from {source}" for source, stages in sources.items())

    def duration_facts(self) -> dict[str, str]:
        """The same and every stage, for a page."""
        return {
            "compute": f"{self.compute_seconds:.1f} s",
            "orchestration": f"{self.orchestration_seconds:.1f} s",
            **({"reused": self.reused_in_words} if self.reused else {}),
            **{f"{stage} stage": f"{seconds:.1f} s" for stage, seconds in self.seconds.items()},
        }


class RunSummary(Timed):
    """The result of an `item-embeddings` run."""

    run: str
    """Name of the run: of its folder and of its MLflow run."""
    folder: Path
    """Catalogue, validation, codec, model and evaluation."""
    bundle: Path | None
    """The published bundle; None where the encoder was refused."""
    promotion: str
    """Whether it holds against the champion, in a sentence."""
    items: int
    """Items of the catalogue, which are those of the bundle."""
    refused: int
    """Rows of the table that were put into quarantine."""
    dimension: int
    """Entries of an embedding."""
    model: str
    """Registered model."""
    version: int
    """Its version: the champion where it was published, else the challenger."""
    tracking_uri: str
    """MLflow store of the run."""
    metrics: dict[str, float]
    """Metrics of the evaluation."""
    example: str
    """Id of an item, to search with."""
    warnings: tuple[str, ...]
    """Expectations that failed without stopping the run."""
    augmenters: AugmentersSummary | None = None
    """Generative models of the rows; None where the configuration has none."""

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """That the encoder was refused, expectations that failed, augmenters that could not be fitted."""
        error = self.augmenters.error if self.augmenters else None
        refused = () if self.published else (self.promotion,)
        return refused + self.warnings + ((f"augmenters: {error}",) if error else ())

    @property
    def published(self) -> bool:
        """Whether the encoder held against the champion and is in use now."""
        return self.bundle is not None

    @property
    def headline(self) -> str:
        """One sentence on what became of the embeddings."""
        if self.published:
            return f"Published {self.items:,} items as embeddings of {self.dimension} numbers."
        return f"Nothing published: version {self.version} of {self.model} stays the challenger."

    @property
    def fitted_augmenters(self) -> AugmentersSummary | None:
        """The augmenters of a run that has some."""
        return self.augmenters if self.augmenters and self.augmenters.error is None else None

    def compared_with_pca(self) -> list[tuple[str, float, float]]:
        """Each metric that was also measured for a PCA of the same width: (name, ours, PCA's)."""
        names = [name.removeprefix("latent_") for name in self.metrics if name.startswith("latent_")]
        return [
            (name.replace("_", " "), self.metrics[f"latent_{name}"], self.metrics[f"pca_{name}"])
            for name in names
            if f"pca_{name}" in self.metrics and not name.endswith("euclidean")
        ]

    def to_text(self) -> str:
        """The last screen of `streamrec run`: what was made, how good it is, where it lies, what is next."""
        quality = [(name, f"{ours:.3f}", f"{pca:.3f}") for name, ours, pca in self.compared_with_pca()]
        option, alias = out_option(self.folder), self._alias
        refused = f"{self.refused:,} rows, kept in {self.folder / 'quarantine.parquet'}"
        fitted = self.fitted_augmenters
        blocks = [
            self.headline,
            align([("quality, at best 1", "these", "PCA"), *quality]),
            *(f"warning: {warning}" for warning in self.all_warnings),
            align(
                [
                    *([("bundle", str(self.bundle))] if self.published else []),
                    ("promotion", self.promotion),
                    ("report", str(self.folder / "report.html")),
                    ("model", f"{self.model} version {self.version}, the {alias}, in {self.tracking_uri}"),
                    *([("augmenter", fitted.to_text()), ("  compared", str(fitted.page))] if fitted else []),
                    *([("refused", refused)] if self.refused else []),
                    *self.duration_rows(),
                ]
            ),
            f"Next: streamrec search --item {shlex.quote(self.example)}{option}\n"
            f"      streamrec info{option}\n"
            f"      mlflow ui --backend-store-uri {shlex.quote(self.tracking_uri)}",
        ]
        return "\n\n".join(blocks)

    def to_markdown(self) -> str:
        """A page for Prefect's artifacts."""
        fitted = self.fitted_augmenters
        facts = {
            **({"bundle": f"`{self.bundle}`"} if self.published else {}),
            "promotion": self.promotion,
            "items": f"{self.items:,} ({self.refused:,} rows refused)",
            "model": f"{self.model} version {self.version}, {self._alias}",
            **({"augmenter": fitted.to_text()} if fitted else {}),
            **self.duration_facts(),
            **{name: f"{value:.4g}" for name, value in self.metrics.items()},
        }
        return facts_page(self.run, facts, self.all_warnings)

    @property
    def _alias(self) -> str:
        return "champion" if self.published else "challenger"


def facts_page(title: str, facts: dict[str, str], warnings: tuple[str, ...]) -> str:
    """Facts by name and warnings as Markdown."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    page = f"# {title}\n\n| | |\n|---|---|\n{rows}\n"
    if warnings:
        page += "\nWarnings:\n\n" + "\n".join(f"- {warning}" for warning in warnings) + "\n"
    return page


def out_option(folder: Path) -> str:
    """` --out FOLDER` for commands about a run in `folder`; nothing where that is the default."""
    out = folder.parents[1]
    return "" if out == Path("data").resolve() else f" --out {shlex.quote(str(out))}"


def _in_words(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
