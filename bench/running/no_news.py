"""A run on a data set that has no news: how long it takes through the real stack, and how much CPU.

    python -m bench.running.no_news --folder DIR [--images 3000] [--runs 3]

Builds a data set of drawn pictures once, then lets ``keepset up`` build it again and again, as a schedule does. The CPU
is that of the run's own process, imports included; read every 20 ms, so the last moments may be missing. On Linux.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from pathlib import Path

from bench.chaos.stack import StackProgram, flow_runs
from keepset.config import parse_config
from keepset.demo.draw import CLASSES, draw
from keepset.orchestrator import FlowRun
from keepset.pipeline import build
from keepset.pipeline.engine import Engine
from keepset.workspace import Workspace

_TICKS = os.sysconf("SC_CLK_TCK")


def data_set(folder: Path, images: int) -> Workspace:
    """Drawn pictures in folders, and the data set made of them."""
    for i in range(images):
        path = folder / "pictures" / CLASSES[i % 3] / f"{i}.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            out = io.BytesIO()
            draw(CLASSES[i % 3], i, width=160, height=120).save(out, "JPEG")
            path.write_bytes(out.getvalue())
    classes = {label: {"folders": [str(folder / "pictures" / label)]} for label in CLASSES}
    raw = {"name": "drawn", "classes": classes, "scrape": {"max_per_class": images}}
    config = parse_config(raw, base=folder)
    ws = Workspace.create(folder / "ws", config.name)
    ws.save_config(config)
    list(build(ws, config, engine=Engine.of_this_machine()))
    return ws


def once(stack: StackProgram, ws: Workspace) -> dict[str, object]:
    """One run; seconds from being asked for to its end, in the run itself, and of CPU."""
    begin, cpu = time.monotonic(), 0.0
    run = stack.prefect.start_deployment("build_dataset/build_dataset", {"workspace": str(ws.root)})
    while not stack.prefect.state(run).over:
        for _ in range(25):
            cpu = max([cpu, *(_cpu(pid) for pid in flow_runs(stack.ws.root))])
            time.sleep(0.02)
    state = stack.prefect.state(run)
    assert state.type == "COMPLETED", state.message
    found = next(r for r in stack.prefect.recent_runs(5) if r["id"] == run.id)
    return {"asked to end, s": round(time.monotonic() - begin, 1), "run, s": found["total_run_time"],
            "CPU, s": round(cpu, 1), "said": said(stack, run)}  # fmt: skip


def said(stack: StackProgram, run: FlowRun) -> list[str]:
    body = {"logs": {"flow_run_id": {"any_": [run.id]}}, "limit": 200}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:  # logs arrive some seconds late
        rows = [r["message"] for r in stack.prefect._call("POST", "/logs/filter", body)]
        if len(found := [m for m in rows if "up to date" in m]) >= 4:
            return found
        time.sleep(1)
    return []


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    ws = data_set(options.folder.resolve(), options.images)
    with StackProgram(options.folder.resolve() / "stack") as stack:
        for _ in range(options.runs):
            print(json.dumps(once(stack, ws)), flush=True)


if __name__ == "__main__":
    main()
