"""What was not taken, by stage, reason and host, and what a person can do about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from keepset import manifests
from keepset.download.target import BadUrl, Target
from keepset.reasons import REMEDIES, ItemStatus
from keepset.stages import Stage
from keepset.workspace import Workspace

__all__ = ["Failure", "failures", "listed"]

_HOSTS_SHOWN = 3
_STAGES = {"urls": Stage.SCRAPE, "downloads": Stage.DOWNLOAD, "images": Stage.VALIDATE}
_MANIFESTS = {stage: name for name, stage in _STAGES.items()}


@dataclass(frozen=True)
class Failure:
    """All items of one stage that were not taken for one reason. ``hosts``: those with most of them, and how many."""

    stage: Stage
    reason: str
    count: int
    hosts: tuple[tuple[str, int], ...]
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"stage": str(self.stage), "hosts": dict(self.hosts)}


def failures(ws: Workspace, stage: Stage | None = None) -> list[Failure]:
    """Of one stage or of all, the most frequent first within each."""
    hosts: dict[tuple[Stage, str], Counter[str]] = defaultdict(Counter)
    for found, row in listed(ws, stage):
        hosts[found, row["reason"]][_host(row["url"])] += 1
    order = list(_STAGES.values())
    rows = sorted(hosts.items(), key=lambda x: (order.index(x[0][0]), -x[1].total(), x[0][1]))
    return [
        Failure(s, reason, by.total(), tuple(by.most_common(_HOSTS_SHOWN)), REMEDIES[_MANIFESTS[s]][reason])
        for (s, reason), by in rows
    ]


def listed(ws: Workspace, stage: Stage | None = None) -> Iterator[tuple[Stage, dict[str, Any]]]:
    """Every single one: its stage and its url, label, reason and detail."""
    for name, path in ws.stage_manifests.items():
        if stage not in (None, _STAGES[name]) or not path.exists():
            continue
        for row in manifests.each(path, name, ("url", "label", "status", "reason", "detail")):
            if row.pop("status") != ItemStatus.OK:
                yield _STAGES[name], row


def _host(url: str) -> str:
    """Never raises: what is listed here is what could not be asked for."""
    try:
        return Target.parse(url).netloc
    except BadUrl:
        scheme, found, _ = url.partition("://")
        return f"{scheme}:" if found and scheme.isalpha() else "(no host)"
