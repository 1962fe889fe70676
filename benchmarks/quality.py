"""What the latent keeps: the ItemVAE beside PCA of the same width, with the default settings.

    python benchmarks/quality.py [TABLE ...]

Fits the `independent` preset, then each TABLE as `streamrec init` drafts it; without a TABLE the news and
MovieLens tables of ../shared/data, where they are.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import yaml

from streamrec.catalog.infer import draft_config
from streamrec.catalog.make import make_catalog
from streamrec.catalog.split import split_items
from streamrec.config import RunConfig, parse_config
from streamrec.evaluation.latents import evaluate_latents
from streamrec.fit import fit_item_encoder

SHARED = Path(__file__).parents[2] / "shared" / "data"
TABLES = (SHARED / "news" / "news.parquet", SHARED / "ml-100k" / "ml-100k.item")


def measure(name: str, config: RunConfig) -> None:
    with tempfile.TemporaryDirectory() as folder:
        catalog = make_catalog(config, Path(folder), lambda done, total: None).catalog
        started = time.perf_counter()
        encoder, history = fit_item_encoder(catalog, config, Path(folder))
        seconds = time.perf_counter() - started
        split = split_items(catalog, config)
    codec = encoder.codec
    quality = evaluate_latents(
        encoder.model,
        codec,
        codec.encode(split.train),
        codec.encode(split.held_out),
        config.evaluate,
        config.seed,
    )
    print(
        f"{name}: {split.train.num_rows + split.held_out.num_rows:,} items, {len(history.epochs)} epochs "
        f"in {seconds:.1f} s, ELBO {history.best['valid_elbo']:.2f} nats, {quality.active_units} active units"
    )
    for space in ("latent", "pca"):
        found = quality.spaces[space]
        shares = {**found.purity, **{f"{c} overlap": v for c, v in found.label_overlap.items()}}
        print(
            f"  {space:>6}: neighbour recall@10 {found.neighbour_recall:.3f} (cosine) "
            f"{found.neighbour_recall_euclidean:.3f} (Euclidean), variance kept {found.variance_kept:.3f}, "
            + ", ".join(f"{column} {share:.3f}" for column, share in shares.items())
        )


def main() -> None:
    measure("independent", parse_config({"generate": {"preset": "independent"}}))
    for table in [Path(argument) for argument in sys.argv[1:]] or [t for t in TABLES if t.exists()]:
        measure(table.name, parse_config(yaml.safe_load(draft_config(str(table)))))


if __name__ == "__main__":
    main()
