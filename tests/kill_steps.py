"""Kill a step at each of its writes, really (SIGKILL), then do it again and look at what stands.

``python -m tests.kill_steps STEP TEMPLATE SCRATCH`` copies the workspace TEMPLATE for each n, forks, and the
child dies just before its n-th write to the workspace (opening for writing, linking, renaming, unlinking,
appending). A second child then does the step undisturbed. One JSON line a kill tells what is there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keepset import manifests
from keepset.clean import clean, purge, restore
from keepset.clean.matching import Wanted
from keepset.clean.takedown import take_down
from keepset.review import Batch, list_batches, mark, review, submit
from keepset.workspace import Workspace
from tests.review_fixtures import delete

WRITES = {"os.link", "os.rename", "os.remove", "os.mkdir"}


def die_before(n: int, root: Path) -> None:
    """From now on, SIGKILL this process before its n-th write under ``root``."""
    left = n

    def watch(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        writes = event in WRITES or (event == "open" and isinstance(args[2], int) and args[2] & 3)
        if not writes or not str(args[0]).startswith(str(root)) or str(args[0]).startswith(str(root / "locks")):
            return
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def in_child(job: Callable[[], None]) -> int:
    """Run in a forked process; its wait status."""
    pid = os.fork()
    if pid == 0:
        job()
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def newest(ws: Workspace) -> Batch:
    return list_batches(ws)[-1]


def _review(ws: Workspace) -> None:
    review(ws, ws.config())


def _remove(ws: Workspace) -> None:
    sha = ws.current_dataset().rows()[0]["sha256"]
    take_down(ws, Wanted("sha256", sha), who="ann", why="asked by its author")


def _mark(ws: Workspace) -> None:
    batch = newest(ws)
    mark(batch, delete(batch.candidates().rows()[0]["sha256"]), who="ann")


def _submit(ws: Workspace) -> None:
    batch = newest(ws)
    if batch.approval() is None:
        submit(batch, "approve", who="ann", undecided="suggested", confirm=True)
    clean(ws, ws.config())


def _clean(ws: Workspace) -> None:
    clean(ws, ws.config())


def _restore(ws: Workspace) -> None:
    restore(ws, newest(ws).id, who="ann")


def _purge(ws: Workspace) -> None:
    purge(ws, who="ann", dry_run=False)


STEPS = {"review": _review, "mark": _mark, "submit": _submit, "clean": _clean, "restore": _restore, "purge": _purge,
         "remove": _remove}  # fmt: skip


def look(ws: Workspace) -> dict[str, Any]:
    batch = newest(ws)
    rows = ws.current_dataset().rows()
    return {
        "batches": [b.id for b in list_batches(ws)], "status": str(batch.status),
        "candidates": batch.candidates().content_hash, "marks": {s: str(m.action) for s, m in batch.marks().items()},
        "revisions": ws.revisions(), "rows": [(r["sha256"], r["label"], r["active"], r["changed_by"]) for r in rows],
        "audit": sorted((r["action"], str(r["what"].get("batch"))) for r in ws.audit_log()),
        "images": manifests.read_header(ws.images).content_hash,
        "blobs": sorted(p.name for p in (ws.root / "blobs").glob("*/*")),
        "left_over": [p.name for p in ws.root.rglob("*.part")],
    }  # fmt: skip


def main(step: str, template: Path, scratch: Path) -> None:
    import keepset.train.features  # noqa: F401 - once, so that not every child takes a second over it

    n = 0
    while True:
        n += 1
        root = scratch / f"{step}-{n}"
        shutil.copytree(template, root)
        ws = Workspace.open(root)

        def disturbed(n: int = n, ws: Workspace = ws) -> None:
            die_before(n, ws.root)
            STEPS[step](ws)

        status = in_child(disturbed)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or status == 0, status
        assert in_child(lambda ws=ws: STEPS[step](ws)) == 0
        print(json.dumps({"n": n, "killed": killed, **look(ws)}), flush=True)
        shutil.rmtree(root)
        if not killed:
            return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
