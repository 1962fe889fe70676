"""Prometheus's alerts watch numbers that the service has, and are explained."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from streamrec.serving.metrics import Metrics


def test_alerts_watch_what_the_service_tells(root: Path) -> None:
    rules = yaml.safe_load((root / "deploy/prometheus-alerts.yaml").read_text())["groups"][0]["rules"]
    named = set(re.findall(r"streamrec_\w+", " ".join(rule["expr"] for rule in rules)))
    told = Metrics().page().decode()
    assert named
    assert {name for name in named if not re.search(rf"^# TYPE {name} ", told, re.M)} == set()


def test_every_alert_is_explained(root: Path) -> None:
    page = (root / "docs/operations.md").read_text()
    rules = yaml.safe_load((root / "deploy/prometheus-alerts.yaml").read_text())["groups"][0]["rules"]
    automations = yaml.safe_load((root / "deploy/automations.yaml").read_text())["automations"]
    alerts = [rule["alert"] for rule in rules] + [automation["name"] for automation in automations]
    assert [alert for alert in alerts if f"| `{alert}` |" not in page] == []
