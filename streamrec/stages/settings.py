"""Settings of how a run goes on from earlier ones, and how long it may take."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class StagesConfig(BaseModel):
    """Reuse of finished stages, runs in the same folder, and time-outs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep: int = Field(3, ge=1)
    """Finished outputs kept of each stage, those used last."""
    fresh: bool = False
    """Do every stage again, whatever is kept."""
    wait_minutes: float = Field(60, ge=0)
    """How long to wait for another run in the same folder before giving up."""
    stage_minutes: float = Field(720, gt=0)
    """A stage that takes longer fails the run."""
    run_minutes: float = Field(1440, gt=0)
    """A run that takes longer, the waiting not counted, fails."""
