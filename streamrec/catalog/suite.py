"""`run_suite`: decide what is expected of a table through Great Expectations and write the outcome.

The only module that imports great_expectations (3 seconds, so when called).
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from streamrec.catalog.checks import Check, ValidationResult
from streamrec.catalog.expectations import Expectation, Plan

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.data_context import EphemeralDataContext

logger = logging.getLogger(__name__)

EXAMPLES = 3
"""Unseen categories that a check names."""


def run_suite(
    plan: Plan,
    path: Path,
    rows: int,
    folder: Path,
    render: Callable[[ValidationResult], str],
    reference_rows: int | None = None,
    start: float | None = None,
) -> ValidationResult:
    """Decide a plan's expectations and write the outcome into `folder`, which is made.

    That is `result.json` (the checks, and all that Great Expectations reports), `summary.html` (one page
    that needs no network, made by `render`) and `data_docs/` (Great Expectations' own pages, whose
    scripts come from the network).

    Args:
        plan: What is expected and the tables it is decided on.
        path: The file it is about.
        rows: Its rows.
        folder: Where the outcome is written.
        render: Outcome -> page.
        reference_rows: Rows of what it was compared with.
        start: `time.perf_counter()` when the work began; None: now.

    Returns:
        The outcome; a failed check is no error here (see `ValidationResult.raise_for_critical`).
    """
    start = time.perf_counter() if start is None else start
    sampled = any(expectation.frame == "sample" for expectation in plan.expectations)
    context = _open_context()
    reports = _run(context, plan)
    checks = tuple(
        _judge(expectation, reports[expectation.frame][index])
        for index, expectation in enumerate(plan.expectations)
    )
    folder.mkdir(parents=True, exist_ok=True)
    files, notes = {"result": folder / "result.json", "summary": folder / "summary.html"}, []
    try:
        files["data_docs"] = _build_data_docs(context, folder / "data_docs")
    except Exception as error:  # whatever it is, the checks are done and must be reported
        notes.append(f"Data Docs could not be built: {_one_line(error)}")
        logger.warning("%s: %s", path, notes[-1])
    result = ValidationResult(
        catalog=path,
        rows=rows,
        sampled_rows=plan.sample.num_rows if sampled else rows,
        reference_rows=reference_rows,
        seconds=time.perf_counter() - start,
        checks=checks,
        notes=tuple(notes),
        files=files,
    )
    files["result"].write_text(_to_json(result, reports), encoding="utf-8")
    files["summary"].write_text(render(result), encoding="utf-8")
    return result


def _open_context() -> EphemeralDataContext:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context


def _run(context: EphemeralDataContext, plan: Plan) -> dict[str, dict[int, dict[str, Any]]]:
    """What Great Expectations reports, by table and place in the plan.

    A checkpoint hands the same data frame to all its validations, so each table has its own.
    """
    import great_expectations as gx
    import great_expectations.expectations as gxe
    import pandas as pd

    source = context.data_sources.add_pandas("catalogue")
    frames: dict[str, Callable[[], pd.DataFrame]] = {
        "sample": plan.sample.to_pandas,
        "extremes": lambda: pd.DataFrame(plan.extremes),
        "measures": lambda: pd.DataFrame([plan.measures]),
    }
    reports: dict[str, dict[int, dict[str, Any]]] = {}
    for name, frame in frames.items():
        # A list, at once: one expectation added at a time costs 50 milliseconds.
        expectations = [
            getattr(gxe, item.type)(
                **item.settings, severity=item.severity, meta={"check": item.check, "place": place}
            )
            for place, item in enumerate(plan.expectations)
            if item.frame == name
        ]
        if not expectations:
            continue
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("whole")
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=batch, suite=suite)
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(name=name, validation_definitions=[definition], result_format="SUMMARY")
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": frame()})
        (report,) = outcome.run_results.values()
        found = [cast(dict[str, Any], item.to_json_dict()) for item in report.results]
        reports[name] = {item["expectation_config"]["meta"]["place"]: item for item in found}
    return reports


def _judge(expectation: Expectation, report: dict[str, Any]) -> Check:
    observed = _error(report["exception_info"]) or expectation.observed or _in_words(expectation, report)
    return Check(
        name=expectation.check,
        column=expectation.column,
        severity=expectation.severity,
        success=bool(report["success"]),
        expected=expectation.expected,
        observed=observed,
    )


def _in_words(expectation: Expectation, report: dict[str, Any]) -> str:
    result = report["result"]
    words = f"{result.get('unexpected_percent') or 0:.3g}% "
    if expectation.check == "missing":
        return words + "missing"
    counts = sorted(result.get("partial_unexpected_counts", []), key=lambda item: -item["count"])
    names = ", ".join(repr(item["value"]) for item in counts[:EXAMPLES])
    return words + "unseen" + (f", as {names}" if names else "")


def _error(info: dict[str, Any]) -> str | None:
    """The first exception of an expectation that could not be run, or of the metrics it needs."""
    for item in [info, *info.values()]:
        if isinstance(item, dict) and item.get("raised_exception"):
            return f"could not be checked: {_one_line(item['exception_message'])}"
    return None


def _build_data_docs(context: EphemeralDataContext, folder: Path) -> Path:
    site: Any = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(folder.absolute()),
        },
    }
    context.add_data_docs_site("catalogue", site)
    context.build_data_docs(site_names=["catalogue"])
    index = folder / "index.html"
    if not index.is_file():
        raise FileNotFoundError(f"no {index} was written")
    return index


def _to_json(result: ValidationResult, reports: dict[str, dict[int, dict[str, Any]]]) -> str:
    content = {
        "success": result.success,
        "catalog": result.catalog.name,
        "rows": result.rows,
        "sampled_rows": result.sampled_rows,
        "reference_rows": result.reference_rows,
        "seconds": round(result.seconds, 3),
        "notes": result.notes,
        "checks": [vars(check) for check in result.checks],
        "great_expectations": {name: list(items.values()) for name, items in reports.items()},
    }
    return json.dumps(content, indent=1, default=_plain) + "\n"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
