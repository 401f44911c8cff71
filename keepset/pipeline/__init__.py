"""The stages in order, in this process and without an orchestrator.

``flows/`` chains the same functions as Prefect tasks; what they leave in the workspace is the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from keepset.config import RunConfig
from keepset.pipeline.atwork import Work, working
from keepset.pipeline.engine import Engine
from keepset.pipeline.followup import pending
from keepset.stages import SILENT, Progress, StageResult
from keepset.workspace import Workspace

__all__ = ["build", "follow_up", "foresee", "learn", "retrain", "run", "run_again"]


def foresee(ws: Workspace, config: RunConfig) -> None:
    """Before the first download: raises the ``ModelError`` that would come hours later, at the training."""
    from keepset.train.foresight import check_choice

    if not ws.downloads.exists():
        check_choice(config.train)


_OPENING = {
    "urls": "reading the sources", "downloads": "planning the downloads", "images": "planning the validation",
    "dataset": "splitting",
}  # fmt: skip
"""What the bar says until a stage names its own work, so that the one before is seen to be over."""


def build(
    ws: Workspace, config: RunConfig, *, engine: Engine, progress: Progress = SILENT
) -> Iterator[StageResult]:
    """scrape, download, validate, split, with a gate after each. Raises ``GateFailed``."""
    from keepset.download import download
    from keepset.gates import check
    from keepset.pipeline.spread import run_stage
    from keepset.scrape import scrape
    from keepset.split import split
    from keepset.validate import validate

    for stage, gate in ((scrape, "urls"), (download, "downloads"), (validate, "images"), (split, "dataset")):
        progress.start(_OPENING[gate], None)
        result = run_stage(stage, ws, engine, progress)
        yield result
        check(ws, config, gate)


def learn(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT) -> Iterator[StageResult]:
    """train, then export for serving, compare with the model in use, promote, and report."""
    trained = _trained(ws, config, progress)
    yield trained
    yield from _put_in_use(ws, config, trained.outputs["model_id"], progress)


def retrain(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT) -> Iterator[StageResult]:
    """What follows a cleaned revision: learn, and open the next batch if one is worth a person's time.

    The batch comes right after the training: a person can begin while the model is exported, compared and reported on.
    """
    from keepset.review import review

    trained = _trained(ws, config, progress)
    yield trained
    yield review(ws, config, progress=progress)
    yield from _put_in_use(ws, config, trained.outputs["model_id"], progress)


def _trained(ws: Workspace, config: RunConfig, progress: Progress) -> StageResult:
    progress.start("loading torch", None)
    from keepset.train import train

    return train(ws, config, progress=progress)


def _put_in_use(ws: Workspace, config: RunConfig, model_id: str, progress: Progress) -> Iterator[StageResult]:
    from keepset.export.onnx import export_model
    from keepset.interpret import interpret
    from keepset.models.promote import compare_and_promote

    progress.start("exporting the model", None)
    export_model(ws, model_id)
    progress.start("comparing with the model in use", None)
    yield compare_and_promote(ws, config, model_id)
    progress.start("writing the report", None)
    yield interpret(ws, config, progress=progress, model_id=model_id)


def follow_up(ws: Workspace, *, progress: Progress = SILENT) -> Iterator[StageResult]:
    """Apply approved batches, train on the cleaned revision, and open the next batch. Nothing if nothing is pending."""
    with working(ws, Work.FOLLOW_UP, progress) as teller:
        yield from teller.each(_follow_up(ws, ws.config(), teller))


def _follow_up(ws: Workspace, config: RunConfig, progress: Progress) -> Iterator[StageResult]:
    yield from _apply(ws, config, progress)
    if pending(ws).revision:
        yield from retrain(ws, config, progress=progress)


def _apply(ws: Workspace, config: RunConfig, progress: Progress) -> Iterator[StageResult]:
    from keepset.clean import clean

    if pending(ws).batches:
        progress.start("applying the decisions", None)
        yield clean(ws, config, progress=progress)


def run(
    ws: Workspace, config: RunConfig, *, engine: Engine | None = None, progress: Progress = SILENT
) -> Iterator[StageResult]:
    """The full pipeline, from URL lists to a cleaning batch to review. Approved batches are applied first.

    ``engine``: where the shards of downloading and validation run; by default, as this machine's settings say.
    """
    ws.check_writable()
    ws.save_config(config)
    foresee(ws, config)
    where = engine or Engine.of_this_machine()
    work = Work.FOLLOW_UP if pending(ws) else Work.RUN
    with working(ws, work, progress, wait=work == Work.FOLLOW_UP) as teller:
        yield from teller.each(_run(ws, config, where, teller))


def run_again(ws: Workspace, *, progress: Progress = SILENT) -> Iterator[StageResult]:
    """``run`` with the config in force; that it cannot even begin is recorded too."""
    with working(ws, Work.RUN, progress, wait=False) as teller:
        yield from run(ws, ws.config(), progress=teller)


def _run(ws: Workspace, config: RunConfig, engine: Engine, progress: Progress) -> Iterator[StageResult]:
    yield from _apply(ws, config, progress)
    yield from build(ws, config, engine=engine, progress=progress)
    yield from retrain(ws, config, progress=progress)
