"""Gates applied to what was measured: rows of a decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streamrec.promotion.decision import Row
from streamrec.promotion.gates import GatesConfig
from streamrec.promotion.measure import (
    LIST_OVERLAP,
    NEIGHBOUR_RECALL,
    VARIANCE_KEPT,
    Compared,
    MeasuredEncoders,
    Share,
    overlap_of,
    purity_of,
)
from streamrec.schema import FeatureSchema

INDEX_RECALL = "index recall"


def encoder_gates(gates: GatesConfig, schema: FeatureSchema) -> dict[str, float]:
    """Tolerance of each figure that both encoders have, by its name; gates that are taken away are not there.

    A catalogue without numbers has no variance to keep.
    """
    wanted = {
        NEIGHBOUR_RECALL: gates.neighbour_recall,
        **{purity_of(name): gates.purity for name in schema.categorical},
        **{overlap_of(name): gates.label_overlap for name in schema.multi_label_names},
        **({VARIANCE_KEPT: gates.variance_kept} if schema.numeric else {}),
    }
    return {name: tolerance for name, tolerance in wanted.items() if tolerance is not None}


def encoder_rows(
    measured: MeasuredEncoders | None, gates: GatesConfig, schema: FeatureSchema, reason: str = ""
) -> tuple[Row, ...]:
    """A row per gate between two encoders.

    Args:
        measured: None where there is nothing to compare with.
        gates: the tolerances.
        schema: of the items.
        reason: why figures cannot be compared, where they cannot; lists are, where something was measured.
    """
    tolerances = encoder_gates(gates, schema)
    rows = list(
        not_applicable(tolerances, reason)
        if measured is None or reason
        else compared_rows(measured.figures, tolerances)
    )
    if gates.list_overlap is not None:
        if measured is None:
            rows += not_applicable([LIST_OVERLAP], reason)
        else:
            rows.append(share_row(LIST_OVERLAP, measured.list_overlap, gates.list_overlap))
    return tuple(rows)


def compared_rows(figures: Mapping[str, Compared], tolerances: Mapping[str, float]) -> Iterable[Row]:
    """A figure passes where the interval of its difference reaches minus the tolerance."""
    for name, tolerance in tolerances.items():
        if name not in figures:
            yield from not_applicable([name], "the held-out items have none of it")
            continue
        found = figures[name]
        passed = not found.high < -tolerance
        told = f"{found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
        verdict = "" if passed else "lower by more than "
        yield Row(
            gate=name,
            champion=found.champion,
            challenger=found.challenger,
            bound=found.champion - tolerance,
            outcome="passed" if passed else "failed",
            reason=f"{told}; {verdict}{tolerance:.4f}{' lower is allowed' if passed else ''}",
        )


def share_row(name: str, found: Share, least: float) -> Row:
    """A share passes where its interval reaches `least`."""
    passed = not found.high < least
    told = f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"
    return Row(
        gate=name,
        challenger=found.value,
        bound=least,
        outcome="passed" if passed else "failed",
        reason=f"{told}; {'at least' if passed else 'below'} {least:.4f}",
    )


def index_row(
    challenger: float, champion: float | None, min_recall: float, tolerance: float, name: str = INDEX_RECALL
) -> Row:
    """An index is held to what publishing promises; it needs no champion.

    Args:
        challenger: ANN recall of the index, in [0, 1].
        champion: that of the published one; only shown.
        min_recall: `publish.min_recall`.
        tolerance: how much may be missing.
        name: of the index.
    """
    bound = min_recall - tolerance
    passed = challenger >= bound
    return Row(
        gate=name,
        champion=champion,
        challenger=challenger,
        bound=bound,
        outcome="passed" if passed else "failed",
        reason=f"publish.min_recall is {min_recall:.4f}" + ("" if passed else ", which it does not reach"),
    )


def not_applicable(names: Iterable[str], reason: str) -> Iterable[Row]:
    """Gates that there is nothing to compare for."""
    return (Row(gate=name, outcome="not applicable", reason=reason) for name in names)


def taken_back_rows(told: str | None) -> tuple[Row, ...]:
    """A model that somebody rolled back is not published again by a run; `told` is what was said of it."""
    if told is None:
        return ()
    return (Row(gate="not rolled back", outcome="failed", reason=f"it was rolled back {told}"),)
