"""Encode new item rows with the published encoder, from the MLflow registry, and find their neighbours.

MLFLOW_TRACKING_URI=sqlite:////path/to/mlflow.db python examples/encode_items.py ROWS.parquet BUNDLE [K]

ROWS.parquet has the feature columns of the catalogue; BUNDLE is data/published/current. StreamRec must be
installed, in the version that registered the encoder.
"""

import json
import sys
from pathlib import Path

import faiss
import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from mlflow.tracking import MlflowClient

MODEL = "streamrec-item-encoder"


def encode(rows: pd.DataFrame, manifest: dict) -> np.ndarray:
    """Embeddings (n, d) of the rows, by the champion, which must be the encoder of the bundle."""
    champion = MlflowClient().get_model_version_by_alias(MODEL, "champion")
    published = manifest["model"]["version"]
    if str(champion.version) != published:
        raise SystemExit(
            f"the champion is version {champion.version}, the bundle was made by version {published}: "
            "their vectors must not be compared"
        )
    return mlflow.pyfunc.load_model(f"models:/{MODEL}@champion").predict(rows)


def nearest(folder: Path, manifest: dict, vectors: np.ndarray, k: int) -> list[list[tuple[object, float]]]:
    """Ids and cosines of the `k` published items closest to each vector."""
    id_column = manifest["schema"]["item_id"]
    ids = pq.read_table(folder / "embeddings.parquet", columns=[id_column])[id_column].to_pylist()
    index = faiss.read_index(str(folder / "items.faiss"))
    parameters = None
    if manifest["index"]["kind"] == "ivf":
        parameters = faiss.SearchParametersIVF(nprobe=manifest["index"]["nprobe"])
    directions = np.array(vectors, dtype=np.float32)
    faiss.normalize_L2(directions)
    found = zip(*index.search(directions, min(k, len(ids)), params=parameters), strict=True)
    return [
        [(ids[row], float(score)) for score, row in zip(scores, rows, strict=True) if row >= 0]
        for scores, rows in found
    ]


def main() -> None:
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    folder = Path(sys.argv[2]).resolve()  # `current` may move on while we read
    k = int(sys.argv[3]) if len(sys.argv) == 4 else 10
    manifest = json.loads((folder / "manifest.json").read_bytes())
    vectors = encode(pd.read_parquet(sys.argv[1]), manifest)
    for number, neighbours in enumerate(nearest(folder, manifest, vectors, k)):
        for identifier, score in neighbours:
            print(f"{number}  {score:.4f}  {identifier}")


if __name__ == "__main__":
    main()
