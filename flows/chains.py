"""The chains of ``keepset.pipeline`` with each stage and each gate as a Prefect task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefect import State
from prefect.states import Completed

from flows.runs import exclusive
from keepset.pipeline import chain
from keepset.pipeline.atwork import teller_of
from keepset.pipeline.engine import Engine
from keepset.pipeline.registry import StageChain, StageSpec, stages_of
from keepset.stages import Stage, StageResult
from keepset.workspace import Workspace
from tasks.gate import gate
from tasks.interpret import show_verdict
from tasks.review import ask_for_review, say_next
from tasks.stage import run_as_task

__all__ = ["build", "learn"]


@dataclass(frozen=True)
class AsTasks:
    """Runs stages as tasks of the current flow. A batch that opens is waited for by a run of its own."""

    workspace: Workspace
    engine: Engine

    def stage(self, spec: StageSpec, known: Mapping[str, str]) -> StageResult:
        teller_of(self.workspace).start(spec.opening, None)
        workspace, taken = str(self.workspace.root), {name: known[name] for name in spec.takes}
        result = StageResult(**run_as_task(spec, workspace, self.engine, **taken))
        if spec.name == Stage.REVIEW and (batch_id := result.outputs.get("batch_id")):
            ask_for_review(workspace, batch_id)
        return result

    def gate(self, name: str) -> None:
        gate(str(self.workspace.root), name)


def build(ws: Workspace, engine: Engine | None) -> dict[str, Any]:
    """Collect, download, validate and split; returns the split's result."""
    with exclusive(ws, "build"):
        runner = AsTasks(ws, engine or Engine.of_this_machine())
        *_, split = chain(stages_of(StageChain.BUILD), runner)
    return split.as_dict()


def learn(ws: Workspace, *, ask: bool = False) -> State[dict[str, Any]]:
    """Train, export, compare, promote and report; the state holds the comparison, and its message how it ended.

    With ``ask`` the next batch opens right after the training, while the model is exported, compared and reported on.
    """
    workspace = str(ws.root)
    with exclusive(ws, "train"):
        stages = stages_of(StageChain.LEARN, without=[] if ask else [Stage.REVIEW])
        done = {result.stage: result for result in chain(stages, AsTasks(ws, Engine()))}
        show_verdict(workspace, done[Stage.TRAIN].outputs["model_id"])
        compared = done[Stage.PROMOTE]
        words = compared.message if compared.changed else "Nothing has changed."
        words += f" {say_next(workspace, done[Stage.REVIEW].outputs.get('batch_id'))}" if ask else ""
    return Completed(data=compared.as_dict(), message=words)
