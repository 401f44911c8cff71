"""What the machine does to a run: a full disk, a read-only one, a clock that jumps, two runs and two workspaces."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.chaos.web import Web, serving
from keepset.demo.pictures import Planted, plant
from keepset.workspace import Workspace
from tests.processes import CHECKOUT, PATIENCE_S

KEEPSET = f"{sys.executable} -m keepset"


@functools.cache
def _planted() -> list[Planted]:
    return plant(3, 12)


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(delay_s=0) as web:
        web.add("", _planted())
        yield web


def config(folder: Path, web: Web) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    host = web.base.removeprefix("http://")
    lines = ['name = "faults"', "[download]", f'allow_private = ["{host}"]', "per_host_rate = 1000.0"]
    labels = dict.fromkeys(p.label for p in web.pages.values())
    for label in labels:
        urls = [web.base + path for path, p in web.pages.items() if p.label == label]
        (folder / f"{label}.txt").write_text("\n".join(urls) + "\n")
        lines += [f"[classes.{label}]", f'lists = ["{label}.txt"]']
    path = folder / "faults.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def shell(script: str, *around: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*around, "bash", "-c", script], capture_output=True, text=True, cwd=CHECKOUT, check=False, timeout=PATIENCE_S
    )


@pytest.fixture
def mounts() -> list[str]:
    """The words before a command that let it mount what only it sees."""
    words = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if not shutil.which("unshare") or shell("mount -t tmpfs none /mnt", *words).returncode:
        pytest.skip("this machine lets no test mount a disk of its own (unshare --mount)")
    return words


def test_a_full_disk_stops_the_run_with_a_word_and_it_goes_on_when_there_is_space(
    tmp_path: Path, web: Web, mounts: list[str]
) -> None:
    toml, disk = config(tmp_path / "config", web), tmp_path / "disk"
    disk.mkdir()
    done = shell(
        f"mount -t tmpfs -o size=700k none {disk}; {KEEPSET} scrape {toml} -w {disk}/ws --json >/dev/null\n"
        f"{KEEPSET} download -w {disk}/ws --json >{tmp_path}/full; echo $?\n"
        f"python3 -c \"import sqlite3; print(sqlite3.connect('{disk}/ws/journal/download.sqlite')"
        f".execute('select count(*) from done').fetchone()[0])\"\n"
        f"mount -o remount,size=50m {disk}; {KEEPSET} download -w {disk}/ws --json >{tmp_path}/again; echo $?",
        *mounts,
    )
    first, finished, second = done.stdout.split()
    refusal = json.loads((tmp_path / "full").read_text())
    assert (first, second) == ("3", "0"), done.stderr
    assert refusal["error"] == "WorkspaceNotWritable"
    assert "space" in refusal["remedy"]
    assert 0 < int(finished) < len(web.pages)
    again = sum(n - 1 for n in web.counts("/").values())
    assert again <= len(web.pages) - int(finished)  # what was in the journal was not asked for again


def test_a_read_only_workspace_is_refused_before_anything_is_asked_for(
    tmp_path: Path, web: Web, mounts: list[str]
) -> None:
    toml, root = config(tmp_path / "config", web), tmp_path / "ws"
    assert shell(f"{KEEPSET} scrape {toml} -w {root}").returncode == 0
    verbs = [f"run {toml}", "download", "up"]
    tries = "; ".join(f"{KEEPSET} {verb} -w {root} --json >{tmp_path}/{n}.json" for n, verb in enumerate(verbs))
    done = shell(f"mount --bind {root} {root}; mount -o remount,ro,bind {root}; {tries}", *mounts)
    refusals = [json.loads((tmp_path / f"{n}.json").read_text()) for n in range(len(verbs))]
    assert [r["error"] for r in refusals] == ["WorkspaceNotWritable"] * 3, done.stderr
    assert all(r["remedy"] for r in refusals)
    assert "Traceback" not in done.stderr
    assert web.counts("/") == {}


def test_a_clock_that_jumps_does_nothing_again(tmp_path: Path, web: Web) -> None:
    if not shutil.which("faketime"):
        pytest.skip("there is no faketime on this machine; apt-get install faketime")
    toml, root = config(tmp_path / "config", web), tmp_path / "ws"
    for verb in (f"scrape {toml}", "download"):
        assert shell(f"{KEEPSET} {verb} -w {root}").returncode == 0
    asked = web.counts("/")
    for jump in ("+400d", "-400d"):
        for verb in ("scrape", "download"):
            done = shell(f"faketime -f {jump} {KEEPSET} {verb} -w {root} --json")
            assert done.returncode == 0, done.stderr
            assert "up to date" in done.stdout
    assert web.counts("/") == asked


def test_two_runs_at_once_on_one_workspace_and_on_two(tmp_path: Path, web: Web) -> None:
    toml = config(tmp_path / "config", web)
    for name in ("one", "other"):
        assert shell(f"{KEEPSET} scrape {toml} -w {tmp_path}/{name}").returncode == 0
    where = [tmp_path / "one", tmp_path / "one", tmp_path / "other"]
    running = [
        subprocess.Popen([*KEEPSET.split(), "download", "-w", str(w)], cwd=CHECKOUT, stdout=subprocess.DEVNULL)
        for w in where
    ]
    assert [p.wait(PATIENCE_S) for p in running] == [0, 0, 0]
    hashes = {Workspace.open(w).downloads.exists() for w in where}
    assert hashes == {True}
    assert set(web.counts("/").values()) == {2}  # once for each workspace
