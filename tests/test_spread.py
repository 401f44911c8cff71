"""Shards on Dask workers that are processes of their own: nothing twice, nothing lost, no host asked too much."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keepset import manifests, validate
from keepset.config import RunConfig, parse_config
from keepset.download.lanes import split_in_lanes
from keepset.errors import EngineError
from keepset.pipeline.cluster import connect, count_workers
from keepset.pipeline.engine import Engine
from keepset.pipeline.registry import find
from keepset.pipeline.shards import run_stage
from keepset.reasons import ItemStatus
from keepset.scrape import scrape
from keepset.stages import SILENT, EngineKind, Progress, Shard, Stage, StageResult
from keepset.workspace import Workspace
from tests.dask_fixtures import CHECKOUT, DaskCluster, dask_cluster
from tests.download_fixtures import Web
from tests.factories import Told, saved
from tests.factories import config as drawn_config
from tests.processes import PATIENCE_S, serving, wait_for
from tests.test_hostile_images import JPEG, PHOTO
from tests.test_hostile_images import workspace as image_workspace


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask"), workers=2) as running:
        yield running


class Host(Web):
    """A host that writes down when it was asked, and how many requests it had at once."""

    seen: dict[str, Any]

    def do_GET(self) -> None:
        if self.path == "/robots.txt":
            super().do_GET()
            return
        with self.seen["lock"]:
            self.seen["times"].append(time.monotonic())
            self.seen["now"] += 1
            self.seen["most"] = max(self.seen["most"], self.seen["now"])
        time.sleep(0.03)
        super().do_GET()
        with self.seen["lock"]:
            self.seen["now"] -= 1


@contextlib.contextmanager
def hosts() -> Iterator[dict[str, dict[str, Any]]]:
    """Hosts by address (each a port of loopback), until both of two lanes have at least two."""
    found: dict[str, dict[str, Any]] = {}
    lanes: dict[int, int] = defaultdict(int)
    with contextlib.ExitStack() as servers:
        while min(lanes[0], lanes[1]) < 2:
            seen: dict[str, Any] = {"lock": threading.Lock(), "times": [], "now": 0, "most": 0}
            asked: dict[str, int] = defaultdict(int)
            base = f"127.0.0.1:{servers.enter_context(serving(Host, asked=asked, seen=seen))}"
            lanes[_lane(base)] += 1
            found[base] = {"seen": seen, "asked": asked}
        yield found


def _lane(host: str) -> int:
    row = {"source": "list", "url": f"http://{host}/x"}
    return next(split_in_lanes(Shard(0, 0, 1), [row], 2)).lane


def listed(tmp_path: Path, found: dict[str, Any], per_host: int, **download: Any) -> Workspace:
    """A workspace whose list goes round the hosts, scraped."""
    urls = [f"http://{host}/good/{i}" for i in range(per_host) for host in found]
    (tmp_path / "a.txt").write_text("\n".join(urls) + "\n")
    (tmp_path / "b.txt").write_text("http://b.invalid/never.jpg\n")
    config = parse_config({
        "classes": {"a": {"lists": ["a.txt"]}, "b": {"lists": ["b.txt"]}},
        "download": {"allow_private": list(found), "per_host": 2, "per_host_rate": 20.0, "retries": 0, "shard_size": 30}
        | download,
    }, base=tmp_path)  # fmt: skip
    ws = Workspace.create(tmp_path / "ws", "x")
    ws.save_config(config)
    scrape(ws, config)
    return ws


def spread(stage: Stage, ws: Workspace, engine: Engine, progress: Progress) -> StageResult:
    return run_stage(find(stage), ws, ws.config(), engine, progress)


def found_rows(ws: Workspace) -> dict[str, tuple[str, str | None]]:
    rows = manifests.read(ws.downloads, "downloads").rows()
    return {r["url"]: (r["status"], r["sha256"]) for r in rows}


def test_two_workers_ask_a_host_no_more_than_one_would(tmp_path: Path, cluster: DaskCluster) -> None:
    with hosts() as found:
        ws = listed(
            tmp_path, found, per_host=30, per_host_rate=5.0, shard_size=1000
        )  # each shard starts with a new burst
        spread(Stage.DOWNLOAD, ws, cluster.engine, SILENT)
        for host in found.values():
            assert host["seen"]["most"] <= 2
            assert set(host["asked"].values()) == {1}
            times = sorted(host["seen"]["times"])
            assert len(times) == 30
            # Ten at once, then a gap of 1/5 s each: no window holds more than its length and the burst allow.
            for i, begin in enumerate(times):
                within = sum(begin <= t < begin + 2 for t in times[i:])
                assert within <= 10 + 2 * 5 + 2
        spans = {_lane(h): (min(f["seen"]["times"]), max(f["seen"]["times"])) for h, f in found.items()}
        assert spans[0][0] < spans[1][1]  # both workers were at it at once
        assert spans[1][0] < spans[0][1]
    ok = [row for url, row in found_rows(ws).items() if "b.invalid" not in url]
    assert [status for status, _ in ok] == ["ok"] * (30 * len(found))


def test_a_killed_worker_loses_nothing_and_repeats_nothing_that_was_done(tmp_path: Path, cluster: DaskCluster) -> None:
    with hosts() as found:
        ws = listed(tmp_path, found, per_host=40)
        done: list[Any] = []
        run = threading.Thread(target=lambda: done.append(spread(Stage.DOWNLOAD, ws, cluster.engine, SILENT)))
        run.start()
        wait_for(lambda: sum(len(h["asked"]) for h in found.values()) > 40, "the workers to be at it")
        cluster.kill(cluster.workers[0])
        run.join(PATIENCE_S)
        assert done
        twice = [path for h in found.values() for path, n in h["asked"].items() if n > 1]
        assert len(twice) <= 2 * len(found)  # what was in flight: per_host of each host
    rows = found_rows(ws)
    assert sum(status == "ok" for status, _ in rows.values()) == 40 * len(found)
    assert not list(ws.journal.glob("*.part*.sqlite*"))
    cluster.start_worker()


def test_a_killed_run_leaves_no_worker_at_it_and_the_next_goes_on(tmp_path: Path, cluster: DaskCluster) -> None:
    with hosts() as found:
        ws = listed(tmp_path, found, per_host=60, per_host_rate=8.0)
        command = [sys.executable, "-m", "keepset", "download", "-w", str(ws.root)]
        command += ["--engine", "dask", "--address", cluster.address]
        run = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=CHECKOUT)
        wait_for(lambda: sum(len(h["asked"]) for h in found.values()) > 30, "the workers to be at it")
        run.send_signal(signal.SIGKILL)
        run.wait()
        ws.save_config(ws.config().model_copy(update={"download": _fast(ws.config())}))
        spread(Stage.DOWNLOAD, ws, cluster.engine, SILENT)  # waits until the abandoned shards have stopped
        asked = [n for h in found.values() for n in h["asked"].values()]
        assert len(asked) == 60 * len(found)
        assert sum(n > 1 for n in asked) <= 2 * len(found)


def _fast(config: RunConfig) -> Any:
    return config.download.model_copy(update={"per_host_rate": 1000.0})


def test_validation_on_workers_finds_what_it_finds_here(tmp_path: Path, cluster: DaskCluster) -> None:
    pictures = {f"good {i}": saved(PHOTO.rotate(i), "PNG") for i in range(4)}
    pictures |= {"cut": JPEG[: len(JPEG) // 2], "text": b"no picture", "copy": saved(PHOTO, "BMP"), "jpeg": JPEG}
    ws, _, names = image_workspace(tmp_path, pictures)
    config = drawn_config(tmp_path, validate={"shard_size": 4})
    ws.save_config(config)
    here = validate.validate(ws, config)
    expected = manifests.read(ws.images, "images").content_hash
    ws.images.unlink()
    shutil.rmtree(ws.journal)
    shutil.rmtree(ws.root / "thumbs")
    there = spread(Stage.VALIDATE, ws, cluster.engine, SILENT)
    assert there.message == here.message
    assert manifests.read(ws.images, "images").content_hash == expected
    assert spread(Stage.VALIDATE, ws, cluster.engine, SILENT).changed is False
    thumbs = [s for s, n in names.items() if ws.thumb(s).exists()]
    good = [r for r in manifests.read(ws.images, "images").rows() if r["status"] == ItemStatus.OK]
    assert len(thumbs) == len(good) == 6


def test_a_worker_with_other_code_or_without_any_is_refused_by_name(tmp_path: Path, cluster: DaskCluster) -> None:
    ws = Workspace.create(tmp_path / "ws", "x")
    ws.save_config(drawn_config(tmp_path))
    older = tmp_path / "older"
    shutil.copytree(CHECKOUT / "keepset", older / "keepset", ignore=shutil.ignore_patterns("__pycache__"))
    with (older / "keepset" / "formats.py").open("a") as f:
        f.write("# another version\n")
    none = tmp_path / "none"
    none.mkdir()
    (none / "keepset.py").write_text("raise ImportError('no Keepset on this machine')\n")
    for path, words in ((older, "has other code: Keepset"), (none, "no Keepset on this machine")):
        worker = cluster.start_worker(path)
        with (
            pytest.raises(EngineError, match=f"1 of 3 Dask workers cannot .*{words}") as caught,
            connect(cluster.engine, ws),
        ):
            pass
        assert "same Keepset on every worker" in caught.value.remedy
        cluster.stop(worker)
        wait_for(lambda: _count(cluster) == 2, "the worker to be gone")
    elsewhere = Workspace(tmp_path / "not-there", ws.id, "x")
    with (
        pytest.raises(EngineError, match=r"does not have the workspace .*not-there"),
        connect(cluster.engine, elsewhere),
    ):
        pass


def _count(cluster: DaskCluster) -> int:
    return count_workers(cluster.engine)


def test_a_scheduler_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepset.pipeline.cluster._ANSWER_S", 0.5)
    ws = Workspace.create(tmp_path / "ws", "x")
    nowhere = Engine(kind=EngineKind.DASK, address="tcp://127.0.0.1:9")
    with pytest.raises(EngineError, match=r"tcp://127\.0\.0\.1:9 does not answer"), connect(nowhere, ws):
        pass


def test_workers_of_this_machine_are_started_and_ended(tmp_path: Path) -> None:
    ws, _, _ = image_workspace(tmp_path, {"a": JPEG, "b": saved(PHOTO, "PNG"), "c": b"no picture"})
    config = drawn_config(tmp_path, validate={"shard_size": 1}, train={"weights": "none"})
    ws.save_config(config)
    told = Told()
    result = spread(Stage.VALIDATE, ws, Engine(kind=EngineKind.DASK, workers=2), told)
    assert "2 images are good, 1 rejected" in result.message
    assert "3 shards on 2 Dask workers at tls://127.0.0.1" in told.notes[0]
    assert "dashboard http://127.0.0.1" in told.notes[0]
    assert told.done == 4  # three shards, and one pair of copies that is compared
    assert not [p for p in _children() if b"spawn_main" in p]


def _children() -> list[bytes]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append((stat.parent / "cmdline").read_bytes())
    return found
