"""Fixtures that every test may use; each topic keeps its own servers and hostile files beside its tests."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

Hook = tuple[str, list[dict[str, Any]]]
Once = Callable[[str, Callable[[Path], object]], Path]

if TYPE_CHECKING:
    from tests.browser_fixtures import Browser
    from tests.stack_fixtures import Running

# Before anything imports them: no telemetry, no fights over two cores (idle OpenMP threads wait at full load).
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

pytest_plugins = [f"tests.{topic}_fixtures" for topic in ("export", "installing", "predict", "review", "storage")]

CHECKOUT = Path(__file__).resolve().parents[1]


SHARED = ("stack", "core", "s3_server")
"""Fixtures of a session that take seconds to make."""
DEAREST = (
    "stack", "test_chaos.py", "test_team.py", "s3_server", "test_stack.py", "test_end_to_end.py", "test_gallery_heat.py",
    "test_gallery_browser.py", "test_gallery_alike.py", "test_stack_dask.py", "core", "test_followup.py", "test_pillow_images.py",
    "test_interpret_diagnosis.py", "test_notebook.py", "test_pipeline.py", "test_site.py", "test_spread.py", "test_takedown.py",
    "test_predict.py", "test_home.py", "test_train_features.py", "test_train.py",
)  # fmt: skip
"""Tests that take longest, by their group or file: begun first, so that all workers end at about the same time."""


SLOW = {
    "bench_noise", "card", "chaos", "clean_kill", "demo", "download_lost", "end_to_end", "faults", "followup",
    "gallery_heat", "hostile_images", "import", "inbox", "installing", "interpret_cam", "interpret_datasize",
    "interpret_elsewhere", "notebook", "orchestrator", "pipeline", "predict", "predict_api_fuzz", "predict_batch",
    "prefilter", "registry", "remedies", "review_placeholder", "review_suspicion", "spread", "storage",
    "storage_pipeline", "storage_sharing", "takedown", "train", "train_chain", "train_contenders", "train_features",
    "train_machine", "train_resume", "validate", "web_predict",
}  # fmt: skip
"""Files whose tests train, export, decode or start programs, all of them marked ``slow``."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what takes time to make go to one worker, which makes it once; all others go anywhere."""
    rank = {name: n for n, name in enumerate(DEAREST)}
    group = {item: _group(item) for item in items}
    for item in items:
        if item.path.stem.removeprefix("test_") in SLOW:
            item.add_marker(pytest.mark.slow)
        if group[item]:
            item.add_marker(pytest.mark.xdist_group(group[item]))
            if item.config.getoption("loadgroup", False) and hasattr(item, "_id"):
                # pytest-xdist 3.8 says the group in a field that pytest 9.2 no longer reads (pytest-xdist#1386).
                item._id = type(item._id).parse(f"{item.nodeid}@{group[item]}")
    items.sort(key=lambda i: min(rank.get(name, len(rank)) for name in (group[i], i.path.name)))


def _group(item: Any) -> str:
    """The shared fixture that a test uses, or its file if that has one for all its tests, or nothing."""
    for name in SHARED:
        if name in item.fixturenames:
            return name
    scopes = {made[-1].scope for made in item._fixtureinfo.name2fixturedefs.values()}
    return str(item.path.name) if "module" in scopes else ""


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """``once(name, make)``: the folder that ``make`` has filled, the same one for all workers of a run. Copy it, or only read."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        done, part = base / f"once-{name}", base / f"once-{name}.part"
        with (base / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                part.mkdir()
                make(part)
                part.rename(done)
        return done

    return made


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real photos (``KEEPSET_PHOTOS``, or ``../shared/photos`` beside the checkout)."""
    folder = Path(os.environ.get("KEEPSET_PHOTOS", CHECKOUT.parent / "shared" / "photos"))
    if not folder.is_dir():
        pytest.skip(f"no real photos at {folder}; set KEEPSET_PHOTOS to their folder")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no chromium on this machine; apt-get install chromium")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    from tests.browser_fixtures import Browser

    with Browser.launched(chromium) as found:
        yield found


@pytest.fixture(scope="session")
def hook() -> Iterator[Hook]:
    """A webhook on loopback: its address, and what was sent there."""
    from tests.stack_fixtures import listening

    with listening() as found:
        yield found


@pytest.fixture(scope="session")
def told(hook: Hook) -> list[dict[str, Any]]:
    return hook[1]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, hook: Hook) -> Iterator[Running]:
    """A real stack, started once, with ``--notify``: 15 s. Its own workspace has a batch worth a look; others may be
    brought along.
    """
    from tests.stack_fixtures import plan_kills, start, waiting_workspace

    folder = tmp_path_factory.mktemp("stack")
    running = start(
        waiting_workspace(folder), plan_kills(folder / "kills"), forked=True, environment={"KEEPSET_NOTIFY": hook[0]}
    )
    yield running
    running.stop()
    assert not (running.ws.root / "stack.json").exists()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No ``KEEPSET_*`` of the developer's shell changes what a test sees; the cores belong to all workers of pytest."""
    from keepset.settings import settings

    for name in [n for n in os.environ if n.startswith("KEEPSET_") and n != "KEEPSET_PHOTOS"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KEEPSET_WORKERS", "1")
    settings.cache_clear()
    yield
    settings.cache_clear()
