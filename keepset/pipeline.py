"""The stages in order, in this process and without an orchestrator.

``flows/`` chains the same functions as Prefect tasks; what they leave in the workspace is the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from keepset.config import RunConfig
from keepset.engine import Engine
from keepset.stages import SILENT, Progress, StageResult
from keepset.workspace import Workspace

__all__ = ["build", "foresee", "learn", "retrain", "run"]


def foresee(ws: Workspace, config: RunConfig) -> None:
    """Before the first download: raises the ``ModelError`` that would come hours later, at the training."""
    from keepset.train.foresight import check_choice

    if not ws.downloads.exists():
        check_choice(config.train)


def build(
    ws: Workspace, config: RunConfig, *, engine: Engine, progress: Progress = SILENT
) -> Iterator[StageResult]:
    """scrape, download, validate, split, with a gate after each. Raises ``GateFailed``."""
    from keepset.download import download
    from keepset.gates import check
    from keepset.scrape import scrape
    from keepset.split import split
    from keepset.spread import run_stage
    from keepset.validate import validate

    for stage, gate in ((scrape, "urls"), (download, "downloads"), (validate, "images"), (split, "dataset")):
        result = run_stage(stage, ws, engine, progress)
        yield result
        check(ws, config, gate)


def learn(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT) -> Iterator[StageResult]:
    """train, then export for serving, compare with the model in use, promote, and report."""
    from keepset.train import train

    trained = train(ws, config, progress=progress)
    yield trained
    yield from _put_in_use(ws, config, trained.outputs["model_id"], progress)


def retrain(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT) -> Iterator[StageResult]:
    """What follows a cleaned revision: learn, and open the next batch if one is worth a person's time.

    The batch comes right after the training: a person can begin while the model is exported, compared and reported on.
    """
    from keepset.review import review
    from keepset.train import train

    trained = train(ws, config, progress=progress)
    yield trained
    yield review(ws, config, progress=progress)
    yield from _put_in_use(ws, config, trained.outputs["model_id"], progress)


def _put_in_use(ws: Workspace, config: RunConfig, model_id: str, progress: Progress) -> Iterator[StageResult]:
    from keepset.export.onnx import export_model
    from keepset.interpret import interpret
    from keepset.promote import compare_and_promote

    export_model(ws, model_id)
    yield compare_and_promote(ws, config, model_id)
    yield interpret(ws, config, progress=progress, model_id=model_id)


def run(
    ws: Workspace, config: RunConfig, *, engine: Engine | None = None, progress: Progress = SILENT
) -> Iterator[StageResult]:
    """The whole way from URL lists to a cleaning batch that waits for a person.

    ``engine`` says where the shards of downloading and validation run; left out, as this machine's settings say.
    """
    ws.check_writable()
    ws.save_config(config)
    foresee(ws, config)
    yield from build(ws, config, engine=engine or Engine.of_this_machine(), progress=progress)
    yield from retrain(ws, config, progress=progress)
