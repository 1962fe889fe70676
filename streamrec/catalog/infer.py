"""`infer_schema` and `draft_config`: a first guess at a table's roles, written down for review."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from streamrec.catalog.cells import Role
from streamrec.catalog.formats import Format
from streamrec.catalog.observe import DISTINCT_LIMIT, NUMBERS, ColumnFacts, observe
from streamrec.catalog.roles import Proposal, propose
from streamrec.catalog.source import open_table
from streamrec.config import AugmentersConfig, IngestConfig, RunConfig
from streamrec.errors import CatalogError
from streamrec.schema import FeatureSchema, MultiLabelColumn

Progress = Callable[[int, int | None], None]

SHOWN_SETTINGS = (
    "seed",
    "out",
    "validation.max_null_share",
    "codec.max_categories",
    "model.latent_dim",
    "model.hidden",
    "model.beta",
    "train.epochs",
    "train.max_rows",
    "track.uri",
    "publish.index",
    "publish.keep",
)
"""Settings that a draft shows, commented out, at their defaults."""

DEFAULTS = RunConfig.model_fields["train"].get_default(call_default_factory=True)
LEAST_STEPS = 1_000
MOST_EPOCHS = 200
"""A draft asks for at least so many training steps, in at most so many epochs."""

AUGMENTERS = AugmentersConfig()
LEAST_FIT_STEPS = 2_000
"""A draft asks for so many steps of an augmenter at least, and for no more than the default."""

ROUTINE = ("numbers", "text that repeats", "boolean", "unique, never missing")
"""Reasons that the facts already tell."""


@dataclass(frozen=True)
class InferredColumn:
    """One column of the table: its role, what was observed, and why the role follows."""

    name: str
    role: Role | Literal["ignored"]
    facts: str
    reason: str


@dataclass(frozen=True)
class InferredSchema:
    """A guess at a table's schema, for a person to review."""

    rows: int
    schema: FeatureSchema
    columns: tuple[InferredColumn, ...]
    """Every column of the table, in its order."""


def infer_schema(
    path: str, format: Literal["auto"] | Format = "auto", progress: Progress | None = None
) -> InferredSchema:
    """Guess the roles of a table's columns from one pass over it, in bounded memory.

    The item id is a unique text or integer column, by name (`item_id`, `id`, `..._id`) where several
    are. Dates, also as text, give the timestamp; lists and text with a delimiter between few, repeated
    labels are multi-labels; repeated text, booleans and integers named like codes are categories; other
    numbers, also as text, are numeric; other short text is for display. Constant or nearly empty
    columns, long texts, vectors and types without a role are ignored.

    Raises:
        CatalogError: the table cannot be read, or no column can be the item id, or none a feature.
    """
    source = open_table(path, format)
    facts = observe(source, progress=progress)
    proposals = propose(facts)
    by_role: dict[str, list[str]] = {}
    for column, proposal in zip(facts, proposals, strict=True):
        by_role.setdefault(proposal.role, []).append(column.name)
    if "item_id" not in by_role:
        raise CatalogError(_no_item_id(source.label, facts))
    if not by_role.keys() & {"categorical", "multi_label", "numeric"}:
        raise CatalogError(
            f"{source.label}: no column looks like a feature; found {', '.join(source.columns)}"
        )
    schema = FeatureSchema(
        item_id=by_role["item_id"][0],
        categorical=tuple(by_role.get("categorical", ())),
        multi_label=tuple(
            MultiLabelColumn(name=column.name, delimiter=proposal.delimiter)
            for column, proposal in zip(facts, proposals, strict=True)
            if proposal.role == "multi_label"
        ),
        numeric=tuple(by_role.get("numeric", ())),
        timestamp=by_role.get("timestamp", [None])[0],
        display=tuple(by_role.get("display", ())),
    )
    columns = tuple(
        InferredColumn(column.name, proposal.role, _describe(column, proposal), proposal.reason)
        for column, proposal in zip(facts, proposals, strict=True)
    )
    return InferredSchema(facts[0].rows, schema, columns)


def draft_config(
    path: str, format: Literal["auto"] | Format = "auto", progress: Progress | None = None
) -> str:
    """YAML for a run on the table at `path`: the inferred schema, with facts and reasons as comments.

    `load_config` accepts it as it is; relative paths stay relative to the working folder.

    Raises:
        CatalogError: as `infer_schema`.
    """
    inferred = infer_schema(path, format, progress)
    lines = [
        f"# A first draft from {inferred.rows:,} rows and {len(inferred.columns)} columns: review the roles.",
        "ingest:",
        f"  path: {_scalar(path)}",
        *([f"  format: {format}"] if format != "auto" else []),
        f"  # max_quarantined_share: {IngestConfig.model_fields['max_quarantined_share'].default}",
        "",
        "features:",
        *_features(inferred),
        "",
        *_augmenters(inferred.rows),
        "",
        "# Settings at their defaults; take off the # to change one.",
        *_settings({"train.epochs": _epochs(inferred.rows)}),
    ]
    return "\n".join(lines) + "\n"


