"""What a run is told: a model per kind of run and stage, loaded from YAML, overridden by `--set a.b=c`."""

from __future__ import annotations

import difflib
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import TypeVar

from streamrec.augmenters.settings import AugmentersConfig
from streamrec.errors import ConfigError
from streamrec.models.settings import ItemVAEConfig
from streamrec.promotion.gates import GatesConfig
from streamrec.schema import FeatureSchema
from streamrec.stages.settings import StagesConfig
from streamrec.training.settings import TrainConfig


class Stage(BaseModel):
    """Settings of a stage: unknown names are refused, nothing changes in place."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GenerateConfig(Stage):
    """Make a synthetic item table."""

    preset: Literal["independent", "structured"] = "independent"
    """`independent`: numbers drawn per category; `structured`: shaped like a real catalogue."""
    items: int = Field(20_000, ge=1)
    """Number of rows."""
    seed: int = Field(42, ge=0)
    """Seed of the draws."""


class IngestConfig(Stage):
    """Read the user's item table."""

    path: str
    """File, folder (also partitioned) or fsspec/pyarrow URL."""
    format: Literal["auto", "parquet", "csv", "tsv", "arrow"] = "auto"
    """`auto` goes by the file's ending; a `.tsv`/`.item`/`.inter` file is tab-separated."""
    max_quarantined_share: float = Field(0.05, ge=0, le=1)
    """The run stops when more than this share of the rows breaks a row rule."""
    batch_rows: int = Field(65_536, ge=1)
    """Rows held in memory at once."""


class ValidationConfig(Stage):
    """What is expected of the item table as a whole."""

    min_rows: int = Field(1, ge=1)
    """Critical: at least this many rows."""
    max_rows: int | None = Field(None, ge=1)
    """Critical: at most this many rows."""
    max_row_count_change: float = Field(0.5, gt=0)
    """Critical: the row count may differ from the last published run's by at most this share."""
    max_null_share: float = Field(0.9, ge=0, le=1)
    """Critical: share of missing cells allowed in a feature column."""
    max_unseen_share: float = Field(0.1, ge=0, le=1)
    """Warning: share of a column's rows whose category the last published run did not know."""
    max_drift: float = Field(0.5, gt=0)
    """Warning: KL divergence (nats) of a column from the last published run's reference profile."""
    drift_is_critical: bool = False
    """Stop the run on drift instead of warning."""
    sample_rows: int = Field(200_000, ge=1_000)
    """Expectations on values run on at most this many rows (a seeded sample)."""


class CodecConfig(Stage):
    """How rows become numbers."""

    scaling: Literal["auto", "quantile", "standard"] = "auto"
    """`standard`: mean 0, standard deviation 1; `quantile`: to a standard normal by ranks;
    `auto`: per column, `standard` where it is close to normal or a short mixture, else `quantile`."""
    columns: dict[str, Literal["quantile", "standard"]] = Field(default_factory=dict)
    """Scaling of single columns, over `scaling`."""
    min_atom_share: float = Field(0.02, gt=0, le=1)
    """An exact value held by at least this share of the rows becomes an atom."""
    max_atoms: int = Field(4, ge=0)
    """At most this many atoms per column, the most frequent first."""
    max_categories: int = Field(1_000, ge=1)
    """Vocabulary size per categorical column; rarer values are treated as unseen."""
    max_labels: int = Field(500, ge=1)
    """Vocabulary size per multi-label column; rarer labels are dropped."""


class EvaluateConfig(Stage):
    """What is measured of the trained encoder."""

    queries: int = Field(1_000, ge=10)
    """Held-out items whose neighbours are compared with the feature space's."""
    reference_rows: int = Field(20_000, ge=100)
    """Items searched for neighbours during the evaluation (a seeded sample of the table)."""
    k: int = Field(10, ge=1)
    """Neighbours per item."""


class StoreConfig(Stage):
    """Where runs and models are recorded."""

    uri: str | None = None
    """MLflow tracking URI; None: MLFLOW_TRACKING_URI, else SQLite under `mlflow/`."""
    experiment: str
    """MLflow experiment."""
    model_name: str
    """Registered model."""


class TrackConfig(StoreConfig):
    """Where runs over items, and their models, are recorded."""

    experiment: str = "streamrec-items"
    """MLflow experiment."""
    model_name: str = "streamrec-item-encoder"
    """Registered model."""
    augmenter_name: str = "streamrec-augmenter"
    """Registered model of item rows, where augmenters are fitted."""


class PublishConfig(Stage):
    """How the bundle is written."""

    index: Literal["auto", "flat", "ivf"] = "auto"
    """`auto`: exact (flat) up to 100,000 items, inverted lists (ivf) above."""
    min_recall: float = Field(0.99, gt=0, le=1)
    """ANN recall@10 against exact search that the index must reach; the search is widened until it does."""
    keep: int = Field(3, ge=1)
    """Bundles kept, the current one included."""
    log_variance: bool = False
    """Also publish the log-variance of each latent."""


