"""kill -9 at each step of an approval, under Prefect: does everything end once and right?

``python -m bench.review.kills [self runner prefect-server ...]`` runs, for each victim, one approval from opening the
batch to the report of the retrained model on a stack of its own, and kills the victim just before each of the files
below is published. ``self`` is the process that publishes it (the flow run), ``runner`` is the worker, ``web`` the
gallery. The supervisor and the rest of the stack have to bring it to its end by themselves; nothing is decided twice.
It prints how many kills there were, and what stands afterwards against what should.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from keepset.orchestrator.waiting import notify_decision
from keepset.review import submit
from keepset.workspace import Workspace
from tests.stack_fixtures import Running, ended_right, models, plan_kills, start, wait_for, waiting_workspace

BEFORE = ("candidates.parquet", "batch.json")
AFTER = ("000002.parquet", "applied.json")
RETRAINING = ("weights.safetensors", "model.json", "model.onnx", "comparison.json", "report.html")
VICTIMS = ("self", "runner", "prefect-server", "web")
OUT = Path(__file__).resolve().parents[1] / "out"
PATIENCE_S = 420.0


def main() -> None:
    wrong = 0
    for victim in sys.argv[1:] or VICTIMS:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
            try:
                found, wanted = _pass(victim, Path(scratch))
            except BaseException:
                shutil.copytree(scratch, OUT / f"kills-{victim}", dirs_exist_ok=True)  # what stood then
                raise
        wrong += found != wanted
        verdict = "right" if found == wanted else f"WRONG, should be {wanted}"
        print(f"{victim}: {found} {verdict}, {time.monotonic() - begin:.0f} s", flush=True)
    sys.exit(wrong)


def _pass(victim: str, scratch: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    steps = (*BEFORE, *AFTER, *RETRAINING)
    ws = waiting_workspace(scratch / "data")
    deaths = plan_kills(scratch / "deaths", *(f"{victim}@{s}" for s in steps))
    stack = start(ws, deaths)
    try:
        run = stack.prefect.start_deployment("review_batch/review_batch", {"workspace": str(ws.root)})
        wait_for(lambda: _waits(stack, run), "the batch to wait", PATIENCE_S)
        (folder,) = ws.batches.iterdir()
        _approve(ws, folder.name)
        wait_for(lambda: ended_right(ws, folder.name), "the retraining", PATIENCE_S)
    finally:
        stack.stop()
    return _standing(ws, len(list(deaths.iterdir())), len(steps)), {
        "kills": len(steps), "revisions": 2, "models": 2, "applied": 1, "decided": 1, "promotions": 2,
    }  # fmt: skip


def _waits(stack: Running, run: Any) -> bool:
    try:
        return stack.prefect.state(run).waits
    except Exception:
        return False


def _approve(ws: Workspace, batch_id: str) -> None:
    from keepset.review import load_batch

    batch = load_batch(ws, batch_id)
    submit(batch, "approve", who="ada", undecided="suggested", confirm=True)
    notify_decision(ws, batch)


def _standing(ws: Workspace, left: int, planned: int) -> dict[str, Any]:
    actions = [r["action"] for r in ws.audit_log()]
    return {
        "kills": planned - left, "revisions": len(ws.revisions()), "models": len(models(ws)),
        "applied": actions.count("clean"), "decided": actions.count("review"),
        "promotions": actions.count("promote"),
    }  # fmt: skip


if __name__ == "__main__":
    main()