def _features(inferred: InferredSchema) -> list[str]:
    by_name = {column.name: column for column in inferred.columns}
    delimiters = {label.name: label.delimiter for label in inferred.schema.multi_label}

    def comment(column: InferredColumn) -> str:
        told = column.facts if column.reason in ROUTINE else f"{column.facts}; {column.reason}"
        return f"  # {_one_line(told)}"

    lines: list[str] = []
    for role in ("item_id", "timestamp"):
        name = getattr(inferred.schema, role)
        if name is not None:
            lines.append(f"  {role}: {_scalar(name)}{comment(by_name[name])}")
    for role in ("categorical", "multi_label", "numeric", "display"):
        chosen = [column for column in inferred.columns if column.role == role]
        lines += [f"  {role}:"] if chosen else []
        for column in chosen:
            entry = _scalar(column.name)
            if delimiters.get(column.name) is not None:
                entry = f"{{name: {entry}, delimiter: {_scalar(delimiters[column.name])}}}"
            lines.append(f"    - {entry}{comment(column)}")
    ignored = [column for column in inferred.columns if column.role == "ignored"]
    lines += ["  # Left out:"] if ignored else []
    return lines + [f"  #   {_one_line(column.name)}:{comment(column)[3:]}" for column in ignored]


def _augmenters(rows: int) -> list[str]:
    """The section that a run fits augmenters by, off: it multiplies the time that a run takes."""
    return [
        "# Take off the # to fit models that make items, too, and compare them.",
        "# augmenters:",
        f"#   families: {_scalar(list(AUGMENTERS.families))}",
        "#   fit:",
        f"#     steps: {_fit_steps(rows)}",
    ]


def _fit_steps(rows: int) -> int:
    """Training steps of an augmenter of so many rows: two per row in thousands, within what pays."""
    return min(max(math.ceil(2 * rows / 1_000) * 1_000, LEAST_FIT_STEPS), AUGMENTERS.fit.steps)


def _epochs(rows: int) -> int:
    """Passes over a table of so many rows: the default, more where those would be under a thousand steps."""
    steps = rows * (1 - DEFAULTS.validation_share) / DEFAULTS.batch_size
    return max(DEFAULTS.epochs, min(MOST_EPOCHS, math.ceil(LEAST_STEPS / max(steps, 1))))


def _settings(chosen: dict[str, Any]) -> list[str]:
    """A line per shown setting; one whose chosen value is not the default is not commented out."""
    lines: list[str] = []
    for setting in SHOWN_SETTINGS:
        group, _, name = setting.rpartition(".")
        default = RunConfig.model_fields[group or name].get_default(call_default_factory=True)
        if group:
            default = getattr(default, name)
        value = chosen.get(setting, default)
        own = value != default
        if group and f"# {group}:" not in lines and f"{group}:" not in lines:
            lines.append(f"{group}:" if own else f"# {group}:")
        value = list(value) if isinstance(value, tuple) else value
        shown = _scalar(value if isinstance(value, int | float | list | None) else str(value))
        line = f"{'  ' if group else ''}{name}: {shown}"
        lines.append(f"{line}  # a small table: more passes than {default}" if own else f"# {line}")
    return lines


def _describe(facts: ColumnFacts, proposal: Proposal) -> str:
    missing = f"{_share(facts.missing, facts.rows)} missing" if facts.missing else "none missing"
    distinct = f"{facts.distinct:,}" if facts.distinct is not None else f"over {DISTINCT_LIMIT:,}"
    parts = [facts.declared or facts.family, f"{distinct} distinct", missing]
    if facts.family.startswith("list of "):
        labels = facts.labels.get(None)
        parts[1:2] = [f"{labels.distinct:,} labels"] if labels else []
    elif proposal.role == "timestamp":
        parts.append(f"{facts.earliest} to {facts.latest}")
    elif facts.numbers and (facts.family in NUMBERS or proposal.role == "numeric"):
        parts.append(f"{facts.minimum:.6g} to {facts.maximum:.6g}")
    elif proposal.role == "categorical" and facts.values:
        common = facts.values.most_common(3)
        parts.append("most: " + ", ".join(f"{str(v)[:40]} {_share(n, facts.rows)}" for v, n in common))
    return ", ".join(parts)


def _share(count: int, total: int) -> str:
    share = count / total
    return f"{share:.0%}" if share >= 0.1 or not share else f"{share:.2g}" if share < 1e-4 else f"{share:.2%}"


def _no_item_id(label: str, facts: list[ColumnFacts]) -> str:
    followed = [column for column in facts if column.repeats is not None]
    close = min(followed, key=lambda column: column.missing + (column.repeats or 0), default=None)
    found = (
        f"closest is '{close.name}' with {close.missing:,} missing and {close.repeats:,} repeated values"
        if close
        else f"found {', '.join(column.name for column in facts)}"
    )
    return f"{label}: no column names the items: expected text or integers, unique and never missing; {found}"


def _scalar(value: Any) -> str:
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    text = yaml.safe_dump(value, default_flow_style=True, default_style=style, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
