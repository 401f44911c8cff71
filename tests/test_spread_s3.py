"""Workers that share nothing but an object store: each has a cache folder of its own, as on machines of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepset import manifests
from keepset.scrape import scrape
from keepset.settings import settings
from keepset.stages import SILENT, Stage
from keepset.storage import StoredPath, locate
from keepset.workspace import Workspace
from tests.dask_fixtures import dask_cluster
from tests.test_spread import hosts, listed, spread

EACH = 8


@pytest.mark.slow
def test_two_machines_build_one_workspace_on_a_store(s3: str, tmp_path: Path) -> None:
    with hosts() as found, dask_cluster(tmp_path, workers=0) as cluster:
        for name in ("one", "two"):
            cluster.start_worker(KEEPSET_CACHE=str(tmp_path / name))
        here = listed(tmp_path, found, per_host=EACH, per_host_rate=1000.0)
        ws = Workspace.create(locate(f"{s3}/ws"), "x")
        ws.save_config(here.config())
        assert isinstance(ws.root, StoredPath)
        scrape(ws, ws.config())
        spread(Stage.DOWNLOAD, ws, cluster.engine, SILENT)
        result = spread(Stage.VALIDATE, ws, cluster.engine, SILENT)
        assert f"{EACH} images are good, 0 rejected" in result.message  # every host has the same
        assert {n for host in found.values() for n in host["asked"].values()} == {1}
        assert manifests.read_header(ws.downloads).rows == EACH * len(found) + 1
        assert manifests.read_header(ws.images).rows == EACH
        assert not spread(Stage.DOWNLOAD, ws, cluster.engine, SILENT).changed
    shared = {p.name for p in (tmp_path / "one").rglob("*.part.sqlite")}
    assert not shared  # journals travel through the store
    assert settings().cache not in (tmp_path / "one", tmp_path / "two")
