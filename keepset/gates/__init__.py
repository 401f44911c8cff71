"""Gates between the stages: Great Expectations suites made from the schemas and the run config's thresholds.

A failed gate stops the run with a message that names the expectation, how far off it is, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import GateFailed
from keepset.files import read_json, write_json
from keepset.gates.suites import ExpectationResult
from keepset.manifests import Manifest
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ExpectationResult", "GateResult", "check"]

VERSION = 4


@dataclass(frozen=True)
class GateResult:
    gate: str
    passed: bool
    outcomes: tuple[ExpectationResult, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"gate": self.gate, "passed": self.passed, "outcomes": [asdict(o) for o in self.outcomes]}


def check(ws: Workspace, config: RunConfig, gate: str) -> GateResult:
    """Check one gate (urls, downloads, images or dataset); what passed already is not checked again.

    What failed is: a review may have decided since that two pictures are no copies.

    Raises ``GateFailed``. The result is in ``gates/<gate>.json``.
    """
    found = _manifest(ws, gate)
    parents = {gate: found.content_hash}
    sections = ["gates", "split", "seed"]
    if gate == "dataset" and ws.images.exists():  # the groups of today
        parents["images"] = manifests.read_header(ws.images).content_hash
        sections.append("validate")
    facts = config.part(*sections) | {"labels": list(config.labels)}
    wanted = manifests.fingerprint(f"gate:{gate}", parents, facts, VERSION)
    path = ws.root / "gates" / f"{gate}.json"
    raw = read_json(path) if path.exists() else {}
    if raw.get("passed") and raw["fingerprint"] == wanted:
        result = GateResult(gate, True, tuple(ExpectationResult(**o) for o in raw["outcomes"]))
    else:
        outcomes = tuple(_run(ws, config, gate, found))
        result = GateResult(gate, all(o.passed for o in outcomes), outcomes)
        write_json(path, result.as_dict() | {"fingerprint": wanted})
    if not result.passed:
        raise _failure(result)
    return result


def _run(ws: Workspace, config: RunConfig, gate: str, found: Manifest) -> Iterable[ExpectationResult]:
    from keepset.gates.suites import run_suite

    frame = _frame(gate, found)
    if gate != "dataset":
        return run_suite(gate, frame, config)
    from keepset.gates.leaks import straddling, with_todays_groups

    apart = straddling(ws, with_todays_groups(ws, frame))
    return run_suite(gate, frame, config, apart)


def _manifest(ws: Workspace, gate: str) -> Manifest:
    return ws.current_dataset() if gate == "dataset" else manifests.read(ws.stage_manifests[gate], gate)


def _frame(gate: str, found: Manifest) -> pd.DataFrame:
    """The columns that a suite looks at: enough for the gate, without the bulk."""
    columns = {
        "urls": ["url_id", "label", "status"],
        "downloads": ["url_id", "label", "status"],
        "images": ["sha256", "label", "status", "dup_of", "width", "height", "group_id"],
        "dataset": ["sha256", "label", "split", "fold", "group_id", "origin_id", "active"],
    }[gate]
    frame: pd.DataFrame = found.table.select(columns).to_pandas()
    return frame


def _failure(result: GateResult) -> GateFailed:
    failed = [o for o in result.outcomes if not o.passed]
    lines = [f"  - expected {o.expectation}; found {o.observed}" for o in failed]
    remedies = " ".join(dict.fromkeys(o.remedy for o in failed))
    return GateFailed(f"The gate '{result.gate}' did not pass:\n" + "\n".join(lines), remedies)
