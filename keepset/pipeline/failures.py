"""What was not taken, by stage, reason and host, and what a person can do about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from keepset import manifests
from keepset.download.target import BadUrl, Target
from keepset.manifests.schemas import SCHEMAS
from keepset.reasons import REMEDIES, ItemStatus
from keepset.workspace import Workspace

__all__ = ["Failure", "failures", "listed"]

_HOSTS_SHOWN = 3


@dataclass(frozen=True)
class Failure:
    """All items of one stage that were not taken for one reason. ``hosts``: those with most of them, and how many."""

    stage: str
    reason: str
    count: int
    hosts: tuple[tuple[str, int], ...]
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"hosts": dict(self.hosts)}


def failures(ws: Workspace, stage: str | None = None) -> list[Failure]:
    """Of one stage or of all, in their order; the most frequent first within each."""
    hosts: dict[str, dict[str, Counter[str]]] = {n: defaultdict(Counter) for n in ws.stage_manifests}
    for name, row in _rejected(ws, stage):
        hosts[name][row["reason"]][_host(row["url"])] += 1
    return [
        Failure(SCHEMAS[name].stage, reason, by.total(), tuple(by.most_common(_HOSTS_SHOWN)), REMEDIES[name][reason])
        for name, reasons in hosts.items()
        for reason, by in sorted(reasons.items(), key=lambda x: (-x[1].total(), x[0]))
    ]


def listed(ws: Workspace, stage: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every single one: its stage and its url, label, reason and detail."""
    return ((SCHEMAS[name].stage, row) for name, row in _rejected(ws, stage))


def _rejected(ws: Workspace, stage: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The manifest's name and the row."""
    for name, path in ws.stage_manifests.items():
        if stage not in (None, SCHEMAS[name].stage) or not path.exists():
            continue
        for row in manifests.each(path, name, ("url", "label", "status", "reason", "detail")):
            if row.pop("status") != ItemStatus.OK:
                yield name, row


def _host(url: str) -> str:
    """Never raises: what is listed here is what could not be asked for."""
    try:
        return Target.parse(url).netloc
    except BadUrl:
        scheme, found, _ = url.partition("://")
        return f"{scheme}:" if found and scheme.isalpha() else "(no host)"
