from __future__ import annotations

from typing import Any

from prefect import task

from keepset.errors import SourceError
from tasks.running import run_stage

__all__ = ["scrape"]


def _is_transient(_task: Any, _run: Any, state: Any) -> bool:
    """A source that does not answer may answer later; anything else will not mend itself."""
    return isinstance(state.data, SourceError) or "SourceError" in (state.message or "")


@task(name="scrape", task_run_name="scrape", retries=2, retry_delay_seconds=[10, 60], retry_condition_fn=_is_transient,
      timeout_seconds=3600, persist_result=True)  # fmt: skip
def scrape(workspace: str) -> dict[str, Any]:
    """Collect image URLs from the config's sources; adds only what is new."""
    from keepset.scrape import scrape as stage

    return run_stage(stage, workspace)
