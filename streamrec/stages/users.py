"""Stages over users whose finished outputs are kept, and what each depends on; see `streamrec.stages.items`.

The flow gives the digests of `events-source`, `users-source`, `ids` (of the published items, in order) and
`items` (of all that towers read of a bundle).
"""

from __future__ import annotations

from streamrec.stages.stage import KeptStage

DATA = ("events", "users", "items")
"""What towers are fitted to."""

EVENTS = KeptStage(
    "events",
    output="streamrec.interactions.ingest:IngestedInteractions",
    settings=("interactions",),
    apart_from=("interactions.path",),
    inputs=("events-source", "ids"),
    files=("interactions.parquet", "quarantine.parquet"),
    packages=("numpy", "pyarrow"),
)
USERS = KeptStage(
    "users",
    output="streamrec.catalog.ingest:Ingested",
    settings=("users",),
    apart_from=("users.path",),
    inputs=("users-source",),
    files=("users",),
    packages=("numpy", "pyarrow"),
)
VALIDATE_EVENTS = KeptStage(
    "validate-events",
    output="streamrec.catalog.checks:ValidationResult",
    settings=("checks",),
    inputs=("events", "ids"),
    files=("validation",),
    packages=("great-expectations", "pyarrow"),
)
TRAIN_TOWERS = KeptStage(
    "train-towers",
    output="streamrec.fit_user_retrieval:Trained",
    settings=("seed", "split", "towers"),
    apart_from=("towers.train.checkpoint_every",),
    inputs=DATA,
    files=("two_tower",),
    packages=("torch", "numpy", "scipy"),
    device="towers.train.device",
)
JUDGE_TOWERS = KeptStage(
    "judge-towers",
    output="streamrec.fit_user_retrieval:Judged",
    settings=("seed", "split", "baselines", "evaluate"),
    inputs=(*DATA, "train-towers"),
    files=("rankings",),
    packages=("torch", "numpy", "scipy"),
)
INDEX_TOWERS = KeptStage(
    "index-towers",
    output="streamrec.retrieval.manifest:TowerFacts",
    settings=("seed", "publish.index", "publish.min_recall"),
    inputs=(*DATA, "train-towers"),
    files=("towers",),
    packages=("torch", "numpy", "faiss-cpu"),
)
REGISTER_TOWERS = KeptStage(
    "register-towers",
    output="streamrec.pyfunc.registry:RegisteredModel",
    inputs=("index-towers", "judge-towers"),
)
ANNOUNCE_TOWERS = KeptStage("announce-towers", output="builtins:str", inputs=("bundle",))
