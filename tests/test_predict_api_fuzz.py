"""Schemathesis against the real server: whatever it sends, the API answers as its description says, never with a 500."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.predict_fixtures import Served
from tests.processes import PATIENCE_S
from tests.test_inbox import switch_on
from tests.web_fixtures import served

TOOL = Path(sys.executable).with_name("schemathesis")


def test_the_api_is_as_described(model_case: Served, tmp_path: Path) -> None:
    if not TOOL.exists():
        pytest.skip("schemathesis is not installed: pip install -e '.[dev]'")
    switch_on(model_case, tmp_path, per_minute=10_000)
    with served(model_case.ws.root, "geheim") as url:
        command = [
            str(TOOL), "--config-file", str(Path(__file__).with_name("schemathesis.toml")), "run", f"{url}/openapi.json",
            "--url", url, "--seed", "1", "--request-timeout", "120", "-H", "Authorization: Bearer geheim",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " 0 passed" not in done.stdout
