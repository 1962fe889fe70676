"""What the deployments listen for is what the flows tell."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from flows import events
from streamrec.retrieval.manifest import ModelSource
from streamrec.user_config import UserRetrievalConfig


@pytest.fixture
def weekly(root: Path) -> dict[str, Any]:
    """The deployment of the towers."""
    found = yaml.safe_load((root / "prefect.yaml").read_text())["deployments"]
    return next(deployment for deployment in found if "user_retrieval" in deployment["entrypoint"])


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is emitted about a bundle with new items."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(events, "emit_event", lambda event, **more: found.update(more, event=event))
    manifest = SimpleNamespace(
        version="20261121T083335.384946Z-1e968019",
        rows=7,
        model=ModelSource(name="encoder", version="3"),
        encoder_fingerprint="f" * 64,
    )
    bundle = SimpleNamespace(path=Path("/data/published/v"), manifest=manifest)
    events.tell(events.ITEMS_PUBLISHED, bundle)  # type: ignore[arg-type]
    return found


def test_new_items_start_the_towers_and_towers_do_not_start_themselves(
    weekly: dict[str, Any], told: dict[str, Any]
) -> None:
    (trigger,) = weekly["triggers"]
    assert trigger["expect"] == [told["event"]]
    assert fnmatch(told["resource"]["prefect.resource.id"], trigger["match"]["prefect.resource.id"])
    assert not {events.TOWERS_PUBLISHED, events.TOWERS_REFUSED} & set(trigger["expect"])


def test_an_event_names_the_folder_and_the_encoder(told: dict[str, Any]) -> None:
    assert told["resource"]["streamrec.published"] == "/data/published"
    assert told["payload"]["items"] == 7
    assert told["payload"]["encoder"]["version"] == "3"


def test_the_deployed_settings_are_sound(weekly: dict[str, Any]) -> None:
    config = UserRetrievalConfig.model_validate(weekly["parameters"]["config"])
    assert config.split.kind == "time"
    assert weekly["schedules"][0]["cron"].endswith("* * 1"), "once a week"
