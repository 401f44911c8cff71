"""A gate as a Prefect task, its outcome as an artifact."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact

from keepset.errors import GateFailed
from tasks.artifacts import show
from tasks.progress import HOUR_S, artifact_key, opened

__all__ = ["gate"]


@task(name="gate", timeout_seconds=HOUR_S, task_run_name="gate {name}", persist_result=True)
def gate(workspace: str, name: str) -> dict[str, Any]:
    """Check the expectations on a manifest; a failed gate stops the flow and says what to do."""
    from keepset.gates import check

    ws, config = opened(workspace)
    key = artifact_key(ws, f"gate-{name}")
    try:
        result = check(ws, config, name)
    except GateFailed as e:
        show(create_markdown_artifact, f"✗ {e}", key=key, description=f"The gate '{name}' did not pass")
        raise
    lines = "\n".join(f"- ✓ {o.expectation} (found {o.observed})" for o in result.outcomes)
    show(
        create_markdown_artifact, f"Gate **{name}** passed\n\n{lines}", key=key, description=f"The gate '{name}' passed"
    )
    return result.as_dict()
