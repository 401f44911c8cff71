"""One run, from URL lists to the retrained model: as it should end, and as it ended.

The undisturbed run goes through ``keepset.pipeline`` in this process; the other one through Prefect, while parts
are killed. What both leave in their workspaces must be the same.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.chaos.stack import Killed
from bench.chaos.web import Web
from keepset.clean import clean
from keepset.config import load_config
from keepset.demo.pictures import plant
from keepset.errors import KeepsetError
from keepset.manifests import read_header
from keepset.orchestrator import Orchestrator
from keepset.pipeline import retrain, run
from keepset.review import BatchStatus, list_batches, submit
from keepset.workspace import Workspace

__all__ = ["PHASES", "Plot", "Story"]

WHO = "chaos"
PHASES = (
    "queue",
    "scrape",
    "download",
    "validate",
    "split",
    "train",
    "report and review",
    "wait",
    "clean",
    "retrain",
    "over",
)
"""In their order: how far a run is (``Story.phase``)."""


class Plot:
    """Pictures of their own under ``/<number>``, a run config for them, and how a run undisturbed leaves its workspace."""

    def __init__(self, number: int, folder: Path, web: Web, per_class: int = 10) -> None:
        self.number, self.folder, self.web = number, folder, web
        self.prefix = f"/{number}/"
        self.config = self._write_config(per_class)
        self.wanted = self._undisturbed()

    def _write_config(self, per_class: int) -> Path:
        planted = plant(self.number + 1, per_class)
        self.web.add(self.prefix.rstrip("/"), planted)
        self.folder.mkdir(parents=True, exist_ok=True)
        host = self.web.base.removeprefix("http://")
        lines = ['name = "chaos"', f"seed = {self.number}"]
        for label in dict.fromkeys(p.label for p in planted):
            urls = [self.web.base + self.prefix.rstrip("/") + p.path for p in planted if p.label == label]
            (self.folder / f"{label}.txt").write_text("\n".join(urls) + "\n", encoding="utf-8")
            lines += [f"[classes.{label}]", f'lists = ["{label}.txt"]']
        lines += ["[download]", f'allow_private = ["{host}"]', "per_host_rate = 500.0", "shard_size = 24"]
        lines += [
            "[validate]",
            "shard_size = 24",
            "[train]",
            'arch = "lite0"',
            "epochs = 0",
            "size = 64",
            "threads = 1",
        ]
        path = self.folder / "chaos.toml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def _undisturbed(self) -> dict[str, Any]:
        config = load_config(self.config)
        ws = Workspace.create(self.folder / "undisturbed", config.name)
        list(run(ws, config))
        for batch in list_batches(ws)[:1]:
            if batch.status == BatchStatus.OPEN:
                submit(batch, "approve", who=WHO, undecided="suggested", confirm=True)
        clean(ws, config)
        list(retrain(ws, config))
        return look(ws)


class Story:
    """Run number ``number`` of a plot, in a workspace of its own, through Prefect."""

    def __init__(self, number: int, root: Path, plot: Plot) -> None:
        self.number, self.root, self.plot, self.web = number, root, plot, plot.web
        self.web.forget(plot.prefix)
        self.key = f"chaos-{root}-{time.time_ns()}"  # a wave that was broken off is made again, by new runs
        self.kills: list[str] = []
        self.finished: dict[str, int] = {}  # URL path: how often it had been asked for when it was finished
        self.models: dict[str, int] = {}  # finished model: when its record was written (ns)
        self._approved = self._downloaded = self._ended = False  # what need not be looked at again and again

    def begin(self, prefect: Orchestrator) -> None:
        """Ask for the pipeline; asked again after a kill, it is the same run."""
        parameters = {"workspace": str(self.root), "config": str(self.plot.config)}
        prefect.start_deployment("pipeline/pipeline", parameters, self.key)

    @property
    def ws(self) -> Workspace | None:
        try:
            return Workspace.open(self.root)
        except KeepsetError:
            return None

    def approve(self) -> None:
        """What a person does: approve the first batch as suggested, once it is there."""
        if self._approved or (ws := self.ws) is None:
            return
        for batch in list_batches(ws)[:1]:
            if batch.status == BatchStatus.OPEN:
                submit(batch, "approve", who=WHO, undecided="suggested", confirm=True)
                # The gallery tells Prefect; here nobody does, so that the stack must find the decision itself.
            self._approved = True

    def note(self) -> None:
        """Write down what is finished now: it must not be done again."""
        if (ws := self.ws) is None:
            return
        if not self._downloaded:
            self._downloaded = ws.downloads.exists()  # asked first: then the journal holds all
            journalled = [url.removeprefix(self.web.base) for url in _journalled(ws)]
            asked = self.web.counts(self.plot.prefix)  # counted after the journal was read: each of it is in there
            for path in journalled:
                self.finished.setdefault(path, asked[path])
        for record in ws.models.glob("*/model.json"):
            self.models.setdefault(record.parent.name, record.stat().st_mtime_ns)

    def suffer(self, killed: Killed, phase: str) -> None:
        """Write down a kill, if this run was on its way and the kill was none of another run's process."""
        if phase not in ("queue", "over") and killed.workspace in (None, self.root):
            self.kills.append(f"{killed.part} @ {phase}")

    def phase(self) -> str:
        """How far it is: the stage whose result is still missing; "queue" before it began, "over" at its end."""
        ws = self.ws
        if ws is None:
            return "queue"
        steps = [("scrape", ws.urls), ("download", ws.downloads), ("validate", ws.images), ("split", ws.dataset(1))]
        for stage, manifest in steps:
            if not manifest.exists():
                return stage
        if not list(ws.models.glob("*/model.json")):
            return "train"
        if not (batches := list_batches(ws)):
            return "report and review"
        if batches[0].status == BatchStatus.OPEN:
            return "wait"
        if batches[0].status != BatchStatus.APPLIED:
            return "clean"
        return "over" if self.ended() else "retrain"

    def ended(self) -> bool:
        """Whether all is there that should be; whether nothing more comes, ``quiet`` tells."""
        if self._ended or (ws := self.ws) is None:
            return self._ended
        reports = len(list(ws.reports.glob("*/report.html")))  # they come last, and counting costs little
        self._ended = reports >= len(self.plot.wanted["reports"]) and look(ws) == self.plot.wanted
        return self._ended

    def quiet(self, prefect: Orchestrator) -> bool:
        """Whether Prefect has nothing more to do for this workspace."""
        busy = prefect.runs(["RUNNING", "PENDING", "SCHEDULED", "CANCELLING"], limit=200)
        return not any(r["parameters"].get("workspace") == str(self.root) for r in busy)

    def faults(self) -> list[str]:
        """What is not as it should be: nothing, if all is well."""
        ws = self.ws
        if ws is None:
            return ["there is no workspace"]
        found = look(ws)
        wrong = [f"{k} differs: {found[k]} instead of {v}" for k, v in self.plot.wanted.items() if found[k] != v]
        asked = self.web.counts(self.plot.prefix)
        again = {p for p, n in self.finished.items() if asked[p] > n}
        wrong += [f"{len(again)} finished downloads were fetched again: {sorted(again)[:3]}"] if again else []
        trained = [m for m, t in self.models.items() if (ws.models / m / "model.json").stat().st_mtime_ns != t]
        return wrong + [f"trained again: {m}" for m in trained]


