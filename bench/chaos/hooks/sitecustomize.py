"""Found by every Python of the stack of the chaos runs: with ``KEEPSET_BENCH_FORKED`` flow runs are forked.

Starting a flow run means five to fifteen seconds of CPU for imports, more
than all that the small run does. Here the runner forks it from a process that has done them (``forkserver``), by
Prefect's own way for flows that it holds as objects. What is killed stays what it was: a process for each flow run, that
outlives its runner.
"""

from __future__ import annotations

import copyreg
import importlib
import multiprocessing
import os
import sys
from types import ModuleType
from typing import Any

_LOADED = [
    "flows.pipeline", "flows.retrain", "flows.review_batch", "prefect.runner", "prefect.flow_engine", "torch",
    "torchvision", "timm", "onnx", "onnxruntime", "great_expectations", "great_expectations.expectations",
    "pandas", "pyarrow.parquet", "sklearn.linear_model", "keepset.train",
    "keepset.interpret", "keepset.validate", "keepset.download", "keepset.export.onnx", "keepset.gates.suites",
]  # fmt: skip


def _fork_instead() -> None:
    from prefect import Flow
    from prefect.runner._deployment_registry import DeploymentRegistry

    real = multiprocessing.get_context

    def get_context(method: str | None = None) -> Any:
        return real("forkserver" if method == "spawn" else method)

    multiprocessing.get_context = get_context  # type: ignore[assignment]
    multiprocessing.set_forkserver_preload(_LOADED)
    DeploymentRegistry.get_flow = _flow  # type: ignore[method-assign]
    copyreg.pickle(Flow, lambda flow: (getattr, (_module(flow.name), flow.name)))  # by name, not by value


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"flows.{name}")


def _flow(registry: Any, deployment_id: Any) -> Any:
    name = str(registry.get_deployment_name(deployment_id)).rpartition("/")[2]
    return getattr(_module(name), name)


if os.environ.get("KEEPSET_BENCH_FORKED") and "deployments.serve" in sys.orig_argv:
    _fork_instead()
