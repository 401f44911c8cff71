"""The stages in order. Each caller brings a ``Runner``, which says how one stage is run.

Here a stage runs in this process; ``flows/`` runs the same chain with each stage as a Prefect task. The workspace is
the same after either. Imports are inside functions: ``keepset --help`` reads ``keepset.pipeline.registry``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from keepset.pipeline.registry import StageChain, StageSpec, find, stages_of
from keepset.stages import SILENT, Progress, Stage, StageResult

if TYPE_CHECKING:
    from keepset.config import RunConfig
    from keepset.pipeline.engine import Engine
    from keepset.workspace import Workspace

__all__ = ["Here", "Runner", "build", "chain", "check_model_choice", "follow_up", "retrain", "run", "run_again"]


class Runner(Protocol):
    def stage(self, spec: StageSpec, known: Mapping[str, str]) -> StageResult:
        """Run one stage. ``known``: the outputs of the stages before it, of which it gets ``spec.takes``."""
        raise NotImplementedError

    def gate(self, name: str) -> None:
        """Check a manifest. Raises ``GateFailed``."""


def chain(
    stages: Iterable[StageSpec], runner: Runner, outputs: Mapping[str, str] | None = None
) -> Iterator[StageResult]:
    """Run the stages one after the other, with the gate of each after it. Raises ``GateFailed``.

    ``outputs``: of stages that ran before.
    """
    known = dict(outputs or {})
    for spec in stages:
        result = runner.stage(spec, known)
        known |= result.outputs
        yield result
        if spec.gate:
            runner.gate(spec.gate)


@dataclass(frozen=True)
class Here:
    """Runs stages in this process, and their shards where the engine says."""

    ws: Workspace
    config: RunConfig
    engine: Engine
    progress: Progress = SILENT

    def stage(self, spec: StageSpec, known: Mapping[str, str]) -> StageResult:
        from keepset.pipeline.shards import run_stage

        taken = {name: known[name] for name in spec.takes}
        return run_stage(spec, self.ws, self.config, self.engine, self.progress, **taken)

    def gate(self, name: str) -> None:
        from keepset.gates import check

        check(self.ws, self.config, name)


def build(ws: Workspace, config: RunConfig, *, engine: Engine, progress: Progress = SILENT) -> Iterator[StageResult]:
    """scrape, download, validate, split, with a gate after each. Raises ``GateFailed``."""
    return chain(stages_of(StageChain.BUILD), Here(ws, config, engine, progress))


def retrain(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT) -> Iterator[StageResult]:
    """What follows a cleaned revision: learn, and open the next batch if one is worth a person's time."""
    return chain(stages_of(StageChain.LEARN), _here(ws, config, progress))


def _here(ws: Workspace, config: RunConfig, progress: Progress) -> Here:
    """For stages without shards."""
    from keepset.pipeline.engine import Engine

    return Here(ws, config, Engine(), progress)


def check_model_choice(ws: Workspace, config: RunConfig) -> None:
    """Before the first download: raises the ``ModelError`` that would come hours later, at the training."""
    from keepset.train.weights import check_choice

    if not ws.downloads.exists():
        check_choice(config.train)


def follow_up(ws: Workspace, *, progress: Progress = SILENT) -> Iterator[StageResult]:
    """Apply approved batches, train on the cleaned revision, and open the next batch. Nothing if nothing is pending."""
    from keepset.clean.takedown import forget_here
    from keepset.pipeline.atwork import Work, working

    forget_here(ws)
    with working(ws, Work.FOLLOW_UP, progress) as teller:
        yield from teller.each(_follow_up(ws, ws.config(), teller))


def _follow_up(ws: Workspace, config: RunConfig, progress: Progress) -> Iterator[StageResult]:
    from keepset.pipeline.followup import pending

    yield from _apply(ws, config, progress)
    if pending(ws).revision:
        yield from retrain(ws, config, progress=progress)


def _apply(ws: Workspace, config: RunConfig, progress: Progress) -> Iterator[StageResult]:
    from keepset.pipeline.followup import pending

    if pending(ws).batches:
        yield from chain([find(Stage.CLEAN)], _here(ws, config, progress))


def run(
    ws: Workspace, config: RunConfig, *, engine: Engine | None = None, progress: Progress = SILENT
) -> Iterator[StageResult]:
    """The full pipeline, from URL lists to a cleaning batch to review. Approved batches are applied first.

    ``engine``: where the shards of downloading and validation run; by default, as this machine's settings say.
    """
    from keepset.clean.takedown import forget_here
    from keepset.pipeline.atwork import Work, working
    from keepset.pipeline.engine import Engine
    from keepset.pipeline.followup import pending

    ws.check_writable()
    forget_here(ws)
    ws.save_config(config)
    check_model_choice(ws, config)
    where = engine or Engine.of_this_machine()
    work = Work.FOLLOW_UP if pending(ws) else Work.RUN
    with working(ws, work, progress, wait=work == Work.FOLLOW_UP) as teller:
        yield from teller.each(_run(ws, config, where, teller))


def run_again(ws: Workspace, *, progress: Progress = SILENT) -> Iterator[StageResult]:
    """``run`` with the config in force; that it cannot even begin is recorded too."""
    from keepset.pipeline.atwork import Work, working

    with working(ws, Work.RUN, progress, wait=False) as teller:
        yield from run(ws, ws.config(), progress=teller)


def _run(ws: Workspace, config: RunConfig, engine: Engine, progress: Progress) -> Iterator[StageResult]:
    yield from _apply(ws, config, progress)
    yield from build(ws, config, engine=engine, progress=progress)
    yield from retrain(ws, config, progress=progress)
