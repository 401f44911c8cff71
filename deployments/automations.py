"""Automations as code: tell somebody about a batch that waits too long, a failed gate, a crashed run.

    python -m deployments.automations BLOCK [--hours 24]

``BLOCK`` is the id of a notification block made in Prefect's UI (Slack, e-mail, any webhook). Run again, it brings
the three up to date; none is made twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from keepset.orchestrator.names import FlowName, verb_of

__all__ = ["apply", "automations", "main"]

# Names of runs are the only words in a message: what users and web pages wrote is never templated.
_BODY = "{{ event.resource['prefect.resource.name'] }}: {{ event.event }} at {{ event.occurred }}"


def automations(block: UUID, hours: float = 24) -> list[AutomationCore]:
    """The three automations, each sending through the notification block ``block``."""
    runs = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
    waiting = EventTrigger(
        match=ResourceSpecification(
            {
                "prefect.resource.id": "prefect.flow-run.*",
                "prefect.resource.name": f"{verb_of(FlowName.REVIEW_BATCH)} *",
            }
        ),
        for_each={"prefect.resource.id"},
        after={"prefect.flow-run.Suspended"},
        expect={"prefect.flow-run.*"},
        posture=Posture.Proactive,
        within=timedelta(hours=hours),
    )
    gate = EventTrigger(
        match=ResourceSpecification(
            {"prefect.resource.id": "prefect.task-run.*", "prefect.resource.name": "gate *"}
        ),
        expect={"prefect.task-run.Failed"},
        posture=Posture.Reactive,
    )
    crashed = EventTrigger(match=runs, expect={"prefect.flow-run.Crashed"}, posture=Posture.Reactive)
    return [
        _tell("Keepset: a batch waits too long", f"Nobody decided within {hours:g} hours.", waiting, block),
        _tell("Keepset: a gate failed", "The data did not pass; the flow stopped.", gate, block),
        _tell("Keepset: a run crashed", "Its process is gone; a running stack takes it up.", crashed, block),
    ]


def _tell(name: str, words: str, trigger: EventTrigger, block: UUID) -> AutomationCore:
    action = SendNotification(block_document_id=block, subject=name, body=f"{words}\n{_BODY}")
    return AutomationCore(name=name, description=words, trigger=trigger, actions=[action])


def apply(wanted: Sequence[AutomationCore]) -> list[str]:
    """Create the automations, or bring those of the same name up to date. Returns what was done."""
    said = []
    with get_client(sync_client=True) as client:
        for automation in wanted:
            found = client.read_automations_by_name(automation.name)
            for old in found[:1]:
                client.update_automation(old.id, automation)
            if not found:
                client.create_automation(automation)
            said.append(f"{'updated' if found else 'created'}: {automation.name}")
    return said


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("block", type=UUID, help="id of a notification block")
    parser.add_argument("--hours", type=float, default=24, help="how long a batch may wait")
    options = parser.parse_args(argv)
    print("\n".join(apply(automations(options.block, options.hours))))


if __name__ == "__main__":
    main()
