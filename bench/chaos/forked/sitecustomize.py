"""Found by every Python of the stack of the chaos runs: flow runs are forked from a process that has imported all.

Starting a flow run means ten to fifteen seconds of CPU for imports, more than all that the small run does. The runner
asks ``multiprocessing`` for ``spawn``; here it gets ``forkserver``. What is killed stays the same: a process of its own
for each flow run, that outlives its runner.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import Any

_LOADED = [
    "flows.pipeline", "flows.retrain", "flows.review_batch", "torch", "torchvision", "timm", "onnxscript", "onnx",
    "onnxruntime", "great_expectations", "great_expectations.expectations", "matplotlib.pyplot", "pandas",
    "pyarrow.parquet", "sklearn.linear_model", "cleanlab.rank", "keepset.train", "keepset.interpret", "keepset.validate",
    "keepset.download", "keepset.export.onnx", "keepset.gates.suites",
]  # fmt: skip


def _fork_instead() -> None:
    real = multiprocessing.get_context

    def get_context(method: str | None = None) -> Any:
        return real("forkserver" if method == "spawn" else method)

    multiprocessing.get_context = get_context  # type: ignore[assignment]
    multiprocessing.set_forkserver_preload(_LOADED)


if os.environ.get("PREFECT_HOME") and "deployments.serve" in sys.orig_argv:
    _fork_instead()