class RunConfig(Stage):
    """A whole run. Exactly one of `generate` and `ingest` says where the rows come from."""

    seed: int = Field(42, ge=0)
    """Seed of everything random after the rows exist: split, initial weights, batches, evaluation."""
    out: Path = Path("data")
    """Folder for runs and published bundles."""
    generate: GenerateConfig | None = None
    ingest: IngestConfig | None = None
    features: FeatureSchema | None = None
    """The schema; optional with `generate`, whose tables know their own."""
    validation: ValidationConfig = ValidationConfig()
    codec: CodecConfig = CodecConfig()
    model: ItemVAEConfig = Field(default_factory=ItemVAEConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = EvaluateConfig()
    gates: GatesConfig = GatesConfig()
    track: TrackConfig = TrackConfig()
    publish: PublishConfig = PublishConfig()
    stages: StagesConfig = StagesConfig()
    augmenters: AugmentersConfig | None = None
    """Generative models of the item rows; none are fitted without this section."""

    @model_validator(mode="after")
    def _one_source(self) -> RunConfig:
        if (self.generate is None) == (self.ingest is None):
            raise ValueError("give exactly one of 'generate' and 'ingest'")
        if self.ingest is not None and self.features is None:
            raise ValueError("'ingest' needs 'features' (make a first draft with `streamrec init TABLE`)")
        if self.generate is not None and self.features is not None:
            raise ValueError("'generate' knows its own features; remove 'features'")
        return self


class RefreshConfig(Stage):
    """A run that brings the published items up to date. The file of a whole run will do.

    Settings that only a whole run has are passed over: the encoder is the published one.
    """

    out: Path = Path("data")
    """Folder for runs and published bundles; its current bundle is refreshed."""
    ingest: IngestConfig
    """Where the items are now."""
    features: FeatureSchema | None = None
    """The schema, which must be that of the bundle; None: that of the bundle."""
    validation: ValidationConfig = ValidationConfig()
    track: TrackConfig = TrackConfig()
    publish: PublishConfig = PublishConfig()
    """Recall to reach and bundles kept; the kind of index and the columns stay as they are."""
    stages: StagesConfig = StagesConfig()

    @model_validator(mode="before")
    @classmethod
    def _of_a_run(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        others = RunConfig.model_fields.keys() - cls.model_fields.keys()
        return {name: value for name, value in data.items() if name not in others}


QUICK_RUN: dict[str, Any] = {
    "generate": {},
    "augmenters": {
        "flow": {"width": 128, "blocks": 3},
        "diffusion": {"width": 128, "blocks": 3},
        "fit": {"steps": 1_500},
        "refine": {"cells": False, "ratio_rounds": 0},  # the table has nothing exact to restore
        "rows": 2_000,
    },
}
"""What is run without a file: a synthetic table, and augmenters that are fitted and judged in a minute."""


def run_name() -> str:
    """Name of a new run and of its folder: the time, and four digits drawn at random."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


Config = TypeVar("Config", bound=BaseModel, default=RunConfig)


def load_config(
    path: str | Path,
    overrides: list[str] | None = None,
    model: type[Config] = RunConfig,  # type: ignore[assignment]
) -> Config:
    """Read the YAML file of a run and apply `a.b=c` overrides; `model` is the kind of run.

    Relative paths inside the file are taken as written, from the working folder.

    Raises:
        ConfigError: one line naming the file, the setting, what was found and what to do.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected settings by name, found {type(data).__name__}")
    return parse_config(data, overrides, str(path), model)


def parse_config(
    data: dict[str, Any],
    overrides: list[str] | None = None,
    source: str = "config",
    model: type[Config] = RunConfig,  # type: ignore[assignment]
) -> Config:
    """Check settings given as a dictionary; `source` is named in errors, `model` is the kind of run.

    Raises:
        ConfigError: as `load_config`.
    """
    for override in overrides or []:
        _apply(data, override)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError("; ".join(_one_line(source, item, model) for item in error.errors())) from None


def dump_config(config: BaseModel) -> str:
    """The configuration as YAML; `load_config` reads it back to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude_none=True), sort_keys=False)


def _apply(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    names = key.strip().split(".")
    if not separator or not all(names):
        raise ConfigError(f"--set {override}: expected a.b=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    for depth, name in enumerate(names[:-1]):
        child = data.setdefault(name, {})
        if child is None:
            child = data[name] = {}
        if not isinstance(child, dict):
            raise ConfigError(
                f"--set {override}: '{'.'.join(names[: depth + 1])}' is not a group of settings"
            )
        data = child
    data[names[-1]] = value


def _one_line(source: str, error: Any, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    found = error.get("input")
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{source}: unknown setting '{where}'{_did_you_mean(where, model)}"
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if error["type"] == "value_error" or isinstance(found, dict):
        return f"{source}: {where}: {message}" if where else f"{source}: {message}"
    return f"{source}: {where}: {message}, found {found!r}"


def _did_you_mean(where: str, model: type[BaseModel]) -> str:
    known = setting_names(model)
    close = difflib.get_close_matches(where, known, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def setting_names(model: type[BaseModel] = RunConfig) -> list[str]:
    """Dotted names of every setting, for suggestions and completion."""
    schema = model.model_json_schema()

    def names(node: dict[str, Any], prefix: str) -> list[str]:
        found = []
        for name, child in node.get("properties", {}).items():
            found.append(prefix + name)
            for option in [child, *child.get("anyOf", [])]:
                if "$ref" in option:
                    found += names(schema["$defs"][option["$ref"].rsplit("/", 1)[1]], f"{prefix}{name}.")
        return found

    return names(schema, "")
