"""`Challenger`: what publishing needs of a run beside its files, kept in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from streamrec.config import RunConfig, dump_config
from streamrec.errors import BundleError
from streamrec.retrieval.aligned_space import AlignedSpace
from streamrec.retrieval.manifest import ModelSource
from streamrec.user_config import UserRetrievalConfig

CHALLENGER = "challenger.json"
CONFIG = "config.yaml"
"""The settings of a run, in its folder."""


class Challenger(BaseModel):
    """A registered model of a run that may be published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    part: Literal["items", "towers"]
    """What it makes."""
    model: ModelSource
    """Its version in the registry, which is the one that was judged."""
    quality: dict[str, float | None]
    """Its metrics."""
    space: AlignedSpace = AlignedSpace()
    """How an item encoder's space lies on the published one."""

    def write(self, folder: Path, config: RunConfig | UserRetrievalConfig) -> None:
        """Write `challenger.json` and the settings of the run."""
        (folder / CHALLENGER).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (folder / CONFIG).write_text(dump_config(without_password(config)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Challenger:
        """What `write` wrote.

        Raises:
            BundleError: there is none, or it is damaged.
        """
        path = folder / CHALLENGER
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise BundleError(
                f"{path}: no challenger: {error.strerror}; the run ended before it had one"
            ) from None
        except ValidationError as error:
            raise BundleError(f"{path}: not a challenger: {error.errors()[0]['msg']}; run again") from None


def without_password(config: RunConfig | UserRetrievalConfig) -> RunConfig | UserRetrievalConfig:
    """The same settings, less the address of a tracking store that holds a password."""
    if "@" not in (config.track.uri or ""):
        return config
    return config.model_copy(update={"track": config.track.model_copy(update={"uri": None})})
