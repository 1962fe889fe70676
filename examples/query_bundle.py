"""Query a published bundle with pyarrow, numpy and faiss alone: StreamRec need not be installed.

python examples/query_bundle.py data/published/current ITEM_ID [K]
"""

import hashlib
import json
import sys
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq

BLANK = b"0" * 64


def read_manifest(folder: Path) -> dict:
    """The manifest ends in the SHA-256 of itself, taken with zeros in the checksum's place."""
    data = (folder / "manifest.json").read_bytes()
    manifest = json.loads(data)
    head, _, tail = data.rpartition(manifest["checksum"].encode())
    if hashlib.sha256(head + BLANK + tail).hexdigest() != manifest["checksum"]:
        raise SystemExit(f"{folder}/manifest.json was altered")
    if manifest["format"] != 1 or manifest["metric"] != "cosine":
        raise SystemExit(f"{folder}: unknown format {manifest['format']} or metric {manifest['metric']}")
    return manifest


def check_files(folder: Path, manifest: dict) -> None:
    for name, record in manifest["files"].items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != record["sha256"]:
            raise SystemExit(f"{folder / name} was altered")


def nearest(folder: Path, manifest: dict, item: str, k: int) -> list[tuple[object, float]]:
    """Ids and cosines of the `k` items closest to `item`."""
    id_column = manifest["schema"]["item_id"]
    table = pq.read_table(folder / "embeddings.parquet", columns=[id_column, "embedding"])
    ids = table[id_column].to_pylist()
    texts = [str(identifier) for identifier in ids]
    if item not in texts:
        raise SystemExit(f"{folder}: no item {item}")

    # Row i of the table is vector i of the index; the table is raw, the index has vectors of length 1.
    query = np.array(table["embedding"][texts.index(item)].as_py(), dtype=np.float32)[None]
    faiss.normalize_L2(query)
    index = faiss.read_index(str(folder / "items.faiss"))
    parameters = None
    if manifest["index"]["kind"] == "ivf":
        parameters = faiss.SearchParametersIVF(nprobe=manifest["index"]["nprobe"])
    scores, rows = index.search(query, min(k + 1, len(ids)), params=parameters)
    found = [(ids[row], float(score)) for row, score in zip(rows[0], scores[0], strict=True) if row >= 0]
    return [(identifier, score) for identifier, score in found if str(identifier) != item][:k]


def main() -> None:
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1]).resolve()  # `current` may move on while we read
    k = int(sys.argv[3]) if len(sys.argv) == 4 else 10
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    for identifier, score in nearest(folder, manifest, sys.argv[2], k):
        print(f"{score:.4f}  {identifier}")


if __name__ == "__main__":
    main()
