"""Notifications: a batch that waits, a failed run, a new model. ``keepset up --notify URL`` sets them.

    python -m deployments.automations URL

does the same on a team's server. ``URL`` is a webhook of Slack, Mattermost, Discord, Teams or a program of your own, or the
id of a notification block made in Prefect's UI (e-mail and others). Run again, it brings the three up to date.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from uuid import UUID

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from deployments.options import check_notify
from keepset.orchestrator.names import PROMOTED, WAITS

__all__ = ["automations", "block_of", "main", "notify"]

_WORDS = "{{subject}}\n{{body}}"
# Folders, ids, numbers and links are all that a message holds: what users and web pages wrote is never templated.
_NEWS = (
    "{{ event.resource['prefect.resource.name'] }}: {{ event.resource['keepset.words'] }}\n"
    "{{ event.resource['keepset.link'] }}"
)
_RUN = "{{ event.resource['prefect.resource.name'] }} is {{ event.resource['prefect.state-name'] }}.\n{{ flow_run|ui_url }}"


def automations(block: UUID) -> list[AutomationCore]:
    """The three automations, each sending through the notification block ``block``."""
    of_a_deployment = {"prefect.resource.role": "deployment", "prefect.resource.id": "prefect.deployment.*"}
    failed = EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification(of_a_deployment),  # not the flow within a flow that fails with it
        expect={f"prefect.flow-run.{s}" for s in ("Failed", "Crashed", "TimedOut")},
        posture=Posture.Reactive,
    )
    return [
        _tell("Keepset: pictures to review", _on(WAITS), _NEWS, block),
        _tell("Keepset: a run failed", failed, _RUN, block),
        _tell("Keepset: a new model is in use", _on(PROMOTED), _NEWS, block),
    ]


def _on(event: str) -> EventTrigger:
    mine = ResourceSpecification({"prefect.resource.id": "keepset.*"})
    return EventTrigger(match=mine, expect={event}, posture=Posture.Reactive)


def _tell(name: str, trigger: EventTrigger, body: str, block: UUID) -> AutomationCore:
    action = SendNotification(block_document_id=block, subject=name, body=body)
    return AutomationCore(name=name, trigger=trigger, actions=[action])


def block_of(where: str) -> UUID:
    """The id of the notification block for a webhook's URL, made or brought up to date; an id is itself.

    Raises ``ConfigError`` for anything else.
    """
    check_notify(where)
    if "://" not in where:
        return UUID(where)
    body = {"text": _WORDS, "content": _WORDS}  # Slack, Mattermost and Teams read the one, Discord the other
    block = CustomWebhookNotificationBlock(name="keepset", url=where, json_data=body)
    return UUID(str(block.save("keepset-notify", overwrite=True)))


def notify(where: str) -> None:
    """Set the three automations to ``where``, or with "" take them away. None is made twice."""
    wanted = automations(block_of(where) if where else UUID(int=0))
    with get_client(sync_client=True) as client:
        for automation in wanted:
            found = client.read_automations_by_name(automation.name)
            if where and found:
                client.update_automation(found[0].id, automation)
            elif where:
                client.create_automation(automation)
            for old in found[1 if where else 0 :]:
                client.delete_automation(old.id)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("where", help="URL of a webhook, or id of a notification block")
    notify(parser.parse_args(argv).where)
    print("Set: pictures to review, a failed run, a new model in use.")


if __name__ == "__main__":
    main()
