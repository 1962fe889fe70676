"""Bring a Prefect server to the state that this checkout describes; run again, it changes only what differs.

`make deploy`, or `python deploy/set_up.py [PREFECT_FILE]`, with PREFECT_API_URL set: the work pool, the
deployments of prefect.yaml, the automations of automations.yaml. STREAMREC_ALERT_WEBHOOK gets the alerts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import yaml
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectAlreadyExists

HERE = Path(__file__).resolve().parent
POOL = "streamrec"
WEBHOOK = "STREAMREC_ALERT_WEBHOOK"
BLOCK = "streamrec-alerts"
TEXT = 'automation.name ~ ": " ~ automation.description ~ " [" ~ event.resource.name ~ "]"'
PAYLOAD = f'{{"text": {{{{ ({TEXT}) | tojson }}}}}}'
"""What Slack, Mattermost and most other chats take."""
START_SECONDS = 120.0
"""A first start makes the server's database."""


def main() -> None:
    """Set up the server that PREFECT_API_URL names."""
    api = os.environ.get("PREFECT_API_URL")
    if not api:
        sys.exit("PREFECT_API_URL: not set, expected the server's address, as http://127.0.0.1:4200/api")
    if not answers(api):
        sys.exit(f"PREFECT_API_URL: {api} does not answer; start the server or change the variable")
    file = sys.argv[1] if len(sys.argv) > 1 else str(HERE.parent / "prefect.yaml")
    with get_client(sync_client=True) as client:
        create_pool(client)
        deploy = ("-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", file)
        if subprocess.run([sys.executable, *deploy], cwd=HERE.parent).returncode:
            sys.exit(f"{file}: the deployments above were refused; mend the file and run this again")
        set_automations(client, yaml.safe_load((HERE / "automations.yaml").read_text()))


def answers(api: str) -> bool:
    """Wait for a server that is just starting; whether it answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            if httpx.get(f"{api}/health", timeout=10).is_success:
                return True
        except httpx.TransportError:
            pass
        time.sleep(1)
    return False


def create_pool(client: SyncPrefectClient) -> None:
    """Create the pool of process workers, unless there is one, whose settings are then kept."""
    try:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        print(f"Work pool '{POOL}' created.")
    except ObjectAlreadyExists:
        print(f"Work pool '{POOL}' is there.")


def set_automations(client: SyncPrefectClient, file: dict[str, Any]) -> None:
    """Create or replace each automation by its name; with a webhook, each alert is also sent there."""
    actions = alert_actions()
    for settings in file["automations"]:
        automation = AutomationCore.model_validate(settings | {"actions": settings["actions"] + actions})
        found = client.read_automations_by_name(automation.name)
        if found:
            client.update_automation(found[0].id, automation)
        else:
            client.create_automation(automation)
        print(f"Automation '{automation.name}' {'updated' if found else 'created'}.")


def alert_actions() -> list[dict[str, Any]]:
    """The action that sends an alert to the webhook, if there is one."""
    url = os.environ.get(WEBHOOK)
    if not url:
        print(f"{WEBHOOK} is not set: alerts are events of the server only.")
        return []
    block = Webhook(url=url, headers={"Content-Type": "application/json"})
    saved = block.save(BLOCK, overwrite=True)
    return [{"type": "call-webhook", "block_document_id": str(saved), "payload": PAYLOAD}]


if __name__ == "__main__":
    main()
