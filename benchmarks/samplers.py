"""Samplers of a flow and a diffusion on News: quality against evaluations, and time against 1,000 steps.

    python benchmarks/samplers.py [--augmenter FOLDER ...] [--steps N] [--rows 8886] [--seeds 1] [--raw]
                                  [--timed 100000] [--ancestral 4000]

The network of each family is trained once, or loaded from a folder that `TableAugmenter.save` wrote (as
`benchmarks/augmenters.py --out` leaves them). First, tables of each sampler at 5 to 100 evaluations; with
`--raw`, as the network draws them, without refinement. `loss` is how much further from the ideal the worst
figure is than with 100 evaluations of the same sampler, as a share of the figure there; the same seeds draw
both. Then the seconds that `--timed` rows take the diffusion's default sampler, and 1,000-step ancestral
sampling with the same network: the latter is timed on `--ancestral` rows and scaled. Both are judged by that
many rows, drawn and not refined.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from news import NEWS, news

from streamrec.augmenters.augmenter import TableAugmenter
from streamrec.augmenters.compare import evaluations
from streamrec.augmenters.fit import fit_augmenter
from streamrec.augmenters.refinement.refinement import Refinement
from streamrec.augmenters.settings import AugmentersConfig
from streamrec.augmenters.store import load_augmenter
from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig
from streamrec.console import align
from streamrec.evaluation.synthetic.figures import FIGURES
from streamrec.evaluation.synthetic.reference import Reference
from streamrec.evaluation.synthetic.suite import judge

EVALUATIONS = (5, 8, 10, 20, 50, 100)
SAMPLERS = {
    "flow": ("solver", ("euler", "midpoint", "heun")),
    "diffusion": ("sampler", ("ddim", "dpm_solver_pp_2m")),
}
"""By family: the setting's name, and what it is swept over."""
SHOWN = [figure for figure in FIGURES if figure.chooses]


@contextmanager
def using(augmenter: TableAugmenter, **settings: object) -> Iterator[TableAugmenter]:
    """The augmenter with other sampling settings inside the `with` block; its network stays the same."""
    vectors = augmenter.drafter.vectors  # type: ignore[attr-defined]
    kept = vectors.config
    vectors.config = replace(kept, **settings)
    try:
        yield augmenter
    finally:
        vectors.config = kept


def quality(augmenter: TableAugmenter, rows: int, seeds: int, reference: Reference) -> dict[str, float]:
    """Mean of each figure over tables of `rows` rows."""
    found = [judge(augmenter.sample(rows, seed=s), reference, s).figures for s in range(seeds)]
    return {figure.key: float(np.mean([figures[figure.key] for figures in found])) for figure in SHOWN}


def loss(found: dict[str, float], best: dict[str, float]) -> tuple[float, str]:
    """How much worse than `best` the worst figure is, as a share of it, and which figure that is."""
    losses = [
        ((abs(found[f.key] - f.ideal) - abs(best[f.key] - f.ideal)) / max(best[f.key], 1e-9), f.key)
        for f in SHOWN
    ]
    return max(losses)


def sweep(augmenter: TableAugmenter, rows: int, seeds: int, reference: Reference) -> str:
    """A line per sampler and number of evaluations."""
    name, samplers = SAMPLERS[augmenter.family]
    lines = [[augmenter.family, "evaluations", "seconds", *(figure.key for figure in SHOWN), "loss"]]
    for sampler in samplers:
        measured = []
        for count in EVALUATIONS:
            with using(augmenter, **{name: sampler, "evaluations": count}):
                started = time.perf_counter()
                augmenter.drafter.draft(augmenter.space.given(rows, None), 0)
                seconds = time.perf_counter() - started
                measured.append((evaluations(augmenter), seconds, quality(augmenter, rows, seeds, reference)))
        for taken, seconds, found in measured:
            worst, which = loss(found, measured[-1][2])
            figures = [figure.write(found[figure.key]) for figure in SHOWN]
            lines.append([sampler, str(taken), f"{seconds:.1f}", *figures, f"{worst:+.1%} {which}"])
    return align(lines)


def against_ancestral(augmenter: TableAugmenter, timed: int, rows: int, reference: Reference) -> str:
    """Seconds and quality of the default sampler beside those of 1,000-step ancestral sampling."""
    given = augmenter.space.given
    started = time.perf_counter()
    augmenter.sample(timed)
    whole = time.perf_counter() - started
    started = time.perf_counter()
    augmenter.drafter.draft(given(timed, None), 0)
    fast = time.perf_counter() - started
    bare = TableAugmenter(augmenter.family, augmenter.space, augmenter.drafter, Refinement())
    config = augmenter.drafter.vectors.config  # type: ignore[attr-defined]
    default = quality(bare, rows, 1, reference)
    with using(bare, sampler="ancestral"):
        started = time.perf_counter()
        table: pa.Table = bare.sample(rows, seed=0)
        slow = (time.perf_counter() - started) * timed / rows
        figures = judge(table, reference, 0).figures
    ancestral = {figure.key: figures[figure.key] for figure in SHOWN}
    lines = [
        ["", "evaluations", f"seconds for {timed:,} rows", *(figure.key for figure in SHOWN)],
        *(
            [name, str(count), f"{seconds:.1f}", *(figure.write(found[figure.key]) for figure in SHOWN)]
            for name, count, seconds, found in (
                (config.sampler, config.evaluations, fast, default),
                ("ancestral", config.steps, slow, ancestral),
            )
        ),
    ]
    return (
        f"{align(lines)}\n{slow / fast:.1f} times as fast, drawn and not refined; "
        f"the time of ancestral sampling is that of {rows:,} rows, scaled. "
        f"With the refinement and its candidates, {timed:,} rows took {whole:.1f} s."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--augmenter", type=Path, action="append", default=[])
    parser.add_argument("--steps", type=int, default=AugmentersConfig().fit.steps)
    parser.add_argument("--rows", type=int, default=8_886)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--timed", type=int, default=100_000)
    parser.add_argument("--ancestral", type=int, default=4_000)
    options = parser.parse_args()
    if not NEWS.exists():
        print(f"skipped: no table at {NEWS}")
        return
    split, schema = news()
    reference = Reference.of(split.train, split.held_out, schema)
    augmenters = {found.family: found for found in map(load_augmenter, options.augmenter)}
    codec = FeatureCodec.fit(split.train, schema, CodecConfig())
    settings = AugmentersConfig.model_validate({"fit": {"steps": options.steps}})
    for family in ("flow", "diffusion"):
        if family not in augmenters:
            started = time.perf_counter()
            rows = codec.encode(split.train)
            augmenters[family] = fit_augmenter(family, rows, codec, settings, seed=0)
            print(f"{family}: fitted in {time.perf_counter() - started:.0f} s", flush=True)
        augmenter = augmenters[family]
        if options.raw:
            augmenter = TableAugmenter(family, augmenter.space, augmenter.drafter, Refinement())
        print(f"\n{sweep(augmenter, options.rows, options.seeds, reference)}", flush=True)
    print(f"\n{against_ancestral(augmenters['diffusion'], options.timed, options.ancestral, reference)}")


if __name__ == "__main__":
    main()