def look(ws: Workspace) -> dict[str, Any]:
    """What a run leaves behind, without clocks."""
    batches = list_batches(ws)
    return {
        "manifests": {n: read_header(p).content_hash for n, p in ws.stage_manifests.items() if p.exists()},
        "datasets": [read_header(ws.dataset(n)).content_hash for n in ws.revisions()],
        "models": {p.parent.name: read_header(p).content_hash for p in sorted(ws.models.glob("*/predictions.parquet"))},
        "finished models": sorted(p.parent.name for p in ws.models.glob("*/model.json")),
        "comparisons": sorted(p.parent.name for p in ws.models.glob("*/comparison.json")),
        "exports": sorted(p.parent.name for p in ws.models.glob("*/model.onnx")),
        "reports": sorted(p.parent.name for p in ws.reports.glob("*/report.html")),
        "promoted": ws.promoted(),
        "batches": {b.id: (str(b.status), b.candidates().content_hash) for b in batches},
        "audit": dict(Counter(f"{r['action']} by {r['who']}" for r in ws.audit_log())),
        "blobs": len(list((ws.root / "blobs").glob("*/*"))),
    }


def _journalled(ws: Workspace) -> list[str]:
    path = ws.journal / "download.sqlite"
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
        try:
            return [str(k) for (k,) in db.execute("SELECT key FROM done")]
        except sqlite3.OperationalError:  # the file is there, the table is not yet
            return []
