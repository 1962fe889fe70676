"""Alerts listen for the states and events that flows really have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import events
from flows.promotion import NOT_PROMOTED
from streamrec.config import RefreshConfig, RunConfig
from streamrec.user_config import UserRetrievalConfig


@pytest.fixture(scope="module")
def automations(root: Path) -> dict[str, dict[str, Any]]:
    from prefect.events.schemas.automations import AutomationCore

    file = yaml.safe_load((root / "deploy/automations.yaml").read_text())
    for settings in file["automations"]:
        AutomationCore.model_validate(settings)
    return {settings["name"]: settings for settings in file["automations"]}


@pytest.fixture(scope="module")
def deployments(root: Path) -> list[dict[str, Any]]:
    return yaml.safe_load((root / "prefect.yaml").read_text())["deployments"]


def test_every_way_to_fail_is_told(automations: dict[str, dict[str, Any]]) -> None:
    told = set(automations["streamrec-run-failed"]["trigger"]["expect"])
    names = ("Failed", "Crashed", "TimedOut", NOT_PROMOTED)
    assert told == {f"prefect.flow-run.{name}" for name in names}


def test_a_run_that_ended_is_not_overdue(automations: dict[str, dict[str, Any]]) -> None:
    ends = set(automations["streamrec-run-overdue"]["trigger"]["expect"])
    assert ends >= set(automations["streamrec-run-failed"]["trigger"]["expect"])
    assert {"prefect.flow-run.Completed", "prefect.flow-run.Cancelled"} <= ends


def test_alerts_about_runs_are_about_the_deployments(
    automations: dict[str, dict[str, Any]], deployments: list[dict[str, Any]]
) -> None:
    for name, settings in automations.items():
        if name.startswith("streamrec-run-"):
            related = settings["trigger"]["match_related"]
            assert related["prefect.resource.id"] == "prefect.tag.streamrec"
            assert settings["trigger"]["for_each"] == ["prefect.resource.id"]
    assert all("streamrec" in deployment["tags"] for deployment in deployments)


def test_publications_are_those_that_the_flows_tell(automations: dict[str, dict[str, Any]]) -> None:
    stale = automations["streamrec-bundle-stale"]["trigger"]
    assert set(stale["expect"]) == {events.ITEMS_PUBLISHED, events.ITEMS_REFRESHED}
    assert stale["after"] == stale["expect"]


def test_a_refresh_alone_starts_no_training_of_towers(deployments: list[dict[str, Any]]) -> None:
    heard = {
        event for found in deployments for trigger in found.get("triggers", []) for event in trigger["expect"]
    }
    assert events.ITEMS_REFRESHED not in heard


def test_the_settings_of_each_deployment_are_sound(deployments: list[dict[str, Any]]) -> None:
    kinds = {
        "item_embeddings": RunConfig,
        "refresh_items": RefreshConfig,
        "user_retrieval": UserRetrievalConfig,
    }
    for deployment in deployments:
        flow = deployment["entrypoint"].partition(":")[2]
        kinds.pop(flow).model_validate(deployment["parameters"]["config"])
    assert not kinds


def test_one_run_of_a_deployment_at_a_time_in_one_pool(deployments: list[dict[str, Any]]) -> None:
    for deployment in deployments:
        assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
        assert deployment["work_pool"] == {"name": "streamrec"}


def test_drift_begins_a_whole_run_once_in_a_while(deployments: list[dict[str, Any]]) -> None:
    (items,) = (found for found in deployments if "item_embeddings" in found["entrypoint"])
    (trigger,) = items["triggers"]
    assert trigger["expect"] == [events.ITEMS_DRIFTED]
    assert trigger["within"] >= 3600
