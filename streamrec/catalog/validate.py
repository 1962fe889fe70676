"""`validate`: check a catalogue against its schema, the settings and what was published last."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from streamrec.catalog.checks import ValidationResult
from streamrec.catalog.expectations import plan_checks
from streamrec.catalog.profile import Profile
from streamrec.catalog.suite import run_suite
from streamrec.catalog.table import Catalog
from streamrec.catalog.validation_page import render
from streamrec.config import ValidationConfig


def validate(
    catalog: Catalog,
    config: ValidationConfig,
    folder: Path,
    reference: Profile | None = None,
    seed: int = 0,
    progress: Callable[[int, int | None], None] | None = None,
) -> ValidationResult:
    """Check a catalogue against its schema, the settings and the last published run's profile.

    Writes the outcome into `folder` (see `run_suite`).

    Args:
        catalog: The item table; it need not satisfy its schema.
        config: What is expected.
        folder: Where the outcome is written.
        reference: Profile of the last published catalogue; None leaves out every comparison.
        seed: Of the sample on which shares of missing and unseen values are measured.
        progress: Told the rows measured and the number of rows.

    Returns:
        The outcome; a failed check is no error here (see `ValidationResult.raise_for_critical`).
    """
    start = time.perf_counter()
    plan, profile = plan_checks(catalog, config, reference, seed, progress)
    return run_suite(
        plan,
        catalog.path,
        catalog.num_rows,
        folder,
        lambda result: render(result, profile, reference),
        reference_rows=None if reference is None else reference.rows,
        start=start,
    )
