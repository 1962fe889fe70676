"""The folder of the towers, whole in itself: files and columns by name, and its description.

towers.json      what the rest is (`TowerFacts`)
items.parquet    item id, vector, and what the model reads: latent, features; in the order of the bundle
items.faiss      index of the items' vectors, by inner product
users.parquet    user_id, vector, history: positions of the items seen, the oldest first
users.faiss      index of the users' vectors, by inner product
model/           the model that gave the vectors
codec/           the codec of the users' features, where it reads any
"""

from __future__ import annotations

import json
from io import BufferedReader

from streamrec.errors import BundleError
from streamrec.retrieval.manifest import TowerFacts

FACTS, MODEL, CODEC = "towers.json", "model", "codec"
ITEMS, ITEM_INDEX = "items.parquet", "items.faiss"
USERS, USER_INDEX = "users.parquet", "users.faiss"

VECTOR = "vector"
"""Column of what the index holds."""
LATENT, FEATURES = "latent", "features"
"""Columns of what the model reads of an item: its embedding, its encoded features."""
USER_ID, HISTORY = "user_id", "history"


def read_facts(file: BufferedReader, name: str) -> TowerFacts:
    """Content of `towers.json`; `name` is named in errors.

    Raises:
        BundleError: it is no such file.
    """
    try:
        return TowerFacts.model_validate(json.load(file))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise BundleError(f"{name}: not the description of towers ({reason}); make them again") from None
