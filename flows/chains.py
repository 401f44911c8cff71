"""The chains of ``keepset.pipeline`` with each stage and each gate as a Prefect task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.flow_lock import exclusive
from keepset.pipeline import chain
from keepset.pipeline.engine import Engine
from keepset.pipeline.registry import Chain, StageSpec, stages_of
from keepset.stages import Stage, StageResult
from keepset.workspace import Workspace
from tasks.gate import gate
from tasks.interpret import show_verdict
from tasks.review import ask_for_review
from tasks.stage import run_as_task

__all__ = ["build", "learn"]


@dataclass(frozen=True)
class AsTasks:
    """Runs stages as tasks of the current flow. A review is a run of its own, since it waits for a person."""

    workspace: str
    engine: Engine

    def stage(self, spec: StageSpec, known: Mapping[str, str]) -> StageResult:
        if spec.name == Stage.REVIEW:
            ask_for_review(self.workspace, known["model_id"])
            return StageResult(spec.name, True, "a run of review_batch was started")
        taken = {name: known[name] for name in spec.takes}
        return StageResult(**run_as_task(spec, self.workspace, self.engine, **taken))

    def gate(self, name: str) -> None:
        gate(self.workspace, name)


def build(ws: Workspace, engine: Engine | None) -> dict[str, Any]:
    """Collect, download, validate and split; returns the split's result."""
    with exclusive(ws, "build"):
        runner = AsTasks(str(ws.root), engine or Engine.of_this_machine())
        *_, split = chain(stages_of(Chain.BUILD), runner)
    return split.as_dict()


def learn(ws: Workspace, *, ask: bool = False) -> dict[str, Any]:
    """Train, export, compare, promote and report; returns the comparison. With ``ask`` the review begins right after
    the training, while the model is exported, compared and reported on.
    """
    workspace = str(ws.root)
    with exclusive(ws, "train"):
        stages = stages_of(Chain.LEARN, without=[] if ask else [Stage.REVIEW])
        done = {result.stage: result for result in chain(stages, AsTasks(workspace, Engine()))}
        show_verdict(workspace, done[Stage.TRAIN].outputs["model_id"])
    return done[Stage.PROMOTE].as_dict()
