from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows.exclusive import exclusive
from flows.naming import named
from flows.parameters import DatasetForm, begin
from flows.presence import at_work
from flows.shards import run_shards
from keepset.pipeline.engine import Engine
from keepset.stages import Stage
from tasks.download import download, download_shard, plan_download
from tasks.gate import gate
from tasks.scrape import scrape
from tasks.split import split
from tasks.validate import plan_validate, validate, validate_shard

__all__ = ["build_dataset"]


@flow(name="build_dataset", flow_run_name=named("build"), persist_result=True, log_prints=False)
def build_dataset(
    workspace: str,
    config: str | None = None,
    dataset: DatasetForm | None = None,
    engine: Engine | None = None,
) -> State[dict[str, Any]]:
    """Collect, download, validate and split. Incremental: what is there already is not done again.

    Args:
        workspace: Folder that holds everything about one data set; it is made if it is missing.
        config: Path of a run config (TOML). Left out: the one the workspace has, or the new data set below.
        dataset: A new data set, told here instead of in a file.
        engine: Where shards of downloading and validation run. Left out: as the runner's machine is set.
    """
    where = engine or Engine.of_this_machine()
    ws = begin(workspace, config, dataset)
    with at_work(ws), exclusive(ws, "build"):
        scrape(workspace)
        gate(workspace, "urls")
        run_shards(ws, Stage.DOWNLOAD, where, plan_download, download_shard)
        download(workspace)
        gate(workspace, "downloads")
        run_shards(ws, Stage.VALIDATE, where, plan_validate, validate_shard)
        validate(workspace)
        gate(workspace, "images")
        done = split(workspace)
        gate(workspace, "dataset")
    return Completed(data=done, message=done["message"])
