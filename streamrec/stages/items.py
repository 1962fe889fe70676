"""Stages over items whose finished outputs are kept, and what each depends on.

A stage is added by one `KeptStage` here, and by `stages.kept(STAGE, lambda: task(...))` where the flow calls
it: inside a `with stages(...)` block, after the stages and inputs that it reads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from streamrec.catalog.checks import ValidationResult
from streamrec.stages.stage import KeptStage

SPLIT = ("seed", "train.validation_share", "train.max_rows")
"""Settings that say which items are held out."""


@dataclass(frozen=True)
class Validated:
    """A catalogue that passed, and what it was compared with."""

    result: ValidationResult
    reference: str | None
    """Checksum of the published profile; None where there was none of the same schema."""

    def holds_against(self, reference: str | None, own: str) -> bool:
        """Whether it would pass again: `own` is the checksum of the catalogue's own profile.

        Once published, a catalogue is compared with itself, which tells nothing new.
        """
        return reference in (self.reference, own)


CATALOG = KeptStage(
    "catalog",
    output="streamrec.catalog.ingest:Ingested",
    settings=("generate", "ingest", "features"),
    apart_from=("ingest.path",),
    inputs=("source",),
    files=("catalog.parquet", "quarantine.parquet"),
    packages=("numpy", "pyarrow"),
)
PROFILE = KeptStage(
    "profile",
    output="pathlib:Path",
    settings=("seed",),
    inputs=("catalog", "schema"),
    files=("profile.json",),
    packages=("numpy", "pyarrow"),
)
VALIDATE = KeptStage(
    "validate",
    output="streamrec.stages.items:Validated",
    settings=("seed", "validation"),
    inputs=("catalog", "schema"),
    files=("validation",),
    packages=("great-expectations", "pyarrow"),
)
TRAIN = KeptStage(
    "train",
    output="streamrec.training.history:History",
    settings=("seed", "codec", "model", "train"),
    apart_from=("train.checkpoint_every",),
    inputs=("catalog", "schema"),
    files=("codec", "model", "history.json"),
    packages=("torch", "numpy"),
    device="train.device",
)
ALIGN = KeptStage(
    "align",
    output="streamrec.retrieval.aligned_space:AlignedSpace",
    settings=("seed",),
    inputs=("catalog", "schema", "train"),
    files=("model/rotation.safetensors",),
    packages=("torch", "numpy"),
)
EVALUATE = KeptStage(
    "evaluate",
    output="streamrec.evaluation.quality:LatentQuality",
    settings=(*SPLIT, "evaluate"),
    inputs=("catalog", "schema", "train"),
    files=("evaluation",),
    packages=("torch", "numpy"),
)
REGISTER = KeptStage(
    "register", output="streamrec.pyfunc.registry:RegisteredModel", inputs=("train", "align")
)
ANNOUNCE = KeptStage("announce", output="builtins:str", inputs=("bundle",))
AUGMENT = KeptStage(
    "augment",
    output="streamrec.augmenters.findings:Findings",
    settings=(*SPLIT, "augmenters"),
    inputs=("catalog", "schema", "train"),
    files=("augmenters",),
    packages=("torch", "numpy", "scikit-learn"),
    device="auto",
)


def augment_family(family: str) -> KeptStage:
    """The part of `AUGMENT` that fits and judges one family."""
    return replace(
        AUGMENT,
        name=f"augment-{family}",
        output="streamrec.evaluation.synthetic.comparison:Trials",
        apart_from=("augmenters.families",),
        files=(f"{AUGMENT.files[0]}/{family}",),
    )


ENROL = KeptStage("enrol", output="streamrec.pyfunc.registry:RegisteredModel", inputs=("augment",))
