"""The whole way as a user runs it: the command line, real HTTP, a real model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keepset.demo.pictures import Plant, plant
from keepset.demo.score import score
from keepset.demo.server import serve
from keepset.workspace import Workspace
from tests.processes import ran, serving_folder
from tests.test_cli import run

SMALL = 'arch = "lite0"\nepochs = 0\nsize = 64\nthreads = 1'
"""A network that looks at little: right for tests of what surrounds it."""


_KEEPSET = "from keepset.cli import main; main()"


def keepset(*args: object, code: int = 0) -> dict[str, Any]:
    """Run the command in a process of its own with --json; check its exit code; return its document."""
    document: dict[str, Any] = json.loads(ran(_KEEPSET, *args, "--json", ends=code).stdout)
    return document


def write_config(folder: Path, urls: dict[str, list[str]], allow: str, **extra: str) -> Path:
    lines = ['name = "e2e"', "seed = 1"]
    for label, found in urls.items():
        (folder / f"{label}.txt").write_text("\n".join(found) + "\n")
        lines += [f"[classes.{label}]", f'lists = ["{label}.txt"]']
    lines += ["[download]", f'allow_private = ["{allow}"]', "per_host = 16", "per_host_rate = 1000.0"]
    for section, body in extra.items():
        lines += [f"[{section}]", body]
    (folder / "run.toml").write_text("\n".join(lines) + "\n")
    return folder / "run.toml"


def test_run_approve_retrain_and_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def here(*words: object) -> dict[str, Any]:
        """The same in this process."""
        code, out, err = run(capsys, *words, "-w", ws, "--json")
        assert code == 0, err
        document: dict[str, Any] = json.loads(out)
        return document

    planted = plant(seed=5, per_class=14)
    with serve(planted) as base:
        urls: dict[str, list[str]] = {}
        for p in planted:
            urls.setdefault(p.label, []).append(base + p.path)
        config = write_config(tmp_path, urls, base.removeprefix("http://"), train=SMALL)
        ws = tmp_path / "ws"
        first = keepset("run", config, "-w", ws)
        assert [r["stage"] for r in first["results"]][:4] == ["scrape", "download", "validate", "split"]
        assert first["changed"] is True
        again = here("run", config)
    assert again["changed"] is False, again

    batches = here("review", "list")["batches"]
    assert [b["status"] for b in batches] == ["open"]
    lines = {x.kind: x for x in score(Workspace.open(ws), planted, base, batches[0]["batch"])}
    assert set(lines) == {*Plant} - {Plant.NOTHING} | {"good pictures"}
    needs_a_real_model = {Plant.WRONG_LABEL, Plant.JUNK, Plant.CARTOON, Plant.COLLAGE}
    missed = {
        k: (x.found, x.planted) for k, x in lines.items() if k in {*Plant} - needs_a_real_model and x.found != x.planted
    }
    assert missed == {}
    shown = here("review", "show")
    wrong = {base + p.path for p in planted if p.kind == Plant.WRONG_LABEL}
    assert shown["candidates"] > 0
    assert wrong
    keepset("review", "approve", "--suggested", "--confirm", "--who", "ann", "-w", ws)
    state = here("status")
    assert [r["revision"] for r in state["revisions"]] == [1, 2]
    assert len(state["models"]) == 2
    actions = [row["action"] for row in here("review", "log")["log"]]
    assert "promote" in actions
    before = (ws / "audit.jsonl").read_text()
    assert here("clean")["changed"] is False
    assert (ws / "audit.jsonl").read_text() == before


@pytest.mark.photos
@pytest.mark.slow
def test_real_bears_over_http(photos: Path, tmp_path: Path) -> None:
    """240 scraped photos, frozen features and a linear head."""
    from urllib.parse import quote

    bears = photos / "bears"
    with serving_folder(bears) as port:
        host = f"127.0.0.1:{port}"
        urls = {
            d.name: [f"http://{host}/{quote(f'{d.name}/{p.name}')}" for p in sorted(d.iterdir())[:80]]
            for d in sorted(bears.iterdir())
        }
        config = write_config(tmp_path, urls, host, train='arch = "lite0"\nepochs = 0')
        done = keepset("run", config, "-w", tmp_path / "ws")
    model = keepset("status", "-w", tmp_path / "ws")["models"][0]
    assert model["n"] >= 40
    assert model["error_rate"] <= 0.08, model
    outputs = {k: v for r in done["results"] for k, v in r["outputs"].items()}
    assert (tmp_path / "ws" / outputs["report"]).stat().st_size < 3_000_000
    assert keepset("review", "list", "-w", tmp_path / "ws")["batches"][0]["status"] == "open"
